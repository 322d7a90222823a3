//! Asking a server whether it is well. What is asked carries nothing of any client: no cookie, no token, no
//! identity (H-19).

use std::sync::LazyLock;

use http::header::{self, HeaderValue};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::{Error, ErrorType};
use tokio::time::timeout;

use crate::proxy::settings::Scheme;

use super::member::Member;
use super::peer::Manner;
use super::settings::HealthCheck;

/// Checks have connections of their own, each for one check: a kept one would hide that no new one is taken.
static CONNECTOR: LazyLock<Connector> = LazyLock::new(|| Connector::new(None));

/// Why a check was not passed.
#[derive(Debug, thiserror::Error)]
pub enum Unwell {
    /// It answered something else than 200 to 299.
    #[error("status {0}")]
    Status(u16),
    /// It did not answer in time.
    #[error("no answer in time")]
    Late,
    /// It could not be asked, or hung up. Only what kind of failure it was: the rest may quote what it sent.
    #[error("{0}")]
    Unanswered(&'static str),
}

/// Asks a server.
///
/// # Errors
/// Why it is not well.
pub async fn ask(member: &Member, manner: &Manner, check: &HealthCheck) -> Result<(), Unwell> {
    let asked = timeout(check.timeout, status(member, manner, check));
    match asked.await {
        Err(_) => Err(Unwell::Late),
        Ok(Err(error)) => Err(Unwell::Unanswered(match error.etype() {
            ErrorType::ConnectTimedout | ErrorType::ReadTimedout => "no answer in time",
            ErrorType::ConnectRefused => "refused",
            ErrorType::InvalidCert | ErrorType::TLSHandshakeFailure => "TLS",
            _ => "no answer",
        })),
        Ok(Ok(200..=299)) => Ok(()),
        Ok(Ok(status)) => Err(Unwell::Status(status)),
    }
}

async fn status(member: &Member, manner: &Manner, check: &HealthCheck) -> pingora::Result<u16> {
    let mut peer = manner.peer(member, false, Some(check.timeout));
    // One that has no room for another is in no pool, and goes with the session.
    peer.options.max_h2_streams = 1;
    let (mut session, _) = CONNECTOR.get_http_session(&*peer).await?;
    let request = request(member, check)?;
    session.write_request_header(Box::new(request)).await?;
    session.finish_request_body().await?;
    session.read_response_header().await?;
    let status = session.response_header().map(|head| head.status.as_u16());
    if let HttpSession::H2(_) = session {
        // Whatever else is sent is of no interest.
        session.shutdown().await;
    }
    status.ok_or_else(|| Error::new(ErrorType::ReadError))
}

fn request(member: &Member, check: &HealthCheck) -> pingora::Result<RequestHeader> {
    let mut request = RequestHeader::build("GET", check.path.as_bytes(), Some(4))?;
    if let Some(host) = check.host.as_ref().or(member.host.as_ref()) {
        request.insert_header(header::HOST, host.clone())?;
    }
    request.insert_header(
        header::USER_AGENT,
        HeaderValue::from_static("portcullis-health-check"),
    )?;
    request.insert_header(header::ACCEPT, HeaderValue::from_static("*/*"))?;
    if member.server.scheme == Scheme::Http {
        request.insert_header(header::CONNECTION, HeaderValue::from_static("close"))?;
    }
    Ok(request)
}
