//! Who is at the other end: the socket's word, or that of a proxy we were told to trust.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};

use crate::base::net::Networks;

use super::connection::ConnState;

/// The client as far as it is known before anybody logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub ip: IpAddr,
    /// Whether it spoke TLS to us or to the trusted proxy in front.
    pub https: bool,
    /// Whether the other end of the socket is a trusted proxy.
    pub through_trusted: bool,
    /// `X-Forwarded-For` as the upstream is to see it: the client, then trusted proxies.
    pub forwarded_for: HeaderValue,
}

impl Client {
    /// Reads the socket, and where that is a trusted proxy, its headers: the right-most address that is not
    /// itself a trusted proxy is the client's (as RFC 7239 section 8.1 warns, all to the left is hearsay).
    #[must_use]
    pub fn of(connection: &ConnState, headers: &HeaderMap, trusted: &Networks) -> Self {
        let peer = connection.peer.ip().to_canonical();
        let direct = Self {
            ip: peer,
            https: connection.tls,
            through_trusted: false,
            forwarded_for: connection.peer_header.clone(),
        };
        if trusted.is_empty() || !trusted.contains(peer) {
            return direct;
        }
        let mut chain = vec![peer];
        for ip in forwarded(headers).into_iter().rev() {
            let Some(ip) = ip else { break };
            chain.push(ip);
            if !trusted.contains(ip) {
                break;
            }
        }
        let ip = chain.last().copied().unwrap_or(peer);
        let hops: Vec<String> = chain.iter().rev().map(ToString::to_string).collect();
        let https = last(headers, "x-forwarded-proto")
            .map_or(connection.tls, |proto| proto.eq_ignore_ascii_case("https"));
        Self {
            ip,
            https,
            through_trusted: true,
            forwarded_for: HeaderValue::from_str(&hops.join(", ")).unwrap_or(direct.forwarded_for),
        }
    }
}

/// The addresses of every `X-Forwarded-For` line, left to right; none where an entry is not an address.
fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lines = headers.get_all("x-forwarded-for").into_iter();
    let entries = lines.flat_map(|line| line.to_str().unwrap_or("?").split(','));
    entries
        .map(|entry| {
            entry
                .trim()
                .trim_matches(['[', ']'])
                .parse()
                .ok()
                .map(|ip: IpAddr| ip.to_canonical())
        })
        .collect()
}

fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers
        .get_all(name)
        .into_iter()
        .next_back()?
        .to_str()
        .ok()?;
    value.rsplit(',').next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::tls::Shown;

    #[test]
    fn h_10_only_trusted_proxies_are_believed() {
        let trusted: Networks = ["10.0.0.0/8".parse().unwrap()].into_iter().collect();
        // peer, X-Forwarded-For, client, chain
        let cases = [
            ("8.8.8.8", "127.0.0.1", "8.8.8.8", "8.8.8.8"),
            ("10.0.0.1", "", "10.0.0.1", "10.0.0.1"),
            ("10.0.0.1", "1.2.3.4", "1.2.3.4", "1.2.3.4, 10.0.0.1"),
            (
                "10.0.0.1",
                "127.0.0.1, 1.2.3.4, 10.0.0.2",
                "1.2.3.4",
                "1.2.3.4, 10.0.0.2, 10.0.0.1",
            ),
            ("10.0.0.1", "1.2.3.4, junk", "10.0.0.1", "10.0.0.1"),
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
        }
    }
}
