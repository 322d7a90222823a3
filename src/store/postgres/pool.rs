//! The connections that are kept, and the pause after one could not be made.
//!
//! While the server is away, whoever needs a new connection is refused at once until the pause is over: a
//! gateway with many visitors must not knock on a starting database thousands of times a second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Pool, PoolError, TimeoutType, Timeouts};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_postgres::SimpleQueryMessage;

use super::connect::{Connector, Pooled, Session};
use crate::store::error::DbError;

/// How many connections of a kind one process keeps; a server takes a hundred unless told otherwise.
const LINES: usize = 8;
/// How long to wait for one of them.
const WAIT: Duration = Duration::from_secs(5);
/// How long to wait for one that there is, and for what its server says.
const IN_HAND: Duration = Duration::from_secs(2);
/// For a connection that there is.
const THERE: Timeouts = Timeouts {
    wait: Some(IN_HAND),
    create: Some(Duration::ZERO),
    recycle: None,
};
/// How often to look for one that has come free.
const STEP: Duration = Duration::from_millis(5);
/// Asks a server whether it has become one that follows another.
const FOLLOWS: &str = "SELECT pg_is_in_recovery()";
/// The pause after a connection could not be made; it doubles each time.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// A connection of the pool, which it goes back to; or none of it any more, once it is taken, and ends with it then.
pub(super) type Object = managed::Object<Pooled>;

/// Connections of one kind.
pub(super) struct Lines {
    pool: Pool<Pooled>,
    pause: Mutex<Option<Pause>>,
}

struct Pause {
    until: Instant,
    length: Duration,
    why: DbError,
}

impl Lines {
    pub(super) fn new(connector: Connector, session: Session) -> Result<Self, DbError> {
        // Connecting has a bound of its own, which knows what became of every host.
        let pool = Pool::builder(Pooled(connector, session))
            .max_size(LINES)
            .wait_timeout(Some(WAIT))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|e| DbError::unavailable(e.to_string()))?;
        Ok(Self {
            pool,
            pause: Mutex::new(None),
        })
    }

    /// As [`Lines::line`], for somebody who has no more time than this, be it for a free one or for one that is made.
    pub(super) async fn line_by(&self, deadline: Instant) -> Result<Object, DbError> {
        match timeout_at(deadline, self.line()).await {
            Ok(line) => line,
            Err(_) => Err(self.failed(DbError::unavailable("no connection could be had in time"))),
        }
    }

    /// A connection that is not known to be dead.
    pub(super) async fn line(&self) -> Result<Object, DbError> {
        self.pool.retain(|client, _| !client.is_closed());
        let status = self.pool.status();
        if status.available == 0
            && status.size < status.max_size
            && let Some(why) = self.paused()
        {
            return self.in_hand(why).await;
        }
        match self.pool.get().await {
            Ok(line) => {
                *self.pause() = None;
                Ok(line)
            }
            Err(PoolError::Timeout(TimeoutType::Wait)) => {
                Err(DbError::unavailable("every connection is in use"))
            }
            Err(PoolError::Backend(failed)) => {
                let why = self.failed(failed.fault());
                self.in_hand(why).await
            }
            Err(error) => Err(self.failed(DbError::unavailable(error.to_string()))),
        }
    }

    /// One of those that others have, where no other is to be had: they are busy for milliseconds.
    async fn in_hand(&self, why: DbError) -> Result<Object, DbError> {
        let by = Instant::now() + IN_HAND;
        while Instant::now() < by {
            self.pool.retain(|client, _| !client.is_closed());
            let status = self.pool.status();
            if status.size == 0 {
                break;
            }
            if status.available > 0
                && let Ok(line) = self.pool.timeout_get(&THERE).await
            {
                return Ok(line);
            }
            // The pool tells nobody who has not a place in it.
            sleep(STEP).await;
        }
        Err(why)
    }

    /// Whether a server answers on a connection that there is, and takes writes. None is made for that.
    pub(super) async fn writes(&self) -> bool {
        self.pool.retain(|client, _| !client.is_closed());
        let Ok(line) = self.pool.timeout_get(&THERE).await else {
            return false;
        };
        match timeout(IN_HAND, line.simple_query(FOLLOWS)).await {
            Ok(Ok(said)) => said.iter().any(
                |message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("f")),
            ),
            _ => {
                drop(Object::take(line));
                false
            }
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
