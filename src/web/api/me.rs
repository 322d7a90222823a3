//! `me`: one's own account.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::StatusCode;
use http::header::{self, HeaderMap};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::id::UserId;
use crate::base::secret::Secret;
use crate::gate::visitor::Visitor;
use crate::identity::accounts::MeChange;
use crate::identity::session::Opening;
use crate::store::users::User;
use crate::web::Web;
use crate::web::body::{Body, optional};
use crate::web::error::Problem;
use crate::web::extract::{Caller, Proved, links};

use super::recover::TokenIn;
use super::session::{session_cookie, user_agent};
use super::user::UserOut;

/// What somebody wants changed about themselves. What is absent stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MeChange)]
pub struct MeIn {
    #[schema(format = Email, max_length = 254, example = "dora@example.com")]
    email: Option<String>,
    #[schema(min_length = 1, max_length = 64, example = "dora")]
    username: Option<String>,
    #[schema(value_type = Option<String>, format = Password, min_length = 8, example = "another long password")]
    password: Option<Secret<String>>,
    /// Needed for another password or address, unless the login is minutes old.
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<Secret<String>>,
}

/// The current password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Leave)]
pub struct LeaveIn {
    #[schema(value_type = String)]
    current_password: Secret<String>,
}

/// A user and everything they may do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Me)]
pub struct MeOut {
    #[serde(flatten)]
    user: UserOut,
    /// Every permission, by name, sorted.
    permissions: Vec<String>,
}

/// Show your account.
///
/// # Errors
/// When nobody is signed in.
#[utoipa::path(
    get, path = "/me", operation_id = "me", tag = "me",
    responses((status = OK, description = "Your account, and everything you may do", body = MeOut)),
    extensions(("x-permission" = json!("signed_in")))
)]
pub async fn show(State(web): State<Web>, proved: Proved) -> Result<Json<MeOut>, Problem> {
    Ok(Json(MeOut::find(&web, proved.live.identity.id).await?))
}

/// Change your account.
///
/// After another password, a browser's session goes on under another cookie.
///
/// # Errors
/// When a name is taken, the password may not be chosen, or the current one is needed.
#[utoipa::path(
    put, path = "/me", operation_id = "update_me", tag = "me",
    request_body = MeIn,
    responses((status = OK, description = "Your account, and everything you may do", body = MeOut)),
    extensions(("x-permission" = json!("signed_in")))
)]
pub async fn put(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    proved: Proved,
    Body(sent): Body<MeIn>,
) -> Result<Response, Problem> {
    let must = proved.live.must_change_password;
    if must && (sent.email.is_some() || sent.username.is_some() || sent.password.is_none()) {
        return Err(Problem::must_change_password());
    }
    let change = MeChange {
        email: optional("email", sent.email.as_ref())?,
        username: optional("username", sent.username.as_ref())?,
        password: sent.password,
        current_password: sent.current_password,
    };
    let actor = proved.actor(&visitor);
    let changed = web
        .accounts
        .change_me(&actor, &change, &links(&visitor))
        .await?;
    let cookie = if changed.password {
        renew(&web, &visitor, &headers, &proved, &changed.account.user).await?
    } else {
        None
    };
    let body = Json(MeOut::find(&web, changed.account.user.id).await?);
    Ok(match cookie {
        Some(cookie) => ([(header::SET_COOKIE, cookie)], body).into_response(),
        None => body.into_response(),
    })
}

/// Change your account: the same as PUT.
///
/// # Errors
/// As [`put`].
#[utoipa::path(
    patch, path = "/me", operation_id = "patch_me", tag = "me",
    request_body = MeIn,
    responses((status = OK, description = "Your account, and everything you may do", body = MeOut)),
    extensions(("x-permission" = json!("signed_in")))
)]
pub async fn patch(
    state: State<Web>,
    visitor: Extension<Visitor>,
    headers: HeaderMap,
    proved: Proved,
    sent: Body<MeIn>,
) -> Result<Response, Problem> {
    put(state, visitor, headers, proved, sent).await
}

/// Gives a browser another session for the one it has, which ends: whoever holds a copy of the cookie is out.
///
/// # Errors
/// When the store does not answer.
pub async fn renew(
    web: &Web,
    visitor: &Visitor,
    headers: &HeaderMap,
    proved: &Proved,
    user: &User,
) -> Result<Option<String>, Problem> {
    let Some(old) = &proved.cookie else {
        return Ok(None);
    };
    let agent = user_agent(headers);
    let opening = Opening {
        user,
        ip: visitor.ip,
        user_agent: &agent,
    };
    let begun = web.sessions.begin(&opening, Some(old)).await?;
    Ok(Some(session_cookie(visitor, &begun, web.clock.now())))
}

/// Delete your account.
///
/// # Errors
/// When the password is wrong, or nobody could administer the gateway any more.
#[utoipa::path(
    delete, path = "/me", operation_id = "delete_me", tag = "me",
    request_body = LeaveIn,
    responses((status = NO_CONTENT, description = "Deleted")),
    extensions(("x-permission" = json!("signed_in")))
)]
pub async fn leave(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    Body(sent): Body<LeaveIn>,
) -> Result<Response, Problem> {
    let actor = caller.0.actor(&visitor);
    web.accounts
        .delete_me(&actor, &sent.current_password)
        .await?;
    let clear = visitor.cookies.clear(visitor.cookies.session);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, clear)]).into_response())
}

/// Take the new address that a letter proves to be yours.
///
/// # Errors
/// When the token is no good.
#[utoipa::path(
    post, path = "/confirm-email", operation_id = "confirm_email", tag = "me",
    request_body = TokenIn,
    responses((status = OK, description = "The account", body = UserOut)),
    extensions(("x-permission" = json!("anyone")))
)]
pub async fn confirm_email(
    State(web): State<Web>,
    Body(sent): Body<TokenIn>,
) -> Result<Json<UserOut>, Problem> {
    let user = web.accounts.confirm_email(sent.token.expose()).await?;
    Ok(Json(UserOut::find(&web, user.id).await?))
}

impl MeOut {
    async fn find(web: &Web, id: UserId) -> Result<Self, Problem> {
        let account = web.accounts.account(id).await?;
        let permissions = account.permissions.iter().map(ToString::to_string);
        Ok(Self {
            permissions: permissions.collect(),
            user: UserOut::find(web, id).await?,
        })
    }
}
