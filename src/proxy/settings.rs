//! What the proxy needs to know of the file: where to listen, how much to take, where requests go.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::base::net::Host;
use crate::crypto::client::NamedBy;

pub use super::upstream::settings::{
    ClientCertificate, Eject, Headers, HealthCheck, Maintenance, Retry, Trust, TrustFiles,
};
pub use crate::policy::readings::Readings;
pub use crate::policy::rewrite::Rewrite;

/// Where the gateway listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Plain HTTP/1.1 and h2c.
    pub http: Option<SocketAddr>,
    /// TLS, with HTTP/2 by ALPN.
    pub https: Option<SocketAddr>,
    /// Metrics and health; never the public port.
    pub admin: SocketAddr,
}

/// A certificate chain and its key, both PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The chain, leaf first.
    pub chain: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Who vouches for the certificates of clients, and how those name their holders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// The authorities, a PEM file.
    pub ca: PathBuf,
    /// What they have revoked, a PEM file.
    pub crl: Option<PathBuf>,
    /// Which name of a certificate says whose it is.
    pub user: NamedBy,
    /// The hosts on which clients are asked for one; all of them, where none is named.
    pub sites: Option<Vec<Host>>,
}

impl ClientCertificates {
    /// The files. One that is not there is the other one again.
    #[must_use]
    pub fn paths(&self) -> [&Path; 2] {
        [&self.ca, self.crl.as_ref().unwrap_or(&self.ca)]
    }
}

/// What one client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a whole request head.
    pub head: usize,
    /// Header fields of a request.
    pub fields: usize,
    /// Whether a request of HTTP/1.0 needs no `Host`: where nothing goes by it. No key of the file.
    pub hostless: bool,
    /// Bytes of a request target.
    pub target: usize,
    /// Bytes of a request body; none means no limit.
    pub body: Option<u64>,
    /// How long a request head may take from its first byte to its last.
    pub head_timeout: Duration,
    /// Connections from one IPv4 address or IPv6 /64.
    pub connections_per_address: usize,
    /// Requests at a time from one IPv4 address or IPv6 /64, on all its connections.
    pub requests_per_address: usize,
    /// Connections altogether; none: as many as there are file descriptors for.
    pub connections: Option<usize>,
    /// Bytes a second that a request body must come at; none: any pace will do.
    pub body_rate: Option<u64>,
    /// How far a body may fall behind its pace, and how long an answer may wait to be taken.
    pub stall: Duration,
    /// Answers that are compressed at a time.
    pub compressed: usize,
    /// HTTP/2 streams at a time on one connection.
    pub streams: u32,
    /// HTTP/2 streams a second that may be reset on one connection, by the client or for its faults.
    pub resets: u32,
    /// How long requests in flight may take once the gateway is told to stop.
    pub drain: Duration,
}

impl Limits {
    /// The limits where the file says nothing.
    pub const DEFAULT: Self = Self {
        head: 32 * 1024,
        fields: 100,
        hostless: false,
        target: 8 * 1024,
        body: Some(1 << 30),
        head_timeout: Duration::from_secs(10),
        connections_per_address: 1024,
        requests_per_address: 1024,
        connections: None,
        body_rate: Some(240),
        stall: Duration::from_mins(1),
        compressed: 256,
        streams: 128,
        resets: 100,
        drain: Duration::from_secs(30),
    };
}

/// One entry of `upstreams:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its name in the file: audience of assertions, label of metrics.
    pub name: Arc<str>,
    /// Where it lives.
    pub to: Destination,
    /// Which of its servers a request goes to.
    pub balance: Balance,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// How long an idle connection to it is kept at most; zero where none is kept.
    pub keep_alive: Duration,
    /// How often the names of its servers are looked up again.
    pub resolve: Duration,
    /// How its servers are checked, if they are.
    pub health: Option<HealthCheck>,
    /// When a server is left alone for what became of requests to it, if ever.
    pub eject: Option<Eject>,
    /// How often a request that failed is sent again, if ever.
    pub retry: Option<Retry>,
    /// How its servers prove who they are.
    pub trust: Trust,
    /// The host that it is told.
    pub host: HostSent,
    /// What paths it is sent.
    pub rewrite: Rewrite,
    /// Headers on the way to it and back.
    pub headers: Headers,
    /// What is shown while none of its servers is healthy.
    pub maintenance: Option<Maintenance>,
    /// Paths with two readings that it understands.
    pub paths: Readings,
}

/// Where an upstream lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Servers, of which each request goes to one. Never empty.
    Servers(Vec<Server>),
    /// The built-in page that shows what a service would receive.
    Echo,
}

/// One server of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where to connect to.
    pub place: Place,
    /// How to speak to it.
    pub scheme: Scheme,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A port of a host.
    Network {
        /// Host name or address as it was written; IPv6 in brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// A unix socket, by its absolute path.
    Socket(PathBuf),
}

/// How to speak to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP/1.1 in the clear.
    Http,
    /// TLS, HTTP/2 or HTTP/1.1 by ALPN.
    Https,
    /// HTTP/2 in the clear.
    H2c,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::H2c => "h2c",
        })
    }
}

/// Which server a request goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// Each in turn.
    #[default]
    RoundRobin,
    /// The one with the fewest requests under way.
    LeastConnections,
    /// Always the same one for a user; for somebody unknown, for a client address.
    ByUser,
    /// Always the same one for a client address.
    ByAddress,
}

/// How long an upstream may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To take a connection, its TLS handshake included.
    pub connect: Duration,
    /// To send the next bytes of an answer.
    pub read: Duration,
    /// To take the next bytes of a request.
    pub write: Duration,
    /// For everything, from the permit to the last byte of the answer.
    pub total: Option<Duration>,
}

/// The host that an upstream is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostSent {
    /// The one the client asked for.
    #[default]
    Keep,
    /// The server's own, as `to:` has it.
    Upstream,
}

impl Server {
    /// Host and port as a `Host` header has them. A unix socket has no host of its own.
    #[must_use]
    pub fn authority(&self) -> String {
        match (&self.place, self.scheme) {
            (Place::Socket(_), _) => "localhost".to_owned(),
            (Place::Network { host, port: 443 }, Scheme::Https)
            | (Place::Network { host, port: 80 }, Scheme::Http | Scheme::H2c) => host.clone(),
            (Place::Network { host, port }, _) => format!("{host}:{port}"),
        }
    }

    /// Host and port as its own URLs have them; what is behind a socket is called `localhost`.
    #[must_use]
    pub fn named(&self) -> (&str, u16) {
        match &self.place {
            Place::Network { host, port } => (host, *port),
            Place::Socket(_) => ("localhost", 80),
        }
    }

    /// The host without the brackets of an IPv6 address; none for a unix socket.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match &self.place {
            Place::Network { host, .. } => Some(host.trim_matches(['[', ']'])),
            Place::Socket(_) => None,
        }
    }
}

impl Timeouts {
    /// The same for each step, and none for the whole.
    #[must_use]
    pub const fn each(step: Duration) -> Self {
        Self {
            connect: step,
            read: step,
            write: step,
            total: None,
        }
    }
}

/// All upstreams by name.
pub type Upstreams = BTreeMap<Arc<str>, Upstream>;
