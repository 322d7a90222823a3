//! What is SQLite's alone: the file, its neighbours, and those who hold it.

use std::time::Duration;

use rusqlite::Connection;
use tokio::time::timeout;

use super::{Opened, at, made, new_user, sqlite_file, together};
use crate::store::error::DbError;
use crate::store::statement::{Statement, Value};
use crate::store::volatile::Kind;
use crate::store::volatile::sql::SCAN;
use crate::store::{Db, DbUrl, MigrateError, Settings, Store, VolatileKind, migrate};

fn path(opened: &Opened) -> &std::path::Path {
    match &opened.url {
        DbUrl::SqliteFile(path) => path,
        other => panic!("not a file: {other}"),
    }
}

#[cfg(unix)]
#[tokio::test]
async fn g_19_the_file_is_ours_alone() {
    use std::os::unix::fs::PermissionsExt;
    let opened = sqlite_file().await;
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path(&opened).parent().unwrap()), 0o700);
    assert_eq!(mode(path(&opened)), 0o600);
    for side in ["portcullis.db-wal", "portcullis.db-shm"] {
        assert_eq!(mode(&path(&opened).with_file_name(side)), 0o600, "{side}");
    }
}

/// A list of many sessions is read page by page: each must begin where the one before has ended.
#[tokio::test]
async fn a_page_is_looked_up_by_its_first_key() {
    let opened = sqlite_file().await;
    let plan = Box::leak(format!("EXPLAIN QUERY PLAN {}", SCAN.sql).into_boxed_str());
    let plan = Statement::read("test", plan).with([
        Kind::Session.into(),
        Value::Bytes(Vec::new()),
        Value::Int(0),
        Value::Int(10),
    ]);
    let steps = opened.db.all(plan).await.unwrap();
    let steps: Vec<String> = steps.iter().map(|it| it.get("detail").unwrap()).collect();
    assert!(steps.join("; ").contains("(kind=? AND key>?)"), "{steps:?}");
}

#[tokio::test]
async fn every_connection_is_set_up() {
    let opened = sqlite_file().await;
    let pragmas = [
        (
            "synchronous",
            "SELECT synchronous AS value FROM pragma_synchronous",
            2,
        ),
        (
            "foreign_keys",
            "SELECT foreign_keys AS value FROM pragma_foreign_keys",
            1,
        ),
        (
            "trusted_schema",
            "SELECT trusted_schema AS value FROM pragma_trusted_schema",
            0,
        ),
        (
            "busy_timeout",
            "SELECT timeout AS value FROM pragma_busy_timeout",
            5000,
        ),
    ];
    for (pragma, sql, value) in pragmas {
        for statement in [Statement::read("test", sql), Statement::write("test", sql)] {
            let row = opened.db.one(statement.with([])).await.unwrap().unwrap();
            assert_eq!(row.get::<i64>("value"), Ok(value), "{pragma}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_14_migrations_started_twice_happen_once() {
    let folder = tempfile::tempdir().unwrap();
    let memory = Db::open(&DbUrl::SqliteMemory, None).await.unwrap();
    let known = u64::try_from(migrate::status(&memory).await.unwrap().len()).unwrap();
    for round in 0..5 {
        let url = DbUrl::SqliteFile(folder.path().join(format!("{round}.db")));
        let settings = Settings {
            url,
            volatile: VolatileKind::Store,
        };
        let stores = together(8, |_| {
            let settings = settings.clone();
            async move {
                Store::open(&settings, at(0), None)
                    .await
                    .map(|store| store.db)
            }
        })
        .await;
        for db in stores {
            let count = Statement::read("test", "SELECT COUNT(*) AS migrations FROM migrations");
            let row = db.unwrap().one(count.with([])).await.unwrap().unwrap();
            assert_eq!(row.get::<u64>("migrations"), Ok(known));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g_09_a_lock_held_elsewhere_is_an_error_and_passes() {
    let opened = sqlite_file().await;
    let user = made(&opened, &new_user("alice")).await;
    let holder = Connection::open(path(&opened)).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let write = opened.users.set_active(user.id, false, at(1));
    let write = timeout(Duration::from_secs(10), write);
    let read = opened.users.by_id(user.id);
    let (write, read) = tokio::join!(write, read);
    assert!(read.unwrap().unwrap().is_active, "reading goes on");
    let said = write.unwrap().unwrap_err();
    assert!(
        matches!(
            said,
            crate::store::users::UserError::Db(DbError::Unavailable(_))
        ),
        "{said:?}"
    );
    holder.execute_batch("ROLLBACK").unwrap();
    assert!(
        !opened
            .users
            .set_active(user.id, false, at(1))
            .await
            .unwrap()
            .is_active
    );
}

/// A third one that writes for long keeps us from writing, not from hearing.
#[tokio::test(flavor = "multi_thread")]
async fn r_02_what_another_process_has_written_is_heard_while_we_wait_to_write() {
    let opened = sqlite_file().await;
    made(&opened, &new_user("alice")).await;
    let mut changes = opened.db.changes();
    let holder = Connection::open(path(&opened)).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    changes.mark_unchanged();
    let touch = Statement::write("test", "UPDATE users SET generation = generation + 1");
    let write = opened.db.execute(touch.with([]));
    // It is asked for first, and the lock is let go of for less than a moment.
    let heard = async {
        let written = "UPDATE users SET is_active = 0; COMMIT; BEGIN IMMEDIATE";
        holder.execute_batch(written).unwrap();
        let heard = timeout(Duration::from_secs(1), changes.changed()).await;
        holder.execute_batch("ROLLBACK").unwrap();
        heard
    };
    let (write, heard) = tokio::join!(write, heard);
    assert!(heard.is_ok(), "not heard of within a second");
    write.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn g_09_what_nobody_waits_for_any_more_is_not_done_later() {
    let opened = sqlite_file().await;
    let user = made(&opened, &new_user("alice")).await;
    let holder = Connection::open(path(&opened)).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let left = opened.users.set_active(user.id, false, at(1));
    let left = timeout(Duration::from_millis(100), left).await;
    assert!(left.is_err(), "the lock was held");
    let (old, new) = ("x".to_owned().into(), "y".to_owned().into());
    let stayed = async {
        let upgraded = opened.users.upgrade_hash(user.id, &old, &new).await;
        assert_eq!(upgraded, Ok(false));
    };
    let release = async { holder.execute_batch("ROLLBACK").unwrap() };
    tokio::join!(stayed, release);
    assert!(
        opened
            .users
            .by_id(user.id)
            .await
            .unwrap()
            .unwrap()
            .is_active
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn g_09_a_change_whose_asker_has_left_is_told() {
    const SLOW: Statement = Statement::write(
        "test",
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000000)
         UPDATE users SET is_active = (SELECT COUNT(*) FROM numbers) = 0",
    );
    let opened = sqlite_file().await;
    let user = made(&opened, &new_user("alice")).await;
    let mut changes = opened.db.changes();
    changes.mark_unchanged();
    let db = opened.db.clone();
    let asked = tokio::spawn(async move { db.execute(SLOW.with([])).await });
    let other = Connection::open(path(&opened)).unwrap();
    other.busy_timeout(Duration::ZERO).unwrap();
    // The asker leaves once it has begun.
    while other.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok() {
        assert!(!asked.is_finished(), "it was not slow");
        tokio::task::yield_now().await;
    }
    asked.abort();
    assert!(asked.await.unwrap_err().is_cancelled(), "it was not slow");
    timeout(Duration::from_mins(1), changes.changed())
        .await
        .unwrap()
        .unwrap();
    let user = opened.users.by_id(user.id).await.unwrap().unwrap();
    assert!(!user.is_active);
}

#[tokio::test]
async fn what_is_no_database_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    std::fs::write(
        &file,
        "this is a text and not a database, however long you look at it",
    )
    .unwrap();
    let said = Db::open(&DbUrl::SqliteFile(file), None).await.err();
    assert!(matches!(said, Some(DbError::Corrupt(_))), "{said:?}");
    let said = Db::open(&DbUrl::SqliteFile(folder.path().to_owned()), None)
        .await
        .err();
    assert!(matches!(said, Some(DbError::Unavailable(_))), "{said:?}");
}

#[tokio::test]
async fn g_12_a_newer_database_is_refused() {
    let opened = sqlite_file().await;
    let newer =
        "INSERT INTO migrations (version, name, checksum, applied_at) VALUES (99, 'x', 'x', 0)";
    opened
        .db
        .execute(Statement::write("test", newer).with([]))
        .await
        .unwrap();
    let settings = Settings {
        url: opened.url.clone(),
        volatile: VolatileKind::Store,
    };
    let said = Store::open(&settings, at(0), None).await.err();
    assert_eq!(said, Some(MigrateError::Newer(99)));
}
