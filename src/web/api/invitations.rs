//! `invitations`: making them, seeing them, taking them back, and accepting one.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::id::PublicId;
use crate::base::name::RoleName;
use crate::base::secret::Secret;
use crate::base::time::Timestamp;
use crate::gate::visitor::Visitor;
use crate::identity::accounts::{Invitation, Invited};
use crate::web::Web;
use crate::web::body::{Body, field};
use crate::web::error::Problem;
use crate::web::extract::{Caller, links};
use crate::web::params::InPath;

use super::user::UserOut;

/// Whom to invite, and what they will be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewInvitation)]
pub struct InviteIn {
    #[schema(format = Email, max_length = 254, example = "eve@example.com")]
    email: String,
    /// The names of the roles they will have.
    #[serde(default)]
    #[schema(example = json!(["user"]))]
    roles: Vec<String>,
}

/// The account that an invitation becomes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Acceptance)]
pub struct AcceptIn {
    #[schema(value_type = String)]
    token: Secret<String>,
    #[schema(min_length = 1, max_length = 64, example = "eve")]
    username: String,
    #[schema(value_type = String, format = Password, min_length = 8, example = "a long password of eve")]
    password: Secret<String>,
}

/// An invitation that waits.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Invitation)]
pub struct InvitationOut {
    id: String,
    email: String,
    roles: Vec<String>,
    invited_by: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Shown once, and only where there is no mail to carry it.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
}

/// Invite somebody.
///
/// # Errors
/// Without `users:write`, when roles are given that the caller does not hold, or the address is taken.
#[utoipa::path(
    post, path = "/invitations", operation_id = "create_invitation", tag = "invitations",
    request_body = InviteIn,
    responses((status = CREATED, description = "The invitation", body = InvitationOut)),
    extensions(("x-permission" = json!("users:write")))
)]
pub async fn create(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    Body(sent): Body<InviteIn>,
) -> Result<(StatusCode, Json<InvitationOut>), Problem> {
    let email = field("email", &sent.email)?;
    let roles = sent
        .roles
        .iter()
        .map(|role| field::<RoleName>("roles", role));
    let roles = roles.collect::<Result<_, _>>()?;
    let actor = caller.0.actor(&visitor);
    let invited = web
        .accounts
        .invite(&actor, &email, &roles, &links(&visitor))
        .await?;
    Ok((StatusCode::CREATED, Json(invited.into())))
}

/// List the invitations that wait.
///
/// # Errors
/// Without `users:read`.
#[utoipa::path(
    get, path = "/invitations", operation_id = "list_invitations", tag = "invitations",
    responses((status = OK, description = "The invitations", body = Vec<InvitationOut>)),
    extensions(("x-permission" = json!("users:read")))
)]
pub async fn list(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
) -> Result<Json<Vec<InvitationOut>>, Problem> {
    let all = web.accounts.invitations(&caller.0.actor(&visitor)).await?;
    Ok(Json(all.into_iter().map(Into::into).collect()))
}

/// Take an invitation back.
///
/// # Errors
/// Without `users:write`, or when there is none of that name.
#[utoipa::path(
    delete, path = "/invitations/{id}", operation_id = "revoke_invitation", tag = "invitations",
    params(("id" = String, Path, description = "The invitation's public name", pattern = "^[0-9a-f]{32}$")),
    responses((status = NO_CONTENT, description = "Taken back")),
    extensions(("x-permission" = json!("users:write")))
)]
pub async fn revoke(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    InPath(id): InPath<PublicId>,
) -> Result<StatusCode, Problem> {
    let actor = caller.0.actor(&visitor);
    web.accounts.revoke_invitation(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make the account that you were invited to.
///
/// # Errors
/// When the invitation is no good, a name is taken, or the password may not be chosen.
#[utoipa::path(
    post, path = "/invitations/accept", operation_id = "accept_invitation", tag = "invitations",
    request_body = AcceptIn,
    responses((status = CREATED, description = "The account", body = UserOut)),
    extensions(("x-permission" = json!("anyone")))
)]
pub async fn accept(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    Body(sent): Body<AcceptIn>,
) -> Result<(StatusCode, Json<UserOut>), Problem> {
    let username = field("username", &sent.username)?;
    let account = web
        .accounts
        .accept(sent.token.expose(), username, &sent.password, visitor.ip)
        .await?;
    let user = UserOut::find(&web, account.user.id).await?;
    Ok((StatusCode::CREATED, Json(user)))
}

impl From<Invitation> for InvitationOut {
    fn from(invitation: Invitation) -> Self {
        Self {
            id: invitation.id.to_string(),
            email: invitation.email.to_string(),
            roles: invitation.roles.iter().map(ToString::to_string).collect(),
            invited_by: invitation.by.to_string(),
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
            link: None,
        }
    }
}

impl From<Invited> for InvitationOut {
    fn from(invited: Invited) -> Self {
        Self {
            link: invited.link,
            ..invited.invitation.into()
        }
    }
}
