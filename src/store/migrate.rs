//! The schema and its history: numbered scripts, each applied once, in order, under a lock.
//!
//! What was applied is written down with the checksum of its text. A text that has changed since, and a
//! database that a newer program has changed, are refusals: guessing what the tables look like is how data is
//! lost. All that is missing is applied in one transaction, so a death half-way leaves what was there.

use sha2::{Digest, Sha256};

use crate::base::time::Timestamp;

use super::db::{Db, Tx};
use super::error::DbError;
use super::statement::{Row, Statement};

/// A migration this program knows, and when it was applied to the database at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its number; they count up from 1.
    pub version: i64,
    /// Its name.
    pub name: &'static str,
    /// When it was applied, if it was.
    pub applied_at: Option<Timestamp>,
}

/// Why the schema cannot be brought up to date.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MigrateError {
    /// A newer program has been here.
    #[error(
        "the database has migration {0}, which this version does not know; run the newer version"
    )]
    Newer(i64),
    /// The text is not the one that was applied.
    #[error("migration {0} '{1}' is not the one that was applied to this database")]
    Changed(i64, &'static str),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

struct Script {
    version: i64,
    name: &'static str,
    sql: &'static str,
}

/// Every migration there is, in order. A released one is never edited: what is wrong with it, the next one
/// puts right.
const SCRIPTS: &[Script] = &[
    Script {
        version: 1,
        name: "accounts",
        sql: include_str!("migrations/0001_accounts.sql"),
    },
    Script {
        version: 2,
        name: "volatile",
        sql: include_str!("migrations/0002_volatile.sql"),
    },
    Script {
        version: 3,
        name: "keys",
        sql: include_str!("migrations/0003_keys.sql"),
    },
    Script {
        version: 4,
        name: "outbox",
        sql: include_str!("migrations/0004_outbox.sql"),
    },
    Script {
        version: 5,
        name: "password_version",
        sql: include_str!("migrations/0005_password_version.sql"),
    },
    Script {
        version: 6,
        name: "acme",
        sql: include_str!("migrations/0006_acme.sql"),
    },
    Script {
        version: 7,
        name: "names",
        sql: include_str!("migrations/0007_names.sql"),
    },
];

struct Applied {
    version: i64,
    checksum: String,
    at: Timestamp,
}

/// Brings the database up to date and lists what was applied for it. Of two processes that start at once, the
/// second waits and finds nothing left to do. Where that can be seen without, nobody is waited for: somebody else may be writing.
///
/// # Errors
/// [`MigrateError`], and then nothing was changed.
pub async fn apply(db: &Db, now: Timestamp) -> Result<Vec<Migration>, MigrateError> {
    apply_scripts(db, SCRIPTS, now).await
}

/// Lists every migration with when it was applied.
///
/// # Errors
/// As [`apply`].
pub async fn status(db: &Db) -> Result<Vec<Migration>, MigrateError> {
    listed(SCRIPTS, &recorded(db).await?)
}

async fn apply_scripts(
    db: &Db,
    scripts: &[Script],
    now: Timestamp,
) -> Result<Vec<Migration>, MigrateError> {
    let done = listed(scripts, &recorded(db).await?)?;
    if done.iter().all(|migration| migration.applied_at.is_some()) {
        return Ok(Vec::new());
    }
    let mut tx = db.begin_alone().await?;
    let history = applied(&mut tx).await?;
    let mut missing = listed(scripts, &history)?;
    missing.retain(|migration| migration.applied_at.is_none());
    for script in scripts
        .iter()
        .filter(|script| missing.iter().any(|one| one.version == script.version))
    {
        run(&mut tx, db, script, now).await?;
    }
    tx.commit().await?;
    Ok(missing
        .into_iter()
        .map(|one| Migration {
            applied_at: Some(now),
            ..one
        })
        .collect())
}

const LIST: Statement = Statement::read(
    "migrate.list",
    "SELECT version, checksum, applied_at FROM migrations ORDER BY version",
);

/// What was applied, as far as there is a table for it.
async fn recorded(db: &Db) -> Result<Vec<Applied>, DbError> {
    let table = Statement::read("migrate.is_there", db.dialect().table);
    if db.one(table.with(["migrations".into()])).await?.is_none() {
        return Ok(Vec::new());
    }
    let rows = db.all(LIST.with([])).await?;
    rows.iter().map(Applied::read).collect()
}

async fn applied(tx: &mut Tx) -> Result<Vec<Applied>, DbError> {
    const TABLE: Statement = Statement::write(
        "migrate.table",
        "CREATE TABLE IF NOT EXISTS migrations (
             version BIGINT NOT NULL PRIMARY KEY,
             name TEXT NOT NULL,
             checksum TEXT NOT NULL,
             applied_at BIGINT NOT NULL)",
    );
    tx.execute(TABLE.with([])).await?;
    tx.all(LIST.with([]))
        .await?
        .iter()
        .map(Applied::read)
        .collect()
}

impl Applied {
    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            version: row.get("version")?,
            checksum: row.get("checksum")?,
            at: row.get("applied_at")?,
        })
    }
}

async fn run(tx: &mut Tx, db: &Db, script: &Script, now: Timestamp) -> Result<(), DbError> {
    const RECORD: Statement = Statement::write(
        "migrate.record",
        "INSERT INTO migrations (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)",
    );
    tx.script(
        "migrate.apply",
        script.sql.replace("{{id}}", db.dialect().id),
    )
    .await?;
    let record = [
        script.version.into(),
        script.name.into(),
        script.checksum().into(),
        now.into(),
    ];
    tx.execute(RECORD.with(record)).await.map(drop)
}

/// Pairs what is known with what was applied.
fn listed(scripts: &[Script], applied: &[Applied]) -> Result<Vec<Migration>, MigrateError> {
    let known = |one: &&Applied| scripts.iter().all(|script| script.version != one.version);
    if let Some(newer) = applied.iter().find(known) {
        return Err(MigrateError::Newer(newer.version));
    }
    scripts
        .iter()
        .map(|script| script.paired(applied))
        .collect()
}

impl Script {
    fn paired(&self, applied: &[Applied]) -> Result<Migration, MigrateError> {
        let done = applied.iter().find(|one| one.version == self.version);
        if done.is_some_and(|one| one.checksum != self.checksum()) {
            return Err(MigrateError::Changed(self.version, self.name));
        }
        let applied_at = done.map(|one| one.at);
        Ok(Migration {
            version: self.version,
            name: self.name,
            applied_at,
        })
    }

    /// Of the text before it is filled in, so that it is the same for every database.
    fn checksum(&self) -> String {
        hex::encode(Sha256::digest(self.sql.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::url::DbUrl;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    const fn script(version: i64, sql: &'static str) -> Script {
        Script {
            version,
            name: "x",
            sql,
        }
    }

    async fn memory() -> Db {
        Db::open(&DbUrl::SqliteMemory, None).await.unwrap()
    }

    #[tokio::test]
    async fn applies_once_and_lists_what_was_applied() {
        let db = memory().await;
        assert!(
            status(&db)
                .await
                .unwrap()
                .iter()
                .all(|one| one.applied_at.is_none())
        );
        let applied = apply(&db, NOW).await.unwrap();
        assert_eq!(applied.len(), SCRIPTS.len());
        assert!(apply(&db, NOW).await.unwrap().is_empty());
        assert_eq!(status(&db).await.unwrap(), applied);
    }

    #[tokio::test]
    async fn a_changed_text_and_a_newer_database_are_refused() {
        let db = memory().await;
        let first = [
            script(1, "CREATE TABLE a (b TEXT)"),
            script(2, "CREATE TABLE c (d TEXT)"),
        ];
        apply_scripts(&db, &first, NOW).await.unwrap();
        let changed = [
            script(1, "CREATE TABLE a (b TEXT)"),
            script(2, "CREATE TABLE c (e TEXT)"),
        ];
        assert_eq!(
            apply_scripts(&db, &changed, NOW).await,
            Err(MigrateError::Changed(2, "x"))
        );
        assert_eq!(
            apply_scripts(&db, &first[..1], NOW).await,
            Err(MigrateError::Newer(2))
        );
    }

    #[tokio::test]
    async fn a_script_that_fails_leaves_nothing_behind() {
        let db = memory().await;
        let bad = [
            script(1, "CREATE TABLE a (b TEXT)"),
            script(2, "CREATE TABLE c (d TEXT); SELECT nonsense"),
        ];
        assert!(matches!(
            apply_scripts(&db, &bad, NOW).await,
            Err(MigrateError::Db(DbError::Statement { .. }))
        ));
        let good = [
            script(1, "CREATE TABLE a (b TEXT)"),
            script(2, "CREATE TABLE c (d TEXT)"),
        ];
        assert_eq!(apply_scripts(&db, &good, NOW).await.unwrap().len(), 2);
    }

    #[test]
    fn versions_count_up_from_one() {
        let versions: Vec<i64> = SCRIPTS.iter().map(|script| script.version).collect();
        assert_eq!(versions, (1..).take(SCRIPTS.len()).collect::<Vec<_>>());
    }
}
