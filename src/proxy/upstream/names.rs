//! From the servers of the file to addresses: names are looked up, again and again.
//!
//! A name that cannot be looked up keeps the addresses it had; one that can is taken at its word, and addresses
//! it no longer has are no longer sent to.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::unix::net::SocketAddr as UnixAddress;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use pingora::protocols::l4::socket::SocketAddr;
use tokio::time::timeout;

use crate::proxy::settings::{Place, Server};

use super::member::Member;

/// Whether any of these servers has a name, whose addresses may change.
#[must_use]
pub fn any(servers: &[Arc<Server>]) -> bool {
    servers
        .iter()
        .filter_map(|server| server.host())
        .any(|host| host.parse::<IpAddr>().is_err())
}

/// The servers that have no address just now.
pub fn missing<'a>(
    servers: &'a [Arc<Server>],
    members: &'a [Arc<Member>],
) -> impl Iterator<Item = &'a Arc<Server>> {
    let missing = |server: &&Arc<Server>| !members.iter().any(|it| it.server == **server);
    servers.iter().filter(missing)
}

/// What a look has found for each server.
pub type Found<'a> = Vec<(&'a Arc<Server>, io::Result<Vec<SocketAddr>>)>;

/// Looks up all servers at once. Who has no answer when the limit is over is left for another look, and keeps nobody whose
/// address is known from being sent to.
pub async fn look_up(servers: &[Arc<Server>], limit: Duration) -> Found<'_> {
    let looked = servers.iter().map(|server| async move {
        let found = timeout(limit, addresses(server)).await;
        let silent = |_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer yet"));
        (server, found.unwrap_or_else(silent))
    });
    join_all(looked).await
}

/// The addresses that a server has just now, in an order that does not change from one look to the next.
///
/// # Errors
/// When its name cannot be looked up.
pub async fn addresses(server: &Server) -> io::Result<Vec<SocketAddr>> {
    match (&server.place, server.host()) {
        (Place::Network { port, .. }, Some(host)) => {
            let found: BTreeSet<_> = tokio::net::lookup_host((host, *port)).await?.collect();
            Ok(found.into_iter().map(SocketAddr::Inet).collect())
        }
        (Place::Socket(path), _) => Ok(vec![SocketAddr::Unix(UnixAddress::from_pathname(path)?)]),
        (Place::Network { .. }, None) => Ok(Vec::new()),
    }
}

/// The members after a look: those that were there stay the very same, so that what is known of them does too.
#[must_use]
pub fn merge(before: &[Arc<Member>], found: Found<'_>) -> Vec<Arc<Member>> {
    let mut after: Vec<Arc<Member>> = Vec::new();
    for (server, addresses) in found {
        let known = before.iter().filter(|member| *member.server == **server);
        match addresses {
            Ok(addresses) => after.extend(addresses.into_iter().map(|address| {
                let same = known.clone().find(|member| member.address == address);
                same.cloned()
                    .unwrap_or_else(|| Arc::new(Member::new(Arc::clone(server), address)))
            })),
            Err(error) => {
                let host = server.host().unwrap_or_default();
                tracing::warn!(%error, host, "could not look up a server");
                after.extend(known.cloned());
            }
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::settings::Scheme;

    fn server(host: &str) -> Arc<Server> {
        let place = Place::Network {
            host: host.into(),
            port: 80,
        };
        Arc::new(Server {
            place,
            scheme: Scheme::Http,
        })
    }

    fn at(ip: &str) -> SocketAddr {
        SocketAddr::Inet(std::net::SocketAddr::new(ip.parse().unwrap(), 80))
    }

    fn labels(members: &[Arc<Member>]) -> Vec<&str> {
        members.iter().map(|member| &*member.label).collect()
    }

    #[test]
    fn g_18_what_a_name_no_longer_says_is_gone_and_what_it_cannot_say_stays() {
        let (a, b) = (server("a.test"), server("b.test"));
        let first = merge(
            &[],
            vec![
                (&a, Ok(vec![at("10.0.0.1"), at("10.0.0.2")])),
                (&b, Ok(vec![at("10.0.0.3")])),
            ],
        );
        assert_eq!(
            labels(&first),
            ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]
        );
        let fault = || io::Error::other("no name server answers");
        let second = merge(
            &first,
            vec![
                (&a, Ok(vec![at("10.0.0.2"), at("10.0.0.4")])),
                (&b, Err(fault())),
            ],
        );
        assert_eq!(
            labels(&second),
            ["10.0.0.2:80", "10.0.0.4:80", "10.0.0.3:80"]
        );
        assert!(Arc::ptr_eq(&first[1], &second[0]) && Arc::ptr_eq(&first[2], &second[2]));
        // The two swapped addresses: none is taken for the server that had it before.
        let third = merge(
            &second,
            vec![
                (&a, Ok(vec![at("10.0.0.3")])),
                (&b, Ok(vec![at("10.0.0.2")])),
            ],
        );
        assert!(
            second
                .iter()
                .all(|old| third.iter().all(|new| !Arc::ptr_eq(old, new)))
        );
        assert_eq!(third[0].server.host(), Some("a.test"));
        assert!(merge(&[], vec![(&a, Err(fault()))]).is_empty());
    }

    #[test]
    fn addresses_and_sockets_are_not_looked_up() {
        let socket = Server {
            place: Place::Socket("/run/app.sock".into()),
            scheme: Scheme::Http,
        };
        assert!(!any(&[
            server("127.0.0.1"),
            server("[::1]"),
            Arc::new(socket)
        ]));
        assert!(any(&[server("127.0.0.1"), server("localhost")]));
    }
}
