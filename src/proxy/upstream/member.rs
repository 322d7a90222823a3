//! One server under one address, and what is known of it from one request to the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderValue;
use pingora::protocols::l4::socket::SocketAddr;
use tokio::time::Instant;

use crate::proxy::settings::Server;

use super::health::{Health, Trial};

/// One server under one address.
#[derive(Debug)]
pub struct Member {
    /// The server as the file has it.
    pub server: Arc<Server>,
    /// Where it is connected to.
    pub address: SocketAddr,
    /// What logs and metrics call it: its address, or the path of its socket.
    pub label: Box<str>,
    /// Its own host, for upstreams that are told that one.
    pub host: Option<HeaderValue>,
    /// Whether it can be sent anything.
    pub health: Health,
    under_way: AtomicUsize,
}

/// A request that a member works on; it counts until this is dropped.
#[derive(Debug)]
pub struct Serving {
    member: Arc<Member>,
    /// Where it is to find out how the member is, and has not yet.
    trial: Option<Trial>,
}

impl Member {
    /// A server under one of its addresses.
    #[must_use]
    pub fn new(server: Arc<Server>, address: SocketAddr) -> Self {
        let label = match &address {
            SocketAddr::Inet(address) => address.to_string(),
            SocketAddr::Unix(address) => address
                .as_pathname()
                .map(|path| path.display().to_string())
                .unwrap_or_default(),
        };
        Self {
            host: HeaderValue::from_str(&server.authority()).ok(),
            server,
            address,
            label: label.into(),
            health: Health::new(Instant::now()),
            under_way: AtomicUsize::new(0),
        }
    }

    /// The same, as if it had never been checked: what became of requests stays known.
    #[must_use]
    pub fn unchecked(&self) -> Arc<Self> {
        Arc::new(Self {
            server: Arc::clone(&self.server),
            address: self.address.clone(),
            label: self.label.clone(),
            host: self.host.clone(),
            health: self.health.unchecked(),
            under_way: AtomicUsize::new(0),
        })
    }

    /// Whether it is this server under this address.
    #[must_use]
    pub fn is(&self, server: &Server, address: &SocketAddr) -> bool {
        *self.server == *server && self.address == *address
    }

    /// How many requests it works on.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }
}

impl Serving {
    /// Counts a request for a member.
    #[must_use]
    pub fn by(member: &Arc<Member>, trial: Option<Trial>) -> Self {
        member.under_way.fetch_add(1, Ordering::Relaxed);
        Self {
            member: Arc::clone(member),
            trial,
        }
    }

    /// It is known what became of it, for better or worse.
    pub fn settle(&mut self) {
        self.trial = None;
    }

    /// Who works on it.
    #[must_use]
    pub const fn member(&self) -> &Arc<Member> {
        &self.member
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(trial) = self.trial.take() {
            self.member.health.give_back(trial);
        }
        self.member.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}
