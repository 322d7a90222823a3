//! SQLite behind the executor: one writer thread, a few reader threads, and channels to both.
//!
//! The threads own the connections, so no future ever holds one: a future that is dropped leaves a thread that
//! finishes its job and finds nobody to tell. Waiting is bounded everywhere: for a place in the queue, and for
//! the answer. In memory there is a single connection, and reads go to the writer as well.

mod connect;
mod held;
mod reader;
mod run;
mod writer;

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::{Instant, timeout};

use self::reader::Read;
use self::writer::{Begin, Job, Step};
use super::error::DbError;
use super::statement::{Access, Answer, Call};

/// How many jobs may wait. More than that is a stall, and a stall is better told than joined.
const QUEUE: usize = 1024;
/// How long to wait for a place in the queue, and then for the answer; the second is longer than a lock held by
/// another process ([`connect::BUSY`]) and a transaction left idle ([`writer::IDLE`]) together.
const QUEUE_WAIT: Duration = Duration::from_secs(5);
const ANSWER_WAIT: Duration = Duration::from_secs(15);

/// An open SQLite database. The threads end with the last clone.
#[derive(Clone)]
pub(super) struct Sqlite(Arc<Handles>);

struct Handles {
    writer: mpsc::Sender<Job>,
    readers: Option<(mpsc::Sender<Read>, usize)>,
    places: Arc<Semaphore>,
    changes: watch::Receiver<u64>,
}

/// Calls that count together, and where their answers go.
struct Work {
    calls: Vec<Call>,
    reply: Reply<Vec<Answer>>,
    _place: OwnedSemaphorePermit,
}

type Reply<T> = oneshot::Sender<Result<T, DbError>>;

/// A transaction: the writer thread listens to nobody else until this is committed or dropped.
pub(super) struct Tx(mpsc::Sender<Step>);

impl Sqlite {
    /// Opens the file, or without one a database in memory, and starts its threads.
    pub(super) async fn open(file: Option<&Path>) -> Result<Self, DbError> {
        let places = Arc::new(Semaphore::new(QUEUE));
        let (writer, changes) =
            writer::start(file.map(Path::to_owned), Arc::clone(&places)).await?;
        let readers = match file {
            Some(path) => Some(reader::start(path).await?),
            None => None,
        };
        Ok(Self(Arc::new(Handles {
            writer,
            readers,
            places,
            changes,
        })))
    }

    /// Runs one call where its access belongs.
    pub(super) async fn run(&self, call: Call) -> Result<Answer, DbError> {
        let answers = match (&self.0.readers, call.statement.access) {
            (Some((readers, _)), Access::Read) => {
                self.send(vec![call], |work| readers.send(Read::Work(work)).is_ok())
                    .await?
            }
            _ => self.write(vec![call]).await?,
        };
        Ok(answers.into_iter().next().unwrap_or_default())
    }

    /// Runs calls on the writer, as one transaction.
    pub(super) async fn write(&self, calls: Vec<Call>) -> Result<Vec<Answer>, DbError> {
        self.send(calls, |work| self.0.writer.send(Job::Work(work)).is_ok())
            .await
    }

    pub(super) async fn begin(&self) -> Result<Tx, DbError> {
        let place = self.place().await?;
        let (steps, listen) = mpsc::channel();
        let (reply, answer) = oneshot::channel();
        // From here on `steps` lives in this future: dropping it ends a transaction that has just begun.
        let begin = Begin {
            steps: listen,
            reply,
            _place: place,
        };
        self.0.writer.send(Job::Begin(begin)).map_err(|_| gone())?;
        answered(answer).await.map(|()| Tx(steps))
    }

    /// Closes every connection, the one that writes at last; whether that was done within `limit`, and the file holds all that
    /// is ours to move there. Blocks.
    pub(super) fn close(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        let left = || until.saturating_duration_since(Instant::now());
        let mut all = true;
        if let Some((readers, count)) = &self.0.readers {
            let (close, closed) = mpsc::channel();
            for _ in 0..*count {
                // Where all of them have ended, so have their connections.
                let _ = readers.send(Read::Close(close.clone()));
            }
            drop(close);
            for _ in 0..*count {
                all &= closed.recv_timeout(left()).is_ok();
            }
        }
        // Not the last then, it leaves the log where it is.
        let (close, closed) = mpsc::channel();
        let asked = self.0.writer.send(Job::Close(close)).is_ok();
        asked && closed.recv_timeout(left()).unwrap_or(false) && all
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.clone()
    }

    async fn send(
        &self,
        calls: Vec<Call>,
        send: impl FnOnce(Work) -> bool,
    ) -> Result<Vec<Answer>, DbError> {
        let place = self.place().await?;
        let (reply, answer) = oneshot::channel();
        if !send(Work {
            calls,
            reply,
            _place: place,
        }) {
            return Err(gone());
        }
        answered(answer).await
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, DbError> {
        let place = timeout(QUEUE_WAIT, self.0.places.clone().acquire_owned()).await;
        let place = place.map_err(|_| DbError::unavailable("too many statements are waiting"))?;
        place.map_err(|_| DbError::unavailable("its file was replaced or removed"))
    }
}

impl Tx {
    pub(super) async fn run(&mut self, call: Call) -> Result<Answer, DbError> {
        self.step(|reply| Step::Run(call, reply), answered).await
    }

    pub(super) async fn many(&mut self, calls: Vec<Call>) -> Result<Vec<Answer>, DbError> {
        self.step(|reply| Step::Many(calls, reply), answered).await
    }

    /// Waits as long as it takes: nobody knows how long a migration of a large table needs.
    pub(super) async fn script(&mut self, name: &'static str, sql: String) -> Result<(), DbError> {
        let patient = |answer: oneshot::Receiver<_>| async { answer.await.map_err(|_| ended())? };
        self.step(|reply| Step::Script(name, sql, reply), patient)
            .await
    }

    pub(super) async fn commit(self) -> Result<(), DbError> {
        self.step(Step::Commit, answered).await
    }

    async fn step<T, W: Future<Output = Result<T, DbError>>>(
        &self,
        step: impl FnOnce(Reply<T>) -> Step,
        wait: impl FnOnce(oneshot::Receiver<Result<T, DbError>>) -> W,
    ) -> Result<T, DbError> {
        let (reply, answer) = oneshot::channel();
        self.0.send(step(reply)).map_err(|_| ended())?;
        wait(answer).await
    }
}

async fn answered<T>(answer: oneshot::Receiver<Result<T, DbError>>) -> Result<T, DbError> {
    match timeout(ANSWER_WAIT, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(gone()),
        Err(_) => Err(DbError::unavailable("no answer in time")),
    }
}

fn gone() -> DbError {
    DbError::unavailable("its thread has ended")
}

fn ended() -> DbError {
    DbError::unavailable("the transaction was left idle and has been rolled back")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::statement::Statement;

    const ONE: Statement = Statement::write("test", "SELECT 1 AS one");

    fn over(writer: mpsc::Sender<Job>) -> Sqlite {
        let places = Arc::new(Semaphore::new(QUEUE));
        Sqlite(Arc::new(Handles {
            writer,
            readers: None,
            places,
            changes: watch::channel(0).1,
        }))
    }

    fn is_unavailable<T>(answer: &Result<T, DbError>) -> bool {
        matches!(answer, Err(DbError::Unavailable(_)))
    }

    #[tokio::test]
    async fn g_17_a_thread_that_has_ended_is_an_error() {
        let (writer, jobs) = mpsc::channel();
        let sqlite = over(writer);
        // It ends with jobs in hand …
        let died = std::thread::spawn(move || drop([jobs.recv(), jobs.recv()]));
        let (run, begin) = tokio::join!(sqlite.run(ONE.with([])), sqlite.begin());
        assert!(is_unavailable(&run));
        assert!(is_unavailable(&begin));
        died.join().unwrap();
        // … and is gone when the next come.
        assert!(is_unavailable(&sqlite.run(ONE.with([])).await));
        assert!(is_unavailable(&sqlite.begin().await));
    }

    #[tokio::test(start_paused = true)]
    async fn a_thread_that_hangs_is_an_error() {
        let (writer, _jobs) = mpsc::channel();
        let sqlite = over(writer);
        assert!(is_unavailable(&sqlite.run(ONE.with([])).await));
        let _all = sqlite
            .0
            .places
            .clone()
            .acquire_many_owned(u32::try_from(QUEUE - 1).unwrap())
            .await
            .unwrap();
        // The place of the job above is still taken: its thread may yet get to it.
        assert!(is_unavailable(&sqlite.run(ONE.with([])).await));
        assert_eq!(sqlite.0.places.available_permits(), 0);
    }
}
