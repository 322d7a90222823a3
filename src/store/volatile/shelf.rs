//! The entries of one kind, in memory, with the orders they are looked up by.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, Key};
use crate::base::time::Timestamp;

/// How much a shelf holds at most.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub(super) entries: usize,
    pub(super) bytes: usize,
}

/// Entries by key, by expiry, and by owner and age. The three always hold the same entries.
#[derive(Default)]
pub(super) struct Shelf {
    entries: BTreeMap<Key, Entry>,
    /// Of all values together.
    bytes: usize,
    expiry: BTreeSet<(Timestamp, Key)>,
    owners: BTreeSet<(i64, Timestamp, Key)>,
}

impl Shelf {
    /// Whether another entry with a value of so many bytes would be too much.
    pub(super) fn is_full(&self, room: Room, more: usize) -> bool {
        self.entries.len() >= room.entries || self.bytes.saturating_add(more) > room.bytes
    }

    /// Whether values may grow by so many bytes.
    pub(super) fn may_grow(&self, room: Room, more: usize) -> bool {
        more == 0 || self.bytes.saturating_add(more) <= room.bytes
    }

    pub(super) fn get(&self, key: &Key, now: Timestamp) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| entry.expires_at > now)
    }

    pub(super) fn put(&mut self, entry: Entry) {
        self.remove(&entry.key);
        self.bytes += entry.value.len();
        self.expiry.insert((entry.expires_at, entry.key));
        if let Some(owner) = entry.owner {
            self.owners.insert((owner, entry.created_at, entry.key));
        }
        self.entries.insert(entry.key, entry);
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.bytes -= entry.value.len();
        self.expiry.remove(&(entry.expires_at, entry.key));
        if let Some(owner) = entry.owner {
            self.owners.remove(&(owner, entry.created_at, entry.key));
        }
        Some(entry)
    }

    /// The keys of an owner, oldest first, expired ones included.
    pub(super) fn keys_of(&self, owner: i64) -> Vec<Key> {
        let least = (owner, Timestamp::from_millis(i64::MIN), Key::LEAST);
        self.owners
            .range(least..)
            .take_while(|(whose, _, _)| *whose == owner)
            .map(|(_, _, key)| *key)
            .collect()
    }

    /// The live entries behind `after`, by key.
    pub(super) fn after(
        &self,
        after: Option<&Key>,
        now: Timestamp,
    ) -> impl Iterator<Item = &Entry> {
        let start = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let behind = self.entries.range((start, std::ops::Bound::Unbounded));
        behind
            .map(|(_, entry)| entry)
            .filter(move |entry| entry.expires_at > now)
    }

    pub(super) fn live(&self, now: Timestamp) -> usize {
        let first_live = (now.plus(std::time::Duration::from_millis(1)), Key::LEAST);
        self.expiry.range(first_live..).count()
    }

    /// Removes what expires first, if that is no later than `until`; says whether there was such an entry.
    pub(super) fn pop(&mut self, until: Timestamp) -> bool {
        let first = self
            .expiry
            .first()
            .filter(|(at, _)| *at <= until)
            .map(|(_, key)| *key);
        first.is_some_and(|key| self.remove(&key).is_some())
    }
}
