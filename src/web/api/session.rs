//! `POST session/login`: a session for a browser application that draws its own form.

use axum::Extension;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderMap};
use serde::Serialize;
use utoipa::ToSchema;

use crate::base::time::Timestamp;
use crate::gate::visitor::Visitor;
use crate::identity::login::{Credentials, Refusal};
use crate::identity::session::Begun;
use crate::telemetry::metrics::Metrics;
use crate::web::body::Body;
use crate::web::error::Problem;
use crate::web::extract;
use crate::web::form::is_form;
use crate::web::{Web, csrf};

use super::logout::FORGET;
use super::tokens::LoginIn;
use super::user::UserOut;

/// A session that has just begun.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionBegun {
    user: UserOut,
    /// When it ends at the latest.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Log in, for a session cookie.
///
/// # Errors
/// When the request is cross-site, the body does not validate, or the login is refused.
#[utoipa::path(
    post, path = "/session/login", operation_id = "session_login", tag = "login",
    request_body(content((LoginIn = "application/json"), (LoginIn = "application/x-www-form-urlencoded"))),
    responses((status = OK, description = "The session has begun", body = SessionBegun,
        headers(("set-cookie" = String, description = "The session cookie")))),
    extensions(("x-permission" = json!("anyone")))
)]
pub async fn login(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    csrf::check(&headers, &visitor.snapshot)?;
    let LoginIn { username, password } = read(request).await?;
    let credentials = Credentials {
        login: username,
        password,
        ip: visitor.ip,
        user_agent: user_agent(&headers),
        presented: extract::session_token(&visitor, &headers),
    };
    let outcome = web.logins.with_password(credentials).await;
    count(&web.metrics, &outcome);
    let welcome = outcome?;
    let body = SessionBegun {
        user: UserOut::find(&web, welcome.user.id).await?,
        expires_at: welcome.session.expires_at,
    };
    let cookie = session_cookie(&visitor, &welcome.session, web.clock.now());
    // Whoever was here before may have been somebody else.
    let kept = ([(header::SET_COOKIE, cookie)], [FORGET]);
    Ok((kept, axum::Json(body)).into_response())
}

async fn read(request: Request) -> Result<LoginIn, Problem> {
    if is_form(request.headers()) {
        let sent: Result<Form<LoginIn>, FormRejection> = Form::from_request(request, &()).await;
        return Ok(sent?.0);
    }
    Ok(Body::<LoginIn>::from_request(request, &()).await?.0)
}

/// The cookie of a session that has just begun.
#[must_use]
pub fn session_cookie(visitor: &Visitor, begun: &Begun, now: Timestamp) -> String {
    let age = begun.expires_at.since(now);
    visitor
        .cookies
        .set(visitor.cookies.session, begun.token.expose(), Some(age))
}

/// What the browser calls itself.
#[must_use]
pub fn user_agent(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT);
    agent
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .unwrap_or_default()
}

/// Counts a login by its result.
pub fn count<T>(metrics: &Metrics, outcome: &Result<T, Refusal>) {
    let result = match outcome {
        Ok(_) => "ok",
        Err(Refusal::Invalid | Refusal::Unverified) => "refused",
        Err(Refusal::Throttled(throttled)) => {
            metrics
                .lockouts
                .with_label_values(&[throttled.budget])
                .inc();
            "throttled"
        }
        Err(Refusal::Busy(_)) => "busy",
        Err(Refusal::Fault(_)) => "error",
    };
    metrics
        .logins
        .with_label_values(&["password", result])
        .inc();
}
