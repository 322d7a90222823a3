//! HTTP/2 as others test it: the whole of h2spec against the TLS listener (S-22). Built by `tests/run` where there is
//! a Go; elsewhere our own frames (`framing_h2`) have to do.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::Setup;

/// Every test of the suite.
const ALL: &str = "145 tests, 145 passed, 0 skipped, 0 failed";

fn suite() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(env::var_os("HOME").unwrap()).join(".cache"),
        PathBuf::from,
    );
    cache.join("portcullis-tests/bin/h2spec")
}

fn has_go() -> bool {
    Command::new("go").arg("version").output().is_ok()
}

#[test]
fn s_22_h2spec_finds_nothing() {
    let suite = suite();
    if !suite.exists() {
        assert!(
            !has_go(),
            "{} is missing: tests/run builds it",
            suite.display()
        );
        println!("not run: there is no h2spec, and no Go to build it with");
        return;
    }
    // It asks for `/`, of a service that reads a request before it answers, so that a body's faults come first.
    let gateway = Setup::new()
        .tls(&["localhost"])
        .rules("  - { path: /**, allow: anyone }")
        .start();
    let port = gateway.https().port().to_string();
    let arguments = ["-h", "localhost", "-t", "-k", "-o", "5", "-p"];
    let said = Command::new(suite)
        .args(arguments)
        .arg(port)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&said.stdout);
    let failures = text.split("Failures:").nth(1).unwrap_or_default();
    assert!(
        text.contains(ALL),
        "{failures}\n{}",
        text.lines().last().unwrap_or_default()
    );
    assert!(gateway.recorder().count() > 10, "nothing was forwarded");
}
