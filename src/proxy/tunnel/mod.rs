//! WebSocket: which requests ask for a tunnel, whose page may open one, and what a service's consent must be.
//!
//! A tunnel is judged once, at its handshake, by the same rules as every request. Apart from them stands what only
//! a handshake can be: its form (RFC 6455 section 4.2.1), and the page it was made by, because browsers send cookies
//! along with a handshake and ask nobody whether that page may read the answer. No other upgrade is ever asked of a
//! service.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::Authority;
use http::{Method, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::ALPN;
use pingora::upstreams::peer::{HttpUpstreamRequestPolicy, PeerOptions};
use std::time::Duration;

use crate::base::identity::Method as Proof;
use crate::base::net::Host;
use crate::base::site::PageOrigin;
use crate::gate::snapshot::Snapshot;
use crate::policy::decide::Permit;
use crate::telemetry::metrics::Metrics;

use super::answer::Answer;
use super::headers::connection_options;

pub mod serve;
mod socket;

use socket::Latch;

/// How long a tunnel may be silent, in both directions, where its rule says nothing.
const IDLE: Duration = Duration::from_hours(1);

const PROTOCOL: HeaderValue = HeaderValue::from_static("websocket");

/// A tunnel that a request asks for, and may have.
#[derive(Debug)]
pub struct Tunnel {
    /// How long it may be silent.
    pub idle: Duration,
    /// Holds the service's answer back; another one for each try.
    latch: Latch,
    open: Option<Open>,
}

/// A tunnel that is open, until it is dropped.
#[derive(Debug)]
struct Open {
    metrics: Metrics,
    ended: End,
}

/// How a tunnel ended. A closed set, fit for metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// One of the two sides closed it.
    Closed,
    /// The session it rested on is over, or the gateway is.
    Cut,
    /// Nothing came through it for too long.
    Idle,
    /// One of the two sides broke off, or did not take what it was sent.
    Broken,
}

/// Why a handshake is refused that the rules allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeFault {
    /// Another method than `GET`, another version than HTTP/1.1, a body, or no `Connection: upgrade`.
    #[error("this is not a WebSocket handshake")]
    Form,
    /// Not exactly one sound `Sec-WebSocket-Key`.
    #[error("exactly one valid Sec-WebSocket-Key is required")]
    Key,
    /// Another version of the protocol than 13.
    #[error("version 13 of the WebSocket protocol is spoken here")]
    Version,
    /// A page of another site, in a browser that has a session with us.
    #[error("this page may not open a WebSocket here")]
    Origin,
    /// The service is spoken to in HTTP/2 only, where Pingora knows no tunnels (RFC 8441).
    #[error("the service at this path has no WebSockets")]
    Service,
}

impl HandshakeFault {
    /// The word for metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            _ => "handshake",
        }
    }

    /// What the client is told.
    #[must_use]
    pub fn answer(self) -> Answer {
        let refusal = |status, code| Answer::refusal(status, code, &self.to_string(), false);
        match self {
            Self::Origin => refusal(403, "CROSS_SITE"),
            // With what it could change to (RFC 9110 section 15.5.22), and in which version (RFC 6455 section 4.4).
            Self::Version => refusal(426, "REQUEST_REFUSED")
                .with(header::UPGRADE, "websocket")
                .with(header::SEC_WEBSOCKET_VERSION, "13"),
            Self::Service => refusal(501, "REQUEST_REFUSED"),
            Self::Form | Self::Key => refusal(400, "REQUEST_REFUSED"),
        }
    }
}

/// Whether a request names WebSocket, and nothing else, as what it would change to.
#[must_use]
pub fn is_named(headers: &HeaderMap) -> bool {
    only(headers, &header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(PROTOCOL.as_bytes()))
}

/// Checks a handshake that the rules allow.
///
/// # Errors
/// When it is none, or was made by a page that may not make it.
pub fn check(
    request: &RequestHeader,
    permit: &Permit,
    snapshot: &Snapshot,
) -> Result<Tunnel, HandshakeFault> {
    check_form(request)?;
    // Browsers send both along without being asked: a cookie to every host of its site as they understand that word,
    // which pages of our other sites may well be of.
    let ambient = matches!(permit.proof(), Some((Proof::Session | Proof::Mtls, _)));
    let own = |origin: &_, asked: &_| {
        let mut rules = permit.rules();
        rules.all(|rule| rule.origins.contains(origin)) || snapshot.is_own_page(origin, asked)
    };
    if ambient && !is_ours(request, own) {
        return Err(HandshakeFault::Origin);
    }
    Ok(Tunnel {
        idle: permit.idle().unwrap_or(IDLE),
        latch: Latch::default(),
        open: None,
    })
}

fn check_form(request: &RequestHeader) -> Result<(), HandshakeFault> {
    let headers = &request.headers;
    let empty = !headers.contains_key(header::TRANSFER_ENCODING)
        && headers
            .get(header::CONTENT_LENGTH)
            .is_none_or(|length| length == "0");
    let asks = request.method == Method::GET && request.version == Version::HTTP_11;
    let says = |wanted: fn(&[u8]) -> bool| connection_options(headers).any(wanted);
    let upgrade = says(|option| option.eq_ignore_ascii_case(b"upgrade"));
    // What is named here stays behind: the service would be asked something else than what is checked below.
    let takes_away = says(|option| {
        let start = option.get(..b"sec-websocket".len()).unwrap_or_default();
        start.eq_ignore_ascii_case(b"sec-websocket")
    });
    if !(asks && empty && upgrade) || takes_away {
        return Err(HandshakeFault::Form);
    }
    if only(headers, &header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(HandshakeFault::Version);
    }
    match only(headers, &header::SEC_WEBSOCKET_KEY) {
        Some(key) if is_key(key.as_bytes()) => Ok(()),
        _ => Err(HandshakeFault::Key),
    }
}

/// Sixteen bytes in base64. The last character carries four bits that say nothing; who sets them is let through, as
/// everybody does.
fn is_key(text: &[u8]) -> bool {
    let sixteen = text.strip_suffix(b"==").filter(|text| text.len() == 22);
    sixteen.is_some_and(|text| {
        text.iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
    })
}

/// Whether a handshake was made by one of our own pages or by a program: browsers put an `Origin` into each (RFC 6455
/// section 4.1), so what has none cannot have been made by somebody else's page.
pub(super) fn is_ours(
    request: &RequestHeader,
    is_own_page: impl FnOnce(&PageOrigin, &(Host, Option<u16>)) -> bool,
) -> bool {
    let headers = &request.headers;
    if !headers.contains_key(header::ORIGIN) {
        return true;
    }
    let origin = only(headers, &header::ORIGIN)
        .and_then(|origin| origin.to_str().ok()?.parse::<PageOrigin>().ok());
    let of = origin.zip(asked(request));
    of.is_some_and(|(origin, asked)| is_own_page(&origin, &asked))
}

/// The host and port that a request asks for: `:authority` in HTTP/2, `Host` in HTTP/1. They agree where both are.
pub(super) fn asked(request: &RequestHeader) -> Option<(Host, Option<u16>)> {
    let authority = request.uri.authority().map(Authority::as_str);
    let line = || request.headers.get(header::HOST)?.to_str().ok();
    Host::parse_authority(authority.or_else(line)?).ok()
}

/// The value of a header that is there once.
#[must_use]
pub fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none())
}

/// Puts back what a request that may have a tunnel asks with; it was stripped with everything else of its kind.
///
/// # Errors
/// Never: the header is a constant.
pub fn ask(request: &mut RequestHeader) -> pingora::Result<()> {
    request.insert_header(header::UPGRADE, PROTOCOL)
}

/// Makes a server's options fit for a tunnel: HTTP/1.1, and no limit of its own to its silence, which is the
/// guard's to time. Gives the limit that was taken off. A server that is spoken to in HTTP/2 only is left as it is: no
/// handshake gets that far.
fn fit(options: &mut PeerOptions) -> Option<Duration> {
    if matches!(options.alpn, ALPN::H2) {
        return None;
    }
    options.alpn = ALPN::H1;
    options.http_upstream_request_policy = websocket_only();
    options.read_timeout.take()
}

const fn websocket_only() -> HttpUpstreamRequestPolicy {
    HttpUpstreamRequestPolicy {
        strip_hop_by_hop: true,
        strip_connection_nominated: true,
        reject_malformed_connection_nominations: true,
        h1_upgrade: pingora::upstreams::peer::H1UpgradePolicy::WebSocketOnly,
    }
}

/// Whether an answer is a service's consent to what was asked.
#[must_use]
pub fn is_consent(response: &ResponseHeader) -> bool {
    response.status == StatusCode::SWITCHING_PROTOCOLS
        && response.version == Version::HTTP_11
        && is_named(&response.headers)
}

/// Makes of a service's consent what the client receives.
///
/// # Errors
/// Never: the headers are constants.
pub fn finish_consent(response: &mut ResponseHeader) -> pingora::Result<()> {
    // What comes next has no framing.
    response.remove_header(&header::CONTENT_LENGTH);
    response.remove_header(&header::TRANSFER_ENCODING);
    response.insert_header(header::UPGRADE, PROTOCOL)?;
    response.insert_header(header::CONNECTION, "Upgrade")
}

impl Tunnel {
    /// The service has agreed: from here on it is counted.
    pub fn begin(&mut self, metrics: Metrics) {
        metrics.tunnels.inc();
        self.open = Some(Open {
            metrics,
            ended: End::Closed,
        });
    }

    /// The handshake is about to be sent to a service.
    pub fn ask(&self) {
        self.latch.shut();
    }

    /// All of the handshake has been passed on: its answer may come.
    pub fn asked(&self) {
        self.latch.lift();
    }

    /// Whether the service has agreed.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Notes how it ended, if it was ever open.
    pub const fn end(&mut self, how: End) {
        if let Some(open) = &mut self.open {
            open.ended = how;
        }
    }
}

impl End {
    /// The word for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Cut => "cut",
            Self::Idle => "idle",
            Self::Broken => "broken",
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.tunnels.dec();
        self.metrics
            .tunnels_ended
            .with_label_values(&[self.ended.as_str()])
            .inc();
    }
}

#[cfg(test)]
mod tests;
