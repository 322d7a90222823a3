//! Deleting one's own account, with one's own password.

use axum::response::Response;
use serde_json::json;

use crate::web::error::Problem;
use crate::web::form::Sent;

use super::super::notice::Notice;
use super::super::slips::Slips;
use super::super::visit::{Member, append};

const TEMPLATE: &str = "account-delete.html";

/// Asks once more.
pub async fn show(member: Member) -> Response {
    let values = json!({ "place": "account", "wrong": {} });
    member.visit.show(TEMPLATE, values)
}

/// Deletes it.
///
/// # Errors
/// When the form is not ours.
pub async fn submit(member: Member, sent: Sent) -> Result<Response, Problem> {
    let fields = member.open(sent)?;
    let (visit, password) = (&member.visit, fields.secret("current_password"));
    let left = visit
        .web
        .accounts
        .delete_me(&member.actor(), &password)
        .await;
    if let Err(fault) = left {
        let slips = Slips::from(fault);
        return Ok(visit.again(TEMPLATE, &slips, json!({ "place": "account" })));
    }
    let mut response = visit.go("login", Notice::AccountDeleted);
    let cookies = &visit.visitor.cookies;
    append(&mut response, &cookies.clear(cookies.session));
    Ok(response)
}
