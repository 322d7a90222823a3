//! Which connections end behind a message: `close` counts in whatever line of `Connection` it stands (RFC 9112 section 9.3).

use crate::harness::{Gateway, Raw, Recorded, Trial};

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
