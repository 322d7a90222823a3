//! Hand-over: the running gateway starts the program anew with its own listening sockets, waits until that one is
//! ready, and then drains. Ports are never closed, and a new process that does not come up changes nothing. Here is what
//! is passed; the new process, as the old one sees it, is a `Successor`.
//!
//! Not Pingora's own way, in which the operator starts the new process, the sockets pass through a socket file that
//! everybody may connect to, and the old process goes away also when nobody took over. Sockets are passed as systemd
//! passes them (`LISTEN_FDS`, `sd_listen_fds(3)`), so that a socket unit works, too.

use std::env;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use listenfd::ListenFd;
use sd_notify::NotifyState;

use crate::proxy::listener::has_ipv6;

/// Says that standard input is the socket of a gateway that waits to be relieved, and of which upstreams it knows servers:
/// their names, with commas between.
pub const RELIEVES: &str = "PORTCULLIS_HAND_OVER";

/// What is said on it.
pub const READY: &[u8] = b"ready";

/// What is said on it by a process whose end is meant: it was told to stop, or is relieved itself.
pub const OVER: u8 = b'.';

/// Sockets that somebody else has bound for us.
pub struct Inherited {
    /// By name.
    sockets: Vec<(String, TcpListener)>,
    /// What was passed and is no such socket.
    faults: Vec<(String, io::Error)>,
}

impl Inherited {
    /// Takes what was passed to this process. Called once, before there are other threads.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "what was passed stands in the environment (sd_listen_fds(3)); it is no setting"
    )]
    pub fn take() -> Self {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut passed = ListenFd::from_env();
        let mut names = names.split(':');
        let (mut sockets, mut faults) = (Vec::new(), Vec::new());
        for at in 0..passed.len() {
            let name = names.next().unwrap_or_default().to_owned();
            match passed.take_tcp_listener(at) {
                Ok(socket) => sockets.extend(socket.map(|socket| (name, socket))),
                Err(error) => faults.push((name, error)),
            }
        }
        Self { sockets, faults }
    }

    /// Tells of what was passed and is no socket. Not when it is taken: there is no log yet.
    pub fn complain(&mut self) {
        for (name, error) in self.faults.drain(..) {
            tracing::warn!(%error, name, "an inherited descriptor is no TCP socket");
        }
    }

    /// The address for which a socket that was passed holds this port.
    #[must_use]
    pub fn holds(&self, port: u16) -> Option<SocketAddr> {
        let bound = self
            .sockets
            .iter()
            .filter_map(|(_, it)| it.local_addr().ok());
        bound
            .into_iter()
            .find(|bound| bound.port() == port && port != 0)
    }

    /// Leaves the sockets that nobody wanted, and tells of them: whoever passed them expects them to be served.
    pub fn leave(self) {
        for (name, socket) in &self.sockets {
            let address = socket.local_addr().map(|address| address.to_string());
            let address = address.unwrap_or_default();
            tracing::warn!(
                name,
                address,
                "a socket was passed that fits no address of listen:"
            );
        }
    }

    /// The socket that is bound to this address, if one was passed. Where the address leaves the port open, the one
    /// of this name.
    pub fn find(&mut self, name: &str, wanted: SocketAddr) -> Option<TcpListener> {
        let fits = |(called, socket): &(String, TcpListener)| {
            let bound = socket.local_addr();
            bound.is_ok_and(|bound| {
                // Another socket of before stands for another file; what somebody else has bound, for what they want.
                is_at(bound.ip(), wanted.ip(), || relieves() && has_ipv6())
                    && (bound.port() == wanted.port() || wanted.port() == 0 && called == name)
            })
        };
        let at = self.sockets.iter().position(fits)?;
        Some(self.sockets.swap_remove(at).1)
    }
}

/// Whether another process serves until this one is ready.
#[must_use]
pub fn relieves() -> bool {
    env::var_os(RELIEVES).is_some()
}

/// The upstreams of which the gateway that is relieved knows servers; none where there is no such gateway.
#[must_use]
pub fn known() -> Vec<String> {
    let known = env::var_os(RELIEVES).unwrap_or_default();
    let names = known.to_string_lossy();
    names.split(',').map(str::to_owned).collect()
}

/// Whether a socket at this address is what a gateway that wants to listen there would have bound itself.
fn is_at(bound: IpAddr, wanted: IpAddr, has_ipv6: impl Fn() -> bool) -> bool {
    let instead = (Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into());
    bound == wanted || (bound, wanted) == instead && !has_ipv6()
}

/// Tells whoever waits for it that this gateway serves: the one it relieves, or systemd.
pub fn ready() {
    let told = if relieves() {
        tell_predecessor(READY)
    } else {
        sd_notify::notify(&[NotifyState::Ready])
    };
    if let Err(error) = told {
        tracing::warn!(%error, "could not say that the gateway is ready");
    }
}

/// Tells the gateway that was relieved, and may still be there, that this end was meant.
pub fn over() {
    if relieves() {
        // It has gone, most often.
        let _ = tell_predecessor(&[OVER]);
    }
}

fn tell_predecessor(word: &[u8]) -> io::Result<()> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    UnixStream::from(socket).write_all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g_13_a_socket_is_taken_for_its_own_address_or_for_what_stands_in_for_it() {
        for (bound, wanted, with, without) in [
            ("::", "::", true, true),
            ("0.0.0.0", "0.0.0.0", true, true),
            ("127.0.0.1", "127.0.0.1", true, true),
            ("0.0.0.0", "::", false, true),
            ("::", "0.0.0.0", false, false),
            ("127.0.0.1", "::", false, false),
            ("127.0.0.1", "0.0.0.0", false, false),
            ("::", "::1", false, false),
        ] {
            let (at, to) = (bound.parse().unwrap(), wanted.parse().unwrap());
            assert_eq!(is_at(at, to, || true), with, "{bound} for {wanted}");
            assert_eq!(is_at(at, to, || false), without, "{bound} for {wanted}");
        }
    }
}
