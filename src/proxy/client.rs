//! Who is at the other end: the socket's word, or that of a proxy we were told to trust.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderValue};

use crate::base::net::Networks;

use super::connection::ConnState;

/// The client as far as it is known before anybody logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address; `::` where a trusted proxy says that there is one, and not which.
    pub ip: IpAddr,
    /// Whether it spoke TLS to us or to the trusted proxy in front.
    pub https: bool,
    /// Whether that is the client's: a trusted proxy that names none is not its own client.
    pub named: bool,
    /// Whether the other end of the socket is a trusted proxy.
    pub through_trusted: bool,
    /// `X-Forwarded-For` as the upstream is to see it: the client, then trusted proxies.
    pub forwarded_for: HeaderValue,
}

impl Client {
    /// The other end of the socket, whoever it may speak for.
    #[must_use]
    pub fn of_socket(connection: &ConnState) -> Self {
        Self {
            ip: connection.peer.ip().to_canonical(),
            https: connection.tls,
            named: true,
            through_trusted: false,
            forwarded_for: connection.peer_header.clone(),
        }
    }

    /// Reads the socket, and where that is a trusted proxy, its headers: the right-most address that is not
    /// itself a trusted proxy is the client's (as RFC 7239 section 8.1 warns, all to the left is hearsay). An entry
    /// that is no address is not the proxy's own address either: whoever stands behind it is nobody in particular. Where there
    /// is none, only the proxy's address is known to count and log by.
    #[must_use]
    pub fn of(connection: &ConnState, headers: &HeaderMap, trusted: &Networks) -> Self {
        let direct = Self::of_socket(connection);
        let peer = direct.ip;
        if trusted.is_empty() || !trusted.contains(peer) {
            return direct;
        }
        let mut chain = vec![peer];
        let told = forwarded(headers);
        for said in told.iter().rev() {
            let ip = said.unwrap_or(NOBODY);
            chain.push(ip);
            // Whatever network holds it: what is no address is no trusted one.
            if said.is_none() || !trusted.contains(ip) {
                break;
            }
        }
        let ip = chain.last().copied().unwrap_or(peer);
        let hops: Vec<String> = chain.iter().rev().map(spell).collect();
        // Where every proxy wrote how it was spoken to, as it wrote the address, the client's scheme is as far from the end as
        // its address. Where fewer did, the last one is of the nearest that wrote any.
        let protos = entries(headers, "x-forwarded-proto");
        let back = Some(chain.len().max(2) - 1).filter(|back| *back <= protos.len());
        let proto = protos.iter().nth_back(back.unwrap_or(1) - 1);
        let https = proto.map_or(connection.tls, |proto| is_secure(proto));
        Self {
            ip,
            https,
            named: !told.is_empty(),
            through_trusted: true,
            forwarded_for: HeaderValue::from_str(&hops.join(", ")).unwrap_or(direct.forwarded_for),
        }
    }
}

impl Client {
    /// The address that rules go by. Nobody in particular has none: `::/0` is a network, too, and whoever names it may mean
    /// everybody whom they know by an address.
    #[must_use]
    pub fn origin(&self) -> Option<IpAddr> {
        let ip = self.named.then_some(self.ip);
        ip.filter(|ip| *ip != NOBODY)
    }
}

/// Whether a proxy was spoken to over TLS. Of a handshake for WebSocket some say so by its own schemes (RFC 6455 section 3).
pub(super) fn is_secure(proto: &str) -> bool {
    ["https", "wss"]
        .iter()
        .any(|secure| proto.eq_ignore_ascii_case(secure))
}

/// Who is behind a trusted proxy that does not say who, where an address must stand; rules are told none.
const NOBODY: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// The addresses of every `X-Forwarded-For` line, left to right; none where an entry is not an address. Empty entries
/// say nothing (RFC 9110 section 5.6.1).
fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let said = entries(headers, "x-forwarded-for");
    said.into_iter().map(address).collect()
}

/// What every line of that name lists, left to right, without what is empty.
pub(super) fn entries<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let lines = headers.get_all(name).into_iter();
    let entries = lines.flat_map(|line| line.to_str().unwrap_or("?").split(','));
    let said = entries.map(str::trim);
    said.filter(|entry| !entry.is_empty()).collect()
}

/// An address as proxies write it: alone, in brackets, or with the port that it came from.
fn address(entry: &str) -> Option<IpAddr> {
    let bare = || entry.trim_matches(['[', ']']).parse().ok();
    let with_port = || entry.parse().ok().map(|both: SocketAddr| both.ip());
    let ip: IpAddr = bare().or_else(with_port)?;
    Some(ip.to_canonical())
}

fn spell(ip: &IpAddr) -> String {
    if *ip == NOBODY {
        "unknown".to_owned()
    } else {
        ip.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::tls::Shown;

    #[test]
    fn h_10_only_trusted_proxies_are_believed() {
        // The second holds what stands for nobody; "1.2.3.4, junk" below must not be led on to 1.2.3.4 by that.
        let trusted = ["10.0.0.0/8", "::/8"].map(|net| net.parse().unwrap());
        let trusted: Networks = trusted.into_iter().collect();
        // peer, X-Forwarded-For, client, chain
        let cases = [
            ("8.8.8.8", "127.0.0.1", "8.8.8.8", "8.8.8.8"),
            ("10.0.0.1", "", "10.0.0.1", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.3", "10.0.0.3", "10.0.0.3, 10.0.0.1"),
            ("10.0.0.1", "1.2.3.4", "1.2.3.4", "1.2.3.4, 10.0.0.1"),
            (
                "10.0.0.1",
                "127.0.0.1, 1.2.3.4, 10.0.0.2",
                "1.2.3.4",
                "1.2.3.4, 10.0.0.2, 10.0.0.1",
            ),
            ("10.0.0.1", "1.2.3.4, junk", "::", "unknown, 10.0.0.1"),
            ("10.0.0.1", "unknown", "::", "unknown, 10.0.0.1"),
            ("10.0.0.1", "fe80::1%eth0", "::", "unknown, 10.0.0.1"),
            ("10.0.0.1", "10.0.0.2:x", "::", "unknown, 10.0.0.1"),
            ("10.0.0.1", "::", "::", "unknown, 10.0.0.1"),
            ("10.0.0.1", "1.2.3.4,", "1.2.3.4", "1.2.3.4, 10.0.0.1"),
            ("10.0.0.1", " , ", "10.0.0.1", "10.0.0.1"),
            ("10.0.0.1", "1.2.3.4:5555", "1.2.3.4", "1.2.3.4, 10.0.0.1"),
            (
                "10.0.0.1",
                "9.9.9.9, [2001:db8::1]:5555, 10.0.0.2:80",
                "2001:db8::1",
                "2001:db8::1, 10.0.0.2, 10.0.0.1",
            ),
            ("10.0.0.1", "::ffff:1.2.3.4", "1.2.3.4", "1.2.3.4, 10.0.0.1"),
            (
                "::ffff:10.0.0.1",
                "2001:db8::1",
                "2001:db8::1",
                "2001:db8::1, 10.0.0.1",
            ),
        ];
        for (peer, header, ip, chain) in cases {
            let mut headers = HeaderMap::new();
            if !header.is_empty() {
                headers.insert("x-forwarded-for", header.parse().unwrap());
            }
            headers.insert("x-forwarded-proto", "https".parse().unwrap());
            let connection = ConnState::new(
                std::net::SocketAddr::new(peer.parse().unwrap(), 1),
                false,
                Shown::default(),
            );
            let client = Client::of(&connection, &headers, &trusted);
            assert_eq!(
                (
                    client.ip.to_string().as_str(),
                    client.forwarded_for.to_str().unwrap()
                ),
                (ip, chain),
                "{peer} {header}"
            );
            assert_eq!(client.https, peer.contains("10.0.0.1"));
            let nobody = peer == "10.0.0.1" && matches!(header, "" | " , ");
            let by_rules = (!nobody && client.ip != NOBODY).then_some(client.ip);
            assert_eq!(client.origin(), by_rules, "{peer} {header}");
        }
    }

    #[test]
    fn h_10_the_scheme_is_that_of_the_client() {
        let trusted: Networks = ["10.0.0.0/8".parse().unwrap()].into_iter().collect();
        // X-Forwarded-For, X-Forwarded-Proto, whether the client used TLS
        let cases = [
            ("1.2.3.4", "https", true),
            ("1.2.3.4", "http", false),
            ("", "https", true),
            ("", "", false),
            ("1.2.3.4", "", false),
            // Both wrote both.
            ("1.2.3.4, 10.0.0.2", "https,http", true),
            ("1.2.3.4, 10.0.0.2", "http, https", false),
            ("6.6.6.6, 1.2.3.4, 10.0.0.2", "https, http, https", false),
            ("6.6.6.6, 1.2.3.4, 10.0.0.2", "http, https, http", true),
            ("10.0.0.3, 10.0.0.2", "https, http", true),
            // Who is it by? The nearest.
            ("1.2.3.4, 10.0.0.2", "https", true),
            ("1.2.3.4, 10.0.0.2", "http", false),
            ("1.2.3.4", "https, http", false),
            ("1.2.3.4", "http, https", true),
            ("1.2.3.4, 10.0.0.2", "https, https, http", true),
            ("1.2.3.4, 10.0.0.2", "https, http, http", false),
            ("6.6.6.6, 1.2.3.4, 10.0.0.2", "https, http", true),
            ("1.2.3.4", "https, ", true),
        ];
        for (addresses, protos, https) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in [
                ("x-forwarded-for", addresses),
                ("x-forwarded-proto", protos),
            ] {
                if !value.is_empty() {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            let peer = std::net::SocketAddr::new("10.0.0.1".parse().unwrap(), 1);
            let connection = ConnState::new(peer, false, Shown::default());
            let client = Client::of(&connection, &headers, &trusted);
            assert_eq!(client.https, https, "{addresses}; {protos}");
        }
    }

    #[test]
    fn which_schemes_are_secure() {
        for proto in ["https", "HTTPS", "wss", "Wss"] {
            assert!(is_secure(proto), "{proto}");
        }
        for proto in ["http", "ws", "", "httpss", "tls", "on"] {
            assert!(!is_secure(proto), "{proto}");
        }
    }
}
