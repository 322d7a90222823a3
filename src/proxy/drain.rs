//! Going down in order: no new connections, `Connection: close` and GOAWAY on the open ones, a while for those that
//! are idle to hear of it, and an end when the last request is answered or time is up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use pingora::server::ShutdownWatch;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// How long idle connections are kept open for one more request. To close one at once is to fail whatever is on its
/// way; a client that uses its connections is told within this time, and one that does not has nothing to lose.
const LINGER: Duration = Duration::from_secs(5);

/// Counts what is in flight, and says whether the gateway is going down. Clones share it.
#[derive(Clone, Debug)]
pub struct Drain(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    draining: AtomicBool,
    stop_accepting: CancellationToken,
    close_idle: CancellationToken,
    goodbye: watch::Sender<bool>,
    requests: Gauge,
    connections: Gauge,
}

/// A count that can be waited for to be nought.
#[derive(Debug, Default)]
struct Gauge {
    count: AtomicUsize,
    nought: Notify,
}

/// A request in flight, until it is dropped.
#[derive(Debug)]
pub struct Busy(Arc<Inner>);

/// An open connection, until it is dropped.
#[derive(Debug)]
pub struct Open(Arc<Inner>);

impl Default for Drain {
    fn default() -> Self {
        Self(Arc::new(Inner {
            draining: AtomicBool::new(false),
            stop_accepting: CancellationToken::new(),
            close_idle: CancellationToken::new(),
            goodbye: watch::Sender::new(false),
            requests: Gauge::default(),
            connections: Gauge::default(),
        }))
    }
}

impl Drain {
    /// A request has been read; it is in flight until the result is dropped.
    #[must_use]
    pub fn admitted(&self) -> Busy {
        self.0.requests.add();
        Busy(Arc::clone(&self.0))
    }

    /// A connection has been accepted; it is open until the result is dropped.
    #[must_use]
    pub fn connected(&self) -> Open {
        self.0.connections.add();
        Open(Arc::clone(&self.0))
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

    /// Cancelled when connections without a request are to be closed.
    #[must_use]
    pub fn close_idle(&self) -> &CancellationToken {
        &self.0.close_idle
    }

    /// Turns to true when the gateway is going down; HTTP/2 connections then say GOAWAY.
    #[must_use]
    pub fn goodbye(&self) -> ShutdownWatch {
        self.0.goodbye.subscribe()
    }

    /// Stops accepting, and waits until nothing is in flight or time is up; whether it became idle.
    pub async fn run(&self, longest: Duration) -> bool {
        let began = Instant::now();
        self.0.draining.store(true, Ordering::Release);
        self.0.goodbye.send_replace(true);
        self.0.stop_accepting.cancel();
        let lingered = timeout_at(began + LINGER.min(longest), self.0.connections.is_nought());
        // That some are left is no fault: they are idle, or waited for below.
        let _ = lingered.await;
        self.0.close_idle.cancel();
        timeout_at(began + longest, self.0.requests.is_nought())
            .await
            .is_ok()
    }
}

impl Gauge {
    fn add(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    fn remove(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.nought.notify_waiters();
        }
    }

    async fn is_nought(&self) {
        loop {
            let notified = self.nought.notified();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            notified.await;
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.requests.remove();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.remove();
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

    #[tokio::test(start_paused = true)]
    async fn g_13_idle_connections_are_given_a_while() {
        let began = Instant::now();
        assert!(Drain::default().run(Duration::from_secs(30)).await);
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody to wait for");
        let drain = Drain::default();
        let open = drain.connected();
        let waiting = tokio::spawn({
            let drain = drain.clone();
            async move { drain.run(Duration::from_secs(30)).await }
        });
        drain.stop_accepting().cancelled().await;
        assert!(*drain.goodbye().borrow() && !drain.close_idle().is_cancelled());
        drain.close_idle().cancelled().await;
        assert_eq!(began.elapsed(), LINGER);
        // Told to close; the process need not wait for it.
        assert!(waiting.await.unwrap());
        drop(open);
    }
}
