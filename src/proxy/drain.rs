//! Going down in order: no new connections, `Connection: close` and GOAWAY on the open ones, a while for those that
//! are idle to hear of it, and an end when the last request is answered or time is up.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use pingora::server::ShutdownWatch;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout_at};
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
    listeners: Gauge,
    requests: Gauge,
    connections: Gauge,
    debts: Mutex<Vec<Weak<Debt>>>,
}

/// How long a client that may not have read everything is waited for while nothing of it is heard.
const QUIET: Duration = Duration::from_secs(10);

/// An answer that its client may not have read to its end, until it is dropped.
#[derive(Debug)]
pub struct Debt(Mutex<Option<Instant>>);

/// A count that can be waited for to be nought.
#[derive(Debug, Default)]
struct Gauge {
    count: AtomicUsize,
    nought: Notify,
}

/// A listener that may still accept connections, until it is dropped.
#[derive(Debug)]
pub struct Accepting(Arc<Inner>);

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
            listeners: Gauge::default(),
            requests: Gauge::default(),
            connections: Gauge::default(),
            debts: Mutex::default(),
        }))
    }
}

impl Drain {
    /// There is a listener; it accepts connections until the result is dropped.
    #[must_use]
    pub fn accepts(&self) -> Accepting {
        self.0.listeners.add();
        Accepting(Arc::clone(&self.0))
    }

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

    /// A client was sent so much that it may not have read all of it; it is waited for until the result is dropped, or it
    /// has been quiet for a while.
    #[must_use]
    pub fn owes(&self) -> Arc<Debt> {
        let debt = Arc::new(Debt(Mutex::default()));
        let mut all = lock(&self.0.debts);
        if all.len() == all.capacity() {
            all.retain(|debt| debt.strong_count() > 0);
        }
        all.push(Arc::downgrade(&debt));
        debt
    }

    /// Something of that client was heard. No clock is read before the gateway goes down.
    pub fn heard(&self, debt: &Debt) {
        if self.is_draining() {
            *lock(&debt.0) = Some(Instant::now());
        }
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

    /// Turns to true when the gateway is going down; HTTP/2 connections then say GOAWAY. That it has turned is news to
    /// whoever comes later, too.
    #[must_use]
    pub fn goodbye(&self) -> ShutdownWatch {
        let mut goodbye = self.0.goodbye.subscribe();
        if *goodbye.borrow() {
            goodbye.mark_changed();
        }
        goodbye
    }

    /// Stops accepting, and waits until nothing is in flight or time is up; whether it became idle.
    pub async fn run(&self, longest: Duration) -> bool {
        let began = Instant::now();
        self.0.draining.store(true, Ordering::Release);
        self.0.goodbye.send_replace(true);
        self.0.stop_accepting.cancel();
        let left = async {
            // Before, nought connections may be one that has come and was not accepted yet.
            self.0.listeners.is_nought().await;
            self.0.connections.is_nought().await;
        };
        let lingered = timeout_at(began + LINGER.min(longest), left);
        // That some are left is no fault: they are idle, or waited for below.
        let _ = lingered.await;
        self.0.close_idle.cancel();
        let idle = timeout_at(began + longest, self.0.requests.is_nought()).await;
        // Nothing is lost to those who are left: they are asleep, or gone.
        let _ = timeout_at(began + longest, self.is_read(began)).await;
        idle.is_ok()
    }

    /// Waits until every client has read what it was sent, or is quiet.
    async fn is_read(&self, began: Instant) {
        const OFTEN: Duration = Duration::from_millis(50);
        let waits = |debt: Arc<Debt>| lock(&debt.0).unwrap_or(began).elapsed() < QUIET;
        while lock(&self.0.debts)
            .iter()
            .filter_map(Weak::upgrade)
            .any(waits)
        {
            sleep(OFTEN).await;
        }
    }
}

fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
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

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.listeners.remove();
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
    async fn g_13_who_has_come_and_was_not_accepted_yet_is_waited_for() {
        let began = Instant::now();
        let drain = Drain::default();
        let accepting = drain.accepts();
        let waiting = tokio::spawn({
            let drain = drain.clone();
            async move { drain.run(Duration::from_secs(30)).await }
        });
        drain.stop_accepting().cancelled().await;
        sleep(Duration::from_secs(1)).await;
        assert!(!drain.close_idle().is_cancelled());
        let open = drain.connected();
        drop(accepting);
        assert!(drain.goodbye().has_changed().unwrap(), "told of what was");
        sleep(Duration::from_secs(1)).await;
        assert!(!drain.close_idle().is_cancelled());
        drop(open);
        assert!(waiting.await.unwrap());
        assert_eq!(began.elapsed(), Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn g_13_who_is_still_reading_is_waited_for_and_who_is_quiet_is_not() {
        let drain = Drain::default();
        let (quiet, reading) = (drain.owes(), drain.owes());
        drain.heard(&reading);
        let began = Instant::now();
        let waiting = tokio::spawn({
            let drain = drain.clone();
            async move { drain.run(Duration::from_mins(5)).await }
        });
        for _ in 0..6 {
            sleep(Duration::from_secs(5)).await;
            drain.heard(&reading);
        }
        assert!(!waiting.is_finished());
        drop(reading);
        assert!(waiting.await.unwrap());
        assert!(began.elapsed() < Duration::from_secs(31));
        let began = Instant::now();
        assert!(drain.run(Duration::from_mins(5)).await);
        assert!(began.elapsed() < QUIET + Duration::from_secs(1));
        drop(quiet);
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
