//! `POST logout`: ends the session that came with the request, everywhere.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use http::header::{self, HeaderMap};

use crate::base::identity::Method;
use crate::gate::visitor::Visitor;
use crate::web::error::Problem;
use crate::web::extract::{self, Proved, wants_page};
use crate::web::{Web, csrf};

use super::user::MessageOut;

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
    let clear = [(
        header::SET_COOKIE,
        visitor.cookies.clear(visitor.cookies.session),
    )];
    let proved = match extract::prove(&web, &visitor, &headers).await {
        Ok(proved) => proved,
        Err(problem) => {
            // A token that is no good any more says nothing about the cookie beside it.
            let cookie = extract::session_token(&visitor, &headers);
            let Some(token) = cookie.filter(|_| problem.status() == StatusCode::UNAUTHORIZED)
            else {
                return Err(problem);
            };
            csrf::check(&headers, &visitor.snapshot)?;
            web.sessions.end(&token).await?;
            return Ok((clear, problem).into_response());
        }
    };
    let by_token = matches!(&proved, Some(proved) if proved.method == Method::Jwt);
    if !by_token {
        csrf::check(&headers, &visitor.snapshot)?;
    }
    let ended = match &proved {
        Some(proved) => end(&web, proved).await?,
        None => false,
    };
    if ended && let Some(proved) = &proved {
        web.accounts.logged_out(&proved.live).await;
    }
    // A browser that sends a token, too, is told to forget its cookie, which must open nothing either.
    let beside = proved
        .as_ref()
        .and_then(|proved| extract::cookie_beside(&visitor, &headers, proved));
    if let Some(token) = beside {
        web.sessions.end(&token).await?;
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

async fn end(web: &Web, proved: &Proved) -> Result<bool, Problem> {
    Ok(match &proved.cookie {
        Some(token) => web.sessions.end(token).await?,
        None => web.sessions.end_of_tokens(proved.live.sid).await?,
    })
}
