//! Roles: those of the file to look at, those of our own to change.

use std::collections::BTreeSet;

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use crate::identity::accounts::{AccountFault, FullRole, Right, RoleDraft, RoleEdit};
use crate::store::roles::RoleOrigin;
use crate::web::error::Problem;
use crate::web::form::{Fields, Sent};
use crate::web::templates::merged;

use super::super::notice::Notice;
use super::super::seen;
use super::super::slips::Slips;
use super::super::visit::Member;
use super::{common, question};

const HERE: &str = "roles";
const TEMPLATE: &str = "admin-role.html";

/// Shows every role.
///
/// # Errors
/// Without the right, or when the store does not answer.
pub async fn list(member: Member) -> Result<Response, Problem> {
    let accounts = &member.visit.web.accounts;
    let all = accounts.roles(&member.actor()).await?;
    let rows: Vec<Value> = all.iter().map(|full| shown(full)).collect();
    let values = merged(common(&member, HERE), json!({ "roles": rows }));
    Ok(member.visit.show("admin-roles.html", values))
}

/// Shows the form for another one.
///
/// # Errors
/// For everybody but superusers.
pub async fn blank(member: Member) -> Result<Response, Problem> {
    if !member.may(Right::Superuser) {
        return Err(AccountFault::Forbidden("Only a superuser may do this.").into());
    }
    let values = form(&member, None, Some(&Fields::default())).await?;
    Ok(member.visit.show(TEMPLATE, values))
}

/// Adds one.
///
/// # Errors
/// When the form is not ours, or the store does not answer.
pub async fn create(member: Member, sent: Sent) -> Result<Response, Problem> {
    let fields = member.open(sent)?;
    match add(&member, &fields).await {
        Ok(()) => Ok(member.visit.go("admin/roles", Notice::RoleAdded)),
        Err(slips) => {
            let values = form(&member, None, Some(&fields)).await?;
            Ok(member.visit.again(TEMPLATE, &slips, values))
        }
    }
}

/// Shows one.
///
/// # Errors
/// Without the right, or when there is no such role.
pub async fn show(member: Member, Path(id): Path<String>) -> Result<Response, Problem> {
    let values = form(&member, Some(number(&id)?), None).await?;
    Ok(member.visit.show(TEMPLATE, values))
}

/// Changes one.
///
/// # Errors
/// When the form is not ours, or there is no such role.
pub async fn edit(member: Member, Path(id): Path<String>, sent: Sent) -> Result<Response, Problem> {
    let (id, fields) = (number(&id)?, member.open(sent)?);
    match save(&member, id, &fields).await {
        Ok(()) => Ok(member
            .visit
            .go(&format!("admin/roles/{id}"), Notice::RoleSaved)),
        Err(slips) => {
            // What was typed on a page that is out of date does not belong on one that is not.
            let typed = Some(&fields).filter(|_| slips.status() != StatusCode::CONFLICT);
            let values = form(&member, Some(id), typed).await?;
            Ok(member.visit.again(TEMPLATE, &slips, values))
        }
    }
}

/// Asks before one is deleted.
///
/// # Errors
/// Without the right, or when there is no such role.
pub async fn ask(member: Member, Path(id): Path<String>) -> Result<Response, Problem> {
    let values = delete_question(&member, number(&id)?).await?;
    Ok(member.visit.show("admin-delete.html", values))
}

/// Deletes one.
///
/// # Errors
/// When the form is not ours, or there is no such role.
pub async fn delete(
    member: Member,
    Path(id): Path<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    member.open(sent)?;
    let id = number(&id)?;
    let accounts = &member.visit.web.accounts;
    match accounts.delete_role(&member.actor(), id).await {
        Ok(()) => Ok(member.visit.go("admin/roles", Notice::RoleDeleted)),
        Err(fault) => {
            let values = delete_question(&member, id).await?;
            let slips = Slips::from(fault);
            Ok(member.visit.again("admin-delete.html", &slips, values))
        }
    }
}

async fn delete_question(member: &Member, id: i64) -> Result<Value, Problem> {
    let accounts = &member.visit.web.accounts;
    let full = accounts.role(&member.actor(), id).await?;
    let text = match accounts.holders(&member.actor(), id).await? {
        0 => "Nobody has it.".to_owned(),
        1 => "One user has it, and loses it at once.".to_owned(),
        many => format!("{many} users have it, and lose it at once."),
    };
    let title = format!("Delete the role {}?", full.role.name);
    Ok(question(
        member,
        HERE,
        (&title, &text),
        &format!("roles/{id}"),
    ))
}

async fn add(member: &Member, fields: &Fields) -> Result<(), Slips> {
    let mut slips = Slips::default();
    let name = slips.read(fields, "name");
    let description = slips.prose(fields, "description");
    let permissions = permissions(&mut slips, fields);
    slips.none()?;
    let draft = RoleDraft {
        name: name.ok_or_else(Problem::internal)?,
        description,
        permissions,
    };
    let accounts = &member.visit.web.accounts;
    accounts.add_role(&member.actor(), &draft).await?;
    Ok(())
}

async fn save(member: &Member, id: i64, fields: &Fields) -> Result<(), Slips> {
    let (accounts, actor) = (&member.visit.web.accounts, member.actor());
    let before = accounts.role(&actor, id).await?;
    if !seen::is_from(fields, &facts(&before)) {
        return Err(AccountFault::Conflict.into());
    }
    let mut slips = Slips::default();
    let name = slips.read(fields, "name");
    let description = slips.prose(fields, "description");
    let permissions = permissions(&mut slips, fields);
    slips.none()?;
    let edit = RoleEdit {
        name: name.filter(|name| *name != before.role.name),
        description: Some(description),
        permissions: Some(permissions),
    };
    accounts.edit_role(&actor, id, &edit).await?;
    Ok(())
}

/// Everything that the form can change.
fn facts(full: &FullRole) -> String {
    let permissions: BTreeSet<i64> = full.permissions.iter().map(|it| it.id).collect();
    json!([full.role.name.as_str(), full.role.description, permissions]).to_string()
}

fn permissions(slips: &mut Slips, fields: &Fields) -> BTreeSet<i64> {
    let read = fields.list("permissions");
    read.unwrap_or_else(|_: String| {
        slips.mark("permissions", "that is no permission");
        BTreeSet::new()
    })
}

/// The form of one role, or of one that is to be.
async fn form(member: &Member, id: Option<i64>, typed: Option<&Fields>) -> Result<Value, Problem> {
    let (accounts, actor) = (&member.visit.web.accounts, member.actor());
    let role = match id {
        Some(id) => Some(accounts.role(&actor, id).await?),
        None => None,
    };
    let all = match accounts.permissions(&actor).await {
        Err(AccountFault::Forbidden(_)) => Vec::new(),
        found => found?,
    };
    let held: BTreeSet<i64> = match (typed, &role) {
        (Some(fields), _) => fields.list("permissions").unwrap_or_default(),
        (None, Some(full)) => full.permissions.iter().map(|it| it.id).collect(),
        (None, None) => BTreeSet::new(),
    };
    let choices: Vec<Value> = all
        .iter()
        .map(|it| json!({ "id": it.id, "name": it.permission.as_str(), "held": held.contains(&it.id) }))
        .collect();
    let seen = role.as_deref().map(|full| seen::mark(&facts(full)));
    let shown = role.as_deref().map(shown);
    let values = match (typed, &shown) {
        (Some(fields), _) => {
            json!({ "name": fields.text("name"), "description": fields.text("description") })
        }
        (None, shown) => shown.clone().unwrap_or_default(),
    };
    let own = json!({ "role": shown.unwrap_or_else(|| json!({})), "values": values, "permissions": choices, "seen": seen });
    Ok(merged(common(member, HERE), own))
}

fn shown(full: &FullRole) -> Value {
    let role = &full.role;
    let (origin, fixed) = match role.origin {
        RoleOrigin::Local => ("here", None),
        RoleOrigin::Config => (
            "gateway.yaml",
            Some("This role is written in gateway.yaml and changed there."),
        ),
        RoleOrigin::Retired => (
            "nowhere",
            Some("This role has left gateway.yaml, and counts for nothing."),
        ),
    };
    let gives = role.includes.iter().map(ToString::to_string);
    let permissions = role.permissions.iter().map(ToString::to_string);
    json!({
        "id": role.id,
        "name": role.name.as_str(),
        "description": role.description,
        "origin": origin,
        "fixed": fixed,
        "permissions": gives.chain(permissions).collect::<Vec<_>>(),
    })
}

fn number(text: &str) -> Result<i64, Problem> {
    text.parse().map_err(|_| AccountFault::Missing.into())
}
