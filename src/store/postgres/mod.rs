//! PostgreSQL behind the executor: two pools of connections, one for what reads and one for what writes.
//!
//! Everything is done by tasks of the runtime that opened the database, and callers are told by channels: so
//! no future ever holds a connection, and one that is dropped leaves a task that finishes its job and finds
//! nobody to tell. (The runtimes of Pingora's services end before the gateway does, and a connection would end
//! with the one that made it.) The reading pool's sessions are read-only, so a statement that is declared as
//! reading cannot write.
//!
//! Isolation is READ COMMITTED: transactions do overlap, and what must not takes a lock first (`store::lock`).

mod answer;
mod changes;
mod connect;
mod failed;
mod hosts;
mod leader;
mod look;
mod pool;
mod route;
mod run;
mod shared;
mod tx;
mod url;

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use self::changes::Changes;
use self::connect::{Connector, Session};
use self::leader::Leader;
use self::look::Look;
use self::pool::Lines;
use self::run::Told;
use self::shared::Shared;
pub(super) use self::tx::Tx;
pub use self::url::{PostgresUrl, PostgresUrlError};
use super::error::DbError;
use super::statement::{Access, Answer, Call};
use crate::base::random::Random;

/// An open PostgreSQL database. Its connections end with the last clone.
#[derive(Clone)]
pub(super) struct Postgres {
    handles: Arc<Handles>,
    lane: Lane,
}

/// Where reads go.
#[derive(Clone, Copy)]
enum Lane {
    /// Each has a connection to itself.
    Own,
    /// All share one.
    Shared,
}

struct Handles {
    home: Handle,
    readers: Arc<Lines>,
    writers: Arc<Lines>,
    shared: Shared,
    told: Arc<Told>,
    _changes: Changes,
    _look: Look,
}

impl Postgres {
    /// Opens the database: connects once, and begins to listen for what others write.
    pub(super) async fn open(url: &PostgresUrl) -> Result<Self, DbError> {
        let home = Handle::current();
        let id: [u8; 8] = Random::System
            .bytes()
            .map_err(|e| DbError::unavailable(e.to_string()))?;
        let told = Arc::new(Told::by(&id));
        let connector = Connector::new(url, Leader::new(Arc::clone(&told)))?;
        let readers = Arc::new(Lines::new(connector.clone(), Session::Reads)?);
        let writers = Arc::new(Lines::new(connector.clone(), Session::Writes)?);
        drop(writers.line().await?);
        let look = Look::begin(
            connector.clone(),
            vec![Arc::clone(&writers), Arc::clone(&readers)],
        );
        let changes = Changes::follow(connector, Arc::clone(&told));
        let handles = Handles {
            home,
            readers,
            writers,
            shared: Shared::default(),
            told,
            _changes: changes,
            _look: look,
        };
        Ok(Self {
            handles: Arc::new(handles),
            lane: Lane::Own,
        })
    }

    /// The same, with all its reads on one connection.
    pub(super) fn sharing(&self) -> Self {
        Self {
            handles: Arc::clone(&self.handles),
            lane: Lane::Shared,
        }
    }

    /// Runs one call where its access belongs.
    pub(super) async fn run(&self, call: Call) -> Result<Answer, DbError> {
        if call.statement.access == Access::Write {
            let answers = self.write(vec![call]).await?;
            return Ok(answers.into_iter().next().unwrap_or_default());
        }
        let (inner, lane) = (Arc::clone(&self.handles), self.lane);
        let work = async move {
            match (call.statement.access, lane) {
                (Access::Read, Lane::Own) => run::alone(&inner.readers, &call).await,
                (Access::Read, Lane::Shared) => inner.shared.run(&inner.readers, &call).await,
                _ => run::alone(&inner.writers, &call).await,
            }
        };
        self.handles.home.spawn(work).await.map_err(|_| gone())?
    }

    /// Runs calls as one transaction.
    pub(super) async fn write(&self, calls: Vec<Call>) -> Result<Vec<Answer>, DbError> {
        let inner = Arc::clone(&self.handles);
        let (reply, answer) = oneshot::channel();
        self.handles.home.spawn(async move {
            let done = run::together(&inner.writers, &calls, &inner.told).await;
            let counts = done.is_ok();
            if reply.send(done).is_err() && counts {
                // Whoever asked for it has left, and sees to nothing any more.
                inner.told.bump();
            }
        });
        answer.await.map_err(|_| gone())?
    }

    pub(super) async fn begin(&self) -> Result<Tx, DbError> {
        tx::begin(&self.handles, tx::Company::Some).await
    }

    pub(super) async fn begin_alone(&self) -> Result<Tx, DbError> {
        tx::begin(&self.handles, tx::Company::None).await
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.handles.told.watch()
    }
}

fn gone() -> DbError {
    DbError::unavailable("the runtime that opened it has ended")
}
