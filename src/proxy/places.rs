//! Places of which so many may be taken at a time: for what costs memory for as long as it lasts.
//!
//! Whoever is turned away is not queued: waiting costs memory, too.

use std::sync::Arc;

/// Places, counted by who holds one. How many there are is said when one is asked for, so that a reload may change it.
#[derive(Debug, Default)]
pub struct Places(Arc<()>);

/// One that is taken, until it is dropped.
#[derive(Debug)]
pub struct Place {
    _held: Arc<()>,
}

impl Places {
    /// A place, where fewer than `most` are taken.
    #[must_use]
    pub fn take(&self, most: usize) -> Option<Place> {
        let held = Arc::clone(&self.0);
        // One is ours, and one the new one's.
        let taken = Arc::strong_count(&held) - 2;
        (taken < most).then_some(Place { _held: held })
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
