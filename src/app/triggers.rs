//! What sets a reload off: a signal, a change of the file, or that the one before came to nothing.
//!
//! A file may be sound and what it needs not there yet: its database, a secret that is written a moment later. Whoever closed a
//! rule with it must not find it open because nobody tried again.

use std::future::pending;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::time::sleep;

use super::watch::Watch;

/// The pause after a reload that has failed; it doubles with each that fails after it.
const PAUSE: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// What sets a reload off.
pub struct Triggers {
    hangup: Signal,
    file: Watch,
    /// Whether a change of the file is enough.
    watches: bool,
    /// After which pause to try again, where that may help.
    again: Option<Duration>,
}

/// Why to reload now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Somebody has asked for it.
    News,
    /// The one before has failed.
    Again,
}

impl Triggers {
    /// The signal; and where `watches`, a change of the file.
    #[must_use]
    pub fn new(hangup: Signal, file: Watch, watches: bool) -> Self {
        Self {
            hangup,
            file,
            watches,
            again: None,
        }
    }

    /// Waits for one of them; the file is read after this.
    pub async fn next(&mut self) -> Cause {
        let changed = async {
            if self.watches {
                self.file.changed().await;
            } else {
                pending::<()>().await;
            }
        };
        let cause = tokio::select! {
            _ = self.hangup.recv() => Cause::News,
            () = changed => Cause::News,
            () = again(self.again, &self.file) => Cause::Again,
        };
        if cause == Cause::News {
            self.again = None;
            self.file.begin_anew();
        }
        cause
    }

    /// The reload is done, and nothing is owed.
    pub fn done(&mut self) {
        self.again = None;
    }

    /// It has failed, by what `passes` or not. A file that is watched is tried again whatever it was: what it names may change,
    /// or come, without it.
    pub fn failed(&mut self, passes: bool) {
        let pause = self.again.map_or(PAUSE, |pause| (pause * 2).min(PAUSE_MAX));
        self.again = (passes || self.watches).then_some(pause);
    }
}

/// Waits for the next try of the file that was read. Another one is not read unasked: it may be half written.
async fn again(pause: Option<Duration>, file: &Watch) {
    let Some(pause) = pause else {
        return pending().await;
    };
    let mut told = false;
    loop {
        sleep(pause).await;
        if file.is_as_read().await {
            return;
        }
        if !told {
            tracing::warn!(
                "the configuration that failed to load is not tried again, for the file was written to since: \
                 send SIGHUP when it is ready"
            );
            told = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::signal::unix::{SignalKind, signal};
    use tokio::time::{Instant, timeout};

    use super::*;

    fn triggers(path: &Path, watches: bool) -> Triggers {
        std::fs::write(path, "a").unwrap();
        let hangup = signal(SignalKind::user_defined2()).unwrap();
        Triggers::new(hangup, Watch::begin(path), watches)
    }

    /// Looking at the file takes a thread, whose time does not stand still.
    #[tokio::test]
    async fn g_01_what_has_failed_is_tried_again_ever_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for (watches, passes, tries) in [
            (true, false, true),
            (true, true, true),
            (false, true, true),
            (false, false, false),
        ] {
            let mut triggers = triggers(&path, watches);
            let pauses = [5, 10, 20, 40, 60, 60].map(Duration::from_secs);
            for pause in pauses {
                triggers.failed(passes);
                assert_eq!(triggers.again, tries.then_some(pause));
            }
            triggers.done();
            assert_eq!(triggers.again, None);
        }
    }

    #[tokio::test]
    async fn g_01_a_file_that_is_not_watched_is_read_again_only_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut triggers = triggers(&path, false);
        let soon = Some(Duration::from_millis(10));
        triggers.again = soon;
        let began = Instant::now();
        assert_eq!(triggers.next().await, Cause::Again);
        assert!(began.elapsed() >= Duration::from_millis(10));
        std::fs::write(&path, "half").unwrap();
        triggers.again = soon;
        let next = timeout(Duration::from_millis(300), triggers.next());
        assert!(next.await.is_err(), "nobody has asked for that one");
    }
}
