//! One connection for many reads at once, each on its way before the one before it has its answer.
//!
//! Whoever looks at thousands of sessions waits for the way to the server and back, not for the server; and with a
//! connection for each of them, nobody else would have one.

use std::sync::{Arc, Weak};

use deadpool_postgres::Object;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::connect::ANSWER;
use super::pool::Lines;
use super::run::{given_up, on, within};
use crate::store::error::DbError;
use crate::store::statement::{Answer, Call};

/// The connection that is shared, for as long as somebody uses it. It is the pool's, and goes back to it.
#[derive(Default)]
pub(super) struct Shared(Mutex<Weak<Object>>);

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
            // Where others wait on it, the last of them sees to it: answered, it is as good as any.
            let line = Arc::into_inner(line);
            match failure {
                Some(failure) if failure.again && !tried => {
                    tried = true;
                    drop(line.map(Object::take));
                }
                failure => return Err(given_up(lines, line, failure)),
            }
        }
    }

    async fn line(&self, lines: &Lines) -> Result<Arc<Object>, DbError> {
        let mut shared = self.0.lock().await;
        if let Some(line) = shared.upgrade().filter(|line| !line.is_closed()) {
            return Ok(line);
        }
        let line = Arc::new(lines.line().await?);
        *shared = Arc::downgrade(&line);
        Ok(line)
    }

    /// Nobody else is to come to this one.
    async fn leave(&self, line: &Arc<Object>) {
        let mut shared = self.0.lock().await;
        if shared.as_ptr() == Arc::as_ptr(line) {
            *shared = Weak::new();
        }
    }
}
