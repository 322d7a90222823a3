//! `compress:` of a rule: what is left alone, what is not, and which of two copies a client holds.

use crate::coding::{ask, get, read, setup, words};
use crate::harness::eventually;

#[test]
fn what_is_left_as_it_was_sent() {
    let gateway = setup().nobody().start();
    for (say, vary) in [
        ("Content-Encoding: br", ""),
        ("Cache-Control: public, no-transform", ""),
        (
            "206 Partial Content | Content-Range: bytes 0-19999/30000",
            "",
        ),
        ("Content-Type: image/png", ""),
        ("Content-Type: application/grpc+json", ""),
        ("Content-Digest: sha-256=:AAAA:", ""),
        ("Repr-Digest: sha-256=:AAAA:", ""),
        ("Trailer: Server-Timing", ""),
        ("Content-Type: image/png | Vary: Origin", "Origin"),
    ] {
        let answer = ask(&gateway, "gzip, br, zstd", &format!("{say} | ETag: \"x\""));
        assert_eq!(answer.text(), words(20_000), "{say}");
        assert_eq!(
            answer.header("content-length").as_deref(),
            Some("20000"),
            "{say}"
        );
        assert_eq!(answer.header("etag").as_deref(), Some("\"x\""), "{say}");
        assert_eq!(answer.values("vary").concat(), vary, "{say}");
        let encoded = answer.header("content-encoding");
        assert_eq!(
            encoded.is_some(),
            say.starts_with("Content-Encoding"),
            "{say}"
        );
    }
    let short = gateway.ask(get("/public/x", "Accept-Encoding: gzip\r\nSize: 1023\r\n"));
    assert_eq!(read(&short), (None, words(1023)));
    let untouched = get(
        "/public/x",
        "Accept-Encoding: gzip\r\nCache-Control: no-transform\r\n",
    );
    assert_eq!(read(&gateway.ask(untouched)), (None, words(20_000)));
    for status in ["204 No Content", "304 Not Modified"] {
        let answer = ask(&gateway, "gzip", status);
        assert_eq!(
            answer.values("content-encoding").len() + answer.values("vary").len(),
            0
        );
    }
}

#[test]
fn what_is_compressed_whatever_else_it_is() {
    let gateway = setup().nobody().start();
    for (say, vary) in [
        ("404 Not Found", "Accept-Encoding"),
        ("Content-Type: application/problem+json", "Accept-Encoding"),
        (
            "Cache-Control: no-store | Vary: Origin",
            "Origin, Accept-Encoding",
        ),
        (
            "Vary: Origin | Vary: Cookie, accept-encoding",
            "Origin; Cookie, accept-encoding",
        ),
        ("Vary: *", "*"),
    ] {
        let answer = ask(&gateway, "gzip, br, zstd", say);
        assert_eq!(
            read(&answer),
            (Some("zstd".to_owned()), words(20_000)),
            "{say}"
        );
        assert_eq!(answer.values("vary").join("; "), vary, "{say}");
    }
}

#[test]
fn what_was_given_out_under_a_weak_tag_is_confirmed_under_it() {
    let gateway = setup().nobody().start();
    let given = ask(&gateway, "gzip", "ETag: \"x\"").header("etag").unwrap();
    assert_eq!(given, "W/\"x\"");
    let confirm = |held: &str| {
        let lines = format!(
            "Accept-Encoding: gzip\r\nIf-None-Match: {held}\r\nSay: 304 Not Modified | ETag: \"x\"\r\n"
        );
        let answer = gateway.ask(get("/public/x", &lines));
        let seen = gateway.recorder().requests().pop().unwrap();
        assert_eq!(seen.value("if-none-match").as_deref(), Some(held));
        (
            answer.status,
            answer.values("etag").concat(),
            answer.values("vary").concat(),
        )
    };
    assert_eq!(
        confirm(&given),
        (304, given.clone(), "Accept-Encoding".to_owned())
    );
    assert_eq!(confirm("\"x\""), (304, "\"x\"".to_owned(), String::new()));
}

#[test]
fn our_own_answers_never_are() {
    let gateway = setup().start();
    let all = "Accept-Encoding: gzip, br, zstd\r\n";
    eventually("the maintenance page", || {
        (gateway.ask(get("/public/away/x", "")).status == 503).then_some(())
    });
    let alice = gateway.as_user("alice");
    for (path, lines, status) in [
        ("/auth/login", "", 200),
        ("/auth/openapi.json", "", 200),
        ("/auth/me", &*alice, 200),
        ("/auth/nothing", "", 404),
        ("/app/x", "", 401),
        ("/app/x", "Accept: text/html\r\n", 303),
        ("/admin/x", &*alice, 403),
        ("/a%2Fb", "", 400),
        (
            "/public/echo/x",
            &*format!("X-Long: {}\r\n", "x".repeat(4000)),
            200,
        ),
        ("/public/away/x", "", 503),
        ("/public/away/x", "Accept: text/html\r\n", 503),
    ] {
        let answer = gateway.ask(get(path, &format!("{all}{lines}")));
        assert_eq!(answer.status, status, "{path} {lines}: {}", answer.text());
        assert_eq!(answer.header("content-encoding"), None, "{path} {lines}");
        assert!(
            answer.body.is_empty() || answer.header("content-length").is_some(),
            "{path} {lines}"
        );
    }
    // The twin: the same rules, a service's answer.
    let answer = gateway.ask(get("/app/x", &format!("{all}{alice}")));
    assert_eq!(read(&answer), (Some("zstd".to_owned()), words(20_000)));
}
