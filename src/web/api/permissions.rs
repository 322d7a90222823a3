//! `permissions`: what roles give.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::base::name::Permission;
use crate::gate::visitor::Visitor;
use crate::web::Web;
use crate::web::body::{Body, field, prose};
use crate::web::error::Problem;
use crate::web::extract::Caller;
use crate::web::params::{InQuery, Paging};

use super::user::PermissionOut;

/// A permission to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPermission)]
pub struct PermissionIn {
    /// `resource:action`, of the two that come with it.
    #[schema(
        pattern = "^[A-Za-z0-9_.-]+:[A-Za-z0-9_.-]+$",
        max_length = 128,
        example = "posts:delete"
    )]
    name: String,
    #[schema(pattern = "^[A-Za-z0-9_.-]+$", max_length = 64, example = "posts")]
    resource: String,
    #[schema(pattern = "^[A-Za-z0-9_.-]+$", max_length = 63, example = "delete")]
    action: String,
    /// What it is for.
    #[schema(pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", max_length = 255)]
    description: Option<String>,
}

/// List permissions.
///
/// # Errors
/// Without the permission to.
#[utoipa::path(
    get, path = "/permissions", operation_id = "list_permissions", tag = "roles",
    params(Paging),
    responses((status = OK, description = "The permissions", body = Vec<PermissionOut>)),
    extensions(("x-permission" = json!("permissions:read")))
)]
pub async fn list(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    InQuery(paging): InQuery<Paging>,
) -> Result<Json<Vec<PermissionOut>>, Problem> {
    let all = web.accounts.permissions(&caller.0.actor(&visitor)).await?;
    Ok(Json(
        paging.cut(&all)?.into_iter().map(Into::into).collect(),
    ))
}

/// Declare a permission.
///
/// # Errors
/// For everybody but superusers, and when it is there already.
#[utoipa::path(
    post, path = "/permissions", operation_id = "create_permission", tag = "roles",
    request_body = PermissionIn,
    responses((status = CREATED, description = "The permission", body = PermissionOut)),
    extensions(("x-permission" = json!("superuser")))
)]
pub async fn create(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    Body(sent): Body<PermissionIn>,
) -> Result<Response, Problem> {
    let permission: Permission = field("name", &sent.name)?;
    if (permission.resource(), permission.action()) != (&*sent.resource, &*sent.action) {
        let text = "must be the resource and the action with a colon between them";
        return Err(Problem::invalid(&["body", "name"], text, "value_error"));
    }
    let description = prose("description", sent.description)?.unwrap_or_default();
    let actor = caller.0.actor(&visitor);
    let made = web
        .accounts
        .add_permission(&actor, &permission, &description)
        .await?;
    Ok((StatusCode::CREATED, Json(PermissionOut::from(&made))).into_response())
}
