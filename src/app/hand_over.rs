//! Hand-over: the running gateway starts the program anew with its own listening sockets, waits until that one is
//! ready, and then drains. Ports are never closed, and a new process that does not come up changes nothing.
//!
//! Not Pingora's own way, in which the operator starts the new process, the sockets pass through a socket file that
//! everybody may connect to, and the old process goes away also when nobody took over. Sockets are passed as systemd
//! passes them (`LISTEN_FDS`, `sd_listen_fds(3)`), so that a socket unit works, too.

use std::env;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::Builder;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping, FdMappingCollision};
use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

/// Says that standard input is the socket of a gateway that waits to be relieved.
const RELIEVES: &str = "PORTCULLIS_HAND_OVER";

/// What is said on it.
const READY: &[u8] = b"ready";

/// How long the next process may take to be ready. Migrations of a large store are the slowest part.
const PATIENCE: Duration = Duration::from_mins(2);

/// The first descriptor of those that are passed (`sd_listen_fds(3)`).
const FIRST: i32 = 3;

/// Sockets that somebody else has bound for us.
pub struct Inherited {
    /// By name.
    sockets: Vec<(String, TcpListener)>,
    /// What was passed and is no such socket.
    faults: Vec<(String, io::Error)>,
}

/// What the next process is started with.
pub struct Successor {
    program: PathBuf,
    sockets: Vec<(&'static str, TcpListener)>,
}

/// The next process, before it is ready.
pub struct Starting {
    child: Child,
    ours: UnixStream,
}

/// What a process that is starting says that it is ready on.
pub struct Line(UnixStream);

/// Why the next process did not take over.
#[derive(Debug, thiserror::Error)]
pub enum HandOverFault {
    /// The first process of a container takes the container with it.
    #[error(
        "this is the first process of a container, which would end with it: replace the container"
    )]
    First,
    /// It could not be started.
    #[error("the program could not be started: {0}")]
    Start(#[from] io::Error),
    /// Its descriptors could not be arranged.
    #[error(transparent)]
    Descriptors(#[from] FdMappingCollision),
    /// It ended, or took too long.
    #[error("the new process was not ready, and has said why if it could: {0}")]
    NotReady(io::Error),
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
                let everywhere = bound.ip().is_unspecified() && wanted.ip().is_unspecified();
                let there = bound.ip() == wanted.ip() || everywhere;
                there && (bound.port() == wanted.port() || wanted.port() == 0 && called == name)
            })
        };
        let at = self.sockets.iter().position(fits)?;
        Some(self.sockets.swap_remove(at).1)
    }
}

/// The program by the name that it was started by: behind a link that is to lead to another version one day, the
/// kernel knows only this one. Where that name is not a path, by the kernel's.
fn program() -> io::Result<PathBuf> {
    // Now: once the file has been replaced, the kernel knows it by another name.
    let running = env::current_exe()?;
    let named = env::args_os().next().map(PathBuf::from);
    let named = named.filter(|path| path.components().nth(1).is_some());
    let Some(named) = named.map(std::path::absolute).transpose()? else {
        return Ok(running);
    };
    // Whoever started it may have called it anything.
    let is_it = |found: PathBuf| found == running;
    Ok(if named.canonicalize().is_ok_and(is_it) {
        named
    } else {
        running
    })
}

impl Successor {
    /// Remembers how this process was started, and its sockets.
    ///
    /// # Errors
    /// When the program's place is not known, or a socket cannot be cloned.
    pub fn new(sockets: &[(&'static str, &TcpListener)]) -> io::Result<Self> {
        let clone =
            |&(name, socket): &(&'static str, &TcpListener)| Ok((name, socket.try_clone()?));
        Ok(Self {
            program: program()?,
            sockets: sockets.iter().map(clone).collect::<io::Result<_>>()?,
        })
    }

    /// Starts the next process; and by which it can be given up.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self) -> Result<(Starting, Line), HandOverFault> {
        if std::process::id() == 1 {
            return Err(HandOverFault::First);
        }
        let (ours, theirs) = UnixStream::pair()?;
        let line = Line(ours.try_clone()?);
        let child = self.spawn(theirs)?;
        Ok((Starting { child, ours }, line))
    }

    fn spawn(&self, theirs: UnixStream) -> Result<Child, HandOverFault> {
        let mut command = Command::new(&self.program);
        command
            .args(env::args_os().skip(1))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .env(RELIEVES, "1")
            .env_remove("LISTEN_PID")
            .env("LISTEN_FDS", self.sockets.len().to_string())
            .env("LISTEN_FDNAMES", self.names());
        let mapping = |((_, socket), child_fd): (&(_, TcpListener), i32)| {
            let parent_fd = OwnedFd::from(socket.try_clone()?);
            Ok(FdMapping {
                parent_fd,
                child_fd,
            })
        };
        let mappings = self.sockets.iter().zip(FIRST..).map(mapping);
        command.fd_mappings(mappings.collect::<io::Result<_>>()?)?;
        Ok(command.spawn()?)
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.sockets.iter().map(|(name, _)| *name).collect();
        names.join(":")
    }
}

impl Starting {
    /// Waits until it is ready; its id.
    ///
    /// # Errors
    /// When it does not come up; nothing has changed then.
    pub async fn wait(mut self) -> Result<u32, HandOverFault> {
        match hear(self.ours).await {
            Ok(()) => {
                tell_systemd(&self.child);
                Ok(self.child.id())
            }
            Err(error) => {
                // It may hang: nobody would notice a second gateway that half works.
                let _ = self.child.kill();
                reap(self.child);
                Err(HandOverFault::NotReady(error))
            }
        }
    }
}

/// Takes notice of the end of a process, however long a file system may hold that up.
fn reap(mut child: Child) {
    // Without a thread it is noticed when this process ends.
    let _ = Builder::new().spawn(move || child.wait());
}

impl Line {
    /// Ends the wait for a process that has not said so yet, and that process.
    pub fn cut(&self) {
        // Nobody is connected any more: it has been said, or will not be.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// Tells whoever waits for it that this gateway serves: the one it relieves, or systemd.
pub fn ready() {
    let told = if env::var_os(RELIEVES).is_some() {
        tell_predecessor()
    } else {
        sd_notify::notify(&[NotifyState::Ready])
    };
    if let Err(error) = told {
        tracing::warn!(%error, "could not say that the gateway is ready");
    }
}

fn tell_predecessor() -> io::Result<()> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    UnixStream::from(socket).write_all(READY)
}

async fn hear(child: UnixStream) -> io::Result<()> {
    child.set_nonblocking(true)?;
    let mut child = tokio::net::UnixStream::from_std(child)?;
    let mut said = [0; READY.len()];
    timeout(PATIENCE, child.read_exact(&mut said)).await??;
    Ok(())
}

/// systemd believes its main process when that names another.
fn tell_systemd(child: &Child) {
    let state = [NotifyState::MainPid(child.id()), NotifyState::Ready];
    if let Err(error) = sd_notify::notify(&state) {
        tracing::warn!(%error, "could not tell systemd which process serves now");
    }
}
