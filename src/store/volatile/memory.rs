//! Volatile entries in this process, gone with it.
//!
//! One lock over everything, held for microseconds and never across an await. Memory is bounded by the number
//! and the bytes of the entries of each kind, and by the number of counters. When a kind is full, what has expired goes first; then the entry
//! that would expire next, if strangers can make entries of that kind; where they cannot, the new one is
//! refused, and nobody who is logged in is thrown out. Counters: see [`super::counters`].

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::counters::Counters;
use super::shelf::{Room, Shelf};
use super::{Entry, Key, Kind, NewEntry, Tally, Volatile, VolatileError, checked};
use crate::base::time::Timestamp;

/// How many entries of each kind, and how many counters, unless told otherwise. With keys and the orders they
/// are kept in, a full kind takes about 100 MB.
const ENTRIES: usize = 100_000;
/// How many bytes the values of each kind take together.
const BYTES: usize = 64 * 1024 * 1024;

/// Volatile entries in memory.
pub struct Memory {
    room: Room,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    shelves: BTreeMap<Kind, Shelf>,
    counters: Counters,
    /// The last version given out. One count for all, so that none is ever used again.
    version: i64,
}

impl Default for Memory {
    fn default() -> Self {
        Self::with_room(ENTRIES)
    }
}

impl Memory {
    /// For at most so many entries of each kind, and as many counters.
    #[must_use]
    pub fn with_room(entries: usize) -> Self {
        let room = Room {
            entries,
            bytes: BYTES,
        };
        Self {
            room,
            state: Mutex::default(),
        }
    }

    /// A panic while the lock was held cannot leave it half changed in a way that opens anything, and is no
    /// reason to lock everybody out.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn of(&mut self, kind: Kind) -> &mut Shelf {
        self.shelves.entry(kind).or_default()
    }

    fn next_version(&mut self) -> i64 {
        self.version = self.version.wrapping_add(1);
        self.version
    }

    /// Puts a new entry where there is room, or can be made.
    fn put(
        &mut self,
        kind: Kind,
        new: NewEntry,
        now: Timestamp,
        room: Room,
    ) -> Result<(), VolatileError> {
        let version = self.next_version();
        let entries = self.of(kind);
        let until = if kind.gives_way() {
            Timestamp::from_millis(i64::MAX)
        } else {
            now
        };
        while entries.is_full(room, new.value.len()) && entries.pop(until) {}
        if entries.is_full(room, new.value.len()) {
            return Err(VolatileError::Full(kind));
        }
        let NewEntry {
            key,
            value,
            owner,
            expires_at,
        } = new;
        entries.put(Entry {
            key,
            value,
            owner,
            version,
            created_at: now,
            expires_at,
        });
        Ok(())
    }
}

#[async_trait]
impl Volatile for Memory {
    async fn create(
        &self,
        kind: Kind,
        new: NewEntry,
        now: Timestamp,
    ) -> Result<bool, VolatileError> {
        let new = new.checked()?;
        let mut state = self.state();
        if state.of(kind).get(&new.key, now).is_some() {
            return Ok(false);
        }
        state.put(kind, new, now, self.room).map(|()| true)
    }

    async fn create_capped(
        &self,
        kind: Kind,
        new: NewEntry,
        cap: u32,
        now: Timestamp,
    ) -> Result<Option<Vec<Key>>, VolatileError> {
        let new = new.checked()?;
        let mut state = self.state();
        let entries = state.of(kind);
        if entries.get(&new.key, now).is_some() {
            return Ok(None);
        }
        let (mut live, mut ended): (Vec<Key>, Vec<Key>) = new
            .owner
            .map_or_else(Vec::new, |owner| entries.keys_of(owner))
            .into_iter()
            .partition(|key| entries.get(key, now).is_some());
        let is_ahead = |entry: &Entry| entry.created_at.is_ahead_of(now);
        live.sort_by_key(|key| !entries.get(key, now).is_some_and(is_ahead));
        let kept = usize::try_from(cap.saturating_sub(1)).unwrap_or(usize::MAX);
        ended.extend(live.iter().take(live.len().saturating_sub(kept)));
        let removed: Vec<_> = ended.iter().filter_map(|key| entries.remove(key)).collect();
        if let Err(full) = state.put(kind, new, now, self.room) {
            // What is refused has changed nothing.
            let entries = state.of(kind);
            for entry in removed {
                entries.put(entry);
            }
            return Err(full);
        }
        Ok(Some(ended))
    }

    async fn replace(
        &self,
        kind: Kind,
        key: &Key,
        version: i64,
        value: Vec<u8>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<i64>, VolatileError> {
        checked(&value)?;
        let mut state = self.state();
        let next = state.next_version();
        let entries = state.of(kind);
        let Some(entry) = entries
            .get(key, now)
            .filter(|entry| entry.version == version)
            .cloned()
        else {
            return Ok(None);
        };
        if !entries.may_grow(self.room, value.len().saturating_sub(entry.value.len())) {
            return Err(VolatileError::Full(kind));
        }
        entries.put(Entry {
            value,
            expires_at,
            version: next,
            ..entry
        });
        Ok(Some(next))
    }

    async fn get(
        &self,
        kind: Kind,
        key: &Key,
        now: Timestamp,
    ) -> Result<Option<Entry>, VolatileError> {
        Ok(self.state().of(kind).get(key, now).cloned())
    }

    async fn take(
        &self,
        kind: Kind,
        key: &Key,
        now: Timestamp,
    ) -> Result<Option<Entry>, VolatileError> {
        Ok(self
            .state()
            .of(kind)
            .remove(key)
            .filter(|entry| entry.expires_at > now))
    }

    async fn delete(&self, kind: Kind, key: &Key) -> Result<bool, VolatileError> {
        Ok(self.state().of(kind).remove(key).is_some())
    }

    async fn owned(
        &self,
        kind: Kind,
        owner: i64,
        now: Timestamp,
    ) -> Result<Vec<Entry>, VolatileError> {
        let mut state = self.state();
        let entries = state.of(kind);
        Ok(entries
            .keys_of(owner)
            .iter()
            .filter_map(|key| entries.get(key, now).cloned())
            .collect())
    }

    async fn delete_owned(
        &self,
        kind: Kind,
        owner: i64,
        except: Option<&Key>,
    ) -> Result<Vec<Key>, VolatileError> {
        let mut state = self.state();
        let entries = state.of(kind);
        let mut keys = entries.keys_of(owner);
        keys.retain(|key| Some(key) != except);
        for key in &keys {
            entries.remove(key);
        }
        Ok(keys)
    }

    async fn delete_all(&self, kind: Kind, now: Timestamp) -> Result<Vec<Key>, VolatileError> {
        let gone = std::mem::take(self.state().of(kind));
        Ok(gone.after(None, now).map(|entry| entry.key).collect())
    }

    async fn forget(&self, owner: i64) -> Result<u64, VolatileError> {
        let mut state = self.state();
        let mut forgotten = 0;
        for entries in state.shelves.values_mut() {
            for key in entries.keys_of(owner) {
                forgotten += u64::from(entries.remove(&key).is_some());
            }
        }
        Ok(forgotten)
    }

    async fn scan(
        &self,
        kind: Kind,
        after: Option<&Key>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Entry>, VolatileError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(self
            .state()
            .of(kind)
            .after(after, now)
            .take(limit)
            .cloned()
            .collect())
    }

    async fn live(&self, kind: Kind, now: Timestamp) -> Result<u64, VolatileError> {
        Ok(u64::try_from(self.state().of(kind).live(now)).unwrap_or(u64::MAX))
    }

    async fn count(
        &self,
        kind: Kind,
        key: &Key,
        window: Duration,
        now: Timestamp,
    ) -> Result<Tally, VolatileError> {
        Ok(self
            .state()
            .counters
            .count((kind, *key), now.plus(window), now, self.room.entries))
    }

    async fn peek(
        &self,
        kind: Kind,
        key: &Key,
        now: Timestamp,
    ) -> Result<Option<Tally>, VolatileError> {
        Ok(self.state().counters.peek(&(kind, *key), now))
    }

    async fn reset(&self, kind: Kind, key: &Key) -> Result<(), VolatileError> {
        self.state().counters.remove(&(kind, *key));
        Ok(())
    }

    async fn sweep(&self, now: Timestamp, batch: u32) -> Result<u64, VolatileError> {
        let mut state = self.state();
        let mut swept = 0;
        for entries in state.shelves.values_mut() {
            swept += (0..batch).take_while(|_| entries.pop(now)).count();
        }
        swept += (0..batch).take_while(|_| state.counters.pop(now)).count();
        Ok(u64::try_from(swept).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
