//! From Pingora's session to our own pages, which are a `tower` service, and back.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header;
use http_body_util::{BodyExt, Limited};
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use tokio::time::timeout;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::gate::visitor::Visitor;

use super::answer::Answer;

/// Our own pages, as the proxy sees them.
pub type Pages = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Infallible>;

/// Largest body that a page of ours reads: a form that ticks some thousands of permissions.
const MAX_REQUEST: usize = 256 * 1024;
/// Largest answer that a page of ours gives.
const MAX_ANSWER: usize = 16 << 20;
/// How long a client may take to send such a body.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request that a page cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum BridgeFault {
    /// The body is larger than any page needs.
    #[error("the request body is too large")]
    TooLarge,
    /// The body is compressed, and nothing of ours unpacks.
    #[error("compressed bodies are not accepted")]
    Encoded,
    /// The body did not arrive in time.
    #[error("the request body took too long")]
    TooSlow,
    /// The body could not be read, or the answer not be made.
    #[error(transparent)]
    Broken(#[from] Box<pingora::Error>),
    /// The request has no form that a page understands.
    #[error("the request cannot be passed on: {0}")]
    Request(#[from] http::Error),
    /// The page's answer could not be collected.
    #[error("the page's answer could not be read")]
    Answer,
}

impl BridgeFault {
    /// The status that answers it.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::TooLarge => 413,
            Self::Encoded => 415,
            Self::TooSlow => 408,
            Self::Broken(_) | Self::Request(_) => 400,
            Self::Answer => 500,
        }
    }
}

/// Asks a page of ours.
///
/// # Errors
/// When the body cannot be read within its bounds.
pub async fn ask(
    session: &mut Session,
    target: &str,
    visitor: Visitor,
    pages: &Pages,
) -> Result<Answer, BridgeFault> {
    let encoding = session.req_header().headers.get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| encoding != "identity") {
        return Err(BridgeFault::Encoded);
    }
    let body = timeout(PATIENCE, read_body(session))
        .await
        .map_err(|_| BridgeFault::TooSlow)??;
    let mut request = translate(session.req_header(), target, Body::from(body))?;
    request.extensions_mut().insert(visitor);
    call(pages, request).await
}

/// Asks a service with a request as an upstream would receive it.
///
/// # Errors
/// When the answer cannot be collected.
pub async fn show(
    request: &RequestHeader,
    target: &str,
    pages: &Pages,
) -> Result<Answer, BridgeFault> {
    call(pages, translate(request, target, Body::empty())?).await
}

async fn call(pages: &Pages, request: http::Request<Body>) -> Result<Answer, BridgeFault> {
    let answer = match pages.clone().oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    let (parts, body) = answer.into_parts();
    let body = Limited::new(body, MAX_ANSWER)
        .collect()
        .await
        .map_err(|_| BridgeFault::Answer)?;
    Ok(Answer::of(&parts, body.to_bytes()))
}

fn translate(
    head: &RequestHeader,
    target: &str,
    body: Body,
) -> Result<http::Request<Body>, http::Error> {
    let mut request = http::Request::builder()
        .method(head.method.clone())
        .uri(target)
        .body(body)?;
    *request.headers_mut() = head.headers.clone();
    // HTTP/2 says it in its request line; pages look for it where HTTP/1 does.
    let authority = head.uri.authority().map(|host| host.as_str().parse());
    if let Some(Ok(host)) = authority {
        request.headers_mut().entry(header::HOST).or_insert(host);
    }
    Ok(request)
}

async fn read_body(session: &mut Session) -> Result<Bytes, BridgeFault> {
    if session.req_header().headers.contains_key(header::EXPECT) {
        // Nobody else answers it for a request that is not forwarded.
        session.write_continue_response().await?;
    }
    let mut body = BytesMut::new();
    while let Some(piece) = session.downstream_session.read_request_body().await? {
        if body.len() + piece.len() > MAX_REQUEST {
            return Err(BridgeFault::TooLarge);
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}
