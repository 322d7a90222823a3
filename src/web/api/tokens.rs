//! `POST login/simple`, `POST refresh`, and the program's side of `POST login`: tokens.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::StatusCode;
use http::header::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::secret::Secret;
use crate::gate::visitor::Visitor;
use crate::identity::login::{Credentials, Refusal};
use crate::identity::tokens::{Pair, RefreshRefusal};
use crate::web::Web;
use crate::web::api::session::{count, user_agent};
use crate::web::body::Body;
use crate::web::error::Problem;

/// A name or e-mail address, and a password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Login)]
pub struct LoginIn {
    /// The username or the e-mail address.
    #[schema(example = "alice")]
    pub username: String,
    /// The password.
    #[schema(value_type = String, format = Password)]
    pub password: Secret<String>,
}

/// A refresh token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Refresh)]
pub struct RefreshIn {
    #[schema(value_type = String)]
    refresh_token: Secret<String>,
}

/// What a program is given (RFC 6749 section 5.1).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tokens)]
pub struct TokensOut {
    access_token: String,
    token_type: &'static str,
    refresh_token: String,
    /// In seconds.
    expires_in: u64,
}

/// Log in with JSON, for tokens.
///
/// # Errors
/// When the body does not validate, or the login is refused.
#[utoipa::path(
    post, path = "/login/simple", operation_id = "login_simple", tag = "login",
    request_body = LoginIn,
    responses((status = OK, description = "Tokens", body = TokensOut)),
    extensions(("x-permission" = json!("anyone")))
)]
pub async fn login(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Body(sent): Body<LoginIn>,
) -> Result<Response, Problem> {
    hand_out(&web, &visitor, &headers, sent).await
}

/// Tokens for a name and a password, however they were sent.
///
/// # Errors
/// When the login is refused.
pub async fn hand_out(
    web: &Web,
    visitor: &Visitor,
    headers: &HeaderMap,
    sent: LoginIn,
) -> Result<Response, Problem> {
    let credentials = Credentials {
        login: sent.username,
        password: sent.password,
        ip: visitor.ip,
        user_agent: user_agent(headers),
        presented: None,
    };
    let outcome = web.logins.for_tokens(&credentials).await;
    count(&web.metrics, &outcome);
    let pair = outcome.map_err(|refusal| match refusal {
        Refusal::Invalid => Problem::from(refusal).bearer(),
        other => other.into(),
    })?;
    web.metrics
        .tokens_issued
        .with_label_values(&["password"])
        .inc();
    Ok(Json(TokensOut::from(pair)).into_response())
}

/// Trade a refresh token for the next pair.
///
/// # Errors
/// When the body does not validate, or the token is no good.
#[utoipa::path(
    post, path = "/refresh", operation_id = "refresh", tag = "login",
    request_body = RefreshIn,
    responses((status = OK, description = "Tokens", body = TokensOut)),
    extensions(("x-permission" = json!("anyone")))
)]
pub async fn refresh(
    State(web): State<Web>,
    Body(sent): Body<RefreshIn>,
) -> Result<Response, Problem> {
    let pair = web.tokens.refresh(sent.refresh_token.expose()).await?;
    web.metrics
        .tokens_issued
        .with_label_values(&["refresh_token"])
        .inc();
    Ok(Json(TokensOut::from(pair)).into_response())
}

impl From<Pair> for TokensOut {
    fn from(pair: Pair) -> Self {
        Self {
            access_token: pair.access.expose().clone(),
            token_type: "bearer",
            refresh_token: pair.refresh.expose().to_owned(),
            expires_in: pair.expires_in.as_secs(),
        }
    }
}

impl From<RefreshRefusal> for Problem {
    fn from(refusal: RefreshRefusal) -> Self {
        match refusal {
            // The same for both: whoever stole it learns nothing.
            RefreshRefusal::Invalid | RefreshRefusal::Reused => Self::new(
                StatusCode::UNAUTHORIZED,
                "INVALID_REFRESH_TOKEN",
                "Invalid refresh token.",
            )
            .bearer(),
            RefreshRefusal::MustChangePassword => Self::must_change_password(),
            RefreshRefusal::Fault(fault) => fault.into(),
        }
    }
}
