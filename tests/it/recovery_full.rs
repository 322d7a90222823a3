//! A disk that takes nothing more (G-09): a limit on the size of files stands in for it.

use std::process::Command;
use std::time::Duration;

use crate::harness::setup::password;
use crate::harness::{Gateway, Setup, within};

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
