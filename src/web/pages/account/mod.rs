//! One's own account: who one is here, where one is signed in, and the way out.

mod change;
mod leave;
mod sessions;

use axum::Router;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::web::Web;
use crate::web::error::Problem;
use crate::web::form::Fields;

use super::moment;
use super::slips::Slips;
use super::visit::Member;

const TEMPLATE: &str = "account.html";

/// Everything below `account`.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/account", get(show))
        .route("/account/profile", post(change::profile))
        .route("/account/email", get(change::email).post(change::set_email))
        .route(
            "/account/password",
            get(change::password).post(change::set_password),
        )
        .route("/account/delete", get(leave::show).post(leave::submit))
        .route("/account/sessions/end-others", post(sessions::end_others))
        .route("/account/sessions/{sid}/end", post(sessions::end))
}

/// The page at the prefix itself leads on.
pub async fn home(member: Member) -> Response {
    Redirect::to(&format!("{}/account", member.visit.prefix())).into_response()
}

/// Shows the account.
///
/// # Errors
/// When the store does not answer.
pub async fn show(member: Member) -> Result<Response, Problem> {
    let values = values(&member, None).await?;
    Ok(member.visit.show(TEMPLATE, values))
}

/// The account again, with what was typed.
async fn again(member: &Member, slips: &Slips, fields: &Fields) -> Result<Response, Problem> {
    let values = values(member, Some(fields)).await?;
    Ok(member.visit.again(TEMPLATE, slips, values))
}

async fn values(member: &Member, typed: Option<&Fields>) -> Result<Value, Problem> {
    let accounts = &member.visit.web.accounts;
    let account = accounts.account(member.who().id).await?;
    let user = &account.user;
    let username = typed.map_or_else(|| user.username.as_str(), |fields| fields.text("username"));
    Ok(json!({
        "place": "account",
        "values": { "username": username },
        "wrong": {},
        "account": {
            "email": user.email.as_ref().map(ToString::to_string),
            "is_verified": user.is_verified,
            "is_superuser": user.is_superuser,
            "roles": account.roles.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "permissions": account.permissions.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "created_at": moment::day(user.created_at),
        },
        "sessions": sessions::list(member).await?,
    }))
}
