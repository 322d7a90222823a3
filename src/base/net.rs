//! Hosts and addresses in the one form they are compared in.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;

/// A host without port: lower case, without trailing dot, IPv6 in brackets, loopback names all one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(Arc<str>);

/// Not a host, or not a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a host name or address, with or without a port")]
pub struct BadHost;

/// A list of networks, as `from:` and `trusted_proxies:` have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

/// Where a request comes from, coarse enough to count by: an IPv4 address, or an IPv6 /64, of which one
/// customer usually has at least one whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(IpAddr);

/// What the three spellings of this machine are all turned into.
const LOOPBACK: &str = "localhost";

impl Host {
    /// Reads an authority as `Host:` or `:authority` carry it: a host with an optional port.
    ///
    /// # Errors
    /// On user information, lists, paths, spaces, an empty host, a port that is not 1 to 65535, or labels
    /// that no registered name has (RFC 9110 section 4.2, RFC 3986 section 3.2).
    pub fn parse_authority(text: &str) -> Result<(Self, Option<u16>), BadHost> {
        let (host, port) = match text.rfind(':') {
            Some(colon) if !text.ends_with(']') => text.split_at(colon),
            _ => (text, ""),
        };
        let port = match port.strip_prefix(':') {
            None => None,
            Some(digits) => Some(parse_port(digits)?),
        };
        Ok((host.parse()?, port))
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether only this machine can be meant (RFC 6761 section 6.3 counts `*.localhost`).
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.as_str() == LOOPBACK
            || self.as_str().ends_with(".localhost")
            || self.ip().is_some_and(|ip| ip.is_loopback())
    }

    /// Every way to write it: the three of this machine, which count as one, and else the one there is.
    pub fn spellings(&self) -> impl Iterator<Item = &str> {
        let others: &[&str] = match self.as_str() {
            LOOPBACK => &["127.0.0.1", "[::1]"],
            _ => &[],
        };
        std::iter::once(self.as_str()).chain(others.iter().copied())
    }

    /// The part behind the first label: what `*.example.com` is compared with.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        match self.ip() {
            Some(_) => None,
            None => self.as_str().split_once('.').map(|(_, parent)| parent),
        }
    }

    /// Whether it is that domain, or a host below it. An address is below none.
    #[must_use]
    pub fn is_within(&self, domain: &Self) -> bool {
        let above = self.as_str().strip_suffix(domain.as_str());
        self.ip().is_none() && above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
    }

    fn ip(&self) -> Option<IpAddr> {
        self.as_str()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .ok()
    }
}

impl FromStr for Host {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        if let Some(inner) = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            let ip: Ipv6Addr = inner.parse().map_err(|_| BadHost)?;
            return Ok(Self::of_ip(IpAddr::V6(ip)));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if let Ok(ip) = name.parse::<Ipv4Addr>() {
            return Ok(Self::of_ip(IpAddr::V4(ip)));
        }
        // What ends so is an address to browsers (URL Standard, "ends in a number").
        let last = name.rsplit('.').next().unwrap_or_default();
        let hex = last.strip_prefix("0x").or(last.strip_prefix("0X"));
        let looks_numeric = last.bytes().all(|b| b.is_ascii_digit())
            || hex.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
        if name.len() > 253 || looks_numeric || !name.split('.').all(is_label) {
            return Err(BadHost);
        }
        Ok(Self(name.to_ascii_lowercase().into()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Host {
    fn of_ip(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(Ipv4Addr::LOCALHOST) | IpAddr::V6(Ipv6Addr::LOCALHOST) => {
                Self(LOOPBACK.into())
            }
            IpAddr::V4(v4) => Self(v4.to_string().into()),
            IpAddr::V6(v6) => Self(format!("[{v6}]").into()),
        }
    }
}

impl Networks {
    /// Whether the address lies in any of them. An IPv4 address in IPv6 clothes is taken out of them.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|net| net.contains(&ip))
    }

    /// Whether the list is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The networks, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &IpNet> {
        self.0.iter()
    }

    /// Whether every address of `other` is in `self`. Conservative: a cover by several networks together
    /// is not seen.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other
            .0
            .iter()
            .all(|inner| self.0.iter().any(|outer| outer.contains(inner)))
    }
}

impl FromIterator<IpNet> for Networks {
    fn from_iter<I: IntoIterator<Item = IpNet>>(nets: I) -> Self {
        Self(nets.into_iter().collect())
    }
}

impl Origin {
    /// The origin of an address.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V6(v6) => Self(IpAddr::V6(Ipv6Addr::from_bits(
                v6.to_bits() & (u128::MAX << 64),
            ))),
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn parse_port(digits: &str) -> Result<u16, BadHost> {
    let decimal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    match digits.parse() {
        Ok(port) if decimal && port != 0 => Ok(port),
        _ => Err(BadHost),
    }
}

fn is_label(label: &str) -> bool {
    // Underscores are not in RFC 952 but in the names of many an internal service.
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=63).contains(&label.len())
        && label.bytes().all(allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_17_one_host_has_one_form() {
        let cases = [
            ("APP.TEST", "app.test", None),
            ("app.test.", "app.test", None),
            ("app.test:443", "app.test", Some(443)),
            ("[::1]:8080", "localhost", Some(8080)),
            ("127.0.0.1", "localhost", None),
            ("[::ffff:127.0.0.1]", "localhost", None),
            ("[2001:DB8::1]", "[2001:db8::1]", None),
            ("10.0.0.1:80", "10.0.0.1", Some(80)),
            ("xn--bcher-kva.example", "xn--bcher-kva.example", None),
        ];
        for (text, host, port) in cases {
            let parsed = Host::parse_authority(text).unwrap();
            assert_eq!((parsed.0.as_str(), parsed.1), (host, port), "{text:?}");
        }
    }

    #[test]
    fn p_21_what_is_no_host_is_refused() {
        let bad = [
            "",
            ".",
            "a..b",
            "app.test/evil?x#y",
            "app.test, evil",
            "user@app.test",
            "app test",
            "app.test:0",
            "app.test:70000",
            "app.test:",
            "app.test:+80",
            "app.test:8O",
            "[::1",
            "::1",
            "xn--app-.test",
            "-a.test",
            "app.test.xn--",
            "1.2.3",
            "0x7f.1",
            "1.2.3.4.5",
            "127.1",
            "0x7f000001",
            "a.0X1",
            "a\u{e9}.test",
            "app.test..",
            "[::1]x",
        ];
        for text in bad {
            assert!(Host::parse_authority(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn this_machine_is_written_in_three_ways() {
        let spellings = |text: &str| {
            let host: Host = text.parse().unwrap();
            host.spellings().map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(spellings("[::1]"), ["localhost", "127.0.0.1", "[::1]"]);
        assert_eq!(spellings("app.localhost"), ["app.localhost"]);
        assert_eq!(spellings("10.0.0.1"), ["10.0.0.1"]);
    }

    #[test]
    fn loopback_is_told_from_the_rest() {
        let loopback = |text: &str| text.parse::<Host>().unwrap().is_loopback();
        assert!(
            [
                "localhost",
                "app.localhost",
                "127.0.0.1",
                "127.9.9.9",
                "[::1]"
            ]
            .into_iter()
            .all(loopback)
        );
        assert!(
            ![
                "app.test",
                "localhost.example.com",
                "10.0.0.1",
                "[2001:db8::1]"
            ]
            .into_iter()
            .any(loopback)
        );
    }

    #[test]
    fn a_02_an_ipv6_origin_is_its_64() {
        let origin = |text: &str| Origin::of(text.parse().unwrap()).to_string();
        assert_eq!(origin("2001:db8:0:1:aaaa::1"), "2001:db8:0:1::");
        assert_eq!(origin("::ffff:10.1.2.3"), "10.1.2.3");
    }

    #[test]
    fn h_10_networks_see_through_ipv6_clothes() {
        let nets: Networks = ["10.0.0.0/8".parse().unwrap()].into_iter().collect();
        assert!(nets.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!nets.contains("11.0.0.1".parse().unwrap()));
    }
}
