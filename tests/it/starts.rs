//! A start that is told to stop before it serves (G-13).

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use crate::hand_over::{has_namespaces, innermost};
use crate::harness::Setup;
use crate::harness::eventually;
use crate::harness::process::{Process, WRAPPER};

/// Nothing else is in the container.
const FIRST: &str = r#"exec unshare --user --pid --fork --kill-child --mount-proc "$@""#;

/// Whether a process has this file open.
fn has_open(pid: u32, file: &Path) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fd"));
    open.into_iter().flatten().flatten().any(|open| {
        let path = fs::read_link(open.path());
        path.is_ok_and(|path| path == file)
    })
}

/// A signal that nobody listens for ends a process, and is nothing to the first one of a container.
#[test]
fn g_13_a_start_that_is_told_to_stop_serves_nobody() {
    let mut wrappers = vec![r#"exec "$@""#];
    if has_namespaces() {
        wrappers.push(FIRST);
    } else {
        println!("no namespaces here; only an ordinary process is looked at");
    }
    for (wrapper, signal, number) in wrappers
        .iter()
        .flat_map(|wrapper| [(wrapper, "TERM", 15), (wrapper, "INT", 2)])
    {
        let folder = Setup::new().on_sqlite().folder();
        let file = folder.path().join("data/portcullis.db");
        fs::create_dir(file.parent().unwrap()).unwrap();
        // The start waits for it.
        let held = rusqlite::Connection::open(&file).unwrap();
        held.execute_batch("BEGIN EXCLUSIVE").unwrap();
        let config = folder.config();
        let arguments = ["-c", config.to_str().unwrap(), "serve"];
        let environment = [(WRAPPER.to_owned(), (*wrapper).to_owned())];
        let process = Process::start(folder.path(), &arguments, &environment);
        let pid = eventually("the start to wait", || {
            let pid = innermost(process.pid());
            has_open(pid, &file).then_some(pid)
        });
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &pid.to_string()])
            .status();
        assert!(sent.unwrap().success());
        drop(held);
        let served = process.wait_for_line("ready");
        assert!(served.is_err(), "{wrapper}: {signal} was lost");
        let ended = process.wait();
        // As shells tell it: the one that is waited for has other ways to say so than the first of a namespace.
        let code = ended.code().or(ended.signal().map(|signal| 128 + signal));
        assert_eq!(code, Some(128 + number), "{wrapper}: {}", process.err());
    }
}
