//! Calls on a connection: alone, or together in a transaction, once more when that is safe and may help.
//!
//! A transaction goes in two flights: everything up to the last statement, all of it sent at once; then the
//! commit, and before it the word to the other nodes, if rows have changed that they may have copies of. So
//! whatever fails in the first flight was not committed, and may be tried again.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use futures_util::TryStreamExt as _;
use futures_util::future::maybe_done;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::{Error, Statement as Prepared};

use super::answer::{Bound, columns, fault, is_undone, is_worth_another_try, row};
use super::connect::{ANSWER, READ};
use super::pool::{Lines, Object};
use crate::store::error::DbError;
use crate::store::statement::{Access, Answer, Call};

/// The channel that nodes tell each other on.
pub(super) const CHANNEL: &str = "portcullis";

/// How this `Db` tells the others that it has written; and itself, where it does not know whether it has.
pub(super) struct Told {
    sender: String,
    commit: String,
    news: watch::Sender<u64>,
    doubt: Mutex<Option<Instant>>,
}

/// For how long a commit may yet be done whose answer was lost.
const DOUBT: Duration = Duration::from_mins(10);

/// What went wrong, and whether it may be tried again.
pub(super) struct Failure {
    error: DbError,
    pub(super) again: bool,
    undone: bool,
}

impl Told {
    /// Under a name of its own, so that it does not listen to itself.
    pub(super) fn by(id: &[u8]) -> Self {
        let sender = hex::encode(id);
        let commit = format!("NOTIFY {CHANNEL}, '{sender}'; COMMIT");
        Self {
            sender,
            commit,
            news: watch::channel(0).0,
            doubt: Mutex::default(),
        }
    }

    /// A number that moves with every [`Told::bump`].
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Whatever was copied is to be forgotten.
    pub(super) fn bump(&self) {
        self.news
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Whether this word is news. Our own is, as long as we do not know what we have done.
    pub(super) fn is_news(&self, sender: &str) -> bool {
        let doubt = self.doubt.lock().unwrap_or_else(PoisonError::into_inner);
        sender != self.sender || doubt.is_some_and(|since| since.elapsed() < DOUBT)
    }

    /// A commit whose answer was lost: it may have been done, or be done yet.
    pub(super) fn is_in_doubt(&self) {
        *self.doubt.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.bump();
    }

    /// The commit of a transaction that has changed, or has not, what others may have copies of.
    pub(super) fn commit(&self, changed: bool) -> &str {
        if changed { &self.commit } else { "COMMIT" }
    }
}

impl Failure {
    fn of(name: &'static str, error: &Error) -> Self {
        Self {
            error: fault(name, error),
            again: is_worth_another_try(error),
            undone: is_undone(error),
        }
    }

    pub(super) fn into_error(self) -> DbError {
        self.error
    }

    /// It would go wrong again.
    fn last(error: DbError) -> Self {
        Self {
            error,
            again: false,
            undone: false,
        }
    }
}

/// What a read has at least on the connection it gets, however long it has waited for that.
const AT_LEAST: Duration = Duration::from_secs(1);

/// Runs one call outside any transaction.
pub(super) async fn alone(lines: &Lines, call: &Call) -> Result<Answer, DbError> {
    let reads = call.statement.access == Access::Read;
    let began = Instant::now();
    let mut tried = false;
    loop {
        let line = if reads {
            lines.line_by(began + READ).await?
        } else {
            lines.line().await?
        };
        let got = Instant::now();
        // What a read has waited for a connection, or on one that was lost, is not waited for once more.
        let by = if reads {
            (began + READ).max(got + AT_LEAST)
        } else {
            got + ANSWER
        };
        let (prepared, sent) = match within(timeout_at(by, prepare(&line, call)).await) {
            Ok(prepared) => {
                let by = if reads { by } else { Instant::now() + ANSWER };
                let sent = timeout_at(by, one(&line, call, &prepared)).await;
                (true, within(sent))
            }
            Err(failure) => (false, Err(failure)),
        };
        match sent {
            Ok(answer) => return Ok(answer),
            // What was sent may have been done, and only reading may be done twice.
            Err(Some(failure))
                if failure.again && !tried && (reads || !prepared || failure.undone) =>
            {
                tried = true;
                drop(Object::take(line));
            }
            // It had too little of the time to say anything of those beside it.
            Err(None) if got.elapsed() < READ / 2 => {
                drop(Object::take(line));
                return Err(DbError::unavailable("no answer in time"));
            }
            Err(failure) => return Err(given_up(lines, line, failure)),
        }
    }
}

/// Runs calls in one transaction.
pub(super) async fn together(
    lines: &Lines,
    calls: &[Call],
    told: &Told,
) -> Result<Vec<Answer>, DbError> {
    let mut tried = false;
    loop {
        let line = lines.line().await?;
        match within(timeout(ANSWER, first_flight(&line, calls)).await) {
            Ok(answers) => {
                let commit = told.commit(has_news(calls, &answers));
                let finished = within(timeout(ANSWER, finish(&line, commit)).await);
                if finished.is_err() {
                    told.is_in_doubt();
                }
                return match finished {
                    Ok(()) => Ok(answers),
                    Err(Some(failure)) => {
                        // Whatever is open on it goes with it.
                        drop(Object::take(line));
                        Err(failure.error)
                    }
                    Err(None) => Err(given_up(lines, line, None)),
                };
            }
            Err(Some(failure)) if failure.again && !tried => {
                tried = true;
                drop(Object::take(line));
            }
            Err(failure) => return Err(given_up(lines, line, failure)),
        }
    }
}

/// Runs one call on a connection, in whatever transaction it is in.
pub(super) async fn on(line: &ClientWrapper, call: &Call) -> Result<Answer, Failure> {
    let prepared = prepare(line, call).await?;
    one(line, call, &prepared).await
}

/// Commits. A connection that breaks here leaves open whether it was done.
pub(super) async fn finish(line: &ClientWrapper, commit: &str) -> Result<(), Failure> {
    line.batch_execute(commit)
        .await
        .map_err(|e| Failure::last(fault("commit", &e)))
}

/// Whether rows have changed that other nodes may have copies of.
pub(super) fn is_news(call: &Call, answer: &Answer) -> bool {
    call.statement.access == Access::Write && answer.changed > 0
}

fn has_news(calls: &[Call], answers: &[Answer]) -> bool {
    calls
        .iter()
        .zip(answers)
        .any(|(call, answer)| is_news(call, answer))
}

/// Begins and runs every call. If one fails, the transaction is rolled back before the connection is used again.
async fn first_flight(line: &Object, calls: &[Call]) -> Result<Vec<Answer>, Failure> {
    let mut prepared = Vec::with_capacity(calls.len());
    for call in calls {
        prepared.push(prepare(line, call).await?);
    }
    let begin = async {
        let begun = line.batch_execute("BEGIN").await;
        begun
            .map(|()| Answer::default())
            .map_err(|e| Failure::of("begin", &e))
    };
    let mut flight: Vec<Pin<Box<dyn Future<Output = _> + Send + '_>>> = vec![Box::pin(begin)];
    for (call, prepared) in calls.iter().zip(&prepared) {
        flight.push(Box::pin(one(line, call, prepared)));
    }
    let answers: Result<Vec<Answer>, Failure> = in_order(flight).await.into_iter().collect();
    if answers.is_err() {
        // On a connection that is gone, so is the transaction.
        drop(line.batch_execute("ROLLBACK").await);
    }
    // The first is what BEGIN said.
    answers.map(|answers| answers.into_iter().skip(1).collect())
}

async fn prepare(line: &ClientWrapper, call: &Call) -> Result<Prepared, Failure> {
    let name = call.statement.name;
    let prepared = line
        .prepare_cached(call.statement.sql)
        .await
        .map_err(|e| Failure::of(name, &e))?;
    let (wanted, given) = (prepared.params().len(), call.values.len());
    if wanted != given {
        return Err(Failure::last(DbError::statement(
            name,
            format!("takes {wanted} values and was given {given}"),
        )));
    }
    Ok(prepared)
}

async fn one(line: &ClientWrapper, call: &Call, prepared: &Prepared) -> Result<Answer, Failure> {
    let failed = |e| Failure::of(call.statement.name, &e);
    let values: Vec<Bound<'_>> = call.values.iter().map(Bound).collect();
    let given = line.query_raw(
        prepared,
        values
            .iter()
            .map(|v| v as &(dyn tokio_postgres::types::ToSql + Sync)),
    );
    let given = given.await.map_err(failed)?;
    let mut given = std::pin::pin!(given);
    let columns = columns(prepared);
    let mut rows = Vec::new();
    while let Some(found) = given.try_next().await.map_err(failed)? {
        rows.push(row(&columns, &found).map_err(Failure::last)?);
    }
    let changed = given.rows_affected().unwrap_or_default();
    Ok(Answer { rows, changed })
}

/// Sends all of it before waiting for any of it: the driver sends what is polled, in the order of the polls.
async fn in_order<T>(flight: Vec<Pin<Box<dyn Future<Output = T> + Send + '_>>>) -> Vec<T> {
    let mut flight: Vec<_> = flight.into_iter().map(maybe_done).collect();
    std::future::poll_fn(|context| {
        let mut done = true;
        for one in &mut flight {
            done &= Pin::new(one).poll(context).is_ready();
        }
        if done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    flight
        .iter_mut()
        .filter_map(|one| Pin::new(one).take_output())
        .collect()
}

/// `None` is silence.
pub(super) fn within<T>(
    answer: Result<Result<T, Failure>, tokio::time::error::Elapsed>,
) -> Result<T, Option<Failure>> {
    match answer {
        Ok(answer) => answer.map_err(Some),
        Err(_) => Err(None),
    }
}

fn given_up(lines: &Lines, line: Object, failure: Option<Failure>) -> DbError {
    match failure {
        Some(failure) => {
            if failure.again {
                drop(Object::take(line));
            }
            failure.error
        }
        None => {
            lines.abandon(line);
            DbError::unavailable("no answer in time")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::future::join_all;
    use tokio::net::TcpListener;

    use super::*;
    use crate::store::postgres::PostgresUrl;
    use crate::store::postgres::connect::{Connector, Session};
    use crate::store::postgres::leader::Leader;
    use crate::store::statement::Statement;

    /// Whoever comes while others knock at a server that has frozen waits for a place first, and knocks then.
    #[tokio::test]
    async fn g_09_a_read_waits_for_a_place_and_a_connection_no_longer_than_for_both() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://u@{}/g", silent.local_addr().unwrap());
        let url = PostgresUrl::parse(&url).unwrap();
        let leader = Leader::new(Arc::new(Told::by(&[1])));
        let connector = Connector::new(&url, leader).unwrap();
        let lines = Lines::new(connector, Session::Reads).unwrap();
        let call = Statement::read("test.one", "SELECT 1 AS one").with([]);
        let reads = (0..24_u32).map(|number| {
            let (lines, call) = (&lines, &call);
            async move {
                tokio::time::sleep(READ / 50 * number).await;
                let began = Instant::now();
                assert!(alone(lines, call).await.is_err());
                began.elapsed()
            }
        });
        let longest = join_all(reads).await.into_iter().max().unwrap();
        assert!(longest < READ + AT_LEAST, "{longest:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn g_09_our_own_word_is_news_while_we_do_not_know_what_we_have_done() {
        let told = Told::by(&[1, 2]);
        let mut watch = told.watch();
        assert!(told.is_news("another") && !told.is_news("0102"));
        told.is_in_doubt();
        assert!(
            watch.has_changed().unwrap(),
            "it may have been done already"
        );
        watch.mark_unchanged();
        assert!(told.is_news("0102"), "or be done yet");
        tokio::time::advance(DOUBT).await;
        assert!(!told.is_news("0102") && !watch.has_changed().unwrap());
    }
}
