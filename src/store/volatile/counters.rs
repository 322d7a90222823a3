//! Counters in memory, in bounded number.
//!
//! When there is no room for a new one, the one with the fewest hits gives way. So a flood of keys that are
//! each seen once displaces only its like, and never a counter that is about to stop somebody.

use std::collections::{BTreeMap, BTreeSet};

use super::{Key, Kind, Tally};
use crate::base::time::Timestamp;

type Name = (Kind, Key);

/// Counters by name, by hits, and by end. The three always hold the same counters.
#[derive(Default)]
pub(super) struct Counters {
    tallies: BTreeMap<Name, Tally>,
    fewest: BTreeSet<(u64, Timestamp, Name)>,
    ends: BTreeSet<(Timestamp, Name)>,
}

impl Counters {
    pub(super) fn count(
        &mut self,
        name: Name,
        until: Timestamp,
        now: Timestamp,
        room: usize,
    ) -> Tally {
        let tally = match self.remove(&name) {
            Some(old) if old.ends_at > now => Tally {
                count: old.count.saturating_add(1),
                ends_at: old.ends_at.min(until),
            },
            _ => Tally {
                count: 1,
                ends_at: until,
            },
        };
        while self.tallies.len() >= room.max(1) && (self.pop(now) || self.displace()) {}
        self.tallies.insert(name, tally);
        self.fewest.insert((tally.count, tally.ends_at, name));
        self.ends.insert((tally.ends_at, name));
        tally
    }

    pub(super) fn peek(&self, name: &Name, now: Timestamp) -> Option<Tally> {
        self.tallies
            .get(name)
            .filter(|tally| tally.ends_at > now)
            .copied()
    }

    pub(super) fn remove(&mut self, name: &Name) -> Option<Tally> {
        let tally = self.tallies.remove(name)?;
        self.fewest.remove(&(tally.count, tally.ends_at, *name));
        self.ends.remove(&(tally.ends_at, *name));
        Some(tally)
    }

    /// Removes a counter that has ended; says whether there was one.
    pub(super) fn pop(&mut self, now: Timestamp) -> bool {
        let first = self
            .ends
            .first()
            .filter(|(at, _)| *at <= now)
            .map(|(_, name)| *name);
        first.is_some_and(|name| self.remove(&name).is_some())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.tallies.len()
    }

    fn displace(&mut self) -> bool {
        let fewest = self.fewest.first().map(|(_, _, name)| *name);
        fewest.is_some_and(|name| self.remove(&name).is_some())
    }
}
