//! What a process takes before it does anything else, so that nothing is lost or ends it while it starts.

use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::hand_over::Inherited;

/// What was taken.
pub struct Early {
    /// Sockets that somebody else has bound for us.
    pub inherited: Inherited,
    /// For background work, which has threads of its own: Pingora's belong to its services and end with them.
    pub background: Runtime,
    /// Asks for a reload. One that comes from here on is heard, and none ends the process.
    pub hangup: Signal,
}

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
        let hangup = {
            let _within = background.enter();
            signal(SignalKind::hangup())?
        };
        Ok(Self {
            inherited,
            background,
            hangup,
        })
    }
}
