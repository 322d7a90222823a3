//! What else is in a `Cookie` header (C-04, C-12, H-15), and that logging out ends whatever came along.

use crate::harness::{Gateway, Response, Setup, marker};

fn ask(gateway: &Gateway, method: &str, path: &str, cookie: &str, lines: &str) -> Response {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nCookie: ");
    let rest = format!("\r\n{lines}Content-Length: 0\r\n\r\n");
    // Bytes, as a browser sends what `document.cookie` was set to.
    gateway.ask([head.as_bytes(), cookie.as_bytes(), rest.as_bytes()].concat())
}

#[test]
fn c_12_h_15_a_cookie_that_is_no_ascii_says_nothing_against_the_others() {
    let gateway = Setup::new().start();
    let session = gateway.login("alice");
    for (cookie, status, left) in [
        (
            format!("{session}; x=J\u{e9}; theme=dark"),
            200,
            Some("theme=dark"),
        ),
        (format!("x=J\u{e9}; {session}"), 200, None),
        (format!("x=\u{e9}; portcullis=\u{e9}; {session}"), 401, None),
        (format!("\u{a0}{session}"), 401, None),
    ] {
        let path = format!("/app/{}", marker("cookie"));
        let answer = ask(&gateway, "GET", &path, &cookie, "");
        assert_eq!(answer.status, status, "{cookie}");
        let seen = gateway.recorder().with(&path);
        assert_eq!(seen.len(), usize::from(status == 200), "{cookie}");
        if let Some(seen) = seen.first() {
            assert_eq!(seen.value("cookie").as_deref(), left, "{cookie}");
        }
    }
    // Also where nobody is asked who they are.
    let path = format!("/public/{}", marker("cookie"));
    assert_eq!(
        ask(&gateway, "GET", &path, "x=J\u{e9}; theme=dark", "").status,
        200
    );
    let seen = gateway.recorder().with(&path).remove(0);
    assert_eq!(seen.value("cookie").as_deref(), Some("theme=dark"));
}

#[test]
fn c_06_whoever_is_told_that_they_are_out_is() {
    let gateway = Setup::new().start();
    let page = "Accept: text/html\r\n";
    let login = || gateway.login("alice");
    let (one, two, three) = (login(), login(), login());
    for (cookie, ended) in [
        (format!("{one}; x=J\u{e9}"), vec![&one]),
        (format!("{two}; {three}"), vec![&two, &three]),
    ] {
        for session in &ended {
            assert_eq!(ask(&gateway, "GET", "/app/x", session, "").status, 200);
        }
        let answer = ask(&gateway, "POST", "/auth/logout", &cookie, page);
        assert_eq!(answer.status, 303);
        assert!(answer.header("location").unwrap().contains("signed-out"));
        for session in ended {
            assert_eq!(
                ask(&gateway, "GET", "/app/x", session, "").status,
                401,
                "{cookie}"
            );
        }
    }
}
