//! The document against the gateway (AD-15): schemathesis sends what it allows and what it does not, as four
//! callers. Nothing may fail on our side, and every answer must be one that the document describes.

use std::env;
use std::process::Command;

use crate::api::{Bench, CHIEF};

const DRIVER: &str = include_str!("schema.py");

/// What some versions of Python say when two threads compile at the same time (`CPython`'s issue 106905). It happens
/// while the tool writes its requests, before they are sent, and says nothing about the gateway.
const BROKEN_PYTHON: &str = "AST constructor recursion depth mismatch";

#[test]
fn ad_15_the_document_holds_for_everybody() {
    let Ok(python) = env::var("PORTCULLIS_TEST_PYTHON") else {
        panic!("PORTCULLIS_TEST_PYTHON is not set; run tests/run");
    };
    let bench = Bench::new();
    let url = format!("http://{}", bench.gateway.http());
    let callers = ["", "alice", "reader", CHIEF].map(|name| (name, bench.token(name)));
    // One after the other, the mightiest last: they delete each other.
    for (name, token) in callers {
        let driver = || {
            Command::new(&python)
                .args(["-c", DRIVER, &url, &token])
                .current_dir(bench.gateway.path())
                .output()
                .unwrap()
        };
        let mut said = driver();
        if String::from_utf8_lossy(&said.stdout).contains(BROKEN_PYTHON) {
            said = driver();
        }
        let out = String::from_utf8_lossy(&said.stdout);
        let err = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "as '{name}':\n{out}\n{err}");
        assert!(
            out.contains("passed"),
            "as '{name}', nothing was tried:\n{out}"
        );
    }
    assert!(
        !bench.gateway.log().contains("panicked"),
        "{}",
        bench.gateway.log()
    );
}
