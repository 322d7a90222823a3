//! What belongs to the gateway and what does not: its prefix, and its admin listener (L-06).

use crate::harness::{Gateway, Setup, Trial};
use crate::pages_browser::NAVIGATION;

#[test]
fn nothing_below_the_prefix_is_forwarded() {
    let gateway = Setup::new()
        .rules("  - { path: /**, allow: anyone }")
        .start();
    let mut trial = Trial::with_plain_twin(&gateway, "prefix");
    for path in [
        "/auth/x",
        "/auth/x/y/z",
        "/auth/login/x",
        "/auth/mes",
        "/auth/userss/1",
        "/auth/register/x",
        "/auth/static/../secret",
        "/auth/static/nothing.css",
        "/auth//x",
        "//auth/x",
        "/%61uth/x",
        "/x/../auth/x",
        "/auth/./x",
        "/auth/.well-known/x",
    ] {
        for lines in ["", NAVIGATION] {
            let answer = trial.refused(trial.get(path, lines)).answer.unwrap();
            assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        }
    }
    // A service that ignores case must not be shown our prefix in capitals.
    for path in [
        "/AUTH/x",
        "/Auth/login",
        "/aUTH/logout",
        "/AUTH",
        "/%41uth/x",
    ] {
        for lines in ["", NAVIGATION] {
            let answer = trial.refused(trial.get(path, lines)).answer.unwrap();
            assert_eq!(answer.status, 404, "{path}");
        }
    }
    for path in ["/authx", "/authority/x", "/x/auth/login", "/aut"] {
        trial.served(&trial.get(path, ""));
    }
}

#[test]
fn the_admin_pages_are_not_on_the_public_listener() {
    let gateway = Gateway::shared();
    let mut trial = Trial::with_plain_twin(gateway, "L-06");
    for path in ["/metrics", "/healthz", "/readyz", "/auth/metrics", "/debug"] {
        let answer = trial.refused(trial.get(path, "")).answer.unwrap();
        assert!(
            matches!(answer.status, 401 | 403 | 404),
            "{} for {path}",
            answer.status
        );
        assert!(!answer.text().contains("portcullis_"), "{path}");
    }
    for (path, status) in [
        ("/metrics", 200),
        ("/healthz", 200),
        ("/readyz", 200),
        ("/app/x", 404),
    ] {
        assert_eq!(gateway.ask_admin(path).status, status, "{path}");
    }
    // Nor are the others on the admin listener.
    for path in ["/auth/login", "/public/x"] {
        assert_eq!(gateway.ask_admin(path).status, 404, "{path}");
    }
}
