//! The process that is to take over: how it is started, held on to until it is ready, and given up.

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping, FdMappingCollision};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use sd_notify::NotifyState;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::aside::aside;
use super::between::{ITSELF, LEAVES};
use super::hand_over::{OVER, READY, RELIEVES};
use super::place::{Bound, Place};

/// How long the next process may take to be ready. Migrations of a large store are the slowest part.
const PATIENCE: Duration = Duration::from_mins(2);

/// The first descriptor of those that are passed (`sd_listen_fds(3)`).
const FIRST: i32 = 3;

/// What the next process is started with.
pub struct Successor {
    program: PathBuf,
    sockets: Vec<(&'static str, TcpListener)>,
}

/// The next process. Letting go of it ends it at once, until it serves.
///
/// Held by a descriptor: its id may be somebody else's as soon as it has ended.
pub struct Next {
    /// Its id, to tell of it.
    pub id: u32,
    held: OwnedFd,
    line: tokio::net::UnixStream,
    serves: bool,
    /// It has said that its end is meant.
    is_over: bool,
}

/// Why the next process did not take over.
#[derive(Debug, thiserror::Error)]
pub enum HandOverFault {
    /// Something would end with this process, or be started again.
    #[error(transparent)]
    Bound(#[from] Bound),
    /// It could not be started.
    #[error("the program could not be started: {0}")]
    Start(#[from] io::Error),
    /// Its descriptors could not be arranged.
    #[error(transparent)]
    Descriptors(#[from] FdMappingCollision),
    /// It was started, and could not be told from others that may have its id one day.
    #[error("the new process cannot be held on to, which takes Linux 5.3: {0}")]
    Held(rustix::io::Errno),
    /// It ended, or took too long.
    #[error("the new process was not ready, and has said why if it could: {0}")]
    NotReady(io::Error),
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

    /// Starts the next process, which is no child of this one. `known` names the upstreams of which servers are known, with
    /// commas between.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(&self, known: &str) -> Result<Next, HandOverFault> {
        Place::of_this_process().may_be_left()?;
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let line = tokio::net::UnixStream::from_std(ours)?;
        let between = self.spawn(theirs, known)?;
        let late = |late| HandOverFault::NotReady(io::Error::from(late));
        timeout(PATIENCE, Next::hold(between, line))
            .await
            .map_err(late)?
    }

    /// Starts whoever stands between.
    fn spawn(&self, theirs: UnixStream, known: &str) -> Result<Child, HandOverFault> {
        let mut command = Command::new(ITSELF);
        command
            .args(env::args_os().skip(1))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .env(LEAVES, &self.program)
            .env(RELIEVES, known)
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

impl Next {
    /// Takes hold of the process that was left behind, and lets it begin. It waits for that, so that its id is its own
    /// until then, and ends where nobody answers.
    async fn hold(
        mut between: Child,
        mut line: tokio::net::UnixStream,
    ) -> Result<Self, HandOverFault> {
        // Whose parent has ended has another one, before anybody hears of it.
        let left = aside(move || between.wait()).await??;
        if !left.success() {
            return Err(io::Error::other(left.to_string()).into());
        }
        let id = line.read_u32().await.map_err(HandOverFault::NotReady)?;
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        let held = pidfd_open(pid, PidfdFlags::empty()).map_err(HandOverFault::Held)?;
        line.write_u8(0).await?;
        Ok(Self {
            id,
            held,
            line,
            serves: false,
            is_over: false,
        })
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// When it does not come up; nothing has changed then.
    pub async fn ready(&mut self) -> Result<(), HandOverFault> {
        let mut said = [0; READY.len()];
        let heard = timeout(PATIENCE, self.line.read_exact(&mut said)).await;
        let heard = heard.map_err(io::Error::from).and_then(|heard| heard);
        heard.map_err(HandOverFault::NotReady)?;
        if self.has_ended() {
            let gone = io::Error::other("it was, and ended");
            return Err(HandOverFault::NotReady(gone));
        }
        self.serves = true;
        self.tell_systemd();
        Ok(())
    }

    /// Tells it something.
    ///
    /// # Errors
    /// When it is not there any more.
    pub fn tell(&self, signal: Signal) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.held, signal)?)
    }

    /// Has it end in its own way, and, where that takes longer, in any: it may have accepted before it said that it is
    /// ready, and may as well hang.
    pub async fn give_up(mut self, signal: Signal, longest: Duration) {
        // Who has ended already needs not be told.
        if self.tell(signal).is_ok() {
            let _ = timeout(longest, self.ended()).await;
        }
    }

    /// Waits for its end, and with it that of the line; whether it was meant to end.
    pub async fn ended(&mut self) -> bool {
        // Kept here, for whoever waits may turn to something else on the way.
        while let Ok(word) = self.line.read_u8().await {
            self.is_over = word == OVER;
        }
        self.is_over
    }

    /// Asked of the kernel and not of the runtime, which hears of it in its own time.
    fn has_ended(&self) -> bool {
        let mut asked = [PollFd::new(&self.held, PollFlags::IN)];
        !matches!(poll(&mut asked, Some(&Timespec::default())), Ok(0))
    }

    /// systemd believes its main process when that names another.
    fn tell_systemd(&self) {
        let state = [NotifyState::MainPid(self.id), NotifyState::Ready];
        if let Err(error) = sd_notify::notify(&state) {
            tracing::warn!(%error, "could not tell systemd which process serves now");
        }
    }
}

impl Drop for Next {
    fn drop(&mut self) {
        if !self.serves {
            // Who has ended already needs not be told.
            let _ = self.tell(Signal::KILL);
        }
    }
}
