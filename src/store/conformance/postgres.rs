//! What is PostgreSQL's alone: the server and its sessions, the way there, and what the other nodes hear.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::server::{Database, Server};
use super::{Opened, at, made, new_user, open, postgres, superuser, together};
use crate::base::time::Clock;
use crate::store::error::DbError;
use crate::store::statement::Statement;
use crate::store::volatile::{Key, Kind};
use crate::store::{Db, DbUrl, Settings, Store, VolatileKind, lock};

/// Every session of the database but the one that asks.
const OTHERS: &str =
    "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";

fn database(opened: &Opened) -> &Database {
    opened.database.as_ref().unwrap()
}

async fn opens(url: &str) -> Result<Db, DbError> {
    Db::open(&DbUrl::parse(url).unwrap(), None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn r_14_migrations_started_twice_happen_once() {
    for _ in 0..2 {
        let database = Database::new();
        let settings = Settings {
            url: DbUrl::parse(&database.socket_url()).unwrap(),
            volatile: VolatileKind::Store,
        };
        let stores = together(8, |_| {
            let settings = settings.clone();
            async move { Store::open(&settings, at(0), None).await.map(drop) }
        })
        .await;
        assert!(stores.iter().all(Result::is_ok), "{stores:?}");
        let twice = "SELECT COUNT(*) - COUNT(DISTINCT version) FROM migrations";
        assert_eq!(database.sql(twice), "0");
        assert_ne!(database.sql("SELECT COUNT(*) FROM migrations"), "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g_09_sessions_that_the_server_ends_are_made_again() {
    let opened = postgres().await;
    let user = made(&opened, &new_user("alice")).await;
    let mut changes = opened.db.changes();
    for round in 0..5 {
        changes.mark_unchanged();
        database(&opened).sql(&format!("SELECT COUNT(pg_terminate_backend(pid)) {OTHERS}"));
        // Whatever fails now may fail as unavailable only, and not for long.
        let read = opened.users.by_id(user.id).await;
        assert!(
            matches!(read, Ok(Some(_)) | Err(DbError::Unavailable(_))),
            "{read:?}"
        );
        sleep(Duration::from_millis(100)).await;
        opened
            .users
            .set_active(user.id, round % 2 == 0, at(round))
            .await
            .unwrap();
        opened.db.ping().await.unwrap();
        timeout(Duration::from_secs(2), changes.changed())
            .await
            .unwrap()
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g_09_a_lock_held_elsewhere_is_an_error_and_passes() {
    let opened = postgres().await;
    let other = open(&opened.url).await;
    let first = made(&opened, &superuser("first")).await;
    made(&opened, &superuser("second")).await;
    let holder = tokio::spawn(async move {
        // Never idle for long enough to be rolled back, and never done.
        let mut tx = other.db.begin().await.unwrap();
        tx.execute(lock::superusers()).await.unwrap();
        let one = Statement::read("test.one", "SELECT CAST(1 AS BIGINT) AS one");
        loop {
            tx.one(one.with([])).await.unwrap();
            sleep(Duration::from_secs(1)).await;
        }
    });
    sleep(Duration::from_millis(500)).await;
    let write = timeout(
        Duration::from_secs(12),
        opened.users.set_active(first.id, false, at(1)),
    );
    let (write, read) = tokio::join!(write, opened.users.by_id(first.id));
    assert!(read.unwrap().unwrap().is_active, "reading goes on");
    let said = write.unwrap().unwrap_err();
    let unavailable = matches!(
        said,
        crate::store::users::UserError::Db(DbError::Unavailable(_))
    );
    assert!(unavailable, "{said:?}");
    holder.abort();
    drop(holder.await);
    opened
        .users
        .set_active(first.id, false, at(1))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn b_16_when_every_connection_is_in_use_that_is_said() {
    let opened = postgres().await;
    let user = made(&opened, &new_user("alice")).await;
    let one = Statement::read("test.one", "SELECT CAST(1 AS BIGINT) AS one");
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(opened.db.begin().await.unwrap());
    }
    let busy = async {
        loop {
            for tx in &mut held {
                tx.one(one.with([])).await.unwrap();
            }
            sleep(Duration::from_millis(500)).await;
        }
    };
    let write = opened.users.set_active(user.id, false, at(1));
    let write = timeout(Duration::from_secs(8), write);
    let (write, read) = tokio::select! {
        both = async { tokio::join!(write, opened.users.by_id(user.id)) } => both,
        () = busy => panic!("held for ever"),
    };
    assert!(read.unwrap().unwrap().is_active, "reading goes on");
    let said = write.unwrap().unwrap_err();
    let unavailable = matches!(
        said,
        crate::store::users::UserError::Db(DbError::Unavailable(_))
    );
    assert!(unavailable, "{said:?}");
    held.clear();
    opened
        .users
        .set_active(user.id, false, at(1))
        .await
        .unwrap();
}

/// The server gives up the one that has waited for a second: the batch, which is then run again.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_loses_a_deadlock_is_run_again() {
    let opened = postgres().await;
    let mut tx = opened.db.begin().await.unwrap();
    tx.execute(lock::owner(1)).await.unwrap();
    let db = opened.db.clone();
    let calls = vec![lock::owner(2), lock::owner(1)];
    let batch = tokio::spawn(async move { db.batch("test", calls).await });
    let waits = format!("SELECT COUNT(*) {OTHERS} AND wait_event_type = 'Lock'");
    while database(&opened).sql(&waits) != "1" {
        sleep(Duration::from_millis(10)).await;
    }
    tx.execute(lock::owner(2)).await.unwrap();
    tx.commit().await.unwrap();
    assert!(batch.await.unwrap().is_ok());
    let taken = "SELECT string_agg(CAST(taken AS TEXT), ',') FROM locks WHERE name LIKE 'owner%'";
    assert_eq!(database(&opened).sql(taken), "2,2");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_open() {
    let opened = postgres().await;
    for polls in 0..20 {
        let mut tx = Box::pin(async {
            let mut tx = opened.db.begin().await.unwrap();
            tx.execute(lock::roles()).await.unwrap();
            opened.db.ping().await.unwrap();
            tx.execute(lock::superusers()).await.unwrap();
            std::future::pending::<()>().await;
        });
        assert!(
            timeout(Duration::from_micros(300 * polls), &mut tx)
                .await
                .is_err()
        );
    }
    let begun = format!("SELECT COUNT(*) {OTHERS} AND state LIKE 'idle in%'");
    let closed = async {
        while database(&opened).sql(&begun) != "0" {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(2), closed).await.unwrap();
    assert!(
        database(&opened)
            .sql(&format!("SELECT COUNT(*) {OTHERS}"))
            .parse::<u32>()
            .unwrap()
            > 1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_node_has_a_copy_of_is_no_news() {
    let opened = postgres().await;
    let other = open(&opened.url).await;
    let user = made(&opened, &new_user("alice")).await;
    let mut changes = opened.db.changes();
    sleep(Duration::from_millis(500)).await;
    changes.mark_unchanged();
    let key = Key::of(&[b"x"]);
    for n in 0..20 {
        let window = Duration::from_mins(1);
        other
            .volatile
            .count(Kind::Throttle, &key, window, at(n))
            .await
            .unwrap();
        other.volatile.delete(Kind::Session, &key).await.unwrap();
        other.db.ping().await.unwrap();
    }
    let mut tx = other.db.begin().await.unwrap();
    tx.execute(lock::roles()).await.unwrap();
    tx.commit().await.unwrap();
    sleep(Duration::from_millis(500)).await;
    assert!(
        !changes.has_changed().unwrap(),
        "counted, and nothing deleted"
    );
    // A transaction that is rolled back tells nobody; one that is committed does.
    let touch = Statement::write("test.touch", "UPDATE users SET generation = generation + 1");
    let mut tx = other.db.begin().await.unwrap();
    tx.execute(touch.with([])).await.unwrap();
    drop(tx);
    sleep(Duration::from_millis(500)).await;
    assert!(!changes.has_changed().unwrap(), "rolled back");
    let mut tx = other.db.begin().await.unwrap();
    tx.execute(touch.with([])).await.unwrap();
    tx.commit().await.unwrap();
    timeout(Duration::from_secs(1), changes.changed())
        .await
        .unwrap()
        .unwrap();
    other.users.set_active(user.id, false, at(1)).await.unwrap();
    timeout(Duration::from_secs(1), changes.changed())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn f_08_a_certificate_that_is_not_trusted_is_refused() {
    let (database, server) = (Database::new(), Server::shared());
    let root = server.certificate();
    let named = |host: &str, options: &str| database.url().replace("127.0.0.1", host) + options;
    let trusting = format!("?sslmode=require&sslrootcert={}", root.display());
    let db = opens(&named("localhost", &trusting)).await.unwrap();
    let ssl = Statement::read(
        "test",
        "SELECT ssl AS encrypted FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    );
    let row = db.one(ssl.with([])).await.unwrap().unwrap();
    assert_eq!(row.get::<bool>("encrypted"), Ok(true));
    let refused = [
        ("nobody we know", named("localhost", "?sslmode=require")),
        ("another name", named("127.0.0.1", &trusting)),
        (
            "no TLS there",
            format!("{}?sslmode=require", database.socket_url()),
        ),
        (
            "no such file",
            named("localhost", "?sslmode=require&sslrootcert=/nowhere.pem"),
        ),
        (
            "no certificate",
            named("localhost", "?sslmode=require&sslrootcert=/dev/null"),
        ),
    ];
    for (what, url) in refused {
        let said = opens(&url).await.err();
        assert!(
            matches!(said, Some(DbError::Unavailable(_))),
            "{what}: {said:?}"
        );
    }
}

/// It may be far behind, and a session that has ended would still be there.
#[tokio::test(flavor = "multi_thread")]
async fn g_09_a_server_that_follows_another_one_is_not_asked() {
    let (database, leader) = (Database::new(), Server::shared());
    let follower = Server::following();
    let alone = opens(&database.socket_url_of(&[&follower])).await.err();
    assert!(matches!(alone, Some(DbError::Unavailable(_))), "{alone:?}");
    for servers in [[&follower, leader], [leader, &follower]] {
        let db = opens(&database.socket_url_of(&servers)).await.unwrap();
        let follows = Statement::read("test.follows", "SELECT pg_is_in_recovery() AS follows");
        for _ in 0..4 {
            let row = db.one(follows.with([])).await.unwrap().unwrap();
            assert_eq!(row.get::<bool>("follows"), Ok(false));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_on_the_disk_whatever_the_server_is_used_to() {
    let database = Database::new();
    database.sql(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$",
    );
    let db = opens(&database.socket_url()).await.unwrap();
    let set = Statement::write(
        "test.set",
        "SELECT current_setting('synchronous_commit') AS word",
    );
    let row = db.one(set.with([])).await.unwrap().unwrap();
    assert_eq!(row.get::<String>("word"), Ok("on".to_owned()));
}

#[tokio::test]
async fn a_refusal_to_connect_repeats_no_password() {
    let database = Database::new();
    let wrong = database.url().replace("own", "wrong");
    assert_ne!(wrong, database.url());
    let missing = database.url() + "_not";
    for url in [wrong, missing] {
        match opens(&url).await.err() {
            Some(DbError::Unavailable(said)) => {
                assert!(
                    !said.contains("wrong") && !said.contains("a test's"),
                    "{said}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_fault_repeats_no_value() {
    let opened = postgres().await;
    let faults = [
        ("SELECT CAST(CAST($1 AS TEXT) AS BIGINT) AS n", "22P02"),
        ("SELECT 1 / (length($1) - 6) AS n", "22012"),
        ("SELECT CAST($1 AS BYTEA) AS n", "bytea"),
    ];
    for (sql, names) in faults {
        let call = Statement::read("test.fault", sql).with(["secret".into()]);
        let said = opened.db.one(call).await.unwrap_err();
        let text = format!("{said:?} {said}");
        assert!(matches!(said, DbError::Statement { .. }), "{text}");
        assert!(text.contains(names) && !text.contains("secret"), "{text}");
    }
}

/// A row of theirs that cannot be deleted just now opens nothing, and keeps nobody from being told that they are gone.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_deleted_is_whatever_is_left_of_them() {
    let opened = postgres().await;
    let user = made(&opened, &new_user("alice")).await;
    let url = database(&opened).socket_url();
    let held = tokio::spawn(async move {
        const HOLD: Statement =
            Statement::write("test.hold", "LOCK TABLE volatile_entries IN SHARE MODE");
        const WAIT: Statement = Statement::read("test.wait", "SELECT 1 AS one FROM pg_sleep(0.2)");
        let other = opens(&url).await.unwrap();
        let mut tx = other.begin().await.unwrap();
        tx.execute(HOLD.with([])).await.unwrap();
        loop {
            tx.one(WAIT.with([])).await.unwrap();
        }
    });
    let locked = "SELECT COUNT(*) FROM pg_locks WHERE mode = 'ShareLock' AND granted \
                  AND relation = 'volatile_entries'::regclass";
    while database(&opened).sql(locked) == "0" {
        sleep(Duration::from_millis(20)).await;
    }
    let gone = opened.delete_user(user.id).await.unwrap();
    assert_eq!(gone.id, user.id);
    assert!(opened.users.by_id(user.id).await.unwrap().is_none());
    held.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_says_what_time_it_is() {
    let opened = postgres().await;
    let (now, theirs) = (Clock::System.now(), opened.db.time().await.unwrap());
    let apart = theirs.unwrap().millis().abs_diff(now.millis());
    assert!(apart < 60_000, "{apart} ms apart on one machine");
    assert_eq!(open(&DbUrl::SqliteMemory).await.db.time().await, Ok(None));
}
