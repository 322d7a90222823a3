//! A bar for work that takes longer than a second, on standard error and on a terminal only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget};
use tokio::time::Instant;

/// How far the work is.
pub struct Progress {
    bar: ProgressBar,
    began: Instant,
}

/// What is done within it needs no bar.
const PATIENCE: Duration = Duration::from_secs(1);

impl Progress {
    /// Work of so many parts, which begins now.
    #[must_use]
    pub fn of(parts: usize) -> Self {
        let parts = u64::try_from(parts).unwrap_or(u64::MAX);
        Self {
            bar: ProgressBar::with_draw_target(Some(parts), ProgressDrawTarget::hidden()),
            began: Instant::now(),
        }
    }

    /// So many more parts are done.
    pub fn advance(&self, parts: usize) {
        if self.bar.is_hidden() && self.began.elapsed() > PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.inc(u64::try_from(parts).unwrap_or(u64::MAX));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
