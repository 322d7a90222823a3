//! The page at the prefix itself: who you are here, and the way out.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode, header};
use minijinja::context;

use crate::crypto::cookie;
use crate::gate::visitor::Visitor;
use crate::web::Web;
use crate::web::error::Problem;

/// Shows who is signed in, or leads to the login page.
///
/// # Errors
/// When the store does not answer.
pub async fn show(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cookies = headers
        .get(header::COOKIE)
        .and_then(|value| value.to_str().ok());
    let live = match cookie::token(cookies, visitor.cookies.session) {
        Some(token) => web.sessions.find(&token).await?,
        None => None,
    };
    let prefix = &visitor.snapshot.prefix;
    let Some(live) = live else {
        return Ok(Redirect::to(&format!("{prefix}/login")).into_response());
    };
    let values = context! { brand => web.brand.load().name.clone(), prefix => &**prefix, user => live.identity.name.as_str() };
    Ok(web.templates.page(StatusCode::OK, "home.html", values))
}
