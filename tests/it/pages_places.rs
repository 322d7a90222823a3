//! What belongs to the gateway and what does not: its prefix, and its admin listener (L-06).

use crate::harness::{Gateway, Raw, Setup, Trial};
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
    // Whoever scrapes or probes keeps the connection.
    let mut kept = Raw::connect(gateway.admin());
    for path in ["/healthz", "/metrics", "/readyz", "/healthz"] {
        let answer = kept.ask(format!("GET {path} HTTP/1.1\r\nHost: admin\r\n\r\n"));
        assert_eq!(answer.status, 200, "{path} on a connection that is kept");
    }
    // Load balancers probe so, and some wait for the end; what cannot be read is not told to be something else.
    for (head, status) in [
        ("GET /readyz HTTP/1.0\r\n\r\n", 200),
        ("GET /readyz HTTP/1.0\r\nHost: admin\r\n\r\n", 200),
        (
            "GET /metrics HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            200,
        ),
        ("GET /readyz HTTP/1.1\r\n\r\n", 400),
        ("GET http://x/readyz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ] {
        let mut raw = Raw::connect(gateway.admin());
        assert_eq!(raw.ask(head).status, status, "{head}");
        assert!(raw.closes(), "{head}");
    }
    // Where something goes by the host, it is asked for.
    let hostless = gateway.ask("GET /public/x HTTP/1.0\r\n\r\n");
    assert_eq!(hostless.status, 400);
    // Nor are the others on the admin listener.
    for path in ["/auth/login", "/public/x"] {
        assert_eq!(gateway.ask_admin(path).status, 404, "{path}");
    }
}
