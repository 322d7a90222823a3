//! Listeners: our own accept loop, so that handshakes have a deadline, addresses a limit, and ports are
//! known before the first request.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::protocols::{SocketDigest, Stream};
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use socket2::{Domain, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::base::net::Origin;
use crate::telemetry::limit::Limit;
use crate::telemetry::metrics::Metrics;

use super::connection::{ConnState, Guard, Socket};
use super::drain::{Accepting, Drain};
use super::origins::{Crowd, Origins};
use super::request::Connections;
use super::running::Running;
use super::settings::Limits;
use super::tls::{Handshakes, Shown, shake};

/// How many connections may wait at a port to be accepted; fewer where the kernel says so (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// A bound port and what happens to connections to it.
pub struct Listener<C> {
    name: String,
    socket: Option<std::net::TcpListener>,
    threads: Option<usize>,
    /// Going down waits for it, where it waits for connections.
    accepting: Option<Accepting>,
    shared: Arc<Shared<C>>,
}

struct Shared<C> {
    connections: Arc<C>,
    handshakes: Option<Handshakes>,
    running: Arc<ArcSwap<Running>>,
    origins: Arc<Origins>,
    drain: Drain,
    public: bool,
    room: usize,
    up: Arc<Semaphore>,
    /// Whether it was said that descriptors have run out.
    exhausted: AtomicBool,
    metrics: Metrics,
}

/// What every public listener shares.
#[derive(Clone)]
pub struct House {
    /// What is in force, and with it the limits for clients.
    pub running: Arc<ArcSwap<Running>>,
    /// Connections by origin, over all public listeners.
    pub origins: Arc<Origins>,
    /// Whether the gateway is going down.
    pub drain: Drain,
    /// Whether clients of services come here: the file's limits are for them, and going down waits for those who idle.
    pub public: bool,
    /// How many connections there is room for, where the file does not say it.
    pub room: usize,
    /// Where a listener says, by a permit, that it accepts connections from now on.
    pub up: Arc<Semaphore>,
    /// Where connections are counted.
    pub metrics: Metrics,
}

/// Binds a port. `[::]` is every address there is; on a machine without IPv6, every one of IPv4.
///
/// # Errors
/// When the address is taken or not ours.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = listen(address).or_else(|error| {
        if is_refusal(&error) || address.ip() != Ipv6Addr::UNSPECIFIED {
            return Err(error);
        }
        listen((Ipv4Addr::UNSPECIFIED, address.port()).into())
    })?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Whether `[::]` can be bound on this machine, where its port is free.
#[must_use]
pub fn has_ipv6() -> bool {
    match hold((Ipv6Addr::UNSPECIFIED, 0).into()) {
        Ok(_) => true,
        Err(error) => is_refusal(&error),
    }
}

/// The address is there, and not for us.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::AddrInUse | ErrorKind::PermissionDenied
    )
}

fn listen(address: SocketAddr) -> io::Result<socket2::Socket> {
    let socket = hold(address)?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn hold(address: SocketAddr) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // As the standard library does, so that a restart need not wait for the connections of before.
    socket.set_reuse_address(true)?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        // Some machines say otherwise (`net.ipv6.bindv6only`).
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

impl<C: Connections> Listener<C> {
    /// A listener on a bound socket; with handshakes it speaks TLS.
    #[must_use]
    pub fn new(
        name: &str,
        socket: std::net::TcpListener,
        connections: Arc<C>,
        handshakes: Option<Handshakes>,
        house: House,
    ) -> Self {
        let House {
            running,
            origins,
            drain,
            public,
            room,
            up,
            metrics,
        } = house;
        let accepting = public.then(|| drain.accepts());
        let shared = Arc::new(Shared {
            connections,
            handshakes,
            running,
            origins,
            drain,
            public,
            room,
            up,
            exhausted: AtomicBool::new(false),
            metrics,
        });
        Self {
            name: name.to_owned(),
            socket: Some(socket),
            threads: None,
            accepting,
            shared,
        }
    }

    /// Gives it so many threads instead of the gateway's usual number.
    pub fn set_threads(&mut self, threads: usize) {
        self.threads = Some(threads);
    }
}

#[async_trait]
impl<C: Connections> Service for Listener<C> {
    async fn start_service(
        &mut self,
        _fds: Option<ListenFds>,
        mut shutdown: ShutdownWatch,
        _listeners_per_fd: usize,
    ) {
        let accepting = self.accepting.take();
        let Some(Ok(listener)) = self.socket.take().map(TcpListener::from_std) else {
            tracing::error!(listener = self.name, "the socket is gone");
            return;
        };
        self.shared.up.add_permits(1);
        let drain = self.shared.drain.clone();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((socket, peer)) => {
                        self.shared.exhausted.store(false, Ordering::Relaxed);
                        self.shared.receive(socket, peer);
                    }
                    Err(error) => self.shared.pause(&error).await,
                },
                () = drain.stop_accepting().cancelled() => break,
                _ = shutdown.changed() => break,
            }
        }
        // Whoever has connected already is served: the port takes with it what waits behind it.
        match listener.into_std() {
            Ok(listener) => self.shared.receive_waiting(listener).await,
            Err(error) => tracing::error!(%error, "whoever waited to be accepted is not"),
        }
        drop(accepting);
        tokio::select! {
            () = drain.close_idle().cancelled() => {}
            _ = shutdown.changed() => {}
        }
        self.shared.connections.stop().await;
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn threads(&self) -> Option<usize> {
        self.threads
    }
}

impl<C: Connections> Shared<C> {
    fn receive(self: &Arc<Self>, socket: TcpStream, peer: SocketAddr) {
        let running = self.running.load();
        // A proxy in front speaks for many; it is trusted to keep order among them.
        let trusted = running.snapshot.trusted_proxies.contains(peer.ip());
        let limits = self.limits_by(&running);
        let most = if trusted {
            usize::MAX
        } else {
            limits.connections_per_address
        };
        let room = limits.connections.unwrap_or(self.room);
        let seat = match self.origins.seat(Origin::of(peer.ip()), most, room) {
            Ok(seat) => seat,
            Err(limit) => return self.metrics.refused(limit),
        };
        let crowd = (!trusted).then(|| Arc::clone(seat.crowd()));
        let shared = Arc::clone(self);
        let open = self.public.then(|| self.drain.connected());
        tokio::spawn(async move {
            let _counted = shared.metrics.connected();
            if let Some(stream) = shared.prepare(socket, peer, crowd).await {
                Arc::clone(&shared.connections)
                    .serve(stream, shared.drain.goodbye())
                    .await;
            }
            drop((seat, open));
        });
    }

    fn limits_by(&self, running: &Running) -> Limits {
        if self.public {
            running.limits
        } else {
            // Of probes some speak HTTP/1.0, and say no more than that.
            Limits {
                hostless: true,
                ..Limits::DEFAULT
            }
        }
    }

    /// Accepts all who wait, and closes the port. The kernel is asked: the runtime has a task wait after so many answers,
    /// and knows of those who come only what it has been told.
    async fn receive_waiting(self: &Arc<Self>, listener: std::net::TcpListener) {
        const PATIENCE: usize = 20;
        let mut failures = 0;
        for _ in 0..BACKLOG {
            let accepted = listener.accept().and_then(|(socket, peer)| {
                socket.set_nonblocking(true)?;
                Ok((TcpStream::from_std(socket)?, peer))
            });
            match accepted {
                Ok((socket, peer)) => self.receive(socket, peer),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // One who has left since.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) if failures < PATIENCE => {
                    failures += 1;
                    self.pause(&error).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "whoever still waited to be accepted is not");
                    break;
                }
            }
        }
    }

    fn guard(&self, socket: Socket, state: Arc<ConnState>, limits: Limits) -> Stream {
        let (metrics, drain) = (self.metrics.clone(), self.drain.clone());
        Box::new(Guard::new(socket, state, limits, metrics, drain))
    }

    /// From a socket to guarded bytes.
    async fn prepare(
        &self,
        socket: TcpStream,
        peer: SocketAddr,
        crowd: Option<Arc<Crowd>>,
    ) -> Option<Stream> {
        let limits = self.limits_by(&self.running.load());
        let digest = SocketDigest::from_raw_fd(socket.as_raw_fd());
        // Set by hand: Pingora would ask the kernel again for each request that wants it.
        let _ = digest.peer_addr.set(Some(peer.into()));
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        let Some(handshakes) = &self.handshakes else {
            let state = ConnState::among(peer, false, Shown::default(), crowd);
            return Some(self.guard(Socket::plain(socket, digest), state, limits));
        };
        let made = handshakes.current();
        // Boxed, or every connection would carry the room of a handshake for as long as it lives.
        let shaken = Box::pin(shake(
            &made,
            socket,
            peer,
            limits.head_timeout,
            &self.metrics,
        ));
        let (tls, shown) = shaken.await?;
        let state = ConnState::among(peer, true, shown, crowd);
        Some(self.guard(Socket::tls(tls, digest), state, limits))
    }

    /// Out of file descriptors, or a connection that was gone before it was accepted: waits a little, so
    /// that a full table does not become a busy loop.
    async fn pause(&self, error: &io::Error) {
        self.metrics.refused(Limit::Descriptors);
        if !self.exhausted.swap(true, Ordering::Relaxed) {
            // Once, and not ten times a second for as long as it lasts.
            tracing::warn!(%error, "connections cannot be accepted; trying on");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn every_address_is_one_of_both_kinds() {
        let socket = bind((Ipv6Addr::UNSPECIFIED, 0).into()).unwrap();
        let port = socket.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let only = socket2::SockRef::from(&socket).only_v6();
        if socket.local_addr().unwrap().is_ipv6() {
            assert!(!only.unwrap());
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        }
    }

    #[test]
    fn a_port_that_is_taken_is_not_shared() {
        for address in [
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
            SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        ] {
            let socket = bind(address).unwrap();
            let taken = bind(socket.local_addr().unwrap()).unwrap_err();
            assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        }
    }
}
