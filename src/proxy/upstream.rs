//! Where permitted requests go: servers in turn, names looked up again as time passes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use pingora::lb::discovery::ServiceDiscovery;
use pingora::lb::selection::RoundRobin;
use pingora::lb::{Backend, Backends, Extensions, LoadBalancer};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};
use pingora::{Error, ErrorType};

use super::settings::{Destination, Scheme, Server, Upstream};

/// An upstream, ready to be sent to.
pub struct Pool {
    /// Its name in the file.
    pub name: Arc<str>,
    timeout: Duration,
    servers: Option<LoadBalancer<RoundRobin>>,
}

/// How a backend is spoken to, carried along with its address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Manner {
    scheme: Scheme,
    host: String,
}

struct Names(Vec<Server>);

impl Pool {
    /// A pool of the servers in the file.
    #[must_use]
    pub fn new(upstream: &Upstream) -> Self {
        let servers = match &upstream.to {
            Destination::Echo => None,
            Destination::Servers(servers) => {
                let backends = Backends::new(Box::new(Names(servers.clone())));
                Some(LoadBalancer::from_backends(backends))
            }
        };
        Self {
            name: Arc::clone(&upstream.name),
            timeout: upstream.timeout,
            servers,
        }
    }

    /// Whether it is the built-in echo page.
    #[must_use]
    pub const fn is_echo(&self) -> bool {
        self.servers.is_none()
    }

    /// How many addresses are known, which is how often a connection is worth trying.
    #[must_use]
    pub fn known(&self) -> usize {
        self.servers
            .as_ref()
            .map_or(0, |servers| servers.backends().get_backend().len())
    }

    /// Looks the servers' names up.
    pub async fn refresh(&self) {
        if let Some(servers) = &self.servers
            && let Err(error) = servers.update().await
        {
            tracing::warn!(%error, upstream = &*self.name, "could not look up the servers of an upstream");
        }
    }

    /// The next server in turn; none when no name could be looked up. `plain` says that the request holds
    /// nothing that is meant for one hop only.
    pub async fn next(&self, plain: bool) -> Option<Box<HttpPeer>> {
        let servers = self.servers.as_ref()?;
        match self.choose(servers, plain) {
            Some(peer) => Some(peer),
            None => {
                // Nothing is known yet, as when the gateway started before its service's name existed.
                Box::pin(self.refresh()).await;
                self.choose(servers, plain)
            }
        }
    }

    /// The next server in turn. Where there is only one, nobody has to take turns.
    fn choose(&self, servers: &LoadBalancer<RoundRobin>, plain: bool) -> Option<Box<HttpPeer>> {
        let known = servers.backends().get_backend();
        match (known.first(), known.len()) {
            (Some(only), 1) => self.peer(only, plain),
            (_, count) => self.peer(&servers.select(b"", count.max(1))?, plain),
        }
    }

    fn peer(&self, backend: &Backend, plain: bool) -> Option<Box<HttpPeer>> {
        let manner = backend.ext.get::<Manner>()?;
        let tls = manner.scheme == Scheme::Https;
        let mut peer = Box::new(HttpPeer {
            _address: backend.addr.clone(),
            scheme: pingora::upstreams::peer::Scheme::from_tls_bool(tls),
            sni: if tls {
                manner.host.clone()
            } else {
                String::new()
            },
            proxy: None,
            client_cert_key: None,
            group_key: 0,
            options: pingora::upstreams::peer::PeerOptions::new(),
        });
        let options = &mut peer.options;
        options.connection_timeout = Some(self.timeout);
        options.total_connection_timeout = Some(self.timeout);
        options.read_timeout = Some(self.timeout);
        options.write_timeout = Some(self.timeout);
        // Tunnels are judged by rules of their own; until a request may ask for one, none is opened.
        options.http_upstream_request_policy = if plain && manner.scheme == Scheme::Http {
            // Nothing to look for: the request was searched when it was admitted.
            HttpUpstreamRequestPolicy::preserve()
        } else {
            HttpUpstreamRequestPolicy::deny_upgrades()
        };
        match manner.scheme {
            Scheme::Http => options.set_http_version(1, 1),
            Scheme::Https => options.set_http_version(2, 1),
            Scheme::H2c => options.set_http_version(2, 2),
        }
        Some(peer)
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.name)
            .field("known", &self.known())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl ServiceDiscovery for Names {
    /// Every address of every name. A name that cannot be looked up is left out as long as another can.
    async fn discover(&self) -> pingora::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let mut found = BTreeSet::new();
        for server in &self.0 {
            match tokio::net::lookup_host((server.host.trim_matches(['[', ']']), server.port)).await
            {
                Ok(addresses) => found.extend(addresses.map(|address| server.backend(address))),
                Err(error) => {
                    tracing::warn!(%error, host = server.host, "could not look up a server");
                }
            }
        }
        if found.is_empty() {
            // Better the addresses of a moment ago than none.
            return Err(Error::explain(
                ErrorType::ConnectNoRoute,
                "no name could be looked up",
            ));
        }
        Ok((found, HashMap::new()))
    }
}

impl Server {
    fn backend(&self, address: std::net::SocketAddr) -> Backend {
        let mut ext = Extensions::new();
        ext.insert(Manner {
            scheme: self.scheme,
            host: self.host.clone(),
        });
        Backend {
            addr: SocketAddr::Inet(address),
            weight: 1,
            ext,
        }
    }
}

/// Looks every pool up once, at once.
pub async fn refresh_all(pools: impl Iterator<Item = &Pool>) {
    futures_util::future::join_all(pools.map(|pool| pool.refresh().boxed())).await;
}
