//! Which connections end behind a message: `close` counts in whatever line of `Connection` it stands (RFC 9112 section 9.3).

use std::collections::BTreeSet;

use crate::harness::{Gateway, Raw, Recorded, Reply, Setup, Trial, eventually, marker};

#[test]
fn a_client_that_says_close_is_heard_in_any_line() {
    let gateway = Gateway::shared();
    let trial = Trial::with_plain_twin(gateway, "close");
    let behind = trial.get("/public/behind", "");
    for lines in [
        "Connection: close\r\n",
        "Connection: keep-alive\r\nConnection: close\r\n",
        "Connection: close\r\nConnection: keep-alive\r\n",
        "Connection: keep-alive, close\r\n",
        "Connection: x-a\r\nConnection: x-b , CLOSE\r\n",
    ] {
        let mut raw = Raw::connect(gateway.http());
        raw.send([&trial.get("/public/x", lines), &behind[..]].concat());
        let first = raw.read();
        assert_eq!(first.status, 200, "{lines}");
        assert_eq!(first.header("connection").as_deref(), Some("close"));
        assert!(raw.closes(), "{lines}");
        assert_eq!(raw.left(), "", "{lines}");
    }
    let seen = gateway.recorder().with(&trial.marker);
    let paths: Vec<_> = seen.iter().map(Recorded::path).collect();
    assert!(!paths.contains(&"/public/behind".to_owned()), "{paths:?}");
    // Its twin: what says nothing of the kind is kept.
    for lines in ["", "Connection: keep-alive\r\nConnection: x-close\r\n"] {
        let mut raw = Raw::connect(gateway.http());
        for _ in 0..2 {
            assert_eq!(raw.ask(trial.get("/public/x", lines)).status, 200);
        }
    }
}

/// What was sent into such a connection was lost, if it was no request that may be sent twice.
#[test]
fn a_service_that_says_close_is_heard_in_any_line() {
    let setup = Setup::new();
    setup.recorder().answer(|request| {
        let lines = match request.path().rsplit('/').next() {
            Some("lines") => "Connection: keep-alive\r\nConnection: close\r\n",
            Some("both") => "Connection: keep-alive, close\r\n",
            Some("named") => "Connection: x-a\r\nConnection: x-b, Close\r\n",
            Some("kept") => "Connection: keep-alive\r\nConnection: x-close\r\n",
            _ => "",
        };
        let head = format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\n");
        Reply::raw(head + "ok")
    });
    let gateway = setup.start();
    let trial = Trial::with_plain_twin(&gateway, "close");
    let came_on = |path: &str| {
        let mark = marker("close");
        let answer = gateway.ask(trial.get(format!("/public/{mark}/{path}"), ""));
        assert_eq!(answer.status, 200);
        gateway.recorder().wait_for(&mark, 1).remove(0).connection
    };
    for path in ["lines", "both", "named"] {
        let mut used = BTreeSet::new();
        for _ in 0..8 {
            let one = came_on(path);
            assert!(used.insert(one), "{path}: {one} of {used:?}");
        }
    }
    // Its twin: what says nothing of the kind is kept, if not always before the next request comes.
    for path in ["kept", "silent"] {
        let mut last = came_on(path);
        eventually("a kept connection", || {
            let before = std::mem::replace(&mut last, came_on(path));
            (before == last).then_some(())
        });
    }
}
