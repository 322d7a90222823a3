//! The file of the database, copied and put back while nothing runs (G-09), and left as it is by a start that comes to nothing.

use std::fs;
use std::thread;

use crate::accounts::{opens, tokens, try_refresh};
use crate::hand_over::Line;
use crate::harness::gateway::session_cookie;
use crate::harness::setup::password;
use crate::harness::{Gateway, Setup, eventually};
use crate::streams::{HEAD, Told, events_over_http1};

const FILE: &str = "data/portcullis.db";

/// Everything is in the one file.
fn assert_whole(gateway: &Gateway, after: &str) {
    let log = gateway.path().join(format!("{FILE}-wal"));
    let left = fs::metadata(log).map_or(0, |log| log.len());
    assert_eq!(left, 0, "bytes in the log beside it after {after}");
}

#[test]
fn g_09_a_copy_of_the_file_is_a_copy_of_the_database() {
    let gateway = Setup::new().on_sqlite().nobody().start();
    let names = || gateway.cli(&["user", "list"], "").fine().out.clone();
    gateway.add_user("alice", "user").fine();
    assert_eq!(gateway.stop().code(), Some(0));
    assert_whole(&gateway, "a stop");
    let copy = fs::read(gateway.path().join(FILE)).unwrap();
    gateway.add_user("carol", "user").fine();
    assert_whole(&gateway, "a command");
    assert!(names().contains("carol"));
    fs::write(gateway.path().join(FILE), copy).unwrap();
    let names = names();
    assert!(
        names.contains("alice") && !names.contains("carol"),
        "{names}"
    );
    // And is no damaged one.
    let gateway = gateway.restart();
    gateway.login("alice");
    let database = rusqlite::Connection::open(gateway.path().join(FILE)).unwrap();
    let sound: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(sound, "ok");
}

/// Puts a copy in the place of the file while it is open.
fn exchange(gateway: &Gateway) {
    let copy = gateway.path().join("copy.db");
    let database = rusqlite::Connection::open(gateway.path().join(FILE)).unwrap();
    let sql = format!("VACUUM INTO '{}'", copy.display());
    database.execute_batch(&sql).unwrap();
    // Something that the copy does not know.
    gateway.login("alice");
    gateway.login("alice");
    drop(database);
    fs::rename(copy, gateway.path().join(FILE)).unwrap();
    gateway.says("the database file was replaced");
}

fn sessions(gateway: &Gateway) -> i64 {
    let count = "SELECT CAST(COUNT(*) AS TEXT) FROM volatile_entries WHERE kind = 'session'";
    gateway.stored(count).parse().unwrap()
}

#[test]
fn g_09_a_file_that_was_exchanged_too_early_is_kept_as_it_was() {
    let gateway = Setup::new().on_sqlite().start();
    gateway.login("alice");
    exchange(&gateway);
    assert_whole(&gateway, "the exchange");
    assert_eq!(sessions(&gateway), 1);
    assert_eq!(gateway.stop().code(), Some(0));
    assert_eq!(sessions(&gateway), 1);
    gateway.restart().login("alice");
}

/// The next process has the new file open while the one before, with the old one, comes to its end.
#[test]
fn g_09_what_is_written_after_an_exchange_is_not_lost_by_a_hand_over() {
    let told = Told::start();
    let gateway = told.setup("").on_sqlite().start();
    let cookie = gateway.login("alice");
    let open = events_over_http1(&told, gateway.connect(), &cookie, HEAD);
    exchange(&gateway);
    let mut line = Line::of(&gateway);
    let cookies = thread::scope(|scope| {
        let handed = scope.spawn(|| line.hand_over());
        gateway.says("the new process serves");
        // Who comes at that very moment may still meet the one before, which has no store.
        let login = || {
            let answer = gateway.try_login("alice", &password("alice"));
            (answer.status == 200).then(|| session_cookie(&answer))
        };
        let cookies: Vec<_> = (0..6).map(|_| eventually("a login", login)).collect();
        drop(open);
        handed.join().unwrap();
        cookies
    });
    assert_eq!(sessions(&gateway), 7);
    let request = |cookie: &str| {
        format!("GET /auth/account HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n")
    };
    for cookie in &cookies {
        assert_eq!(gateway.ask(request(cookie)).status, 200);
    }
}

/// Other nodes of the version before may stand on it.
#[test]
fn g_06_a_start_with_another_key_or_none_changes_nothing_of_the_store() {
    let gateway = Setup::new().on_sqlite().start();
    assert!(gateway.stop().success());
    let at = |name: &str| gateway.path().join("data").join(name);
    // As the version before left it.
    let database = rusqlite::Connection::open(at("portcullis.db")).unwrap();
    let newest = "SELECT MAX(version) FROM migrations";
    let newest = || database.query_row(newest, [], |row| row.get::<_, i64>(0));
    let last = newest().unwrap();
    let older = format!("DROP TABLE names; DELETE FROM migrations WHERE version = {last}");
    database.execute_batch(&older).unwrap();
    let key = fs::read(at("gateway.key")).unwrap();
    let refused = |told: &str| {
        let said = gateway.cli(&["serve"], "");
        assert_eq!(said.code, Some(1), "{}", said.all());
        assert!(said.all().contains(told), "{}", said.all());
        assert_eq!(newest(), Ok(last - 1), "migrated all the same: {told}");
    };
    fs::remove_file(at("gateway.key")).unwrap();
    refused("put it back");
    fs::write(at("gateway.key"), "5f".repeat(32)).unwrap();
    refused("does not open with this gateway key");
    fs::write(at("gateway.key"), key).unwrap();
    let gateway = gateway.restart();
    assert_eq!(newest(), Ok(last));
    assert_eq!(gateway.ask_admin("/readyz").status, 200);
}

/// A copy holds what has ended since it was made, and it is all good again.
#[test]
fn g_15_what_a_copy_brings_back_can_be_ended_at_once() {
    let gateway = Setup::new().on_sqlite().start();
    let pair = tokens(&gateway, "alice");
    let cookie = format!("Cookie: {}\r\n", gateway.login("alice"));
    let copy = gateway.path().join("copy.db");
    let database = rusqlite::Connection::open(gateway.path().join(FILE)).unwrap();
    let sql = format!("VACUUM INTO '{}'", copy.display());
    database.execute_batch(&sql).unwrap();
    drop(database);
    gateway.cli(&["session", "revoke", "--all"], "").fine();
    let open = |gateway: &Gateway| [opens(gateway, &cookie), pair.opens(gateway)];
    assert_eq!(open(&gateway), [false; 2]);
    assert_eq!(gateway.stop().code(), Some(0));
    fs::rename(copy, gateway.path().join(FILE)).unwrap();
    let gateway = gateway.restart();
    assert_eq!(open(&gateway), [true; 2], "it is a copy");
    let said = gateway
        .cli(&["session", "revoke", "--all"], "")
        .fine()
        .out
        .clone();
    assert_eq!(said, "2 sessions have ended\n");
    eventually("both to be over", || {
        (open(&gateway) == [false; 2]).then_some(())
    });
    assert_eq!(try_refresh(&gateway, &pair.refresh).status, 401);
    gateway.login("alice");
}
