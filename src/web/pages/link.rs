//! Links in letters: the token leaves the address before anything is shown.
//!
//! Whoever opens a link is given its token as a cookie and led to the same page without it, so that it stands in no
//! history, referrer or log, and a program that only looks at links spends nothing. The cookie names its page: a
//! link for one opens no other.

use axum::response::{IntoResponse, Redirect, Response};
use std::time::Duration;

use crate::base::token::Token;
use crate::crypto::cookie;
use crate::identity::accounts::AccountFault;
use crate::web::error::Problem;
use crate::web::extract::cookies;
use crate::web::form::Fields;

use super::seen;
use super::visit::{Visit, append};

/// How long a form may be looked at before its link has to be opened again.
const LIFE: Duration = Duration::from_mins(30);

/// Takes the token out of the address, where it is one.
pub fn moved(visit: &Visit, page: &str, query: Option<&str>) -> Option<Response> {
    let mut pairs = url::form_urlencoded::parse(query?.as_bytes());
    let (_, token) = pairs.find(|(name, _)| name == "token")?;
    let mut response = Redirect::to(&format!("{}/{page}", visit.prefix())).into_response();
    let cookies = &visit.visitor.cookies;
    let cookie = match Token::parse(&token) {
        Ok(token) => {
            let value = format!("{page}.{}", token.expose());
            cookies.set(cookies.link, &value, Some(LIFE))
        }
        // What is no token may not stay what an earlier link left.
        Err(_) => cookies.set(cookies.link, &format!("{page}."), Some(LIFE)),
    };
    append(&mut response, &cookie);
    Some(response)
}

/// The token of the link that led to this page; empty when the link held none.
pub fn token(visit: &Visit, page: &str) -> Option<String> {
    let value = cookie::value(cookies(&visit.headers), visit.visitor.cookies.link)?;
    let (of, token) = value.split_once('.')?;
    (of == page).then(|| token.to_owned())
}

/// The token of the link that led to the page of this form. Another link may have been opened since, for another account:
/// the form would do there what it does not show.
///
/// # Errors
/// When no link led to this page, or another one than to that of the form.
pub fn token_of(visit: &Visit, page: &str, fields: &Fields) -> Result<String, Problem> {
    let token = token(visit, page).ok_or(AccountFault::Link)?;
    if seen::is_from(fields, &token) {
        Ok(token)
    } else {
        Err(Problem::other_link())
    }
}

/// What the form of this page carries of the link that led to it; one that is shown again stays that of its own link.
pub fn mark(visit: &Visit, page: &str, sent: Option<&Fields>) -> Option<String> {
    match sent.and_then(|fields| fields.filled("seen")) {
        Some(seen) => Some(seen.to_owned()),
        None => token(visit, page).map(|token| seen::mark(&token)),
    }
}

/// The link has done what it was for.
pub fn forget(visit: &Visit, response: &mut Response) {
    let cookies = &visit.visitor.cookies;
    append(response, &cookies.clear(cookies.link));
}
