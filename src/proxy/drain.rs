//! Going down in order: no new connections, `Connection: close` on the open ones, and an end when the last
//! request is answered or time is up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Counts what is in flight, and says whether the gateway is going down. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Drain(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    draining: AtomicBool,
    stop_accepting: CancellationToken,
    busy: AtomicUsize,
    idle: Notify,
}

/// A request in flight, until it is dropped.
#[derive(Debug)]
pub struct Busy(Arc<Inner>);

impl Drain {
    /// A request has been read; it is in flight until the result is dropped.
    #[must_use]
    pub fn admitted(&self) -> Busy {
        self.0.busy.fetch_add(1, Ordering::AcqRel);
        Busy(Arc::clone(&self.0))
    }

    /// Whether the gateway is going down: answers then close their connections.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// Cancelled when no new connections are to be accepted.
    #[must_use]
    pub fn stop_accepting(&self) -> &CancellationToken {
        &self.0.stop_accepting
    }

    /// Stops accepting, and waits until nothing is in flight or time is up; whether it became idle.
    pub async fn run(&self, longest: Duration) -> bool {
        self.0.draining.store(true, Ordering::Release);
        self.0.stop_accepting.cancel();
        let idle = async {
            loop {
                let notified = self.0.idle.notified();
                if self.0.busy.load(Ordering::Acquire) == 0 {
                    return;
                }
                notified.await;
            }
        };
        tokio::time::timeout(longest, idle).await.is_ok()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.busy.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn g_13_waits_for_what_is_in_flight_and_not_for_ever() {
        let drain = Drain::default();
        let busy = drain.admitted();
        let waiting = tokio::spawn({
            let drain = drain.clone();
            async move { drain.run(Duration::from_secs(30)).await }
        });
        while !drain.is_draining() {
            tokio::task::yield_now().await;
        }
        assert!(drain.stop_accepting().is_cancelled() && !waiting.is_finished());
        drop(busy);
        assert!(waiting.await.unwrap());
        let _stuck = drain.admitted();
        assert!(!drain.run(Duration::from_secs(30)).await);
    }
}
