//! The console: users, invitations, sessions, roles, permissions, and the policy in force.
//!
//! What somebody may do is decided by the account floor; pages leave out what it would refuse.

mod explain;
mod invitations;
mod permissions;
mod policy;
mod roles;
mod sessions;
mod user;
mod users;

use std::collections::BTreeSet;

use axum::Router;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::base::name::RoleName;
use crate::identity::accounts::{AccountFault, Right};
use crate::store::roles::RoleOrigin;
use crate::web::Web;
use crate::web::error::Problem;

use super::visit::Member;

/// Everything below `admin`.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/admin", get(first))
        .route("/admin/users", get(users::list))
        .route("/admin/users/new", get(users::blank).post(users::create))
        .route("/admin/users/{id}", get(user::show))
        .route("/admin/users/{id}/profile", post(user::profile))
        .route("/admin/users/{id}/roles", post(user::roles))
        .route("/admin/users/{id}/password", post(user::password))
        .route(
            "/admin/users/{id}/sessions/end-all",
            post(sessions::end_all),
        )
        .route("/admin/users/{id}/sessions/{sid}/end", post(sessions::end))
        .route(
            "/admin/users/{id}/delete",
            get(user::ask).post(user::delete),
        )
        .route(
            "/admin/invitations",
            get(invitations::list).post(invitations::create),
        )
        .route("/admin/invitations/{id}/revoke", post(invitations::revoke))
        .route("/admin/sessions", get(sessions::list))
        .route("/admin/roles", get(roles::list))
        .route("/admin/roles/new", get(roles::blank).post(roles::create))
        .route("/admin/roles/{id}", get(roles::show).post(roles::edit))
        .route(
            "/admin/roles/{id}/delete",
            get(roles::ask).post(roles::delete),
        )
        .route(
            "/admin/permissions",
            get(permissions::list).post(permissions::create),
        )
        .route("/admin/policy", get(policy::show))
}

/// Leads to the first part that is open.
///
/// # Errors
/// When none is.
pub async fn first(member: Member) -> Result<Response, Problem> {
    let page = member.first_section();
    let page = page.ok_or(AccountFault::Forbidden(
        "The console is for administrators.",
    ))?;
    Ok(Redirect::to(&format!("{}/admin/{page}", member.visit.prefix())).into_response())
}

/// What every page of the console shows: its part, and which forms it holds.
fn common(member: &Member, here: &str) -> Value {
    json!({
        "place": "admin",
        "here": here,
        "wrong": {},
        "may": {
            "write": member.may(Right::WriteUsers),
            "delete": member.may(Right::DeleteUsers),
            "super": member.may(Right::Superuser),
        },
    })
}

/// Every role that they can give, and whether it is among these; those that are, in any case.
async fn choices(member: &Member, held: &BTreeSet<RoleName>) -> Result<Vec<Value>, Problem> {
    let accounts = &member.visit.web.accounts;
    let names: BTreeSet<RoleName> = match accounts.roles(&member.actor()).await {
        Ok(all) => all
            .iter()
            .filter(|full| full.role.origin != RoleOrigin::Retired)
            .map(|full| full.role.name.clone())
            .collect(),
        // Who may not see the roles there are can still give their own.
        Err(AccountFault::Forbidden(_)) => member.who().roles.union(held).cloned().collect(),
        Err(fault) => return Err(fault.into()),
    };
    let mut names = accounts.givable(&member.actor(), names).await?;
    names.extend(held.iter().cloned());
    // To be given the role of this name does not make anybody one. Who has it all the same keeps it, unless it is taken.
    let given = names
        .iter()
        .filter(|name| name.as_str() != "superuser" || held.contains(name));
    Ok(given
        .map(|name| json!({ "name": name.as_str(), "held": held.contains(name) }))
        .collect())
}

/// A question before something is deleted.
fn question(member: &Member, here: &str, (title, text): (&str, &str), base: &str) -> Value {
    let back = format!("{}/admin/{base}", member.visit.prefix());
    let own =
        json!({ "title": title, "text": text, "action": format!("{back}/delete"), "back": back });
    crate::web::templates::merged(common(member, here), own)
}
