//! The sockets that a gateway serves on: those that were passed to it, and those that it binds.

use std::net::SocketAddr;

use anyhow::Context as _;

use crate::base::site::{Site, Sites};
use crate::config::Config;
use crate::proxy::listener::bind;

use super::banner::Bound;
use super::hand_over::{Inherited, relieves};
use super::successor::Successor;

/// Bound sockets, before anything is served on them.
pub struct Sockets {
    /// Plain.
    pub http: Option<std::net::TcpListener>,
    /// TLS.
    pub https: Option<std::net::TcpListener>,
    /// Admin.
    pub admin: std::net::TcpListener,
    /// Where they really are.
    pub bound: Bound,
}

impl Sockets {
    /// Takes the sockets that were passed to us where they fit, and binds the others.
    ///
    /// # Errors
    /// When a socket cannot be bound.
    pub fn bind(config: &Config, mut passed: Inherited) -> anyhow::Result<Self> {
        passed.complain();
        let mut open = |name, address: SocketAddr| {
            let socket = match passed.find(name, address) {
                Some(socket) => socket.set_nonblocking(true).map(|()| socket),
                None => bind(address),
            };
            socket.with_context(|| {
                let holds = passed.holds(address.port()).map(|holder| {
                    let what = if relieves() {
                        "so that this change needs a restart"
                    } else {
                        "so that listen: must say the same, or the socket unit"
                    };
                    format!("; a socket that was passed holds the port for {holder}, {what}")
                });
                let holds = holds.unwrap_or_default();
                format!("cannot listen on {address} (listen.{name}){holds}")
            })
        };
        let http = config.listen.http.map(|at| open("http", at)).transpose()?;
        let https = config
            .listen
            .https
            .map(|at| open("https", at))
            .transpose()?;
        let admin = open("admin", config.listen.admin)?;
        passed.leave();
        let local = |socket: &std::net::TcpListener| socket.local_addr();
        let bound = Bound {
            http: http.as_ref().map(local).transpose()?,
            https: https.as_ref().map(local).transpose()?,
            admin: admin.local_addr()?,
        };
        Ok(Self {
            http,
            https,
            admin,
            bound,
        })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        1 + u32::from(self.http.is_some()) + u32::from(self.https.is_some())
    }

    /// What the next process is started with.
    ///
    /// # Errors
    /// When that cannot be prepared.
    pub fn successor(&self) -> anyhow::Result<Successor> {
        let public = [("http", &self.http), ("https", &self.https)];
        let public = public
            .into_iter()
            .filter_map(|(name, socket)| Some((name, socket.as_ref()?)));
        let all: Vec<_> = public.chain([("admin", &self.admin)]).collect();
        Successor::new(&all).context("cannot prepare for a hand-over")
    }
}

/// A site that was derived from the listener follows the port that was really bound.
pub fn follow_port(config: &mut Config, bound: &Bound) {
    if let (true, Some(http)) = (config.site_is_default, bound.http) {
        let host = config.sites.main().host.clone();
        let written = host.to_string();
        config.sites = Sites::new(
            Site::new(false, host, Some(http.port()), &written),
            Vec::new(),
        );
    }
}
