//! Volatile entries in the database: they survive a restart, and every process on the database sees them.
//!
//! Each operation is one statement, or one batch behind the owner's lock; none reads first and writes later.

use std::time::Duration;

use async_trait::async_trait;

use super::row::{read_key, row};
use super::{Entry, Key, Kind, NewEntry, Tally, Volatile, VolatileError, checked};
use crate::base::random::Random;
use crate::base::time::{SKEW, Timestamp};
use crate::store::db::Db;
use crate::store::error::DbError;
use crate::store::lock;
use crate::store::statement::{Call, Statement, Value};

/// Volatile entries in a database.
pub struct Sql {
    db: Db,
    random: Random,
}

impl Sql {
    /// Over `db`. The randomness makes the first version of each entry one that its predecessor never had.
    #[must_use]
    pub const fn new(db: Db, random: Random) -> Self {
        Self { db, random }
    }

    fn version(&self) -> Result<i64, VolatileError> {
        // Two bits less than fit, so that counting up from it does not end.
        Ok(i64::from_le_bytes(self.random.bytes()?) & (i64::MAX >> 1))
    }

    async fn entry(&self, call: Call) -> Result<Option<Entry>, VolatileError> {
        Ok(self
            .db
            .one(call)
            .await?
            .as_ref()
            .map(Entry::read)
            .transpose()?)
    }

    async fn entries(&self, call: Call) -> Result<Vec<Entry>, VolatileError> {
        Ok(self
            .db
            .all(call)
            .await?
            .iter()
            .map(Entry::read)
            .collect::<Result<_, _>>()?)
    }

    async fn number(&self, call: Call) -> Result<u64, VolatileError> {
        let row = self.db.one(call).await?;
        Ok(row.map_or(Ok(0), |row| row.get("entries"))?)
    }
}

/// The columns of an [`Entry`].
macro_rules! columns {
    () => {
        "key, owner, value, version, created_at, expires_at"
    };
}

#[async_trait]
impl Volatile for Sql {
    async fn create(
        &self,
        kind: Kind,
        new: NewEntry,
        now: Timestamp,
    ) -> Result<bool, VolatileError> {
        const CREATE: Statement = Statement::quiet(
            "volatile.create",
            "INSERT INTO volatile_entries (kind, key, owner, value, version, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (kind, key) DO UPDATE SET
                 owner = excluded.owner, value = excluded.value, version = excluded.version,
                 created_at = excluded.created_at, expires_at = excluded.expires_at
             WHERE volatile_entries.expires_at <= excluded.created_at",
        );
        let call = CREATE.with(row(kind, new.checked()?, self.version()?, now));
        Ok(self.db.execute(call).await? == 1)
    }

    async fn create_capped(
        &self,
        kind: Kind,
        new: NewEntry,
        cap: u32,
        now: Timestamp,
    ) -> Result<Option<Vec<Key>>, VolatileError> {
        const INSERT: Statement = Statement::quiet(
            "volatile.insert",
            "INSERT INTO volatile_entries (kind, key, owner, value, version, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        );
        let Some(owner) = new.owner else {
            return Ok(self.create(kind, new, now).await?.then(Vec::new));
        };
        let [expired, evict] = make_room(kind, &new.key, owner, cap, now);
        let insert = INSERT.with(row(kind, new.checked()?, self.version()?, now));
        let calls = vec![lock::owner(owner), expired, evict, insert];
        let answers = match self.db.batch("volatile.create_capped", calls).await {
            Err(DbError::Conflict) => return Ok(None),
            answers => answers?,
        };
        let evicted = answers.get(2).map_or(&[][..], |answer| &answer.rows);
        Ok(Some(
            evicted.iter().map(read_key).collect::<Result<_, _>>()?,
        ))
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
        const REPLACE: Statement = Statement::quiet(
            "volatile.replace",
            "UPDATE volatile_entries SET value = $4, expires_at = $5, version = version + 1
             WHERE kind = $1 AND key = $2 AND version = $3 AND expires_at > $6
             RETURNING version",
        );
        checked(&value)?;
        let values = [
            kind.into(),
            key.into(),
            version.into(),
            value.into(),
            expires_at.into(),
            now.into(),
        ];
        let row = self.db.one(REPLACE.with(values)).await?;
        Ok(row.map(|row| row.get("version")).transpose()?)
    }

    async fn get(
        &self,
        kind: Kind,
        key: &Key,
        now: Timestamp,
    ) -> Result<Option<Entry>, VolatileError> {
        const GET: Statement = Statement::read(
            "volatile.get",
            concat!(
                "SELECT ",
                columns!(),
                " FROM volatile_entries WHERE kind = $1 AND key = $2 AND expires_at > $3"
            ),
        );
        self.entry(GET.with([kind.into(), key.into(), now.into()]))
            .await
    }

    async fn take(
        &self,
        kind: Kind,
        key: &Key,
        now: Timestamp,
    ) -> Result<Option<Entry>, VolatileError> {
        const TAKE: Statement = Statement::write(
            "volatile.take",
            concat!(
                "DELETE FROM volatile_entries WHERE kind = $1 AND key = $2 AND expires_at > $3 RETURNING ",
                columns!()
            ),
        );
        self.entry(TAKE.with([kind.into(), key.into(), now.into()]))
            .await
    }

    async fn delete(&self, kind: Kind, key: &Key) -> Result<bool, VolatileError> {
        const ONE: &str = "DELETE FROM volatile_entries WHERE kind = $1 AND key = $2";
        const DELETE: Statement = Statement::write("volatile.delete", ONE);
        const DELETE_QUIETLY: Statement = Statement::quiet("volatile.delete_quietly", ONE);
        let delete = if kind.is_remembered() {
            DELETE
        } else {
            DELETE_QUIETLY
        };
        let gone = self.db.execute(delete.with([kind.into(), key.into()]));
        Ok(gone.await? == 1)
    }

    async fn owned(
        &self,
        kind: Kind,
        owner: i64,
        now: Timestamp,
    ) -> Result<Vec<Entry>, VolatileError> {
        const OWNED: Statement = Statement::read(
            "volatile.owned",
            concat!(
                "SELECT ",
                columns!(),
                " FROM volatile_entries
                 WHERE owner = $1 AND kind = $2 AND expires_at > $3 ORDER BY created_at, key"
            ),
        );
        self.entries(OWNED.with([owner.into(), kind.into(), now.into()]))
            .await
    }

    async fn delete_owned(
        &self,
        kind: Kind,
        owner: i64,
        except: Option<&Key>,
    ) -> Result<Vec<Key>, VolatileError> {
        const DELETE_OWNED: Statement = Statement::write(
            "volatile.delete_owned",
            "DELETE FROM volatile_entries
             WHERE owner = $1 AND kind = $2 AND (CAST($3 AS BYTEA) IS NULL OR key <> $3)
             RETURNING key",
        );
        let rows = self
            .db
            .all(DELETE_OWNED.with([owner.into(), kind.into(), except.into()]))
            .await?;
        Ok(rows.iter().map(read_key).collect::<Result<_, _>>()?)
    }

    async fn delete_all(&self, kind: Kind, now: Timestamp) -> Result<Vec<Key>, VolatileError> {
        const DELETE_ALL: Statement = Statement::write(
            "volatile.delete_all",
            "DELETE FROM volatile_entries WHERE kind = $1
             RETURNING key, CASE WHEN expires_at > $2 THEN 1 ELSE 0 END AS live",
        );
        let rows = self
            .db
            .all(DELETE_ALL.with([kind.into(), now.into()]))
            .await?;
        let live = rows.iter().filter(|row| row.get("live") != Ok(0_i64));
        Ok(live.map(read_key).collect::<Result<_, _>>()?)
    }

    async fn forget(&self, owner: i64) -> Result<u64, VolatileError> {
        const FORGET: Statement = Statement::write(
            "volatile.forget",
            "DELETE FROM volatile_entries WHERE owner = $1",
        );
        Ok(self.db.execute(FORGET.with([owner.into()])).await?)
    }

    async fn scan(
        &self,
        kind: Kind,
        after: Option<&Key>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Entry>, VolatileError> {
        // Every key comes after none. With a word for "from the beginning" the condition could not be looked up in an index.
        let after = after.map_or(Value::Bytes(Vec::new()), Value::from);
        self.entries(SCAN.with([kind.into(), after, now.into(), limit.into()]))
            .await
    }

    async fn live(&self, kind: Kind, now: Timestamp) -> Result<u64, VolatileError> {
        const LIVE: Statement = Statement::read(
            "volatile.live",
            "SELECT COUNT(*) AS entries FROM volatile_entries WHERE kind = $1 AND expires_at > $2",
        );
        self.number(LIVE.with([kind.into(), now.into()])).await
    }

    async fn count(
        &self,
        kind: Kind,
        key: &Key,
        window: Duration,
        now: Timestamp,
    ) -> Result<Tally, VolatileError> {
        const COUNT: Statement = Statement::quiet(
            "volatile.count",
            "INSERT INTO volatile_counters (kind, key, hits, ends_at) VALUES ($1, $2, 1, $3)
             ON CONFLICT (kind, key) DO UPDATE SET
                 hits = CASE WHEN volatile_counters.ends_at <= $4 THEN 1 ELSE volatile_counters.hits + 1 END,
                 ends_at = CASE WHEN volatile_counters.ends_at <= $4 OR volatile_counters.ends_at > $3
                                THEN $3 ELSE volatile_counters.ends_at END
             RETURNING hits, ends_at",
        );
        let call = COUNT.with([kind.into(), key.into(), now.plus(window).into(), now.into()]);
        let row = self
            .db
            .one(call)
            .await?
            .ok_or_else(|| DbError::corrupt("hits", "not in the answer"))?;
        Ok(Tally::read(&row)?)
    }

    async fn peek(
        &self,
        kind: Kind,
        key: &Key,
        now: Timestamp,
    ) -> Result<Option<Tally>, VolatileError> {
        const PEEK: Statement = Statement::read(
            "volatile.peek",
            "SELECT hits, ends_at FROM volatile_counters WHERE kind = $1 AND key = $2 AND ends_at > $3",
        );
        let row = self
            .db
            .one(PEEK.with([kind.into(), key.into(), now.into()]))
            .await?;
        Ok(row.as_ref().map(Tally::read).transpose()?)
    }

    async fn reset(&self, kind: Kind, key: &Key) -> Result<(), VolatileError> {
        const RESET: Statement = Statement::quiet(
            "volatile.reset",
            "DELETE FROM volatile_counters WHERE kind = $1 AND key = $2",
        );
        Ok(self
            .db
            .execute(RESET.with([kind.into(), key.into()]))
            .await
            .map(drop)?)
    }

    async fn sweep(&self, now: Timestamp, batch: u32) -> Result<u64, VolatileError> {
        const ENTRIES: Statement = Statement::quiet(
            "volatile.sweep_entries",
            // Twice: of a row that is prolonged meanwhile, PostgreSQL looks at the outer condition again, and at no other.
            "DELETE FROM volatile_entries WHERE expires_at <= $1 AND (kind, key) IN (
                 SELECT kind, key FROM volatile_entries WHERE expires_at <= $1 LIMIT $2)",
        );
        const COUNTERS: Statement = Statement::quiet(
            "volatile.sweep_counters",
            "DELETE FROM volatile_counters WHERE ends_at <= $1 AND (kind, key) IN (
                 SELECT kind, key FROM volatile_counters WHERE ends_at <= $1 LIMIT $2)",
        );
        let entries = self
            .db
            .execute(ENTRIES.with([now.into(), batch.into()]))
            .await?;
        Ok(entries
            + self
                .db
                .execute(COUNTERS.with([now.into(), batch.into()]))
                .await?)
    }
}

/// A page of entries, in the order of their keys.
pub(in crate::store) const SCAN: Statement = Statement::read(
    "volatile.scan",
    concat!(
        "SELECT ",
        columns!(),
        " FROM volatile_entries
         WHERE kind = $1 AND key > $2 AND expires_at > $3
         ORDER BY key LIMIT $4"
    ),
);

/// Removes an expired entry that is in the way, and the oldest of the owner's, so that the new one is the
/// `cap`th; those of a clock that was ahead before them. The expired ones of the owner go as well.
fn make_room(kind: Kind, key: &Key, owner: i64, cap: u32, now: Timestamp) -> [Call; 2] {
    const EXPIRED: Statement = Statement::quiet(
        "volatile.expired",
        "DELETE FROM volatile_entries WHERE kind = $1 AND key = $2 AND expires_at <= $3",
    );
    const OLDEST: &str =
        "DELETE FROM volatile_entries WHERE owner = $1 AND kind = $2 AND key NOT IN (
             SELECT kept.key FROM volatile_entries kept
             WHERE kept.owner = $1 AND kept.kind = $2 AND kept.expires_at > $3
             ORDER BY kept.created_at <= $5 DESC, kept.created_at DESC, kept.key DESC LIMIT $4)
         RETURNING key";
    const EVICT: Statement = Statement::write("volatile.evict", OLDEST);
    const EVICT_QUIETLY: Statement = Statement::quiet("volatile.evict_quietly", OLDEST);
    let evict = if kind.is_remembered() {
        EVICT
    } else {
        EVICT_QUIETLY
    };
    [
        EXPIRED.with([kind.into(), key.into(), now.into()]),
        evict.with([
            owner.into(),
            kind.into(),
            now.into(),
            cap.saturating_sub(1).into(),
            now.plus(SKEW).into(),
        ]),
    ]
}
