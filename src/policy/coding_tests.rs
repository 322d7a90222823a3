//! Which coding, and which answers.

use super::*;

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let line = |(name, value): &(&str, &str)| {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        (name, value.parse::<HeaderValue>().unwrap())
    };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.iter().map(line) {
        headers.append(name, value);
    }
    headers
}

fn chosen(order: &[Coding], accepted: &str) -> Option<&'static str> {
    choose(order, &headers(&[("accept-encoding", accepted)])).map(Coding::token)
}

#[test]
fn the_coding_that_the_client_likes_best() {
    for (accepted, coding) in [
        ("", None),
        ("gzip", Some("gzip")),
        ("GZip", Some("gzip")),
        ("x-gzip", Some("gzip")),
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip,deflate,br", Some("br")),
        ("gzip;q=1.0, br;q=0.5", Some("gzip")),
        ("gzip;q=0.5,br;q=0.501", Some("br")),
        ("GZIP ; q=0.2", Some("gzip")),
        ("gzip;Q=0.2", Some("gzip")),
        ("gzip;q=0.001", Some("gzip")),
        ("gzip;q=1.", Some("gzip")),
        // Not wanted.
        ("gzip;q=0", None),
        ("gzip;q=0.000", None),
        ("gzip;q=0, *", Some("zstd")),
        ("zstd;q=0, br;q=0, gzip;q=0, *;q=1", None),
        ("*;q=0", None),
        ("gzip, *;q=0", Some("gzip")),
        // Twice: what is said of it where it is liked least.
        ("gzip, gzip;q=0", None),
        ("gzip;q=0, gzip", None),
        ("x-gzip;q=0, gzip", None),
        // Everything.
        ("*", Some("zstd")),
        ("*;q=0.5, gzip", Some("gzip")),
        ("br;q=0.1, *;q=0.1", Some("zstd")),
        // As it is.
        ("identity", None),
        ("identity, gzip", Some("gzip")),
        ("identity;q=1, gzip;q=0.5", None),
        ("identity;q=0.5, gzip;q=0.5", Some("gzip")),
        ("identity;q=0, gzip;q=0.1", Some("gzip")),
        ("identity;q=0", None),
        ("identity;q=0.9, *;q=0.5", None),
        ("identity;q=0, *", Some("zstd")),
        // Unknown, or no weight at all: as if it had not been said, or not wanted.
        ("deflate", None),
        ("gzip2, xgzip, gzi, brotli", None),
        ("compress, exi, gzip;q=0.3", Some("gzip")),
        ("gzip;q=2", None),
        ("gzip;q=-1", None),
        ("gzip;q=1.001", None),
        ("gzip;q=0.1234", None),
        ("gzip;q=0.5x, br;q=0.001", Some("br")),
        ("gzip;q=", None),
        ("gzip;q", None),
        ("gzip;level=9", None),
        ("gzip;q=0.5;q=1", None),
        ("gzip;;q=1", None),
        (",, ,gzip,,", Some("gzip")),
        (";q=1, gzip", Some("gzip")),
        ("gzip br", None),
    ] {
        assert_eq!(chosen(&Coding::ALL, accepted), coding, "{accepted}");
    }
}

#[test]
fn the_order_of_the_rule_decides_among_equals() {
    let order = [Coding::Gzip, Coding::Brotli];
    for (accepted, coding) in [
        ("zstd, br, gzip", Some("gzip")),
        ("br, gzip;q=0.9", Some("br")),
        ("*", Some("gzip")),
        ("zstd", None),
    ] {
        assert_eq!(chosen(&order, accepted), coding, "{accepted}");
    }
    assert_eq!(chosen(&[], "*"), None);
}

#[test]
fn who_does_not_ask_gets_no_coding() {
    assert_eq!(choose(&Coding::ALL, &HeaderMap::new()), None);
    let several = [("accept-encoding", "br;q=0.1"), ("accept-encoding", "gzip")];
    assert_eq!(choose(&Coding::ALL, &headers(&several)), Some(Coding::Gzip));
    let untouched = [
        ("accept-encoding", "gzip"),
        ("cache-control", "no-transform"),
    ];
    assert_eq!(choose(&Coding::ALL, &headers(&untouched)), None);
    let mut binary = HeaderMap::new();
    let bytes = HeaderValue::from_bytes(b"gzip\xff").unwrap();
    binary.insert(header::ACCEPT_ENCODING, bytes);
    assert_eq!(choose(&Coding::ALL, &binary), None);
}

#[test]
fn a_list_without_end_is_read_once() {
    let many = "gzip;q=0.5,x;q=0.1,".repeat(5000);
    assert_eq!(chosen(&Coding::ALL, &many), Some("gzip"));
    let weight = format!("gzip;q=0.{}", "1".repeat(30_000));
    assert_eq!(chosen(&Coding::ALL, &weight), None);
}

#[test]
fn what_may_be_coded() {
    const TEXT: (&str, &str) = ("content-type", "text/html; charset=utf-8");
    for (status, more, may) in [
        (200, ("x", "y"), true),
        (404, ("x", "y"), true),
        (500, ("x", "y"), true),
        (100, ("x", "y"), false),
        (101, ("x", "y"), false),
        (204, ("x", "y"), false),
        (205, ("x", "y"), false),
        (206, ("x", "y"), false),
        (304, ("x", "y"), false),
        (200, ("content-length", "1024"), true),
        (200, ("content-length", "1023"), false),
        (200, ("content-length", "0"), false),
        (200, ("content-length", "many"), false),
        (200, ("content-encoding", "br"), false),
        (200, ("content-encoding", "identity"), false),
        (200, ("content-range", "bytes 0-1/2"), false),
        (200, ("trailer", "server-timing"), false),
        (200, ("content-digest", "sha-256=:AA==:"), false),
        (200, ("repr-digest", "sha-256=:AA==:"), false),
        (200, ("digest", "sha-256=AA=="), false),
        (200, ("content-md5", "AA=="), false),
        (200, ("signature-input", "sig=(\"content-length\")"), false),
        (200, ("cache-control", "private, No-Transform"), false),
        (200, ("cache-control", "no-transformation"), true),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = headers(&[TEXT, more]);
        assert_eq!(may_be_coded(status, &answer), may, "{status} {more:?}");
    }
}

#[test]
fn what_shrinks() {
    for (kind, may) in [
        ("text/plain", true),
        ("Text/HTML;charset=utf-8", true),
        ("text/event-stream", true),
        ("application/json", true),
        ("application/json ; charset=utf-8", true),
        ("application/ld+json", true),
        ("application/atom+xml", true),
        ("image/svg+xml", true),
        ("application/javascript", true),
        ("application/wasm", true),
        ("application/grpc", false),
        ("application/grpc+json", false),
        ("application/grpc-web-text+xml", false),
        ("application/octet-stream", false),
        ("application/zip", false),
        ("application/pdf", false),
        ("image/png", false),
        ("video/mp4", false),
        ("font/woff2", false),
        ("multipart/form-data; boundary=text/", false),
        ("", false),
    ] {
        let answer = headers(&[("content-type", kind)]);
        assert_eq!(may_be_coded(StatusCode::OK, &answer), may, "{kind}");
    }
    assert!(!may_be_coded(StatusCode::OK, &HeaderMap::new()));
}

#[test]
fn others_may_get_it_otherwise() {
    for (said, vary) in [
        (&[][..], Some("Accept-Encoding")),
        (&["Origin"], Some("Origin, Accept-Encoding")),
        (
            &["origin, cookie", "accept"],
            Some("origin, cookie, accept, Accept-Encoding"),
        ),
        (&["", " "], Some("Accept-Encoding")),
        (&["Origin", "accept-encoding"], None),
        (&["*"], None),
        (&["origin, *"], None),
    ] {
        let lines: Vec<_> = said.iter().map(|said| ("vary", *said)).collect();
        let found = super::vary(&headers(&lines));
        let found = found.as_ref().map(|value| value.to_str().unwrap());
        assert_eq!(found, vary, "{said:?}");
    }
}

#[test]
fn tags_become_weak() {
    for (tag, weak) in [("\"x\"", Some("W/\"x\"")), ("W/\"x\"", None), ("x", None)] {
        let found = weakened(&headers(&[("etag", tag)]));
        let found = found.as_ref().map(|value| value.to_str().unwrap());
        assert_eq!(found, weak, "{tag}");
    }
    assert_eq!(weakened(&HeaderMap::new()), None);
    for (held, tag, weakly) in [
        ("W/\"x\"", "\"x\"", true),
        ("\"y\", W/\"x\"", "\"x\"", true),
        ("\"x\"", "\"x\"", false),
        ("W/\"y\"", "\"x\"", false),
        ("W/\"x\"", "W/\"x\"", false),
        ("*", "\"x\"", false),
    ] {
        let (request, answer) = (
            headers(&[("if-none-match", held)]),
            headers(&[("etag", tag)]),
        );
        assert_eq!(is_held_weakly(&request, &answer), weakly, "{held} {tag}");
    }
}
