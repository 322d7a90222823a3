//! The bounded pool that passwords are hashed on.
//!
//! A hash takes tens of milliseconds and megabytes by design. As many run at once as there are cores, a
//! short queue waits, and the rest is told to come back: a login flood must not stop proxied traffic.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use crate::base::net::Origin;

/// The pool. Clones share it.
#[derive(Clone, Debug)]
pub struct Hashing {
    running: Arc<Semaphore>,
    queue: Arc<Queue>,
}

#[derive(Debug)]
struct Queue {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_origin: HashMap<Origin, usize>,
}

/// The queue is full, or the work was lost with its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are waiting to be hashed")]
pub struct Busy;

/// A place in the queue. Counts as long as it lives, also when a future that holds it is dropped.
#[derive(Debug)]
pub struct Place {
    running: Arc<Semaphore>,
    queue: Arc<Queue>,
    origin: Origin,
}

/// How many may wait for each one that runs: at 25 ms a hash, the last of them waits under a second.
const QUEUE_PER_CORE: usize = 32;

impl Hashing {
    /// A pool for so many cores, at least one.
    #[must_use]
    pub fn new(cores: usize) -> Self {
        let cores = cores.max(1);
        Self {
            running: Arc::new(Semaphore::new(cores)),
            queue: Arc::new(Queue {
                most: cores * QUEUE_PER_CORE,
                taken: Mutex::default(),
            }),
        }
    }

    /// Takes a place in the queue. No origin has more of them than are free: alone it gets to half of the queue, and
    /// the more crowd in, the less each gets, so that there is always one for who has none yet.
    ///
    /// # Errors
    /// When the queue is full, or this origin has its part of it.
    pub fn enter(&self, origin: Origin) -> Result<Place, Busy> {
        let mut taken = self.queue.taken();
        let free = self.queue.most.saturating_sub(taken.all);
        if free == 0 {
            return Err(Busy);
        }
        let theirs = taken.by_origin.entry(origin).or_default();
        if *theirs >= free {
            return Err(Busy);
        }
        *theirs += 1;
        taken.all += 1;
        Ok(Place {
            running: Arc::clone(&self.running),
            queue: Arc::clone(&self.queue),
            origin,
        })
    }

    /// Runs `work` of this origin on a blocking thread when it is its turn.
    ///
    /// # Errors
    /// When the queue is full, or this origin has its part of it.
    pub async fn run<T: Send + 'static>(
        &self,
        origin: Origin,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        self.enter(origin)?.run(work).await
    }

    /// How many are waiting, for `portcullis_password_queue`.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.taken().all
    }
}

impl Queue {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Runs `work` on a blocking thread when it is its turn.
    ///
    /// # Errors
    /// When the work was lost with its thread.
    pub async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let permit = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(|_| Busy)?;
        drop(self);
        // The permit goes with the work: a caller that leaves does not make room for one more at once.
        let task = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        task.await.map_err(|_| Busy)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.queue.taken();
        taken.all -= 1;
        if let Some(theirs) = taken.by_origin.get_mut(&self.origin) {
            *theirs -= 1;
            if *theirs == 0 {
                taken.by_origin.remove(&self.origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn origin(last: u8) -> Origin {
        Origin::of([192, 0, 2, last].into())
    }

    #[test]
    fn a_10_one_origin_leaves_room_for_others() {
        let pool = Hashing::new(1);
        let crowd = |last| {
            let places = std::iter::from_fn(|| pool.enter(origin(last)).ok());
            places.collect::<Vec<_>>()
        };
        let crowds: Vec<_> = (1..6).map(crowd).collect();
        let counts: Vec<_> = crowds.iter().map(Vec::len).collect();
        assert_eq!(counts, [16, 8, 4, 2, 1]);
        let newcomer = pool.enter(origin(9)).unwrap();
        assert_eq!(pool.enter(origin(10)).unwrap_err(), Busy);
        drop((crowds, newcomer));
        assert_eq!(pool.waiting(), 0);
        assert!(pool.queue.taken().by_origin.is_empty());
    }

    #[tokio::test]
    async fn a_10_the_queue_is_bounded_and_a_caller_that_leaves_makes_room() {
        let pool = Hashing::new(1);
        let (release, blocked) = mpsc::channel::<()>();
        let (started, running) = tokio::sync::oneshot::channel();
        let busy = tokio::spawn({
            let pool = pool.clone();
            async move {
                pool.run(origin(99), move || {
                    let _ = started.send(());
                    let _ = blocked.recv();
                })
                .await
            }
        });
        running.await.unwrap();
        let mut waiting: Vec<_> = (0..32)
            .map(|last| pool.enter(origin(last)).unwrap())
            .map(|place| Box::pin(place.run(|| ())))
            .collect();
        assert_eq!(waiting.len(), QUEUE_PER_CORE);
        for future in &mut waiting {
            assert!(futures_util::poll!(future).is_pending());
        }
        assert_eq!(pool.run(origin(99), || ()).await, Err(Busy));
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
