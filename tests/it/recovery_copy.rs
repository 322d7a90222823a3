//! The file of the database, copied and put back while nothing runs (G-09).

use std::fs;

use crate::harness::{Gateway, Setup};

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
