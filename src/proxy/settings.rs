//! What the proxy needs to know of the file: where to listen, how much to take, where requests go.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use crate::policy::readings::Readings;

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

/// What one client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a whole request head.
    pub head: usize,
    /// Header fields of a request.
    pub fields: usize,
    /// Bytes of a request target.
    pub target: usize,
    /// Bytes of a request body; none means no limit.
    pub body: Option<u64>,
    /// How long a request head may take from its first byte to its last.
    pub head_timeout: Duration,
    /// Connections from one IPv4 address or IPv6 /64.
    pub connections_per_address: usize,
}

impl Limits {
    /// The limits where the file says nothing.
    pub const DEFAULT: Self = Self {
        head: 32 * 1024,
        fields: 100,
        target: 8 * 1024,
        body: Some(1 << 30),
        head_timeout: Duration::from_secs(10),
        connections_per_address: 1024,
    };
}

/// One entry of `upstreams:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its name in the file: audience of assertions, label of metrics.
    pub name: Arc<str>,
    /// Where it lives.
    pub to: Destination,
    /// How long it may take to connect, and to send the next bytes of an answer.
    pub timeout: Duration,
    /// Paths with two readings that it understands.
    pub paths: Readings,
}

/// Where an upstream lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Servers, taken in turn. Never empty.
    Servers(Vec<Server>),
    /// The built-in page that shows what a service would receive.
    Echo,
}

/// One server of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Host name or address as it was written.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How to speak to it.
    pub scheme: Scheme,
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

/// All upstreams by name.
pub type Upstreams = BTreeMap<Arc<str>, Upstream>;
