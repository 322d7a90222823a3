//! What a letter is needed for: `forgot-password`, `reset-password`, `request-verify-token`, `verify`.
//!
//! What asks for a letter is always answered alike, whether or not there is an account.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::base::secret::Secret;
use crate::gate::visitor::Visitor;
use crate::web::Web;
use crate::web::body::{Body, field};
use crate::web::error::Problem;
use crate::web::extract::links;

use super::user::{MessageOut, UserOut};

/// An address.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Address)]
pub struct EmailIn {
    #[schema(format = Email, max_length = 254, example = "dora@example.com")]
    email: String,
}

/// The token of a letter.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LinkToken)]
pub struct TokenIn {
    /// What stands behind `token=` in its link.
    #[schema(value_type = String)]
    pub token: Secret<String>,
}

/// The token of a letter, and a new password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PasswordReset)]
pub struct ResetIn {
    #[schema(value_type = String)]
    token: Secret<String>,
    #[schema(value_type = String, format = Password, min_length = 8, example = "another long password")]
    password: Secret<String>,
}

/// What is said whether or not there is such an account.
pub const SENT: &str = "If there is such an account, a letter is on its way.";

const ACCEPTED: (StatusCode, Json<MessageOut>) = (StatusCode::ACCEPTED, MessageOut::new(SENT));

/// Have a letter sent with which another password can be chosen.
///
/// # Errors
/// When the body does not validate, or too many letters were asked for.
#[utoipa::path(
    post, path = "/forgot-password", operation_id = "forgot_password", tag = "me",
    request_body = EmailIn,
    responses((status = ACCEPTED, description = "Whether or not there is such an account", body = MessageOut)),
    extensions(("x-permission" = json!("anyone")))
)]
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

/// Choose another password with the token of a letter.
///
/// # Errors
/// When the token is no good, or the password may not be chosen.
#[utoipa::path(
    post, path = "/reset-password", operation_id = "reset_password", tag = "me",
    request_body = ResetIn,
    responses((status = OK, description = "Changed", body = MessageOut)),
    extensions(("x-permission" = json!("anyone")))
)]
pub async fn reset(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    Body(sent): Body<ResetIn>,
) -> Result<Json<MessageOut>, Problem> {
    web.accounts
        .reset(sent.token.expose(), &sent.password, visitor.ip)
        .await?;
    Ok(MessageOut::new(
        "The password is changed. Every session has ended.",
    ))
}

/// Have a letter sent with which your address can be proved.
///
/// # Errors
/// As [`forgot`].
#[utoipa::path(
    post, path = "/request-verify-token", operation_id = "request_verify_token", tag = "me",
    request_body = EmailIn,
    responses((status = ACCEPTED, description = "Whether or not there is such an account", body = MessageOut)),
    extensions(("x-permission" = json!("anyone")))
)]
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

/// Prove your address with the token of a letter.
///
/// # Errors
/// When the token is no good.
#[utoipa::path(
    post, path = "/verify", operation_id = "verify", tag = "me",
    request_body = TokenIn,
    responses((status = OK, description = "The account", body = UserOut)),
    extensions(("x-permission" = json!("anyone")))
)]
pub async fn verify(
    State(web): State<Web>,
    Body(sent): Body<TokenIn>,
) -> Result<Json<UserOut>, Problem> {
    let user = web.accounts.verify(sent.token.expose()).await?;
    Ok(Json(UserOut::find(&web, user.id).await?))
}
