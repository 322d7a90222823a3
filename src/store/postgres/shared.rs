//! One connection for many reads at once, each on its way before the one before it has its answer.
//!
//! Whoever looks at thousands of sessions waits for the way to the server and back, not for the server; and with a
//! connection for each of them, nobody else would have one.

use std::sync::{Arc, Weak};

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::connect::ANSWER;
use super::pool::{Lines, Object};
use super::run::{on, within};
use crate::store::error::DbError;
use crate::store::statement::{Answer, Call};

/// The connection that is shared, for as long as somebody uses it. It is the pool's, and goes back to it.
#[derive(Default)]
pub(super) struct Shared(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    line: Weak<Object>,
    /// Why there was none, when somebody asked for one last, and until when they did.
    failed: Option<(Instant, DbError)>,
}

impl Shared {
    /// Runs one call that reads, beside others.
    pub(super) async fn run(&self, lines: &Lines, call: &Call) -> Result<Answer, DbError> {
        let mut tried = false;
        loop {
            let line = self.line(lines).await?;
            let failure = match within(timeout(ANSWER, on(&line, call)).await) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let broken = failure.as_ref().is_none_or(|failure| failure.again);
            if broken {
                self.leave(&line).await;
            }
            // Where others wait on it, the last of them sees to it. That nothing was answered in time says nothing of other
            // connections: one that was slow before it may have had all of the time.
            let line = Arc::into_inner(line).filter(|_| broken);
            drop(line.map(Object::take));
            match failure {
                Some(failure) if failure.again && !tried => tried = true,
                Some(failure) => return Err(failure.into_error()),
                None => return Err(DbError::unavailable("no answer in time")),
            }
        }
    }

    async fn line(&self, lines: &Lines) -> Result<Arc<Object>, DbError> {
        let asked = Instant::now();
        let mut kept = self.0.lock().await;
        if let Some(line) = kept.line.upgrade().filter(|line| !line.is_closed()) {
            return Ok(line);
        }
        // Who waited while another one did has waited for that answer.
        if let Some((until, why)) = &kept.failed
            && asked <= *until
        {
            return Err(why.clone());
        }
        match lines.line().await {
            Ok(line) => {
                let line = Arc::new(line);
                kept.line = Arc::downgrade(&line);
                Ok(line)
            }
            Err(why) => {
                kept.failed = Some((Instant::now(), why.clone()));
                Err(why)
            }
        }
    }

    /// Nobody else is to come to this one.
    async fn leave(&self, line: &Arc<Object>) {
        let mut kept = self.0.lock().await;
        if kept.line.as_ptr() == Arc::as_ptr(line) {
            kept.line = Weak::new();
        }
    }
}
