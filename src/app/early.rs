//! What a process takes before it does anything else, so that nothing is lost or ends it while it starts.

use std::io;
use std::process;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::hand_over::Inherited;
use super::shutdown::Heard;

/// What is added to the number of the signal that has ended a process, as shells tell it.
const ENDED_BY: i32 = 128;

/// What was taken.
pub struct Early {
    /// Sockets that somebody else has bound for us.
    pub inherited: Inherited,
    /// For background work, which has threads of its own: Pingora's belong to its services and end with them.
    pub background: Runtime,
    /// Asks for a reload. One that comes from here on is heard, and none ends the process.
    pub hangup: Signal,
    /// Ends a start when it is told to.
    pub stop: Stop,
}

/// Ends the first process of a container that is told to stop while it starts. Any other one ends by itself; for the
/// first one of a namespace, the kernel drops what nobody listens for (`pid_namespaces(7)`).
pub struct Stop(Option<(oneshot::Sender<()>, JoinHandle<()>)>);

impl Early {
    /// Takes it. Called once, before there are other threads: what was passed stands in the environment, which is cleared.
    ///
    /// # Errors
    /// When there are no threads to be had, or signals cannot be listened for.
    pub fn take() -> io::Result<Self> {
        let inherited = Inherited::take();
        // Two: while one is at something long, such as reading the file again, the store is still listened to.
        let background = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("background")
            .enable_all()
            .build()?;
        let (hangup, stop) = {
            let _within = background.enter();
            (signal(SignalKind::hangup())?, Stop::listen()?)
        };
        Ok(Self {
            inherited,
            background,
            hangup,
            stop,
        })
    }
}

impl Stop {
    /// Begins to listen, within a runtime.
    fn listen() -> io::Result<Self> {
        if process::id() != 1 {
            return Ok(Self(None));
        }
        let kinds = [SignalKind::terminate(), SignalKind::interrupt()];
        let [terminate, interrupt] = kinds.map(|kind| signal(kind).map(|heard| (kind, heard)));
        let (over, started) = oneshot::channel();
        let ends = tokio::spawn(end_when_told([terminate?, interrupt?], started));
        Ok(Self(Some((over, ends))))
    }

    /// Leaves signals to the gateway: what comes from here on is heard there, and what came before ends the process now.
    ///
    /// # Errors
    /// When signals cannot be listened for.
    pub fn leave(self, background: &Runtime) -> io::Result<Heard> {
        let heard = {
            let _within = background.enter();
            Heard::new()?
        };
        // After the other has begun, so that none comes in between.
        if let Some((over, ends)) = self.0 {
            let _ = over.send(());
            background.block_on(ends).map_err(io::Error::other)?;
        }
        Ok(heard)
    }
}

/// Ends the process with the code that shells give to one that such a signal has ended, unless it has started before.
async fn end_when_told(
    [(term, mut terminate), (int, mut interrupt)]: [(SignalKind, Signal); 2],
    started: oneshot::Receiver<()>,
) {
    let told = tokio::select! {
        biased;
        _ = terminate.recv() => term,
        _ = interrupt.recv() => int,
        _ = started => return,
    };
    process::exit(ENDED_BY + told.as_raw_value());
}
