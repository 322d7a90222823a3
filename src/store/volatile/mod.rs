//! Everything with an expiry: sessions, login steps, codes, counters.
//!
//! An entry is a few bytes under a key that is a hash. It is made once, may be replaced by whoever has seen its
//! latest version, and once gone never comes back by a replace: that is why "last seen" is one. What may be
//! used once is taken. A counter counts what happens within a window, and tells each caller its own number, so
//! that of fifty at the edge of a limit exactly the limit's number get through.
//!
//! Nothing here knows what is in an entry. `now` comes from the caller; an entry that has expired is absent,
//! whether or not it has been swept. The suite in `store::conformance` holds for every implementation.

mod counters;
mod key;
mod memory;
mod row;
mod shelf;
pub(super) mod sql;

use std::time::Duration;

use async_trait::async_trait;

use crate::base::random::NoRandomness;
use crate::base::time::Timestamp;

use super::error::DbError;

pub use self::key::{Key, NotAKey};
pub use self::memory::Memory;
pub use self::sql::Sql;

/// What an entry or a counter is for. Keys of different kinds never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Somebody is logged in.
    Session,
    /// Somebody is about to: the browser's side of a login.
    Flow,
    /// How often something was tried.
    Throttle,
    /// A program may ask for its next tokens.
    Refresh,
    /// A program has asked for its next tokens with this one.
    Spent,
    /// Somebody may choose another password: behind a link in a mail.
    Reset,
    /// Somebody may prove that an address is theirs: behind a link in a mail.
    Verify,
    /// Somebody may take another address: behind a link in a mail.
    NewEmail,
    /// Somebody may make an account.
    Invitation,
    /// Somebody wants an account, and has to prove an address first.
    Registration,
}

/// An entry to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// Under which key.
    pub key: Key,
    /// What it holds; at most [`VALUE_MAX`] bytes.
    pub value: Vec<u8>,
    /// Whose it is: a user's number.
    pub owner: Option<i64>,
    /// From when on it is absent.
    pub expires_at: Timestamp,
}

/// A live entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: Key,
    /// What it holds.
    pub value: Vec<u8>,
    /// Whose it is.
    pub owner: Option<i64>,
    /// Changes with every replace, and is not used again for another entry under the same key.
    pub version: i64,
    /// When it was made; a replace does not change it.
    pub created_at: Timestamp,
    /// From when on it is absent.
    pub expires_at: Timestamp,
}

/// What a counter shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// How often, the caller's own time included.
    pub count: u64,
    /// When it begins again at nothing.
    pub ends_at: Timestamp,
}

/// How many bytes an entry holds at most.
pub const VALUE_MAX: usize = 64 * 1024;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VolatileError {
    /// There is no room for another entry of a kind that must not push out others.
    #[error("there is no room for another {}", .0.as_str())]
    Full(Kind),
    /// The value has too many bytes.
    #[error("a value of {0} bytes is too large")]
    TooLarge(usize),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A place for everything with an expiry.
#[async_trait]
pub trait Volatile: Send + Sync {
    /// Makes an entry, unless a live one is there; says whether it did.
    async fn create(
        &self,
        kind: Kind,
        new: NewEntry,
        now: Timestamp,
    ) -> Result<bool, VolatileError>;

    /// Makes an entry and ends the oldest others of its owner, so that at most `cap` are live, also when many
    /// come at once; before them those that a clock made which was ahead, for they outlive all others and count for
    /// nothing. Gives the keys of those that were ended, or `None` when the key is taken, and then nothing
    /// has changed. An entry without an owner is not capped.
    async fn create_capped(
        &self,
        kind: Kind,
        new: NewEntry,
        cap: u32,
        now: Timestamp,
    ) -> Result<Option<Vec<Key>>, VolatileError>;

    /// Replaces what a live entry holds and when it expires, if its version is still `version`. Gives the new
    /// version, or `None` when the entry has changed, expired, or gone: then it stays so.
    ///
    /// Other nodes are not told of it: what they must notice at once is deleted, and made anew.
    async fn replace(
        &self,
        kind: Kind,
        key: &Key,
        version: i64,
        value: Vec<u8>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<i64>, VolatileError>;

    /// The live entry under a key.
    async fn get(
        &self,
        kind: Kind,
        key: &Key,
        now: Timestamp,
    ) -> Result<Option<Entry>, VolatileError>;

    /// Removes a live entry and gives it to exactly one of those who ask.
    async fn take(
        &self,
        kind: Kind,
        key: &Key,
        now: Timestamp,
    ) -> Result<Option<Entry>, VolatileError>;

    /// Removes an entry; says whether there was one.
    async fn delete(&self, kind: Kind, key: &Key) -> Result<bool, VolatileError>;

    /// The live entries of an owner, oldest first.
    async fn owned(
        &self,
        kind: Kind,
        owner: i64,
        now: Timestamp,
    ) -> Result<Vec<Entry>, VolatileError>;

    /// Removes the entries of an owner, but for one perhaps; gives the keys of those removed.
    async fn delete_owned(
        &self,
        kind: Kind,
        owner: i64,
        except: Option<&Key>,
    ) -> Result<Vec<Key>, VolatileError>;

    /// Removes every entry of a kind, all at once; gives the keys of those that were live.
    async fn delete_all(&self, kind: Kind, now: Timestamp) -> Result<Vec<Key>, VolatileError>;

    /// Removes everything of an owner, of every kind; says how many entries that were.
    async fn forget(&self, owner: i64) -> Result<u64, VolatileError>;

    /// Up to `limit` live entries in the order of their keys, those after `after`.
    async fn scan(
        &self,
        kind: Kind,
        after: Option<&Key>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Entry>, VolatileError>;

    /// How many live entries there are.
    async fn live(&self, kind: Kind, now: Timestamp) -> Result<u64, VolatileError>;

    /// Counts one more, and says how many that makes since the window began: with the first one counted. A
    /// window ends at most `window` from now, even if the clock was set back since it began.
    async fn count(
        &self,
        kind: Kind,
        key: &Key,
        window: Duration,
        now: Timestamp,
    ) -> Result<Tally, VolatileError>;

    /// What a counter shows, without counting; `None` when its window has ended.
    async fn peek(
        &self,
        kind: Kind,
        key: &Key,
        now: Timestamp,
    ) -> Result<Option<Tally>, VolatileError>;

    /// Begins a counter anew.
    async fn reset(&self, kind: Kind, key: &Key) -> Result<(), VolatileError>;

    /// Removes up to `batch` entries and as many counters that have expired; says how many that were. Repeat it
    /// while that is not zero.
    async fn sweep(&self, now: Timestamp, batch: u32) -> Result<u64, VolatileError>;
}

impl Kind {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Flow => "flow",
            Self::Throttle => "throttle",
            Self::Refresh => "refresh",
            Self::Spent => "spent",
            Self::Reset => "reset",
            Self::Verify => "verify",
            Self::NewEmail => "new_email",
            Self::Invitation => "invitation",
            Self::Registration => "registration",
        }
    }

    /// Whether every node must notice at once when one is gone: what is remembered between requests rests on it.
    const fn is_remembered(self) -> bool {
        matches!(self, Self::Session)
    }

    /// Whether, where room is short, a new entry takes the place of the one that would expire first. What
    /// strangers can make without proving anything must not be able to push out what was proved.
    const fn gives_way(self) -> bool {
        match self {
            Self::Flow | Self::Throttle | Self::Registration | Self::Spent => true,
            Self::Session
            | Self::Refresh
            | Self::Reset
            | Self::Verify
            | Self::NewEmail
            | Self::Invitation => false,
        }
    }
}

impl NewEntry {
    fn checked(self) -> Result<Self, VolatileError> {
        checked(&self.value).map(|()| self)
    }
}

fn checked(value: &[u8]) -> Result<(), VolatileError> {
    match value.len() {
        n if n > VALUE_MAX => Err(VolatileError::TooLarge(n)),
        _ => Ok(()),
    }
}

impl From<NoRandomness> for VolatileError {
    fn from(error: NoRandomness) -> Self {
        Self::Db(DbError::unavailable(error.to_string()))
    }
}
