//! The one thread that writes. Jobs that wait together are committed together; a transaction has it alone.
//!
//! It also looks, a few times a second, whether another process has written. The look must be on this very
//! connection: `PRAGMA data_version` moves for everybody's commits but its own connection's.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::Instant;

use super::connect::{self, BUSY};
use super::held::Held;
use super::run::{fault, run};
use super::{Reply, Work, answered};
use crate::store::error::DbError;
use crate::store::statement::{Access, Answer, Call};

/// How long a transaction may be left without a statement before it is rolled back.
pub(super) const IDLE: Duration = Duration::from_secs(5);
/// How often to look for the writes of others. A revocation must reach us within a second.
const LOOK: Duration = Duration::from_millis(200);
/// What may be written into a file that was put in the place of the one that is open.
const LEFT: &str = "what was written last is left beside the new file (-wal)";
/// How many jobs share a commit at most, so that the first need not wait long for the last.
const GROUP: usize = 64;

/// What the thread is asked for.
pub(super) enum Job {
    Work(Work),
    Begin(Begin),
    /// The process ends; nothing is asked after that. Told whether the file holds all there is, or others will see to it.
    Close(mpsc::Sender<bool>),
}

/// A transaction that wants to begin.
pub(super) struct Begin {
    pub(super) steps: mpsc::Receiver<Step>,
    pub(super) reply: Reply<()>,
    pub(super) _place: OwnedSemaphorePermit,
}

/// What is asked inside a transaction.
pub(super) enum Step {
    Run(Call, Reply<Answer>),
    Many(Vec<Call>, Reply<Vec<Answer>>),
    Script(&'static str, String, Reply<()>),
    Commit(Reply<()>),
}

struct Writer {
    connection: Connection,
    jobs: mpsc::Receiver<Job>,
    seen: i64,
    look_at: Instant,
    changes: watch::Sender<u64>,
    /// The file that is open, where others may find another one.
    file: Option<Held>,
    /// Closed once that is another one.
    places: Arc<Semaphore>,
    /// Whoever waits for the end.
    closed: Option<mpsc::Sender<bool>>,
}

/// Starts the writer.
pub(super) async fn start(
    file: Option<PathBuf>,
    places: Arc<Semaphore>,
) -> Result<(mpsc::Sender<Job>, watch::Receiver<u64>), DbError> {
    let (sender, jobs) = mpsc::channel();
    let (changes, watcher) = watch::channel(0);
    let (opened, answer) = oneshot::channel();
    thread::Builder::new()
        .name("store-writer".to_owned())
        .spawn(move || match Writer::open(file, jobs, changes, places) {
            Ok(writer) => {
                drop(opened.send(Ok(())));
                writer.serve();
            }
            Err(e) => drop(opened.send(Err(e))),
        })
        .map_err(|e| DbError::unavailable(e.to_string()))?;
    answered(answer).await?;
    Ok((sender, watcher))
}

impl Writer {
    fn open(
        file: Option<PathBuf>,
        jobs: mpsc::Receiver<Job>,
        changes: watch::Sender<u64>,
        places: Arc<Semaphore>,
    ) -> Result<Self, DbError> {
        let connection = match &file {
            Some(path) => connect::writer(path)?,
            None => connect::memory()?,
        };
        let file = match file {
            Some(path) => Some(Held::new(path).map_err(|e| DbError::unavailable(e.to_string()))?),
            None => None,
        };
        let seen = data_version(&connection)?;
        Ok(Self {
            connection,
            jobs,
            seen,
            look_at: Instant::now() + LOOK,
            changes,
            file,
            places,
            closed: None,
        })
    }

    fn serve(mut self) {
        loop {
            match self.jobs.recv_timeout(LOOK) {
                Ok(job) => self.take(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if let Some(closed) = self.closed.take() {
                return self.close(&closed);
            }
            self.look();
        }
    }

    /// Takes a job and those that wait behind it, up to the next transaction.
    fn take(&mut self, first: Job) {
        let mut group = Vec::new();
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Work(work) => group.push(work),
                Job::Begin(begin) => {
                    self.group(group);
                    return self.transaction(begin);
                }
                Job::Close(closed) => {
                    self.group(group);
                    self.closed = Some(closed);
                    return;
                }
            }
            next = if group.len() < GROUP {
                self.jobs.try_recv().ok()
            } else {
                None
            };
        }
        self.group(group);
    }

    /// Runs the jobs in one transaction and answers once it is committed. A job that fails is undone alone;
    /// when the whole is lost, everybody is told so. What nobody waits for any more is not begun.
    fn group(&mut self, mut group: Vec<Work>) {
        if group.is_empty() {
            return;
        }
        // Which may take as long as another process has the lock.
        let begun = self.begin();
        group.retain(|work| !work.reply.is_closed());
        let mut answers: Vec<_> = match begun {
            Ok(()) => group.iter().map(|work| self.work(&work.calls)).collect(),
            Err(e) => vec![Err(e); group.len()],
        };
        if let Err(lost) = self.finish(&answers) {
            answers
                .iter_mut()
                .filter(|answer| answer.is_ok())
                .for_each(|answer| *answer = Err(lost.clone()));
        }
        for (work, answer) in group.into_iter().zip(answers) {
            let writes = |call: &Call| call.statement.access == Access::Write;
            let counts = answer.is_ok() && work.calls.iter().any(writes);
            if work.reply.send(answer).is_err() && counts {
                self.tell();
            }
        }
    }

    /// One job: all of its calls, or none.
    fn work(&self, calls: &[Call]) -> Result<Vec<Answer>, DbError> {
        if self.connection.is_autocommit() {
            // A job before this one has cost the group its transaction: what ran now would count alone.
            return Err(DbError::unavailable("the transaction was lost"));
        }
        if let [call] = calls {
            // A single statement that fails undoes itself.
            return run(&self.connection, call).map(|answer| vec![answer]);
        }
        self.sql("SAVEPOINT job")?;
        let answers = calls
            .iter()
            .map(|call| run(&self.connection, call))
            .collect::<Result<_, _>>();
        if !self.connection.is_autocommit() {
            if answers.is_err() {
                self.sql("ROLLBACK TO job")?;
            }
            self.sql("RELEASE job")?;
        }
        answers
    }

    /// Commits, unless there is nothing to: either `BEGIN` failed, or SQLite has rolled all of it back, as it
    /// does when the disk is full.
    fn finish(&self, answers: &[Result<Vec<Answer>, DbError>]) -> Result<(), DbError> {
        if self.connection.is_autocommit() {
            let cause = answers.iter().find_map(|answer| answer.as_ref().err());
            return Err(cause
                .cloned()
                .unwrap_or_else(|| DbError::unavailable("the transaction was lost")));
        }
        self.sql("COMMIT").inspect_err(|_| self.roll_back())
    }

    /// Closes the connection. The last one moves what was written ahead into the file and removes the log beside it; where
    /// another process has the file open, that is its to do.
    ///
    /// The log is found by its path: one that lies beside another file by now belongs to that, and is left to whoever has
    /// that open.
    fn close(self, closed: &mpsc::Sender<bool>) {
        let mut done = true;
        if self.is_exchanged() {
            std::mem::forget(self.connection);
        } else {
            // Closing does so, too, and says nothing of a disk that is full.
            done = self.file.is_none() || self.move_log().is_ok();
            drop(self.connection);
        }
        // Nobody waits any more where it took too long.
        let _ = closed.send(done);
    }

    fn is_exchanged(&self) -> bool {
        self.places.is_closed() || self.file.as_ref().is_some_and(Held::is_gone)
    }

    /// Takes what was written ahead into the file that is open, so that nothing of it is left beside the one that lies in its
    /// place now. Whoever is at work on that one is not waited for.
    fn empty_log(&self) {
        if !matches!(self.move_log(), Ok(true)) {
            tracing::error!("{LEFT}");
        }
    }

    /// Whether the log is empty now; not so where another process is at work on it.
    fn move_log(&self) -> rusqlite::Result<bool> {
        self.connection.busy_timeout(Duration::ZERO)?;
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        let busy: bool = self.connection.query_row(sql, [], |row| row.get(0))?;
        Ok(!busy)
    }

    fn transaction(&mut self, begin: Begin) {
        if begin.reply.is_closed() {
            return;
        }
        let answer = self.begin();
        let failed = answer.is_err();
        // A caller who has left meanwhile has dropped the other end of `steps`: the loop ends at once.
        drop(begin.reply.send(answer));
        if !failed {
            self.steps(&begin.steps);
        }
        self.roll_back();
    }

    /// Begins to write, once no other process does; and looks all the while what those have written before. Whoever writes for
    /// long does not keep us from hearing of that, nor do we ourselves: nobody else writes from here on.
    fn begin(&mut self) -> Result<(), DbError> {
        let by = Instant::now() + BUSY;
        let begun = loop {
            self.wait_for(LOOK)?;
            let statement = self.connection.prepare_cached("BEGIN IMMEDIATE");
            match statement.and_then(|mut begin| begin.execute([])) {
                // A file that was exchanged meanwhile is not ours to write beside.
                Err(e) if is_busy(&e) && Instant::now() < by && !self.places.is_closed() => {
                    self.look();
                }
                begun => break begun.map_err(|e| fault("BEGIN IMMEDIATE", &e)),
            }
        };
        self.wait_for(BUSY)?;
        begun.map(|_| self.hear(data_version(&self.connection)))
    }

    fn wait_for(&self, busy: Duration) -> Result<(), DbError> {
        let told = self.connection.busy_timeout(busy);
        told.map_err(|e| fault("busy_timeout", &e))
    }

    /// Listens to the transaction until it commits, is dropped, or falls asleep.
    fn steps(&self, steps: &mpsc::Receiver<Step>) {
        while let Ok(step) = steps.recv_timeout(IDLE) {
            match step {
                Step::Run(call, reply) => drop(reply.send(run(&self.connection, &call))),
                Step::Many(calls, reply) => {
                    let answers = calls.iter().map(|call| run(&self.connection, call));
                    drop(reply.send(answers.collect()));
                }
                Step::Script(name, sql, reply) => {
                    drop(
                        reply.send(
                            self.connection
                                .execute_batch(&sql)
                                .map_err(|e| fault(name, &e)),
                        ),
                    );
                }
                Step::Commit(reply) => {
                    let committed = self.sql("COMMIT").inspect_err(|_| self.roll_back());
                    let counts = committed.is_ok();
                    if reply.send(committed).is_err() && counts {
                        self.tell();
                    }
                    return;
                }
            }
        }
    }

    /// Rolls back what is still open; nothing is, after a commit.
    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(e) = self.sql("ROLLBACK")
        {
            tracing::error!(error = %e, "a transaction could not be rolled back");
        }
    }

    fn sql(&self, sql: &'static str) -> Result<(), DbError> {
        let mut statement = self
            .connection
            .prepare_cached(sql)
            .map_err(|e| fault(sql, &e))?;
        statement.execute([]).map(drop).map_err(|e| fault(sql, &e))
    }

    /// Tells everybody when another process has written. When that cannot be known, it may have.
    fn look(&mut self) {
        if Instant::now() < self.look_at {
            return;
        }
        self.look_at = Instant::now() + LOOK;
        let version = data_version(&self.connection);
        if self.file.as_ref().is_some_and(Held::is_gone) && !self.places.is_closed() {
            self.places.close();
            if version == Ok(self.seen) {
                self.empty_log();
            } else {
                // Somebody has written since, perhaps to the new file: the log is that one's now.
                tracing::error!("{LEFT}");
            }
            tracing::error!(
                "the database file was replaced or removed: nothing is read from the old one any more; restart the gateway"
            );
            self.tell();
        }
        self.hear(version);
    }

    fn hear(&mut self, version: Result<i64, DbError>) {
        if version != Ok(self.seen) {
            self.seen = version.unwrap_or(self.seen);
            self.tell();
        }
    }

    /// What others have copied is to be forgotten. Whoever asks for a change sees to that, unless they left before the
    /// answer came.
    fn tell(&self) {
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

fn data_version(connection: &Connection) -> Result<i64, DbError> {
    let mut statement = connection
        .prepare_cached("PRAGMA data_version")
        .map_err(|e| fault("look", &e))?;
    statement
        .query_row([], |row| row.get(0))
        .map_err(|e| fault("look", &e))
}
