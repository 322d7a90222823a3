//! One handle for every database: runs statements, batches and transactions, and times them.
//!
//! Nothing above this file knows which database it talks to. `Engine` is a closed enum: a further database
//! is a further arm here, and no caller changes. What the arms promise:
//!
//! * a [`Call`] that writes is durable once it has answered;
//! * dropping a future never leaves half a write: a call or batch runs whole or not at all (which of the two,
//!   the one who dropped it cannot know), a transaction that was not committed is rolled back;
//! * nothing waits for ever: a lost thread, a lock held by another process or a full queue is
//!   [`DbError::Unavailable`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::base::time::Timestamp;

use super::error::DbError;
use super::postgres::{self, Postgres};
use super::sqlite::{self, Sqlite};
use super::statement::{Answer, Call, Row, Statement};
use super::url::DbUrl;

/// Told the name of each operation and how long it took, waiting included.
pub type Observer = Arc<dyn Fn(&'static str, Duration) + Send + Sync>;

/// The database. Cloning it shares it.
#[derive(Clone)]
pub struct Db {
    engine: Engine,
    observer: Option<Observer>,
}

#[derive(Clone)]
enum Engine {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// A transaction, which counts when it is committed, and never when it is dropped.
///
/// In SQLite it alone may write; in PostgreSQL others go on beside it, so whatever depends on what it has read
/// takes a lock first (`store::lock`). While one is held, write through it only: a write past it may have to
/// wait for it to end. One that is left idle for five seconds is rolled back, and everything asked of it
/// afterwards fails.
pub struct Tx {
    engine: TxEngine,
    observer: Option<Observer>,
    /// PostgreSQL refuses everything after a failed statement; so do we everywhere, or callers would come to
    /// rely on SQLite's leniency.
    failed: bool,
}

enum TxEngine {
    Sqlite(sqlite::Tx),
    Postgres(postgres::Tx),
}

/// What is filled in, since the databases have no common word for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    /// A primary key that the database numbers itself and never reuses.
    pub(crate) id: &'static str,
    /// A row if there is a table of the name `$1`, whoever may read it.
    pub(crate) table: &'static str,
}

impl Db {
    /// Opens the database; of SQLite it makes the file (mode 0600) and its folder (0700) if they are not there.
    /// Nothing is migrated: see [`super::migrate::apply`].
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn open(url: &DbUrl, observer: Option<Observer>) -> Result<Self, DbError> {
        let engine = match url {
            DbUrl::SqliteFile(path) => Engine::Sqlite(Sqlite::open(Some(path)).await?),
            DbUrl::SqliteMemory => Engine::Sqlite(Sqlite::open(None).await?),
            DbUrl::Postgres(url) => Engine::Postgres(Postgres::open(url).await?),
        };
        Ok(Self { engine, observer })
    }

    /// The same database, for whoever reads a great deal beside everybody else: where there is a server to go to, its
    /// reads share one connection, and do not wait for one another's answers.
    #[must_use]
    pub fn sharing(&self) -> Self {
        let engine = match &self.engine {
            Engine::Sqlite(sqlite) => Engine::Sqlite(sqlite.clone()),
            Engine::Postgres(postgres) => Engine::Postgres(postgres.sharing()),
        };
        Self {
            engine,
            observer: self.observer.clone(),
        }
    }

    /// How many reads of [`Db::sharing`] may be asked for at once without holding up anybody else.
    #[must_use]
    pub fn reads_at_once(&self) -> usize {
        match &self.engine {
            // Each of them takes one of the few threads that read.
            Engine::Sqlite(_) => 2,
            Engine::Postgres(_) => 64,
        }
    }

    /// Runs a statement and says how many rows it changed.
    ///
    /// # Errors
    /// What the database said.
    pub async fn execute(&self, call: Call) -> Result<u64, DbError> {
        Ok(self.run(call).await?.changed)
    }

    /// Runs a statement that gives at most one row.
    ///
    /// # Errors
    /// What the database said; [`DbError::Statement`] when there are several rows.
    pub async fn one(&self, call: Call) -> Result<Option<Row>, DbError> {
        let name = call.statement.name;
        self.run(call).await?.one(name)
    }

    /// Runs a statement and gives all its rows.
    ///
    /// # Errors
    /// What the database said.
    pub async fn all(&self, call: Call) -> Result<Vec<Row>, DbError> {
        Ok(self.run(call).await?.rows)
    }

    /// Runs `calls` in one transaction, in order, and gives the answer of each. If one fails, none counts.
    ///
    /// Prefer this to [`Db::begin`] where no statement depends on an answer before it: the writer is held for
    /// as long as the database needs, not for as long as the caller takes to be scheduled.
    ///
    /// # Errors
    /// What the database said of the first call that failed.
    pub async fn batch(
        &self,
        name: &'static str,
        calls: Vec<Call>,
    ) -> Result<Vec<Answer>, DbError> {
        self.timed(name, async {
            match &self.engine {
                Engine::Sqlite(sqlite) => sqlite.write(calls).await,
                Engine::Postgres(postgres) => postgres.write(calls).await,
            }
        })
        .await
    }

    /// Begins a transaction. In SQLite it waits for the one before it to end.
    ///
    /// # Errors
    /// When the lock cannot be had in time.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        let engine = match &self.engine {
            Engine::Sqlite(sqlite) => TxEngine::Sqlite(sqlite.begin().await?),
            Engine::Postgres(postgres) => TxEngine::Postgres(postgres.begin().await?),
        };
        Ok(self.transaction(engine))
    }

    /// Begins a transaction that no other process's overlaps, not even on a database without tables to lock.
    ///
    /// In SQLite every transaction is so; PostgreSQL takes an advisory lock.
    ///
    /// # Errors
    /// When the lock cannot be had in time.
    pub async fn begin_alone(&self) -> Result<Tx, DbError> {
        let engine = match &self.engine {
            Engine::Sqlite(sqlite) => TxEngine::Sqlite(sqlite.begin().await?),
            Engine::Postgres(postgres) => TxEngine::Postgres(postgres.begin_alone().await?),
        };
        Ok(self.transaction(engine))
    }

    /// Before the process ends: leaves a file of SQLite as one that can be copied, and exchanged for a copy, without the log
    /// beside it, unless other processes have it open. Nothing more can be asked of this database after that. Blocks;
    /// says whether it was done within `limit`. What was written is kept in any case.
    #[must_use]
    pub fn close(&self, limit: Duration) -> bool {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.close(limit),
            Engine::Postgres(_) => true,
        }
    }

    /// What time it is to a database that several machines share; nothing, where it is this machine's own.
    ///
    /// # Errors
    /// What the database said.
    pub async fn time(&self) -> Result<Option<Timestamp>, DbError> {
        const TIME: Statement = Statement::read(
            "time",
            "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now",
        );
        if matches!(self.engine, Engine::Sqlite(_)) {
            return Ok(None);
        }
        let row = self.one(TIME.with([])).await?;
        row.map(|row| row.get("now").map(Timestamp::from_millis))
            .transpose()
    }

    /// A number that moves, within a second, whenever somebody else than this `Db` has written: another process,
    /// such as the command line. What was cached from the database is then to be forgotten.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.changes(),
            Engine::Postgres(postgres) => postgres.changes(),
        }
    }

    /// What statements are filled in with.
    pub(crate) fn dialect(&self) -> Dialect {
        match &self.engine {
            Engine::Sqlite(_) => Dialect {
                id: "INTEGER PRIMARY KEY AUTOINCREMENT",
                table: "SELECT name FROM sqlite_master WHERE type = 'table' AND name = $1",
            },
            Engine::Postgres(_) => Dialect {
                id: "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
                // Where tables are made, and not along the whole path: there may be somebody else's.
                table: "SELECT relname FROM pg_class WHERE relname = $1 AND relkind IN ('r', 'p')
                        AND relnamespace = to_regnamespace(quote_ident(current_schema()))",
            },
        }
    }

    fn transaction(&self, engine: TxEngine) -> Tx {
        Tx {
            engine,
            observer: self.observer.clone(),
            failed: false,
        }
    }

    async fn run(&self, call: Call) -> Result<Answer, DbError> {
        self.timed(call.statement.name, async {
            match &self.engine {
                Engine::Sqlite(sqlite) => sqlite.run(call).await,
                Engine::Postgres(postgres) => postgres.run(call).await,
            }
        })
        .await
    }

    async fn timed<T>(&self, name: &'static str, work: impl Future<Output = T>) -> T {
        timed(self.observer.as_ref(), name, work).await
    }
}

impl Tx {
    /// Runs a statement and says how many rows it changed.
    ///
    /// # Errors
    /// What the database said; the transaction is then lost.
    pub async fn execute(&mut self, call: Call) -> Result<u64, DbError> {
        Ok(self.run(call).await?.changed)
    }

    /// Runs a statement that gives at most one row.
    ///
    /// # Errors
    /// As [`Tx::execute`], and [`DbError::Statement`] when there are several rows.
    pub async fn one(&mut self, call: Call) -> Result<Option<Row>, DbError> {
        let name = call.statement.name;
        self.run(call).await?.one(name)
    }

    /// Runs a statement and gives all its rows.
    ///
    /// # Errors
    /// As [`Tx::execute`].
    pub async fn all(&mut self, call: Call) -> Result<Vec<Row>, DbError> {
        Ok(self.run(call).await?.rows)
    }

    /// Runs many calls in order and gives the answer of each: one way there and back for all of them, where
    /// thousands of rows are written.
    ///
    /// # Errors
    /// As [`Tx::execute`], for the first call that fails.
    pub async fn many(
        &mut self,
        name: &'static str,
        calls: Vec<Call>,
    ) -> Result<Vec<Answer>, DbError> {
        self.usable(name)?;
        let answers = timed(self.observer.as_ref(), name, async {
            match &mut self.engine {
                TxEngine::Sqlite(tx) => tx.many(calls).await,
                TxEngine::Postgres(tx) => tx.many(calls).await,
            }
        })
        .await;
        self.noted(answers)
    }

    /// Runs several statements that take no values and give no rows: a migration.
    ///
    /// # Errors
    /// As [`Tx::execute`].
    pub(crate) async fn script(&mut self, name: &'static str, sql: String) -> Result<(), DbError> {
        self.usable(name)?;
        let answer = match &mut self.engine {
            TxEngine::Sqlite(tx) => tx.script(name, sql).await,
            TxEngine::Postgres(tx) => tx.script(name, sql).await,
        };
        self.noted(answer)
    }

    /// Makes everything done so far count.
    ///
    /// # Errors
    /// When the database refuses, or a statement had failed before: then nothing counts.
    pub async fn commit(self) -> Result<(), DbError> {
        self.usable("commit")?;
        timed(self.observer.as_ref(), "commit", async {
            match self.engine {
                TxEngine::Sqlite(tx) => tx.commit().await,
                TxEngine::Postgres(tx) => tx.commit().await,
            }
        })
        .await
    }

    async fn run(&mut self, call: Call) -> Result<Answer, DbError> {
        let name = call.statement.name;
        self.usable(name)?;
        let answer = timed(self.observer.as_ref(), name, async {
            match &mut self.engine {
                TxEngine::Sqlite(tx) => tx.run(call).await,
                TxEngine::Postgres(tx) => tx.run(call).await,
            }
        })
        .await;
        self.noted(answer)
    }

    fn usable(&self, name: &'static str) -> Result<(), DbError> {
        if self.failed {
            return Err(DbError::statement(
                name,
                "an earlier statement of the transaction failed",
            ));
        }
        Ok(())
    }

    fn noted<T>(&mut self, answer: Result<T, DbError>) -> Result<T, DbError> {
        self.failed |= answer.is_err();
        answer
    }
}

async fn timed<T>(
    observer: Option<&Observer>,
    name: &'static str,
    work: impl Future<Output = T>,
) -> T {
    let began = Instant::now();
    let done = work.await;
    if let Some(observer) = observer {
        observer(name, began.elapsed());
    }
    done
}
