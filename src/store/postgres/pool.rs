//! The connections that are kept, and the pause after one could not be made.
//!
//! While the server is away, whoever needs a new connection is refused at once until the pause is over: a
//! gateway with many visitors must not knock on a starting database thousands of times a second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use tokio::time::Instant;

use super::answer::{fault, text};
use super::connect::{CONNECT, Connector, Pooled, Session};
use crate::store::error::DbError;

/// How many connections of a kind one process keeps; a server takes a hundred unless told otherwise.
const LINES: usize = 8;
/// How long to wait for one of them.
const WAIT: Duration = Duration::from_secs(5);
/// The pause after a connection could not be made; it doubles each time.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Connections of one kind.
pub(super) struct Lines {
    pool: Pool,
    pause: Mutex<Option<Pause>>,
}

struct Pause {
    until: Instant,
    length: Duration,
    why: DbError,
}

impl Lines {
    pub(super) fn new(connector: Connector, session: Session) -> Result<Self, DbError> {
        let config = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = Manager::from_connect(
            tokio_postgres::Config::new(),
            Pooled(connector, session),
            config,
        );
        let pool = Pool::builder(manager)
            .max_size(LINES)
            .wait_timeout(Some(WAIT))
            .create_timeout(Some(CONNECT))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|e| DbError::unavailable(e.to_string()))?;
        Ok(Self {
            pool,
            pause: Mutex::new(None),
        })
    }

    /// A connection that is not known to be dead.
    pub(super) async fn line(&self) -> Result<Object, DbError> {
        self.pool.retain(|client, _| !client.is_closed());
        let status = self.pool.status();
        if status.available == 0
            && status.size < status.max_size
            && let Some(why) = self.paused()
        {
            return Err(why);
        }
        match self.pool.get().await {
            Ok(line) => {
                *self.pause() = None;
                Ok(line)
            }
            Err(PoolError::Timeout(TimeoutType::Wait)) => {
                Err(DbError::unavailable("every connection is in use"))
            }
            Err(PoolError::Backend(error)) => Err(self.failed(fault("connect", &error))),
            Err(error) => Err(self.failed(DbError::unavailable(match error {
                PoolError::Timeout(_) => "no connection could be made in time".to_owned(),
                other => text(&other),
            }))),
        }
    }

    /// Gives up a connection that did not answer, and those beside it: most likely the network is gone, and
    /// each of them would be waited for in turn.
    pub(super) fn abandon(&self, line: Object) {
        drop(Object::take(line));
        self.pool.retain(|_, _| false);
    }

    fn paused(&self) -> Option<DbError> {
        let pause = self.pause();
        let pause = pause.as_ref()?;
        (Instant::now() < pause.until).then(|| pause.why.clone())
    }

    fn failed(&self, why: DbError) -> DbError {
        let (mut pause, now) = (self.pause(), Instant::now());
        let length = match pause.as_ref() {
            None => PAUSE,
            // Those who had tried together fail together, and count once.
            Some(pause) if now < pause.until => return why,
            Some(pause) => (pause.length * 2).min(PAUSE_MAX),
        };
        *pause = Some(Pause {
            until: now + length,
            length,
            why: why.clone(),
        });
        why
    }

    fn pause(&self) -> std::sync::MutexGuard<'_, Option<Pause>> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
