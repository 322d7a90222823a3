//! The public URLs of the gateway: cookies, redirects and the token issuer follow from them, never from a
//! request.

use std::fmt;
use std::str::FromStr;

use super::net::Host;

/// One public origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Whether it is `https`.
    pub https: bool,
    /// Its host.
    pub host: Host,
    /// Its port, where it is not the scheme's own.
    pub port: Option<u16>,
    /// Scheme, host and port as a browser writes them in `Origin` (RFC 6454 section 6.2).
    pub origin: String,
}

/// Every public origin; the first is the main one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sites {
    first: Site,
    others: Vec<Site>,
}

/// Where a page came from, as a browser writes it in `Origin`: the scheme is `http` or `https`, and the port that
/// goes without saying is not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageOrigin {
    https: bool,
    host: Host,
    port: Option<u16>,
}

/// Not an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an origin is a scheme and a host, as in https://app.example.com, and no path")]
pub struct BadOrigin;

impl FromStr for PageOrigin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let (https, authority) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(BadOrigin),
        };
        let (host, port) = Host::parse_authority(authority).map_err(|_| BadOrigin)?;
        Ok(Self { https, host, port })
    }
}

impl fmt::Display for PageOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Site {
    /// A site from its parts.
    #[must_use]
    pub fn new(https: bool, host: Host, port: Option<u16>, host_as_written: &str) -> Self {
        let port = port.filter(|&port| port != if https { 443 } else { 80 });
        let scheme = if https { "https" } else { "http" };
        let suffix = port.map(|port| format!(":{port}")).unwrap_or_default();
        let origin = format!(
            "{scheme}://{}{suffix}",
            host_as_written.to_ascii_lowercase()
        );
        Self {
            https,
            host,
            port,
            origin,
        }
    }
}

impl Site {
    fn is_of(&self, origin: &PageOrigin) -> bool {
        (self.https, &self.host, self.port) == (origin.https, &origin.host, origin.port)
    }
}

impl Sites {
    /// The main site and the others.
    #[must_use]
    pub const fn new(first: Site, others: Vec<Site>) -> Self {
        Self { first, others }
    }

    /// The main site: the issuer of tokens.
    #[must_use]
    pub const fn main(&self) -> &Site {
        &self.first
    }

    /// All of them, the main one first.
    pub fn iter(&self) -> impl Iterator<Item = &Site> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The site of a host.
    #[must_use]
    pub fn of_host(&self, host: &Host) -> Option<&Site> {
        self.iter().find(|site| site.host == *host)
    }

    /// Whether a page of this origin is one of ours: of a site as it is written, or of the very host and port that
    /// the request asks for, which a page of another site cannot choose.
    #[must_use]
    pub fn holds(&self, origin: &PageOrigin, asked: Option<&(Host, Option<u16>)>) -> bool {
        let as_asked = |asked| self.holds_at(origin, asked);
        self.iter().any(|site| site.is_of(origin)) || asked.is_some_and(as_asked)
    }

    /// Whether a page of this origin is one of the host that is asked: of its site as it is written, or with the port
    /// of the request.
    #[must_use]
    pub fn holds_at(&self, origin: &PageOrigin, (host, port): &(Host, Option<u16>)) -> bool {
        let of_host = |site: &&Site| site.host == *host && origin.host == *host;
        let as_asked = |site: &Site| site.https == origin.https && origin.port == *port;
        let mut sites = self.iter().filter(of_host);
        sites.any(|site| site.is_of(origin) || as_asked(site))
    }

    /// Whether every site is `https`.
    #[must_use]
    pub fn all_https(&self) -> bool {
        self.iter().all(|site| site.https)
    }
}
