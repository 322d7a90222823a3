//! The public URLs of the gateway: cookies, redirects and the token issuer follow from them, never from a
//! request.

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
