//! The bounded pool that passwords are hashed on.
//!
//! A hash takes tens of milliseconds and megabytes by design. As many run at once as there are cores, a
//! short queue waits, and the rest is told to come back: a login flood must not stop proxied traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// The pool. Clones share it.
#[derive(Clone, Debug)]
pub struct Hashing {
    running: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    queue: usize,
}

/// The queue is full, or the work was lost with its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are waiting to be hashed")]
pub struct Busy;

/// Counts a waiting caller as long as it lives, also when its future is dropped.
struct Place(Arc<AtomicUsize>);

/// How many may wait for each one that runs: at 25 ms a hash, the last of them waits under a second.
const QUEUE_PER_CORE: usize = 32;

impl Hashing {
    /// A pool for so many cores, at least one.
    #[must_use]
    pub fn new(cores: usize) -> Self {
        let cores = cores.max(1);
        Self {
            running: Arc::new(Semaphore::new(cores)),
            waiting: Arc::default(),
            queue: cores * QUEUE_PER_CORE,
        }
    }

    /// Runs `work` on a blocking thread when it is its turn.
    ///
    /// # Errors
    /// When the queue is full.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let place = Place::take(&self.waiting, self.queue)?;
        let permit = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(|_| Busy)?;
        drop(place);
        // The permit goes with the work: a caller that leaves does not make room for one more at once.
        let task = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        task.await.map_err(|_| Busy)
    }

    /// How many are waiting, for `portcullis_password_queue`.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Place {
    fn take(waiting: &Arc<AtomicUsize>, queue: usize) -> Result<Self, Busy> {
        let place = Self(Arc::clone(waiting));
        match waiting.fetch_add(1, Ordering::AcqRel) {
            ahead if ahead < queue => Ok(place),
            _ => Err(Busy),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn a_10_the_queue_is_bounded_and_a_caller_that_leaves_makes_room() {
        let pool = Hashing::new(1);
        let (release, blocked) = mpsc::channel::<()>();
        let (started, running) = tokio::sync::oneshot::channel();
        let busy = tokio::spawn({
            let pool = pool.clone();
            async move {
                pool.run(move || {
                    let _ = started.send(());
                    let _ = blocked.recv();
                })
                .await
            }
        });
        running.await.unwrap();
        let mut waiting: Vec<_> = (0..QUEUE_PER_CORE)
            .map(|_| Box::pin(pool.run(|| ())))
            .collect();
        for future in &mut waiting {
            assert!(futures_util::poll!(future).is_pending());
        }
        assert_eq!(pool.run(|| ()).await, Err(Busy));
        waiting.pop();
        assert_eq!(pool.waiting(), QUEUE_PER_CORE - 1);
        release.send(()).unwrap();
        busy.await.unwrap().unwrap();
        for future in waiting {
            future.await.unwrap();
        }
        assert_eq!(pool.waiting(), 0);
    }
}
