//! How much each origin has open: connections, and requests under way on all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::base::net::Origin;
use crate::telemetry::limit::Limit;

use super::places::{Place, Places};

/// Every origin that has something open.
#[derive(Debug, Default)]
pub struct Origins(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    /// Connections of all origins together.
    all: usize,
    by_origin: HashMap<Origin, Present>,
}

#[derive(Debug, Default)]
struct Present {
    connections: usize,
    crowd: Weak<Crowd>,
}

/// What an origin has under way. It is there for as long as one of its connections or of its requests is: a request over
/// HTTP/2 may outlive its connection, and is to be counted until it ends.
#[derive(Debug)]
pub struct Crowd {
    origins: Arc<Origins>,
    origin: Origin,
    requests: Places,
}

/// One open connection of an origin, until it is dropped.
#[derive(Debug)]
pub struct Seat(Arc<Crowd>);

/// One request of an origin, until it is dropped.
#[derive(Debug)]
pub struct Guest {
    _place: Place,
    _crowd: Arc<Crowd>,
}

impl Origins {
    /// A place for a connection, where its origin has fewer than `most` and all have fewer than `room`.
    ///
    /// # Errors
    /// Which of the two limits was reached.
    pub fn seat(self: &Arc<Self>, origin: Origin, most: usize, room: usize) -> Result<Seat, Limit> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= room {
            return Err(Limit::Connections);
        }
        let present = taken.by_origin.entry(origin).or_default();
        if present.connections >= most {
            return Err(Limit::Address);
        }
        present.connections += 1;
        let crowd = present.crowd.upgrade().unwrap_or_else(|| {
            let crowd = Arc::new(Crowd {
                origins: Arc::clone(self),
                origin,
                requests: Places::default(),
            });
            present.crowd = Arc::downgrade(&crowd);
            crowd
        });
        taken.all += 1;
        Ok(Seat(crowd))
    }
}

impl Crowd {
    /// A place for one more request, where the origin has fewer than `most` under way.
    #[must_use]
    pub fn take(self: &Arc<Self>, most: usize) -> Option<Guest> {
        let place = self.requests.take(most)?;
        Some(Guest {
            _place: place,
            _crowd: Arc::clone(self),
        })
    }
}

impl Seat {
    /// What else its origin has.
    #[must_use]
    pub const fn crowd(&self) -> &Arc<Crowd> {
        &self.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Crowd {
            origins, origin, ..
        } = &*self.0;
        let mut taken = origins.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        if let Some(present) = taken.by_origin.get_mut(origin) {
            present.connections -= 1;
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let mut taken = self
            .origins
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Somebody may have come back between the last of before and now.
        let is_empty = |present: &Present| present.crowd.strong_count() == 0;
        if taken.by_origin.get(&self.origin).is_some_and(is_empty) {
            taken.by_origin.remove(&self.origin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn origin(last: u8) -> Origin {
        Origin::of(Ipv4Addr::new(192, 0, 2, last).into())
    }

    fn known(origins: &Arc<Origins>) -> (usize, usize) {
        let taken = origins.0.lock().unwrap();
        (taken.all, taken.by_origin.len())
    }

    #[test]
    fn b_14_connections_are_counted_by_origin_and_together() {
        let origins = Arc::new(Origins::default());
        let seat = |last, most, room| origins.seat(origin(last), most, room);
        let first = seat(1, 2, 3).unwrap();
        let second = seat(1, 2, 3).unwrap();
        assert_eq!(seat(1, 2, 3).unwrap_err(), Limit::Address);
        let third = seat(2, 2, 3).unwrap();
        assert_eq!(seat(3, 2, 3).unwrap_err(), Limit::Connections);
        assert_eq!(known(&origins), (3, 2));
        drop((first, third));
        assert_eq!(known(&origins), (1, 1));
        drop(second);
        assert_eq!(known(&origins), (0, 0));
    }

    #[test]
    fn b_14_a_request_counts_until_it_ends_and_not_its_connection() {
        let origins = Arc::new(Origins::default());
        let seat = || origins.seat(origin(1), 9, 9).unwrap();
        let first = seat();
        let under_way = first.crowd().take(2).unwrap();
        drop(first);
        assert_eq!(known(&origins), (0, 1));
        let second = seat();
        let more = second.crowd().take(2).unwrap();
        assert!(second.crowd().take(2).is_none());
        drop(under_way);
        assert!(second.crowd().take(2).is_some());
        drop((second, more));
        assert_eq!(known(&origins), (0, 0));
    }
}
