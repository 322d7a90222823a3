//! Admission: from a parsed request to one canonical target, or a refusal.

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};
use http::uri::Authority;
use http::{Method, Version};
use pingora::http::RequestHeader;

use crate::base::net::Host;
use crate::base::site::Site;
use crate::crypto::certificate::Identity;
use crate::crypto::keyring::Keyring;
use crate::policy::target::{Target, TargetFault};

use super::client::Client;
use super::connection::ConnState;
use super::running::Running;
use super::tls::Shown;
use super::wire::head::{HeadFault, parse_length};

/// Where authorities look.
const CHALLENGES: &[u8] = b"/.well-known/acme-challenge/";

/// A request that has one reading and belongs to a site of ours.
#[derive(Debug)]
pub struct Admitted {
    /// What it asks for.
    pub target: Target,
    /// Its host as services are told.
    pub host: HeaderValue,
    /// Whether its site is `https`, on which the names of cookies depend.
    pub https_site: bool,
}

/// Why a request is not admitted.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Refused as bytes, before it was parsed.
    #[error(transparent)]
    Head(#[from] HeadFault),
    /// The request line.
    #[error(transparent)]
    Target(#[from] TargetFault),
    /// A host that this gateway does not serve.
    #[error(
        "this host is not served here: the gateway's file names it neither in site nor in a rule"
    )]
    Misdirected,
    /// A host that the connection's certificate is not for (RFC 9110 section 15.5.20).
    #[error("this connection was made to another host: its certificate is not for this one")]
    OtherConnection,
    /// `OPTIONS *`: about the server as a whole, and answered by it.
    #[error("no content")]
    ServerOptions,
    /// An authority that looks for the answer to a challenge: not refused, and not judged either.
    #[error("an authority looks for an answer")]
    Challenge(Box<str>),
    /// A site that is `https`, asked in the clear: where to go instead, if it is safe to send someone there.
    #[error("this site is served over https only")]
    Insecure(Option<String>),
}

/// A request that is not admitted, and what it asked, as far as that is known: whoever runs the gateway looks for that first.
#[derive(Debug)]
pub struct TurnedAway {
    /// Why.
    pub why: Refused,
    /// Whom it asked, where no more is known.
    pub host: Option<Host>,
    /// What it asked for, where that was understood.
    pub target: Option<Box<Target>>,
}

impl<T: Into<Refused>> From<T> for TurnedAway {
    fn from(why: T) -> Self {
        Self {
            why: why.into(),
            host: None,
            target: None,
        }
    }
}

impl Refused {
    /// The status that answers it.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Head(fault) => fault.status(),
            Self::Target(TargetFault::MethodRefused) => 405,
            Self::Target(TargetFault::MethodUnknown) => 501,
            Self::Target(_) => 400,
            Self::Misdirected | Self::OtherConnection => 421,
            Self::ServerOptions => 204,
            Self::Challenge(_) => 200,
            Self::Insecure(Some(_)) => 308,
            Self::Insecure(None) => 403,
        }
    }

    fn asked_of(self, host: &Host) -> TurnedAway {
        TurnedAway {
            why: self,
            host: Some(host.clone()),
            target: None,
        }
    }

    /// The word for metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Head(HeadFault::Method(_))
            | Self::Target(TargetFault::MethodRefused | TargetFault::MethodUnknown) => "method",
            Self::Head(
                HeadFault::TooLarge | HeadFault::TooManyFields | HeadFault::TargetTooLong,
            ) => "size",
            Self::Head(HeadFault::Host) => "host",
            Self::Head(_) => "syntax",
            Self::Target(_) => "path",
            Self::Misdirected | Self::OtherConnection => "misdirected",
            Self::ServerOptions => "server_options",
            Self::Challenge(_) => "acme",
            Self::Insecure(_) => "insecure",
        }
    }
}

/// As much as a URI may have in the `http` crate, less than 65,535 bytes, with room for what an upstream adds in front.
const LONGEST_TARGET: usize = 63 << 10;

/// Admits a request. HTTP/1 was checked as bytes already; what is checked again here is what HTTP/2 brings.
///
/// # Errors
/// Why it is refused.
pub fn admit(
    request: &RequestHeader,
    connection: &ConnState,
    client: &Client,
    running: &Running,
    keyring: &Keyring,
) -> Result<Admitted, TurnedAway> {
    if let Some((fault, seen)) = connection.refusal() {
        return Err(TurnedAway {
            why: (*fault).into(),
            host: seen.host.clone(),
            target: None,
        });
    }
    let limits = &running.limits;
    if request.raw_path().len() > limits.target {
        return Err(HeadFault::TargetTooLong.into());
    }
    if request.headers.len() > limits.fields {
        return Err(HeadFault::TooManyFields.into());
    }
    if request.version == Version::HTTP_2 {
        sound(&request.headers)?;
    }
    let expects = request.headers.get_all(http::header::EXPECT);
    if expects
        .iter()
        .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        return Err(HeadFault::Expectation.into());
    }
    let host = match connection.take_host() {
        Some(host) => host,
        None => effective_host(request, connection)?,
    };
    if let Some(answer) = challenge(request, client, keyring) {
        return Err(Refused::Challenge(answer).into());
    }
    let site = running.snapshot.site_of(&host);
    let site = site.ok_or_else(|| Refused::Misdirected.asked_of(&host))?;
    if !certificate_fits(connection, &host, running) {
        return Err(Refused::OtherConnection.asked_of(&host));
    }
    if request.raw_path() == b"*" && request.method == "OPTIONS" {
        return Err(Refused::ServerOptions.asked_of(&host));
    }
    let target = Target::parse(request.method.as_str(), host, request.raw_path())?;
    // Normalised, each byte may have become three.
    if target.path().as_str().len() + target.query().map_or(0, str::len) > LONGEST_TARGET {
        return Err(HeadFault::TargetTooLong.into());
    }
    if site.https && !client.https {
        return Err(TurnedAway {
            why: Refused::Insecure(secure_address(&site, &target)),
            host: None,
            target: Some(Box::new(target)),
        });
    }
    Ok(Admitted {
        host: told_host(request, &site).ok_or(HeadFault::Host)?,
        target,
        https_site: site.https,
    })
}

/// Fields as HTTP/1 would have to bring them: what is trimmed there is malformed here (RFC 9113 section 8.2.1), and one
/// length is enough.
fn sound(headers: &HeaderMap) -> Result<(), HeadFault> {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let padded = |value: &HeaderValue| {
        let bytes = value.as_bytes();
        blank(bytes.first()) || blank(bytes.last())
    };
    if headers.values().any(padded) {
        return Err(HeadFault::Field);
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let sound = lengths
        .next()
        .is_none_or(|length| parse_length(length.as_bytes()).is_some());
    if sound && lengths.next().is_none() {
        Ok(())
    } else {
        Err(HeadFault::Framing)
    }
}

/// What an authority finds that looks for an answer in the clear (RFC 8555 section 8.3): by the exact path of a
/// token that is waited for, and nothing below, beside or behind it. Whatever else is asked there is judged.
fn challenge(request: &RequestHeader, client: &Client, keyring: &Keyring) -> Option<Box<str>> {
    let token = request.raw_path().strip_prefix(CHALLENGES)?;
    let reads = matches!(request.method, Method::GET | Method::HEAD);
    if client.https || !reads {
        return None;
    }
    keyring.http_answer(std::str::from_utf8(token).ok()?)
}

/// The one host of a request: `:authority` in HTTP/2, `Host` in HTTP/1. Both, when they agree, ports included.
fn effective_host(request: &RequestHeader, connection: &ConnState) -> Result<Host, HeadFault> {
    let mut lines = request.headers.get_all(http::header::HOST).iter();
    let line = lines.next().map(HeaderValue::as_bytes);
    if lines.next().is_some() {
        return Err(HeadFault::Host);
    }
    let authority = request.uri.authority().map(Authority::as_str);
    match (authority.map(str::as_bytes), line) {
        (Some(text), None) | (None, Some(text)) => connection.read_host(text),
        (Some(authority), Some(line)) => {
            let parse = |text| Host::parse_authority(std::str::from_utf8(text).ok()?).ok();
            match (parse(authority), parse(line)) {
                (Some(authority), Some(line)) if authority == line => Ok(authority.0),
                _ => Err(HeadFault::Host),
            }
        }
        (None, None) => Err(HeadFault::Host),
    }
}

/// The host that services are told, as it was judged: one that chooses by the spelling would else choose differently.
fn told_host(request: &RequestHeader, site: &Site) -> Option<HeaderValue> {
    let line = request.headers.get(http::header::HOST);
    let authority = request.uri.authority().map(Authority::as_str);
    let asked = authority.or_else(|| line?.to_str().ok())?;
    let told = site.told(asked);
    match line.filter(|line| *line == told.as_ref()) {
        Some(line) => Some(line.clone()),
        None => HeaderValue::from_str(&told).ok(),
    }
}

/// On one TLS connection only hosts are served that it was opened for, or that the certificate it was opened
/// with is for. Proxies in front speak for many, whatever they name in their handshakes.
fn certificate_fits(connection: &ConnState, host: &Host, running: &Running) -> bool {
    if !connection.tls {
        return true;
    }
    if connection.is_known_to_fit(host) {
        return true;
    }
    let Shown { name, identity, .. } = &connection.shown;
    let named = |name: &str| name.parse::<Host>().is_ok_and(|name| name == *host);
    let covers = |identity: &Identity| host.spellings().any(|host| identity.covers(host));
    if name.as_deref().is_some_and(named) || identity.as_deref().is_some_and(covers) {
        connection.note_fit(host);
        return true;
    }
    // Whom we trust may change while the connection lasts.
    let trusted = &running.snapshot.trusted_proxies;
    trusted.contains(connection.peer.ip())
}

/// Only what is safe to repeat is sent elsewhere; anything else has already told its secrets in the clear.
fn secure_address(site: &Site, target: &Target) -> Option<String> {
    let safe = matches!(target.method().as_str(), "GET" | "HEAD");
    safe.then(|| format!("{}{}", site.origin, target.origin_form()))
}
