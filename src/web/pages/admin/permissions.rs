//! The permissions that roles may hold, and declaring another one.

use axum::response::Response;
use serde_json::{Value, json};

use crate::base::name::Permission;
use crate::web::error::Problem;
use crate::web::form::{Fields, Sent};
use crate::web::templates::merged;

use super::super::notice::Notice;
use super::super::slips::Slips;
use super::super::visit::Member;
use super::common;

const TEMPLATE: &str = "admin-permissions.html";

/// Shows them.
///
/// # Errors
/// Without the right, or when the store does not answer.
pub async fn list(member: Member) -> Result<Response, Problem> {
    let values = values(&member, &Fields::default()).await?;
    Ok(member.visit.show(TEMPLATE, values))
}

/// Declares one.
///
/// # Errors
/// When the form is not ours, or the store does not answer.
pub async fn create(member: Member, sent: Sent) -> Result<Response, Problem> {
    let fields = member.open(sent)?;
    match add(&member, &fields).await {
        Ok(()) => Ok(member
            .visit
            .go("admin/permissions", Notice::PermissionAdded)),
        Err(slips) => {
            let values = values(&member, &fields).await?;
            Ok(member.visit.again(TEMPLATE, &slips, values))
        }
    }
}

async fn add(member: &Member, fields: &Fields) -> Result<(), Slips> {
    let mut slips = Slips::default();
    let permission: Option<Permission> = slips.read(fields, "name");
    let description = slips.prose(fields, "description");
    slips.none()?;
    let permission = permission.ok_or_else(Problem::internal)?;
    let accounts = &member.visit.web.accounts;
    accounts
        .add_permission(&member.actor(), &permission, &description)
        .await?;
    Ok(())
}

async fn values(member: &Member, typed: &Fields) -> Result<Value, Problem> {
    let accounts = &member.visit.web.accounts;
    let all = accounts.permissions(&member.actor()).await?;
    let rows: Vec<Value> = all
        .iter()
        .map(|it| json!({ "name": it.permission.as_str(), "description": it.description }))
        .collect();
    let typed = json!({ "name": typed.text("name"), "description": typed.text("description") });
    let own = json!({ "permissions": rows, "values": typed });
    Ok(merged(common(member, "permissions"), own))
}
