//! A transaction: a task that owns the connection, and listens until it is told to commit, is dropped, or
//! falls asleep.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::answer::fault;
use super::connect::{ANSWER, IDLE};
use super::pool::Object;
use super::run::{self, Failure};
use super::{Handles, gone};
use crate::store::error::DbError;
use crate::store::statement::{Answer, Call};

/// Any number that nobody else is likely to lock: "portcull".
const ALONE: i64 = 0x706f_7274_6375_6c6c;
/// How long to wait to be alone: the other may be migrating large tables.
const PATIENCE: Duration = Duration::from_mins(1);

type Reply<T> = oneshot::Sender<Result<T, DbError>>;

/// A transaction, held from outside. Dropping it rolls back.
pub(in crate::store) struct Tx(mpsc::Sender<Step>);

/// Whether other transactions may go on beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    /// They may, but for what it locks.
    Some,
    /// Those that want to be alone, too, wait.
    None,
}

enum Step {
    Run(Call, Reply<Answer>),
    Script(&'static str, String, Reply<()>),
    Commit(Reply<()>),
}

/// The task's side.
struct Task {
    handles: Arc<Handles>,
    line: Object,
    steps: mpsc::Receiver<Step>,
    news: bool,
}

/// How the transaction has ended.
enum End {
    /// Nothing is open on the connection any more.
    Clean,
    /// It must be rolled back.
    Open,
    /// The server did not answer.
    Silent,
}

/// Begins a transaction.
pub(super) async fn begin(handles: &Arc<Handles>, company: Company) -> Result<Tx, DbError> {
    let (steps, listen) = mpsc::channel(1);
    let (reply, answer) = oneshot::channel();
    // From here on `steps` lives in this future: dropping it ends a transaction that has just begun.
    handles
        .home
        .spawn(open(Arc::clone(handles), company, listen, reply));
    answer.await.map_err(|_| gone())?.map(|()| Tx(steps))
}

impl Tx {
    pub(in crate::store) async fn run(&mut self, call: Call) -> Result<Answer, DbError> {
        self.step(|reply| Step::Run(call, reply)).await
    }

    /// One after the other: the way to the server is what it costs, and the next statement must not be sent before
    /// it is known that the one before it did not lose the transaction.
    pub(in crate::store) async fn many(
        &mut self,
        calls: Vec<Call>,
    ) -> Result<Vec<Answer>, DbError> {
        let mut answers = Vec::with_capacity(calls.len());
        for call in calls {
            answers.push(self.run(call).await?);
        }
        Ok(answers)
    }

    /// Waits as long as it takes: nobody knows how long a migration of a large table needs.
    pub(in crate::store) async fn script(
        &mut self,
        name: &'static str,
        sql: String,
    ) -> Result<(), DbError> {
        self.step(|reply| Step::Script(name, sql, reply)).await
    }

    pub(in crate::store) async fn commit(self) -> Result<(), DbError> {
        self.step(Step::Commit).await
    }

    async fn step<T>(&self, step: impl FnOnce(Reply<T>) -> Step) -> Result<T, DbError> {
        let (reply, answer) = oneshot::channel();
        self.0.send(step(reply)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

async fn open(
    handles: Arc<Handles>,
    company: Company,
    steps: mpsc::Receiver<Step>,
    reply: Reply<()>,
) {
    let line = match handles.writers.line().await {
        Ok(line) => line,
        Err(error) => return drop(reply.send(Err(error))),
    };
    let mut task = Task {
        handles,
        line,
        steps,
        news: false,
    };
    let begun = task.begin(company).await;
    let end = match (&begun, reply.is_closed()) {
        (Ok(()), false) => {
            drop(reply.send(begun));
            task.serve().await
        }
        (Err(_), false) => {
            drop(reply.send(begun));
            End::Silent
        }
        (Ok(()), true) => End::Open,
        (Err(_), true) => End::Silent,
    };
    task.end(end).await;
}

impl Task {
    async fn begin(&self, company: Company) -> Result<(), DbError> {
        let patience = PATIENCE.as_secs();
        let (sql, wait) = match company {
            Company::Some => ("BEGIN".to_owned(), ANSWER),
            Company::None => (
                format!(
                    "BEGIN; SET LOCAL lock_timeout = '{patience}s'; SET LOCAL statement_timeout = 0;
                     SELECT pg_advisory_xact_lock({ALONE})"
                ),
                PATIENCE + ANSWER,
            ),
        };
        match timeout(wait, self.line.batch_execute(&sql)).await {
            Ok(begun) => begun.map_err(|e| fault("begin", &e)),
            Err(_) => Err(silent()),
        }
    }

    async fn serve(&mut self) -> End {
        loop {
            let Ok(Some(step)) = timeout(IDLE, self.steps.recv()).await else {
                return End::Open;
            };
            match step {
                Step::Run(call, reply) => match timeout(ANSWER, run::on(&self.line, &call)).await {
                    Ok(answer) => {
                        self.news |= answer
                            .as_ref()
                            .is_ok_and(|found| run::is_news(&call, found));
                        drop(reply.send(answer.map_err(Failure::into_error)));
                    }
                    Err(_) => return told_silence(reply),
                },
                Step::Script(name, sql, reply) => {
                    drop(reply.send(self.script(name, &sql).await));
                }
                Step::Commit(reply) => return self.commit(reply).await,
            }
        }
    }

    async fn script(&self, name: &'static str, sql: &str) -> Result<(), DbError> {
        let sql = format!("SET LOCAL statement_timeout = 0; {sql}");
        self.line
            .batch_execute(&sql)
            .await
            .map_err(|e| fault(name, &e))
    }

    async fn commit(&self, reply: Reply<()>) -> End {
        let told = &self.handles.told;
        let finished = timeout(ANSWER, run::finish(&self.line, told.commit(self.news))).await;
        if !matches!(finished, Ok(Ok(()))) {
            told.is_in_doubt();
        }
        match finished {
            Ok(Ok(())) => {
                if reply.send(Ok(())).is_err() {
                    // Whoever asked for it has left, and sees to nothing any more.
                    told.bump();
                }
                End::Clean
            }
            Ok(Err(failure)) => {
                drop(reply.send(Err(failure.into_error())));
                End::Open
            }
            Err(_) => told_silence(reply),
        }
    }

    /// Gives the connection back once nothing is open on it, or gives it up.
    async fn end(self, end: End) {
        let clean = match end {
            End::Clean => true,
            End::Open => timeout(ANSWER, self.line.batch_execute("ROLLBACK"))
                .await
                .is_ok_and(|done| done.is_ok()),
            End::Silent => false,
        };
        if !clean {
            drop(Object::take(self.line));
        }
    }
}

fn told_silence<T>(reply: Reply<T>) -> End {
    drop(reply.send(Err(silent())));
    End::Silent
}

fn silent() -> DbError {
    DbError::unavailable("no answer in time")
}

fn ended() -> DbError {
    DbError::unavailable("the transaction was left idle and has been rolled back")
}
