//! Choosing another password behind the link of a letter. Looking at the page spends nothing.

use axum::extract::RawQuery;
use axum::response::Response;
use serde_json::json;

use crate::identity::accounts::AccountFault;
use crate::web::error::Problem;
use crate::web::form::{Fields, Sent};

use super::link;
use super::notice::Notice;
use super::slips::Slips;
use super::visit::{Guest, Visit};

const PAGE: &str = "reset-password";
const TEMPLATE: &str = "reset-password.html";

/// Shows the form.
///
/// # Errors
/// When the store does not answer.
pub async fn show(Guest(visit): Guest, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    if let Some(moved) = link::moved(&visit, PAGE, query.as_deref()) {
        return Ok(moved);
    }
    let token = link::token(&visit, PAGE).unwrap_or_default();
    match visit.web.accounts.behind_reset(&token).await {
        Ok(()) => {
            let seen = link::mark(&visit, PAGE, None);
            Ok(visit.show(TEMPLATE, json!({ "seen": seen, "wrong": {} })))
        }
        Err(AccountFault::Link) => Ok(no_good(&visit)),
        Err(fault) => Err(fault.into()),
    }
}

/// Takes the form.
pub async fn submit(Guest(visit): Guest, sent: Sent) -> Response {
    let (slips, fields) = match visit.open(sent) {
        Ok(fields) => match attempt(&visit, &fields).await {
            Ok(response) => return response,
            Err(slips) => (slips, fields),
        },
        Err((problem, fields)) => (problem.into(), fields),
    };
    let seen = link::mark(&visit, PAGE, Some(&fields));
    visit.again(TEMPLATE, &slips, json!({ "seen": seen }))
}

async fn attempt(visit: &Visit, fields: &Fields) -> Result<Response, Slips> {
    if link::token(visit, PAGE).is_none() {
        return Ok(no_good(visit));
    }
    let token = link::token_of(visit, PAGE, fields)?;
    let password = fields.secret("password");
    let accounts = &visit.web.accounts;
    let mut response = match accounts.reset(&token, &password, visit.visitor.ip).await {
        Err(AccountFault::Link) => return Ok(no_good(visit)),
        reset => {
            reset?;
            visit.go("login", Notice::PasswordReset)
        }
    };
    link::forget(visit, &mut response);
    Ok(response)
}

/// No password is asked for that would come to nothing.
fn no_good(visit: &Visit) -> Response {
    let mut response = visit.dead_end(
        "The link is not good",
        "It has been used, or is older than it may be, or is not all there.",
        ("forgot-password", "Send another one"),
    );
    link::forget(visit, &mut response);
    response
}
