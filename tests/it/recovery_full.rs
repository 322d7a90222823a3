//! A disk that takes nothing more, for which a limit on the size of files stands in, and one that others write to (G-09).

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::process::binary;
use crate::harness::setup::password;
use crate::harness::{Gateway, Setup, eventually, within};

/// How large a file may be that the gateway writes to. What it has open can still be read.
fn limit_files(gateway: &Gateway, most: &str) {
    let done = Command::new("prlimit")
        .args(["--pid", &gateway.pid().to_string()])
        .arg(format!("--fsize={most}:unlimited"))
        .status();
    assert!(done.unwrap().success());
}

#[test]
fn g_09_whoever_cannot_write_is_not_ready() {
    // Beyond the limit writing fails, as on a full disk, once nobody is ended by the signal for it.
    let gateway = Setup::new()
        .on_sqlite()
        .wrapped("trap '' XFSZ; exec \"$@\"")
        .start();
    let ready = || gateway.ask_admin("/readyz").status;
    let login = || gateway.try_login("alice", &password("alice")).status;
    assert_eq!((ready(), login()), (200, 200));
    limit_files(&gateway, "0");
    assert_eq!(login(), 503);
    let told = within(Duration::from_secs(15), || (ready() == 503).then_some(()));
    assert!(
        told.is_some(),
        "ready, and nobody can log in: {}",
        gateway.log()
    );
    assert_eq!(gateway.ask_admin("/healthz").status, 200);
    limit_files(&gateway, "unlimited");
    // At once: that it cannot be written to is not remembered.
    assert_eq!((ready(), login()), (200, 200));
}

/// An import, say: whoever looks then, and several do, must not take the gateway out of a balancer. For how long the last write
/// is believed has passed by then.
#[test]
fn g_09_while_another_process_writes_for_a_while_the_gateway_is_ready() {
    let gateway = Setup::new().on_sqlite().start();
    let ready = || gateway.ask_admin("/readyz").status;
    assert_eq!(ready(), 200);
    let begun = Instant::now();
    let other = rusqlite::Connection::open(gateway.path().join("data/portcullis.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    while begun.elapsed() < Duration::from_secs(8) {
        let all = thread::scope(|scope| {
            let all = [(); 3].map(|()| scope.spawn(ready));
            all.map(|one| one.join().unwrap())
        });
        assert_eq!(all, [200; 3], "after {:?}", begun.elapsed());
    }
    // Not for ever.
    let told = within(Duration::from_secs(20), || (ready() == 503).then_some(()));
    assert!(told.is_some(), "ready, and nothing can be written");
    other.execute_batch("ROLLBACK").unwrap();
    eventually("to be ready again", || (ready() == 200).then_some(()));
}

/// Whoever copies the file then has not all of it.
#[test]
fn g_09_a_stop_that_leaves_something_beside_the_file_says_so() {
    const SAID: &str = "the newest of the database is in the file beside it";
    for (what, full, shared) in [
        ("a disk with room", false, false),
        ("a full disk", true, false),
        ("another process reads", false, true),
    ] {
        let gateway = Setup::new()
            .on_sqlite()
            .wrapped("trap '' XFSZ; exec \"$@\"")
            .start();
        gateway.login("alice");
        let ahead = gateway.path().join("data/portcullis.db-wal");
        let is_left = || std::fs::metadata(&ahead).is_ok_and(|file| file.len() > 0);
        assert!(is_left(), "{what}: nothing was written ahead");
        let _reading = shared.then(|| {
            let other = rusqlite::Connection::open(gateway.path().join("data/portcullis.db"));
            let other = other.unwrap();
            other
                .execute_batch("BEGIN; SELECT COUNT(*) FROM users")
                .unwrap();
            other
        });
        if full {
            limit_files(&gateway, "0");
        }
        assert!(gateway.stop().success(), "{what}: {}", gateway.log());
        assert_eq!(
            gateway.log().contains(SAID),
            full,
            "{what}: {}",
            gateway.log()
        );
        assert_eq!(is_left(), full || shared, "{what}");
    }
}

/// Whoever copies the file after a command has not all of it either.
#[test]
fn g_09_a_command_that_leaves_something_beside_the_file_says_so() {
    const SAID: &str = "the newest of the database is in the file beside it";
    let gateway = Setup::new().on_sqlite().start();
    gateway.login("alice");
    gateway.signal("KILL");
    let stat = format!("/proc/{}/stat", gateway.pid());
    eventually("the gateway to be gone", || {
        let stat = std::fs::read_to_string(&stat);
        stat.map_or(true, |stat| stat.contains(") Z "))
            .then_some(())
    });
    let ahead = gateway.path().join("data/portcullis.db-wal");
    let is_left = || std::fs::metadata(&ahead).is_ok_and(|file| file.len() > 0);
    // What there is beside the file has room below the limit, and the file has not.
    for (what, limit, full) in [
        ("a full disk", "65536", true),
        ("one with room", "unlimited", false),
    ] {
        assert!(is_left(), "{what}: nothing was written ahead");
        let said = Command::new("sh")
            .args([
                "-c",
                "trap '' XFSZ; exec prlimit --fsize=$0:unlimited \"$@\"",
                limit,
            ])
            .arg(binary())
            .args(["-c".as_ref(), gateway.config().as_os_str()])
            .args(["user", "list"])
            .current_dir(gateway.path())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{what}: {told}");
        assert_eq!(told.contains(SAID), full, "{what}: {told}");
        assert_eq!(is_left(), full, "{what}");
    }
}
