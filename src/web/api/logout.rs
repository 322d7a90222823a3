//! `POST logout`: ends the session that came with the request, everywhere.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::base::identity::Method;
use crate::base::token::Token;
use crate::gate::visitor::Visitor;
use crate::web::error::Problem;
use crate::web::extract::{self, wants_page};
use crate::web::{Web, csrf};

use super::user::MessageOut;

/// Has a browser forget what services let it keep, which is not for whoever sits there next (Clear Site Data, section 3).
pub const FORGET: (HeaderName, HeaderValue) = (
    HeaderName::from_static("clear-site-data"),
    HeaderValue::from_static("\"cache\""),
);

/// Log out: the session or token that comes along opens nothing any more.
///
/// # Errors
/// When the request is cross-site, nobody is signed in, or the store does not answer.
#[utoipa::path(
    post, path = "/logout", operation_id = "logout", tag = "login",
    responses((status = OK, description = "Logged out", body = MessageOut)),
    extensions(("x-permission" = json!("signed_in")))
)]
pub async fn submit(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cookie = visitor.cookies.clear(visitor.cookies.session);
    let clear = ([(header::SET_COOKIE, cookie)], [FORGET]);
    // Whatever came along, and whether it proves anybody just now: a browser is told to forget it, and that they are out.
    let cookies = extract::session_tokens(&visitor, &headers);
    let proved = match extract::prove(&web, &visitor, &headers).await {
        Ok(proved) => proved,
        // A token that is no good any more says nothing about the cookie beside it.
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED && !cookies.is_empty() => {
            csrf::check(&headers, &visitor.snapshot)?;
            end_all(&web, &cookies).await?;
            return Ok((clear, problem).into_response());
        }
        Err(problem) => return Err(problem),
    };
    let by_token = proved.as_ref().filter(|it| it.method == Method::Jwt);
    let by_cookie = proved.as_ref().and_then(|it| it.cookie.as_ref());
    let own = match by_token {
        Some(proved) => web.sessions.end_of_tokens(proved.live.sid).await?,
        None => {
            csrf::check(&headers, &visitor.snapshot)?;
            match by_cookie {
                Some(token) => web.sessions.end(token).await?,
                None => false,
            }
        }
    };
    let ended = end_all(&web, &cookies).await? || own;
    if own && let Some(proved) = &proved {
        web.accounts.logged_out(&proved.live).await;
    }
    if wants_page(&headers) {
        let login = format!("{}/login?done=signed-out", visitor.snapshot.prefix);
        return Ok((clear, Redirect::to(&login)).into_response());
    }
    if !ended {
        return Ok((clear, Problem::unauthenticated()).into_response());
    }
    Ok((clear, MessageOut::new("Logged out.")).into_response())
}

/// Ends these sessions; whether there was one.
async fn end_all(web: &Web, cookies: &[Token]) -> Result<bool, Problem> {
    let mut ended = false;
    for token in cookies {
        ended |= web.sessions.end(token).await?;
    }
    Ok(ended)
}
