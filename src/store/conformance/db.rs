//! Statements, batches and transactions.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::timeout;

use super::{Opened, on_every_db, together};
use crate::store::Db;
use crate::store::error::DbError;
use crate::store::lock;
use crate::store::statement::{Call, Statement, Value};

on_every_db! {
    values_come_back_as_they_went
    values_are_bound_by_name
    faults_are_sorted
    a_batch_counts_whole_or_not_at_all
    a_failure_undoes_nobody_elses_work
    a_transaction_counts_when_it_is_committed
    a_transaction_that_failed_stays_failed
    many_calls_of_a_transaction_answer_in_order
    locked_transactions_do_not_overlap
    a_cancelled_transaction_lets_go
    an_idle_transaction_is_rolled_back
    a_reading_statement_cannot_write
    operations_are_timed_by_name
    both_sides_answer
}

const PUT: Statement = Statement::write(
    "test.put",
    "INSERT INTO locks (name, taken) VALUES ($1, $2)",
);
const GET: Statement = Statement::read("test.get", "SELECT taken FROM locks WHERE name = $1");
const SET: Statement = Statement::write("test.set", "UPDATE locks SET taken = $2 WHERE name = $1");

fn put(name: &str, taken: i64) -> Call {
    PUT.with([name.into(), taken.into()])
}

async fn get(db: &Db, name: &str) -> Option<i64> {
    let row = db.one(GET.with([name.into()])).await.unwrap();
    row.map(|row| row.get("taken").unwrap())
}

async fn values_come_back_as_they_went(opened: &Opened) {
    const TABLE: &str = "CREATE TABLE kinds (n BIGINT, b BOOLEAN, t TEXT, x BYTEA)";
    const PUT: Statement = Statement::write(
        "test.put",
        "INSERT INTO kinds (n, b, t, x) VALUES ($1, $2, $3, $4)",
    );
    const GET: Statement = Statement::read("test.get", "SELECT n, b, t, x FROM kinds");
    let mut tx = opened.db.begin().await.unwrap();
    tx.script("test.table", TABLE.to_owned()).await.unwrap();
    tx.commit().await.unwrap();
    let text = "zoë \u{1} 1 ' \" $1";
    let values = [
        i64::MIN.into(),
        true.into(),
        text.into(),
        Value::Bytes(vec![0, 255]),
    ];
    assert_eq!(opened.db.execute(PUT.with(values)).await, Ok(1));
    let row = opened.db.one(GET.with([])).await.unwrap().unwrap();
    assert_eq!(row.get::<i64>("n"), Ok(i64::MIN));
    assert_eq!(row.get::<bool>("b"), Ok(true));
    assert_eq!(row.get::<String>("t").unwrap(), text);
    assert_eq!(row.get::<Vec<u8>>("x"), Ok(vec![0, 255]));
    opened
        .db
        .execute(PUT.with([Value::Null, Value::Null, Value::Null, Value::Null]))
        .await
        .unwrap();
    let nul = [Value::Null, Value::Null, "a\0b".into(), Value::Null];
    assert!(matches!(
        opened.db.execute(PUT.with(nul)).await,
        Err(DbError::Statement { .. })
    ));
    let rows = opened.db.all(GET.with([])).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1].get::<Option<bool>>("b"), Ok(None));
    assert!(matches!(
        opened.db.one(GET.with([])).await,
        Err(DbError::Statement { .. })
    ));
}

async fn values_are_bound_by_name(opened: &Opened) {
    const TWISTED: Statement = Statement::read(
        "test.twisted",
        "SELECT CAST($2 AS TEXT) || CAST($1 AS TEXT) || CAST($2 AS TEXT) AS said",
    );
    let row = opened
        .db
        .one(TWISTED.with(["a".into(), "b".into()]))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(row.get::<String>("said").unwrap(), "bab");
    for call in [
        TWISTED.with(["a".into()]),
        TWISTED.with(["a".into(), "b".into(), "c".into()]),
    ] {
        assert!(matches!(
            opened.db.one(call).await,
            Err(DbError::Statement { .. })
        ));
    }
}

async fn faults_are_sorted(opened: &Opened) {
    const ORPHAN: Statement = Statement::write(
        "test.orphan",
        "INSERT INTO user_roles (user_id, role_id, source, granted_at) VALUES (7, 7, 'x', 0)",
    );
    const NONSENSE: Statement = Statement::read("test.nonsense", "SELECT nothing FROM nowhere");
    opened.db.execute(put("a", 1)).await.unwrap();
    assert_eq!(opened.db.execute(put("a", 2)).await, Err(DbError::Conflict));
    assert_eq!(
        opened.db.execute(ORPHAN.with([])).await,
        Err(DbError::Reference)
    );
    let nonsense = opened.db.all(NONSENSE.with([])).await;
    assert!(matches!(
        nonsense,
        Err(DbError::Statement {
            name: "test.nonsense",
            ..
        })
    ));
    assert_eq!(get(&opened.db, "a").await, Some(1));
}

async fn a_batch_counts_whole_or_not_at_all(opened: &Opened) {
    let good = opened
        .db
        .batch("test", vec![put("a", 1), GET.with(["a".into()])])
        .await
        .unwrap();
    assert_eq!(good[1].rows[0].get::<i64>("taken"), Ok(1));
    let bad = opened
        .db
        .batch("test", vec![put("b", 1), put("a", 1), put("c", 1)])
        .await;
    assert_eq!(bad.err(), Some(DbError::Conflict));
    assert_eq!(get(&opened.db, "b").await, None);
    assert_eq!(get(&opened.db, "c").await, None);
}

/// Jobs that wait together share a commit; a job that fails must not take its neighbours along.
async fn a_failure_undoes_nobody_elses_work(opened: &Opened) {
    let done = together(200, |n| {
        let db = opened.db.clone();
        async move {
            let name = format!("row {}", n / 4);
            match n % 2 {
                0 => db.execute(put(&name, 0)).await.map(drop),
                _ => db
                    .batch("test", vec![put(&format!("side {n}"), 0), put(&name, 0)])
                    .await
                    .map(drop),
            }
        }
    })
    .await;
    assert_eq!(done.iter().filter(|one| one.is_ok()).count(), 50);
    assert!(
        done.iter()
            .all(|one| matches!(one, Ok(()) | Err(DbError::Conflict)))
    );
    for n in 0..50 {
        assert_eq!(get(&opened.db, &format!("row {n}")).await, Some(0));
    }
    let count = Statement::read(
        "test.count",
        "SELECT COUNT(*) AS sides FROM locks WHERE name <> $1",
    );
    let row = opened
        .db
        .one(count.with(["".into()]))
        .await
        .unwrap()
        .unwrap();
    let batches = row.get::<i64>("sides").unwrap() - 50;
    let mut sides = 0;
    for n in (1..200).step_by(2) {
        sides += i64::from(get(&opened.db, &format!("side {n}")).await.is_some());
    }
    assert_eq!(sides, batches, "nothing but the sides of batches that won");
    assert!(batches <= 50);
}

async fn a_transaction_counts_when_it_is_committed(opened: &Opened) {
    let mut tx = opened.db.begin().await.unwrap();
    assert_eq!(tx.execute(put("a", 1)).await, Ok(1));
    assert_eq!(
        tx.one(GET.with(["a".into()]))
            .await
            .unwrap()
            .unwrap()
            .get::<i64>("taken"),
        Ok(1)
    );
    drop(tx);
    assert_eq!(get(&opened.db, "a").await, None);
    let mut tx = opened.db.begin().await.unwrap();
    tx.execute(put("a", 2)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(get(&opened.db, "a").await, Some(2));
}

async fn a_transaction_that_failed_stays_failed(opened: &Opened) {
    let mut tx = opened.db.begin().await.unwrap();
    tx.execute(put("a", 1)).await.unwrap();
    assert_eq!(tx.execute(put("a", 1)).await, Err(DbError::Conflict));
    assert!(tx.execute(put("b", 1)).await.is_err());
    assert!(tx.commit().await.is_err());
    assert_eq!(get(&opened.db, "a").await, None);
}

async fn many_calls_of_a_transaction_answer_in_order(opened: &Opened) {
    let mut tx = opened.db.begin().await.unwrap();
    let get = || GET.with(["b".into()]);
    let answers = tx
        .many("test.many", vec![put("a", 1), get(), put("b", 2), get()])
        .await
        .unwrap();
    let rows: Vec<usize> = answers.iter().map(|answer| answer.rows.len()).collect();
    assert_eq!(rows, [0, 0, 0, 1]);
    assert_eq!(answers[2].changed, 1);
    assert_eq!(tx.many("test.many", Vec::new()).await.unwrap().len(), 0);
    tx.commit().await.unwrap();
    assert_eq!(get_all(&opened.db, &["a", "b"]).await, [Some(1), Some(2)]);
    // One that fails loses the transaction, those before it included.
    let mut tx = opened.db.begin().await.unwrap();
    let again = tx.many("test.many", vec![put("c", 3), put("a", 4), put("d", 5)]);
    assert_eq!(again.await.unwrap_err(), DbError::Conflict);
    assert!(tx.many("test.many", vec![put("e", 6)]).await.is_err());
    assert!(tx.commit().await.is_err());
    assert_eq!(get_all(&opened.db, &["c", "d", "e"]).await, [None; 3]);
}

async fn get_all<const N: usize>(db: &Db, names: &[&str; N]) -> [Option<i64>; N] {
    let mut found = [None; N];
    for (name, place) in names.iter().zip(&mut found) {
        *place = get(db, name).await;
    }
    found
}

async fn locked_transactions_do_not_overlap(opened: &Opened) {
    opened.db.execute(put("sum", 0)).await.unwrap();
    together(40, |_| {
        let db = opened.db.clone();
        async move {
            let mut tx = db.begin().await.unwrap();
            tx.execute(lock::superusers()).await.unwrap();
            let sum: i64 = tx
                .one(GET.with(["sum".into()]))
                .await
                .unwrap()
                .unwrap()
                .get("taken")
                .unwrap();
            tokio::task::yield_now().await;
            tx.execute(SET.with(["sum".into(), (sum + 1).into()]))
                .await
                .unwrap();
            tx.commit().await.unwrap();
        }
    })
    .await;
    assert_eq!(get(&opened.db, "sum").await, Some(40));
}

/// Futures dropped at every stage: waiting to begin, begun, and in the middle of a statement.
async fn a_cancelled_transaction_lets_go(opened: &Opened) {
    for polls in 0..12 {
        let held = opened.db.begin().await.unwrap();
        let db = opened.db.clone();
        let mut work = Box::pin(async move {
            let mut tx = db.begin().await.unwrap();
            tx.execute(put("never", 1)).await.unwrap();
            tx.one(GET.with(["never".into()])).await.unwrap();
            std::future::pending::<()>().await;
            tx.commit().await.unwrap();
        });
        assert!(
            timeout(Duration::ZERO, &mut work).await.is_err(),
            "it does not end by itself"
        );
        drop(held);
        for _ in 0..polls {
            assert!(
                timeout(Duration::from_micros(50 * polls), &mut work)
                    .await
                    .is_err()
            );
        }
        drop(work);
        opened
            .db
            .execute(put(&format!("after {polls}"), 1))
            .await
            .unwrap();
    }
    assert_eq!(get(&opened.db, "never").await, None);
}

async fn an_idle_transaction_is_rolled_back(opened: &Opened) {
    let mut tx = opened.db.begin().await.unwrap();
    tx.execute(put("sleepy", 1)).await.unwrap();
    // Whoever is in its way waits for it to be given up, and no longer.
    timeout(Duration::from_secs(10), opened.db.execute(put("sleepy", 2)))
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(
        tx.execute(put("late", 1)).await,
        Err(DbError::Unavailable(_))
    ));
    assert!(tx.commit().await.is_err());
    assert_eq!(get(&opened.db, "sleepy").await, Some(2));
    assert_eq!(get(&opened.db, "late").await, None);
}

async fn a_reading_statement_cannot_write(opened: &Opened) {
    let sly = Statement::read(
        "test.sly",
        "INSERT INTO locks (name, taken) VALUES ('sly', 1) RETURNING name",
    );
    assert!(opened.db.one(sly.with([])).await.is_err());
    assert_eq!(get(&opened.db, "sly").await, None);
}

async fn operations_are_timed_by_name(opened: &Opened) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = seen.clone();
    let observer = Arc::new(move |name, _| notes.lock().unwrap().push(name));
    let url = match &opened.url {
        crate::store::DbUrl::SqliteFile(path) => {
            crate::store::DbUrl::SqliteFile(path.with_extension("other"))
        }
        other => other.clone(),
    };
    let db = Db::open(&url, Some(observer)).await.unwrap();
    let one = Statement::read("test.one", "SELECT CAST(1 AS BIGINT) AS one");
    db.one(one.with([])).await.unwrap();
    db.batch("test.batch", vec![one.with([])]).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    tx.one(one.with([])).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        *seen.lock().unwrap(),
        ["test.one", "test.batch", "test.one", "commit"]
    );
}

async fn both_sides_answer(opened: &Opened) {
    let entries = async || {
        const COUNT: Statement =
            Statement::read("test.count", "SELECT COUNT(*) AS n FROM volatile_entries");
        let row = opened.db.one(COUNT.with([])).await.unwrap().unwrap();
        row.get::<i64>("n").unwrap()
    };
    let before = entries().await;
    // Many at once, as of several nodes, and nothing is left of them.
    let pings = (0..8).map(|_| opened.db.ping());
    for ping in futures_util::future::join_all(pings).await {
        ping.unwrap();
    }
    assert_eq!(entries().await, before);
}
