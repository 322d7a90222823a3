//! `sessions` and `users/{id}/sessions`: who is signed in where, and ending it.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use crate::base::id::{PublicId, UserId};
use crate::base::time::Timestamp;
use crate::gate::visitor::Visitor;
use crate::identity::session::SessionInfo;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::extract::Caller;
use crate::web::params::InPath;

use super::user::MessageOut;

/// A session.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionOut {
    /// Its public name, which opens nothing.
    id: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last used, to the minute.
    #[schema(value_type = String, format = DateTime)]
    seen_at: Timestamp,
    /// When it ends if it is not used again.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Where it was begun from.
    ip: String,
    /// What the browser or the program called itself.
    user_agent: String,
    /// Whether tokens carry it, or a cookie.
    tokens: bool,
    /// Whether it is the one that asks.
    current: bool,
}

/// Sessions were ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ended)]
pub struct EndedOut {
    message: &'static str,
    /// How many.
    ended: usize,
}

/// List your sessions.
///
/// # Errors
/// When nobody is signed in.
#[utoipa::path(
    get, path = "/sessions", operation_id = "list_sessions", tag = "sessions",
    responses((status = OK, description = "The sessions, oldest first", body = Vec<SessionOut>)),
    extensions(("x-permission" = json!("signed_in")))
)]
pub async fn list(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
) -> Result<Json<Vec<SessionOut>>, Problem> {
    let found = web.accounts.my_sessions(&caller.0.actor(&visitor)).await?;
    Ok(shown(found, &caller))
}

/// End one of your sessions.
///
/// # Errors
/// When there is none of that name.
#[utoipa::path(
    delete, path = "/sessions/{sid}", operation_id = "end_session", tag = "sessions",
    params(("sid" = String, Path, description = "The session's public name", pattern = "^[0-9a-f]{32}$")),
    responses((status = OK, description = "Ended", body = MessageOut)),
    extensions(("x-permission" = json!("signed_in")))
)]
pub async fn end(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    InPath(sid): InPath<PublicId>,
) -> Result<Json<MessageOut>, Problem> {
    let actor = caller.0.actor(&visitor);
    web.accounts.end_my_session(&actor, sid).await?;
    Ok(MessageOut::new("Session ended."))
}

/// End all your other sessions.
///
/// # Errors
/// When nobody is signed in.
#[utoipa::path(
    delete, path = "/sessions", operation_id = "end_other_sessions", tag = "sessions",
    responses((status = OK, description = "Ended", body = EndedOut)),
    extensions(("x-permission" = json!("signed_in")))
)]
pub async fn end_others(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
) -> Result<Json<EndedOut>, Problem> {
    let actor = caller.0.actor(&visitor);
    let ended = web.accounts.end_my_other_sessions(&actor).await?;
    Ok(told(ended))
}

/// List a user's sessions.
///
/// # Errors
/// Without the permission, or when there is no such user.
#[utoipa::path(
    get, path = "/users/{id}/sessions", operation_id = "list_user_sessions", tag = "sessions",
    params(("id" = i64, Path, description = "The user's number")),
    responses((status = OK, description = "The sessions, oldest first", body = Vec<SessionOut>)),
    extensions(("x-permission" = json!("users:read")))
)]
pub async fn list_of(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    InPath(id): InPath<i64>,
) -> Result<Json<Vec<SessionOut>>, Problem> {
    let actor = caller.0.actor(&visitor);
    let found = web.accounts.sessions_of(&actor, UserId(id)).await?;
    Ok(shown(found, &caller))
}

/// End a session of a user's.
///
/// # Errors
/// Without the permission, for somebody who holds more, or when they have none of that name.
#[utoipa::path(
    delete, path = "/users/{id}/sessions/{sid}", operation_id = "end_user_session", tag = "sessions",
    params(
        ("id" = i64, Path, description = "The user's number"),
        ("sid" = String, Path, description = "The session's public name", pattern = "^[0-9a-f]{32}$"),
    ),
    responses((status = OK, description = "Ended", body = MessageOut)),
    extensions(("x-permission" = json!("users:write")))
)]
pub async fn end_of(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    InPath((id, sid)): InPath<(i64, PublicId)>,
) -> Result<Json<MessageOut>, Problem> {
    let actor = caller.0.actor(&visitor);
    let accounts = &web.accounts;
    accounts.end_session_of(&actor, UserId(id), sid).await?;
    Ok(MessageOut::new("Session ended."))
}

/// End all sessions of a user's.
///
/// # Errors
/// Without the permission, or for somebody who holds more.
#[utoipa::path(
    delete, path = "/users/{id}/sessions", operation_id = "end_user_sessions", tag = "sessions",
    params(("id" = i64, Path, description = "The user's number")),
    responses((status = OK, description = "Ended", body = EndedOut)),
    extensions(("x-permission" = json!("users:write")))
)]
pub async fn end_all_of(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    InPath(id): InPath<i64>,
) -> Result<Json<EndedOut>, Problem> {
    let actor = caller.0.actor(&visitor);
    let ended = web.accounts.end_sessions_of(&actor, UserId(id)).await?;
    Ok(told(ended))
}

fn shown(found: Vec<SessionInfo>, caller: &Caller) -> Json<Vec<SessionOut>> {
    let asks = caller.0.live.sid.to_string();
    let show = |info: SessionInfo| SessionOut {
        current: info.sid == asks,
        id: info.sid,
        created_at: info.created_at,
        seen_at: info.seen_at,
        expires_at: info.expires_at,
        ip: info.ip,
        user_agent: info.user_agent,
        tokens: info.tokens,
    };
    Json(found.into_iter().map(show).collect())
}

const fn told(ended: usize) -> Json<EndedOut> {
    Json(EndedOut {
        message: "Sessions ended.",
        ended,
    })
}
