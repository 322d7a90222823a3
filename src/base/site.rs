//! The public URLs of the gateway: cookies, redirects and the token issuer follow from them, never from a
//! request.

use std::borrow::Cow;
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
    /// The site of another host that has everything else in common with this one.
    #[must_use]
    pub fn with_host(&self, host: &Host) -> Self {
        Self::new(self.https, host.clone(), self.port, host.as_str())
    }

    /// Its host, and its port where that is not the scheme's own, as services are told: never another spelling or
    /// port of a client's choice, which a service that chooses by them would take for somebody else.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.origin
            .split_once("://")
            .map_or(self.host.as_str(), |(_, authority)| authority)
    }

    /// What services are told that was asked for, of an authority that names this site. This machine's own names
    /// keep their port, and which of the three it was: pages are looked at through whatever leads here from there.
    #[must_use]
    pub fn told<'a>(&'a self, asked: &'a str) -> Cow<'a, str> {
        if !self.host.is_loopback() {
            return Cow::Borrowed(self.authority());
        }
        let (host, port) = match asked.rfind(':') {
            Some(colon) if !asked.ends_with(']') => asked.split_at(colon),
            _ => (asked, ""),
        };
        let is_own = |host: &str| self.host.spellings().any(|own| own == host);
        if is_own(host) && !port.starts_with(":0") {
            return Cow::Borrowed(asked);
        }
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let host = if is_own(&host) {
            host
        } else {
            self.host.to_string()
        };
        let port = port
            .strip_prefix(':')
            .and_then(|port| port.parse::<u16>().ok());
        Cow::Owned(port.map_or_else(|| host.clone(), |port| format!("{host}:{port}")))
    }

    /// Whether a page of this origin is one of this site: as it is written, or with the port that the request asks
    /// for, which a page of another site cannot choose.
    #[must_use]
    pub fn has_page(&self, origin: &PageOrigin, asked_port: Option<u16>) -> bool {
        let as_asked = self.https == origin.https && origin.port == asked_port;
        self.host == origin.host && (as_asked || self.is_of(origin))
    }

    /// Whether this is its origin as it is written.
    #[must_use]
    pub fn is_of(&self, origin: &PageOrigin) -> bool {
        (self.https, &self.host, self.port) == (origin.https, &origin.host, origin.port)
    }
}

impl PageOrigin {
    /// Its host.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
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

    /// Whether every site is `https`.
    #[must_use]
    pub fn all_https(&self) -> bool {
        self.iter().all(|site| site.https)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_17_what_services_are_told_of_the_host() {
        let site = |https, host: &str, port| Site::new(https, host.parse().unwrap(), port, host);
        let app = site(true, "app.test", None);
        let high = site(true, "app.test", Some(8443));
        let here = site(false, "localhost", Some(8080));
        let below = site(false, "app.localhost", None);
        for (site, asked, told) in [
            (&app, "app.test", "app.test"),
            (&app, "APP.TEST", "app.test"),
            (&app, "app.test.", "app.test"),
            (&app, "App.test.:443", "app.test"),
            (&app, "app.test:1", "app.test"),
            (&high, "app.test", "app.test:8443"),
            (&high, "App.Test:8443", "app.test:8443"),
            (&here, "localhost", "localhost"),
            (&here, "LocalHost.:09", "localhost:9"),
            (&here, "localhost:9", "localhost:9"),
            (&here, "127.0.0.1:8080", "127.0.0.1:8080"),
            (&here, "[::1]", "[::1]"),
            (&here, "[::1]:010", "[::1]:10"),
            (&here, "[0:0:0:0:0:0:0:1]:9", "localhost:9"),
            (&here, "[::ffff:127.0.0.1]", "localhost"),
            (&below, "APP.localhost.", "app.localhost"),
            (&below, "app.localhost:1", "app.localhost:1"),
        ] {
            assert_eq!(site.told(asked), told, "{asked}");
        }
    }

    #[test]
    fn whose_pages_are_those_of_a_site() {
        let site = Site::new(true, "app.test".parse().unwrap(), Some(8443), "app.test");
        for (origin, port, own) in [
            ("https://app.test:8443", None, true),
            ("https://app.test", None, true),
            ("https://app.test", Some(8443), false),
            ("https://app.test:9", Some(9), true),
            ("https://app.test:9", None, false),
            ("http://app.test:8443", Some(8443), false),
            ("https://other.test:8443", Some(8443), false),
        ] {
            let page: PageOrigin = origin.parse().unwrap();
            assert_eq!(site.has_page(&page, port), own, "{origin} {port:?}");
        }
        let below = site.with_host(&"b.test".parse().unwrap());
        assert_eq!(below.origin, "https://b.test:8443");
    }
}
