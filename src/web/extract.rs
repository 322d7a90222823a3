//! Who calls a handler of ours: a cookie or a token, read and looked up as in front of any service. Certificates of clients
//! open no page of ours.
//!
//! A caller is proved by a session cookie or by an access token. A call that changes something on behalf of a
//! cookie must come from our own site; one with a token need not, since no browser sends a token by itself.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method as Verb, StatusCode};

use crate::base::identity::Method;
use crate::base::token::Token;
use crate::crypto::cookie;
use crate::gate::credential::bearer;
use crate::gate::visitor::Visitor;
use crate::identity::accounts::{Actor, Links};
use crate::identity::session::Live;

use super::error::Problem;
use super::{Web, csrf};

/// Somebody who has proved who they are, and may do whatever their rights allow.
#[derive(Clone, Debug)]
pub struct Caller(pub Proved);

/// Somebody who has proved who they are, but may have to choose another password before anything else.
#[derive(Clone, Debug)]
pub struct Proved {
    /// The session behind the credential.
    pub live: Arc<Live>,
    /// How it was proved.
    pub method: Method,
    /// The cookie's token, where it was a cookie.
    pub cookie: Option<Token>,
}

impl Proved {
    /// Who does something, as the account floor wants to know it.
    #[must_use]
    pub fn actor(&self, visitor: &Visitor) -> Actor<'_> {
        Actor {
            who: &self.live.identity,
            sid: self.live.sid,
            since: self.live.began_at,
            password_version: self.live.password_version,
            ip: visitor.ip,
        }
    }
}

/// Where links in letters lead.
#[must_use]
pub fn links(visitor: &Visitor) -> Links {
    Links {
        origin: visitor.snapshot.sites.main().origin.clone(),
        prefix: visitor.snapshot.prefix.to_string(),
    }
}

impl FromRequestParts<Web> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        let proved = Proved::from_request_parts(parts, web).await?;
        if proved.live.must_change_password {
            return Err(Problem::must_change_password());
        }
        Ok(Self(proved))
    }
}

impl FromRequestParts<Web> for Proved {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        let visitor = visitor(parts)?;
        let proved = prove(web, &visitor, &parts.headers).await?;
        let proved = proved.ok_or_else(Problem::unauthenticated)?;
        let changes = !matches!(parts.method, Verb::GET | Verb::HEAD | Verb::OPTIONS);
        if changes && proved.method == Method::Session {
            csrf::check(&parts.headers, &visitor.snapshot)?;
        }
        Ok(proved)
    }
}

/// Somebody, if anybody: for pages that look different to who is signed in.
///
/// # Errors
/// 401 for a token that is not good, 400 for two credentials of two users, 503 when the store does not answer.
pub async fn prove(
    web: &Web,
    visitor: &Visitor,
    headers: &HeaderMap,
) -> Result<Option<Proved>, Problem> {
    let proved = proof(web, visitor, headers).await?;
    if let Some(proved) = &proved {
        // Whoever asks a second time is nobody else.
        let _ = visitor.who.set(proved.live.identity.name.clone());
    }
    Ok(proved)
}

async fn proof(
    web: &Web,
    visitor: &Visitor,
    headers: &HeaderMap,
) -> Result<Option<Proved>, Problem> {
    let by_cookie = by_cookie(web, visitor, headers).await?;
    let Some(bearer) = bearer(headers) else {
        return Ok(by_cookie);
    };
    let live = web.tokens.find(bearer.expose()).await?;
    let live = live.ok_or_else(Problem::bad_token)?;
    if by_cookie.is_some_and(|other| other.live.identity.id != live.identity.id) {
        let text = "The session and the access token belong to different users.";
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "TWO_IDENTITIES",
            text,
        ));
    }
    Ok(Some(Proved {
        live,
        method: Method::Jwt,
        cookie: None,
    }))
}

async fn by_cookie(
    web: &Web,
    visitor: &Visitor,
    headers: &HeaderMap,
) -> Result<Option<Proved>, Problem> {
    let Some(token) = session_token(visitor, headers) else {
        return Ok(None);
    };
    let live = web.sessions.find(&token).await?;
    Ok(live.map(|live| Proved {
        live,
        method: Method::Session,
        cookie: Some(token),
    }))
}

/// The token of the session cookie, if there is exactly one.
#[must_use]
pub fn session_token(visitor: &Visitor, headers: &HeaderMap) -> Option<Token> {
    cookie::token(cookies(headers), visitor.cookies.session)
}

/// What came along under the name of the session cookie, all of it.
#[must_use]
pub fn session_tokens(visitor: &Visitor, headers: &HeaderMap) -> Vec<Token> {
    cookie::tokens(cookies(headers), visitor.cookies.session)
}

/// The `Cookie` header: one line of it, as the proxy hands it on.
#[must_use]
pub fn cookies(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(header::COOKIE).map(HeaderValue::as_bytes)
}

/// A header as text.
#[must_use]
pub fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether a person is looking at the answer.
#[must_use]
pub fn wants_page(headers: &HeaderMap) -> bool {
    let html = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains("text/html"));
    headers.get_all(header::ACCEPT).iter().any(html)
}

/// What the proxy told us of the request.
///
/// # Errors
/// When it told us nothing, which is a fault of ours.
pub fn visitor(parts: &Parts) -> Result<Visitor, Problem> {
    parts
        .extensions
        .get::<Visitor>()
        .cloned()
        .ok_or_else(Problem::internal)
}
