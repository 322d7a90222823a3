//! `POST logout`: ends the session that came with the request, everywhere.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use http::header::{self, HeaderMap};
use serde_json::json;

use crate::crypto::cookie;
use crate::gate::visitor::Visitor;
use crate::web::error::Problem;
use crate::web::{Web, csrf};

/// Ends the session.
///
/// # Errors
/// When the request is cross-site, nobody is signed in, or the store does not answer.
pub async fn submit(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    csrf::check(&headers, &visitor.snapshot.sites)?;
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &http::HeaderValue| value.to_str().ok())
    };
    let ended = match cookie::token(text(header::COOKIE), visitor.cookies.session) {
        Some(token) => web.sessions.end(&token).await?,
        None => false,
    };
    let clear = [(
        header::SET_COOKIE,
        visitor.cookies.clear(visitor.cookies.session),
    )];
    if text(header::ACCEPT).is_some_and(|accept| accept.contains("text/html")) {
        return Ok((
            clear,
            Redirect::to(&format!("{}/login", visitor.snapshot.prefix)),
        )
            .into_response());
    }
    if !ended {
        let problem = Problem::new(
            StatusCode::UNAUTHORIZED,
            "NOT_AUTHENTICATED",
            "Not authenticated.",
        );
        return Ok((clear, problem).into_response());
    }
    Ok((clear, axum::Json(json!({ "message": "Logged out." }))).into_response())
}
