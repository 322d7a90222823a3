//! Places of which so many may be taken at a time: for what costs memory for as long as it lasts.
//!
//! Whoever is turned away is not queued: waiting costs memory, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Places that are taken. How many there are is said when one is asked for, so that a reload may change it.
#[derive(Debug, Default)]
pub struct Places(Arc<AtomicUsize>);

/// One that is taken, until it is dropped.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Places {
    /// A place, where fewer than `most` are taken.
    #[must_use]
    pub fn take(&self, most: usize) -> Option<Place> {
        let one_more = |taken: usize| (taken < most).then_some(taken + 1);
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.is_ok().then(|| Place(Arc::clone(&self.0)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_taken_than_there_are() {
        let places = Places::default();
        let mut held: Vec<_> = (0..3).map(|_| places.take(3).unwrap()).collect();
        assert!(places.take(3).is_none());
        assert!(places.take(4).is_some(), "a reload may make room");
        held.pop();
        assert!(places.take(3).is_some());
        assert!(places.take(2).is_none());
    }

    #[test]
    fn whoever_is_turned_away_takes_no_place() {
        let places = Places::default();
        let _held = places.take(1).unwrap();
        for _ in 0..10 {
            assert!(places.take(1).is_none());
        }
        assert!(places.take(2).is_some());
    }
}
