//! `invitations`: making them, seeing them, taking them back, and accepting one.

use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::base::name::RoleName;
use crate::base::secret::Secret;
use crate::base::time::Timestamp;
use crate::gate::visitor::Visitor;
use crate::identity::accounts::{Invitation, Invited};
use crate::web::Web;
use crate::web::body::{Body, field};
use crate::web::error::Problem;
use crate::web::extract::{Caller, links};

use super::user::UserOut;

/// Whom to invite, and what they will be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InviteIn {
    email: String,
    #[serde(default)]
    roles: Vec<String>,
}

/// The account that an invitation becomes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptIn {
    token: String,
    username: String,
    password: String,
}

/// An invitation that waits.
#[derive(Debug, Serialize)]
pub struct InvitationOut {
    id: String,
    email: String,
    roles: Vec<String>,
    invited_by: String,
    created_at: Timestamp,
    expires_at: Timestamp,
    /// Shown once, and only where there is no mail to carry it.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
}

/// Invites somebody.
///
/// # Errors
/// Without `users:write`, when roles are given that the caller does not hold, or the address is taken.
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

/// The invitations that wait.
///
/// # Errors
/// Without `users:read`.
pub async fn list(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
) -> Result<Json<Vec<InvitationOut>>, Problem> {
    let all = web.accounts.invitations(&caller.0.actor(&visitor)).await?;
    Ok(Json(all.into_iter().map(Into::into).collect()))
}

/// Takes an invitation back.
///
/// # Errors
/// Without `users:write`, or when there is none of that name.
pub async fn revoke(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = id.parse().map_err(|_| not_found())?;
    let actor = caller.0.actor(&visitor);
    web.accounts.revoke_invitation(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes the account of an invitation.
///
/// # Errors
/// When the invitation is no good, a name is taken, or the password may not be chosen.
pub async fn accept(
    State(web): State<Web>,
    Body(sent): Body<AcceptIn>,
) -> Result<(StatusCode, Json<UserOut>), Problem> {
    let username = field("username", &sent.username)?;
    let password = Secret::new(sent.password);
    let account = web
        .accounts
        .accept(&sent.token, username, &password)
        .await?;
    Ok((StatusCode::CREATED, Json(account.into())))
}

fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "NOT_FOUND", "Not found.")
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
