//! What a letter is needed for: `forgot-password`, `reset-password`, `request-verify-token`, `verify`.
//!
//! What asks for a letter is always answered alike, whether or not there is an account.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::base::secret::Secret;
use crate::gate::visitor::Visitor;
use crate::web::Web;
use crate::web::body::{Body, field};
use crate::web::error::Problem;
use crate::web::extract::links;

use super::user::UserOut;

/// An address.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailIn {
    email: String,
}

/// The token of a letter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenIn {
    token: String,
}

/// The token of a letter, and a new password.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResetIn {
    token: String,
    password: String,
}

/// Something for people to read.
#[derive(Debug, Serialize)]
pub struct MessageOut {
    message: &'static str,
}

/// What is said whether or not there is such an account.
pub const SENT: &str = "If there is such an account, a letter is on its way.";

const ACCEPTED: (StatusCode, Json<MessageOut>) =
    (StatusCode::ACCEPTED, Json(MessageOut { message: SENT }));

/// Sends a letter with which another password can be chosen.
///
/// # Errors
/// When the body does not validate, or too many letters were asked for.
pub async fn forgot(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    Body(sent): Body<EmailIn>,
) -> Result<(StatusCode, Json<MessageOut>), Problem> {
    let email = field("email", &sent.email)?;
    web.accounts
        .forgot(&email, visitor.ip, &links(&visitor))
        .await?;
    Ok(ACCEPTED)
}

/// Sets the password that was chosen.
///
/// # Errors
/// When the token is no good, or the password may not be chosen.
pub async fn reset(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    Body(sent): Body<ResetIn>,
) -> Result<Json<MessageOut>, Problem> {
    let password = Secret::new(sent.password);
    web.accounts
        .reset(&sent.token, &password, visitor.ip)
        .await?;
    Ok(Json(MessageOut {
        message: "The password is changed. Every session has ended.",
    }))
}

/// Sends a letter with which the address can be proved.
///
/// # Errors
/// As [`forgot`].
pub async fn request_verify(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    Body(sent): Body<EmailIn>,
) -> Result<(StatusCode, Json<MessageOut>), Problem> {
    let email = field("email", &sent.email)?;
    web.accounts
        .request_verify(&email, visitor.ip, &links(&visitor))
        .await?;
    Ok(ACCEPTED)
}

/// Takes the proof of an address.
///
/// # Errors
/// When the token is no good.
pub async fn verify(
    State(web): State<Web>,
    Body(sent): Body<TokenIn>,
) -> Result<Json<UserOut>, Problem> {
    let user = web.accounts.verify(&sent.token).await?;
    Ok(Json(web.accounts.account(user.id).await?.into()))
}
