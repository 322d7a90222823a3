//! Volatile entries as rows of a database, there and back.

use super::{Entry, Key, Kind, NewEntry, Tally};
use crate::base::time::Timestamp;
use crate::store::error::DbError;
use crate::store::statement::{Row, Value};

/// The values of a new row, in the order of the columns: kind, key, owner, value, version, created, expires.
pub(super) fn row(kind: Kind, new: NewEntry, version: i64, now: Timestamp) -> [Value; 7] {
    let NewEntry {
        key,
        value,
        owner,
        expires_at,
    } = new;
    [
        kind.into(),
        (&key).into(),
        owner.into(),
        value.into(),
        version.into(),
        now.into(),
        expires_at.into(),
    ]
}

impl Entry {
    pub(super) fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            key: read_key(row)?,
            value: row.get("value")?,
            owner: row.get("owner")?,
            version: row.get("version")?,
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
        })
    }
}

impl Tally {
    pub(super) fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            count: row.get("hits")?,
            ends_at: row.get("ends_at")?,
        })
    }
}

pub(super) fn read_key(row: &Row) -> Result<Key, DbError> {
    let bytes: Vec<u8> = row.get("key")?;
    Key::try_from(bytes.as_slice()).map_err(|e| DbError::corrupt("key", e))
}

impl From<Kind> for Value {
    fn from(kind: Kind) -> Self {
        kind.as_str().into()
    }
}

impl From<&Key> for Value {
    fn from(key: &Key) -> Self {
        key.as_bytes().as_slice().into()
    }
}
