//! `users/{id}/roles`: giving roles to people, and taking them.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::base::id::UserId;
use crate::base::name::RoleName;
use crate::gate::visitor::Visitor;
use crate::identity::accounts::AccountFault;
use crate::web::Web;
use crate::web::body::Body;
use crate::web::error::Problem;
use crate::web::extract::Caller;
use crate::web::params::InPath;

use super::user::UserOut;

/// All the roles that somebody is to have.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoleAssignment)]
pub struct RolesIn {
    /// Their numbers.
    #[schema(value_type = Vec<i64>, example = json!([3]))]
    role_ids: BTreeSet<i64>,
}

/// Replace a user's roles.
///
/// # Errors
/// Without the permission, for oneself, for somebody who holds more, or when a role may not be given.
#[utoipa::path(
    post, path = "/users/{id}/roles", operation_id = "set_user_roles", tag = "users",
    params(("id" = i64, Path, description = "The user's number")),
    request_body = RolesIn,
    responses((status = OK, description = "The user", body = UserOut)),
    extensions(("x-permission" = json!("users:write")))
)]
pub async fn set(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    InPath(id): InPath<i64>,
    Body(sent): Body<RolesIn>,
) -> Result<Json<UserOut>, Problem> {
    let actor = caller.0.actor(&visitor);
    let accounts = &web.accounts;
    let changed = accounts.set_role_ids(&actor, UserId(id), &sent.role_ids);
    Ok(Json((&changed.await?).into()))
}

/// Give a user one more role.
///
/// # Errors
/// As [`set`].
#[utoipa::path(
    post, path = "/users/{id}/roles/{name}", operation_id = "grant_role", tag = "users",
    params(("id" = i64, Path, description = "The user's number"), ("name" = String, Path, description = "The role's name")),
    responses((status = OK, description = "The user", body = UserOut)),
    extensions(("x-permission" = json!("users:write")))
)]
pub async fn grant(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    InPath((id, name)): InPath<(i64, String)>,
) -> Result<Json<UserOut>, Problem> {
    let actor = caller.0.actor(&visitor);
    let changed = web.accounts.grant(&actor, UserId(id), &role(&name)?).await;
    Ok(Json((&changed.map_err(absent)?).into()))
}

/// Take a role from a user.
///
/// # Errors
/// As [`set`].
#[utoipa::path(
    delete, path = "/users/{id}/roles/{name}", operation_id = "revoke_role", tag = "users",
    params(("id" = i64, Path, description = "The user's number"), ("name" = String, Path, description = "The role's name")),
    responses((status = OK, description = "The user", body = UserOut)),
    extensions(("x-permission" = json!("users:write")))
)]
pub async fn revoke(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    InPath((id, name)): InPath<(i64, String)>,
) -> Result<Json<UserOut>, Problem> {
    let actor = caller.0.actor(&visitor);
    let changed = web.accounts.revoke(&actor, UserId(id), &role(&name)?).await;
    Ok(Json((&changed.map_err(absent)?).into()))
}

/// No role is called what cannot be a role's name.
fn role(name: &str) -> Result<RoleName, Problem> {
    name.parse().map_err(|_| AccountFault::Missing.into())
}

/// In a path, what does not exist is not found.
fn absent(fault: AccountFault) -> AccountFault {
    match fault {
        AccountFault::UnknownRole(_) => AccountFault::Missing,
        fault => fault,
    }
}
