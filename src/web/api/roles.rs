//! `roles`: what people can be given. Roles of the file are changed in the file.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::gate::visitor::Visitor;
use crate::identity::accounts::{RoleDraft, RoleEdit};
use crate::web::Web;
use crate::web::body::{Body, field, optional, prose};
use crate::web::error::Problem;
use crate::web::extract::Caller;
use crate::web::params::{InPath, InQuery, Paging};

use super::user::{MessageOut, RoleOut};

/// A role to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRole)]
pub struct RoleIn {
    #[schema(pattern = "^[A-Za-z0-9_.-]+$", max_length = 64, example = "editor")]
    name: String,
    /// What it is for.
    #[schema(pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", max_length = 255)]
    description: Option<String>,
    /// The numbers of its permissions.
    #[serde(default)]
    #[schema(value_type = Vec<i64>)]
    permission_ids: BTreeSet<i64>,
}

/// What to change. What is absent stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoleChange)]
pub struct EditIn {
    #[schema(pattern = "^[A-Za-z0-9_.-]+$", max_length = 64, example = "editor")]
    name: Option<String>,
    /// What it is for.
    #[schema(pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", max_length = 255)]
    description: Option<String>,
    /// The numbers of its permissions.
    #[schema(value_type = Option<Vec<i64>>)]
    permission_ids: Option<BTreeSet<i64>>,
}

/// List roles.
///
/// # Errors
/// Without the permission.
#[utoipa::path(
    get, path = "/roles", operation_id = "list_roles", tag = "roles",
    params(Paging),
    responses((status = OK, description = "The roles", body = Vec<RoleOut>)),
    extensions(("x-permission" = json!("roles:read")))
)]
pub async fn list(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    InQuery(paging): InQuery<Paging>,
) -> Result<Json<Vec<RoleOut>>, Problem> {
    let roles = web.accounts.roles(&caller.0.actor(&visitor)).await?;
    let roles = paging.cut(&roles)?;
    Ok(Json(
        roles.into_iter().map(|role| (&**role).into()).collect(),
    ))
}

/// Show a role.
///
/// # Errors
/// Without the permission, or when there is none.
#[utoipa::path(
    get, path = "/roles/{id}", operation_id = "get_role", tag = "roles",
    params(("id" = i64, Path, description = "The role's number")),
    responses((status = OK, description = "The role", body = RoleOut)),
    extensions(("x-permission" = json!("roles:read")))
)]
pub async fn show(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    InPath(id): InPath<i64>,
) -> Result<Json<RoleOut>, Problem> {
    let role = web.accounts.role(&caller.0.actor(&visitor), id).await?;
    Ok(Json((&*role).into()))
}

/// Make a role.
///
/// # Errors
/// For everybody but superusers, and when there is one of that name.
#[utoipa::path(
    post, path = "/roles", operation_id = "create_role", tag = "roles",
    request_body = RoleIn,
    responses((status = CREATED, description = "The role", body = RoleOut)),
    extensions(("x-permission" = json!("superuser")))
)]
pub async fn create(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    Body(sent): Body<RoleIn>,
) -> Result<Response, Problem> {
    let draft = RoleDraft {
        name: field("name", &sent.name)?,
        description: prose("description", sent.description)?.unwrap_or_default(),
        permissions: sent.permission_ids,
    };
    let actor = caller.0.actor(&visitor);
    let made = web.accounts.add_role(&actor, &draft).await?;
    Ok((StatusCode::CREATED, Json(RoleOut::from(&*made))).into_response())
}

/// Change a role. Whoever has it holds more or less from their next request on.
///
/// # Errors
/// For everybody but superusers, and for roles of the file.
#[utoipa::path(
    put, path = "/roles/{id}", operation_id = "update_role", tag = "roles",
    params(("id" = i64, Path, description = "The role's number")),
    request_body = EditIn,
    responses((status = OK, description = "The role", body = RoleOut)),
    extensions(("x-permission" = json!("superuser")))
)]
pub async fn update(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    InPath(id): InPath<i64>,
    Body(sent): Body<EditIn>,
) -> Result<Json<RoleOut>, Problem> {
    let edit = RoleEdit {
        name: optional("name", sent.name.as_ref())?,
        description: prose("description", sent.description)?,
        permissions: sent.permission_ids,
    };
    let actor = caller.0.actor(&visitor);
    let changed = web.accounts.edit_role(&actor, id, &edit).await?;
    Ok(Json((&*changed).into()))
}

/// Delete a role. Whoever has it loses it.
///
/// # Errors
/// For everybody but superusers, and for roles that are fixed or in use by another role.
#[utoipa::path(
    delete, path = "/roles/{id}", operation_id = "delete_role", tag = "roles",
    params(("id" = i64, Path, description = "The role's number")),
    responses((status = OK, description = "Deleted", body = MessageOut)),
    extensions(("x-permission" = json!("superuser")))
)]
pub async fn delete(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    InPath(id): InPath<i64>,
) -> Result<Json<MessageOut>, Problem> {
    let actor = caller.0.actor(&visitor);
    web.accounts.delete_role(&actor, id).await?;
    Ok(MessageOut::new("Role deleted."))
}
