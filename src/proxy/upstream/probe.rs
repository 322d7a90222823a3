//! Asking a server whether it is well. What is asked carries nothing of any client: no cookie, no token, no
//! identity (H-19).

use std::sync::LazyLock;

use http::header::{self, HeaderValue};
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use tokio::time::timeout;

use crate::proxy::cause::why;
use crate::proxy::settings::Scheme;

use super::balance::key;
use super::member::Member;
use super::peer::Manner;
use super::roots;
use super::settings::HealthCheck;

/// Checks have connections of their own, each for one check: a kept one would hide that no new one is taken.
static CONNECTOR: LazyLock<Connector> = LazyLock::new(|| {
    // Kept connections are none, so that there is no need of room for them; Pingora's own number.
    let mut options = ConnectorOptions::new(128);
    options.ca_file = roots::file().map(ToOwned::to_owned);
    Connector::new(Some(options))
});

/// Makes what checks connect with, now and not when the first of them comes: what it is made of may be gone by then.
pub fn prepare() {
    LazyLock::force(&CONNECTOR);
}

/// How often a server may say that its answer to a check is yet to come.
const MOST_INTERIM: usize = 100;

/// Why a check was not passed.
#[derive(Debug, thiserror::Error)]
pub enum Unwell {
    /// It answered something else than 200 to 299.
    #[error("status {0}")]
    Status(u16),
    /// It did not answer in time.
    #[error("no answer in time")]
    Late,
    /// It could not be asked, or hung up. Only what may be told: the rest may quote what it sent.
    #[error("{0}")]
    Unanswered(String),
}

/// Asks a server.
///
/// # Errors
/// Why it is not well.
pub async fn ask(member: &Member, manner: &Manner, check: &HealthCheck) -> Result<(), Unwell> {
    match timeout(check.timeout, settled_status(member, manner, check)).await {
        Err(_) => Err(Unwell::Late),
        Ok(Err(error)) => Err(Unwell::Unanswered(match (error.etype(), why(&error)) {
            (ErrorType::ConnectTimedout | ErrorType::ReadTimedout, _) => "no answer in time".into(),
            (ErrorType::ConnectRefused, _) => "refused".into(),
            (_, Some(why)) => why,
            (_, None) => "no answer".into(),
        })),
        Ok(Ok(200..=299)) => Ok(()),
        Ok(Ok(status)) => Err(Unwell::Status(status)),
    }
}

/// What it says, in the version of HTTP that it wants: requests would be sent to it in another one, too, but none is
/// before it is known to be well.
async fn settled_status(
    member: &Member,
    manner: &Manner,
    check: &HealthCheck,
) -> pingora::Result<u16> {
    let mut peer = manner.peer(member, false, Some(check.timeout));
    match status(peer.clone(), member, check).await {
        Err(error) if *error.etype() == ErrorType::H2Downgrade => {
            // For this check alone: what others want is found out by their own requests.
            peer.options.set_http_version(1, 1);
            peer.group_key = key((peer.group_key, "old"));
            status(peer, member, check).await
        }
        told => told,
    }
}

async fn status(
    mut peer: Box<HttpPeer>,
    member: &Member,
    check: &HealthCheck,
) -> pingora::Result<u16> {
    // One that has no room for another is in no pool, and goes with the session.
    peer.options.max_h2_streams = 1;
    let (mut session, _) = CONNECTOR.get_http_session(&*peer).await?;
    let request = request(member, check)?;
    session.write_request_header(Box::new(request)).await?;
    session.finish_request_body().await?;
    let status = final_status(&mut session).await?;
    if let HttpSession::H2(_) = session {
        // Whatever else is sent is of no interest.
        session.shutdown().await;
    }
    Ok(status)
}

/// What comes before an answer is none (RFC 9110 section 15.2). Over HTTP/2 it is not even told.
async fn final_status(session: &mut HttpSession) -> pingora::Result<u16> {
    for _ in 0..MOST_INTERIM {
        session.read_response_header().await?;
        let head = session.response_header();
        let status = head
            .map(|head| head.status)
            .filter(|it| !it.is_informational());
        if let Some(status) = status {
            return Ok(status.as_u16());
        }
    }
    Err(Error::new(ErrorType::ReadError))
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
