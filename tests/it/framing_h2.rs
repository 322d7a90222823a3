//! HTTP/2 requests on their way to an HTTP/1 service (S-20, S-21, S-24).

use crate::harness::tls;
use crate::harness::{Gateway, H2, Outcome, Raw, Setup, Trial, h2, holds, marker};

/// Opens a POST with these further fields and this body; what became of it, and what the service saw.
fn post(more: &[h2::Field<'_>], body: &[u8]) -> (Outcome, Vec<crate::harness::Recorded>) {
    let gateway = Gateway::shared();
    let mark = marker("S-20");
    let mut fields = h2::request("POST", "/public/x");
    fields.push(("x-marker", &mark));
    fields.extend_from_slice(more);
    let mut connection = H2::connect(gateway.http());
    let stream = connection.open(&fields, false);
    connection.data(stream, body, true);
    let outcome = connection.read(stream);
    Trial::with_plain_twin(gateway, "S-20-after");
    (outcome, gateway.recorder().with(&mark))
}

#[test]
fn s_20_lengths() {
    for more in [&[][..], &[("content-length", "5")]] {
        let (outcome, seen) = post(more, b"hello");
        assert_eq!(outcome.status(), Some(200), "{more:?}: {outcome:?}");
        assert_eq!(seen[0].body, b"hello");
        let framed =
            seen[0].values("content-length").len() + seen[0].values("transfer-encoding").len();
        assert_eq!(framed, 1, "{}", seen[0].text());
    }
    for more in [
        &[("content-length", "4")][..],
        &[("content-length", "6")],
        &[("content-length", "0")],
        &[("content-length", "5"), ("content-length", "6")],
        &[("content-length", "5, 5")],
        &[("content-length", "+5")],
        &[("content-length", "five")],
        &[("content-length", "05")],
        &[("content-length", "5"), ("content-length", "5")],
    ] {
        let (outcome, seen) = post(more, b"hello");
        // A length of 0 is a whole request as soon as its head is there; nothing of the body may follow it.
        let empty =
            more == [("content-length", "0")] && seen.iter().all(|seen| seen.body.is_empty());
        // So its answer may overtake the frame that is too many, which comes in a packet of its own.
        let overtaken = empty && seen.len() == 1 && outcome.status() == Some(200);
        assert!(
            overtaken || outcome.is_malformed() && (seen.is_empty() || empty),
            "{more:?}: {outcome:?} {seen:?}"
        );
    }
}

#[test]
fn s_20_headers_of_the_connection() {
    for more in [
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("connection", "x-auth-user"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
    ] {
        let (outcome, seen) = post(&[more], b"0\r\n\r\n");
        assert!(
            outcome.is_malformed() && seen.is_empty(),
            "{more:?}: {outcome:?} {seen:?}"
        );
    }
    let (outcome, _) = post(&[("te", "trailers")], b"hello");
    assert_eq!(outcome.status(), Some(200), "{outcome:?}");
}

/// Sends exactly these fields on a connection of its own.
fn raw_fields(fields: &[Bytes<'_>]) -> Outcome {
    let mut connection = H2::connect(Gateway::shared().http());
    let stream = connection.open_bytes(fields, true);
    connection.read(stream)
}

/// Tries field lists made from the usual one; only the usual one may arrive.
fn only_the_usual(id: &str, spoil: impl Fn([Bytes<'_>; 5], &dyn Fn(&[Bytes<'_>]))) {
    let gateway = Gateway::shared();
    let mark = marker(id);
    let usual: [Bytes<'_>; 5] = [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", b"localhost"),
        (b":path", b"/public/x"),
        (b"x-marker", mark.as_bytes()),
    ];
    assert_eq!(raw_fields(&usual).status(), Some(200));
    spoil(usual, &|fields| {
        let outcome = raw_fields(fields);
        let refused = outcome.is_malformed() || outcome.status() == Some(501);
        assert!(refused, "{}: {outcome:?}", shown(fields));
    });
    Trial::with_plain_twin(gateway, "S-20-after");
    let seen = gateway.recorder().with(&mark);
    assert_eq!(seen.len(), 1, "only the twin: {seen:?}");
}

type Bytes<'a> = (&'a [u8], &'a [u8]);

fn shown(fields: &[Bytes<'_>]) -> String {
    let each = fields
        .iter()
        .map(|(name, value)| format!("{}={}", name.escape_ascii(), value.escape_ascii()));
    each.collect::<Vec<_>>().join(" ")
}

#[test]
fn s_20_names_and_values() {
    only_the_usual("S-20-field", |usual, refused| {
        for field in [
            (&b"a"[..], &b"b\r\nx-auth-user: root"[..]),
            (b"a", b" b"),
            (b"a", b"b\t"),
            (b"authorization", b" Bearer bad"),
            (b"a", b"b\nc"),
            (b"a", b"b\rc"),
            (b"a", b"b\0c"),
            (b"a\r\nx-auth-user", b"root"),
            (b"a: b\r\nc", b"d"),
            (b"a b", b"c"),
            (b"a:", b"c"),
            (b"", b"c"),
            (b"X-Upper", b"c"),
            (b"a\0", b"c"),
            (b"\xc3\xa9", b"c"),
            (b":unknown", b"c"),
            (b":status", b"200"),
            (b":method", b"POST"),
            (b":path", b"/admin"),
            (b"host", b"a\r\nb"),
        ] {
            refused(&[&usual[..], &[field]].concat());
        }
    });
}

#[test]
fn s_20_values_of_pseudo_fields() {
    only_the_usual("S-20-pseudo", |usual, refused| {
        for (at, value) in [
            (0, &b"GET /admin HTTP/1.1\r\nX: y\r\n\r\nGET"[..]),
            (0, b"G ET"),
            (0, b""),
            (1, b"ht tp"),
            (1, b"http\r\n"),
            (2, b"localhost\r\nx: y"),
            (
                3,
                b"/public/x HTTP/1.1\r\nHost: localhost\r\n\r\nGET /admin",
            ),
            (3, b"/public/a b"),
            (3, b"/public/x\r\n"),
            (3, b"/public/\xff"),
            (3, b"/public/\0"),
        ] {
            let mut fields = usual;
            fields[at].1 = value;
            refused(&fields);
        }
    });
}

#[test]
fn s_20_fragments() {
    // The h2 library drops a fragment before anybody sees it: what is judged and forwarded is the rest.
    let gateway = Gateway::shared();
    let mark = marker("S-20-fragment");
    let outcome = gateway.h2().get("/public/x#/admin", &[("x-marker", &mark)]);
    Trial::with_plain_twin(gateway, "S-20-after");
    let seen = gateway.recorder().with(&mark);
    let targets: Vec<String> = seen.iter().map(crate::harness::Recorded::target).collect();
    assert!(
        outcome.is_malformed() && targets.is_empty() || targets == ["/public/x"],
        "{targets:?}"
    );
    let denied = gateway.h2().get("/admin#/public/x", &[("x-marker", &mark)]);
    assert!(
        denied.is_malformed() || denied.status() == Some(401),
        "{denied:?}"
    );
}

#[test]
fn s_20_order_of_pseudo_fields() {
    only_the_usual("S-20-order", |usual, refused| {
        let [method, scheme, authority, path, last] = usual;
        for fields in [
            vec![method, scheme, authority, last, path],
            vec![last, method, scheme, authority, path],
            vec![scheme, authority, path, last],
            vec![method, authority, path, last],
            vec![method, scheme, authority, last],
            vec![method, method, scheme, authority, path, last],
            vec![method, scheme, scheme, authority, path, last],
            vec![method, scheme, authority, path, path, last],
        ] {
            refused(&fields);
        }
    });
}

#[test]
fn s_20_the_scheme_comes_from_the_socket() {
    let gateway = Gateway::shared();
    let mark = marker("S-20-scheme");
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/public/x"),
        ("x-marker", mark.as_str()),
    ];
    let outcome = gateway.h2().ask(&fields);
    if outcome.is_malformed() {
        assert!(gateway.recorder().with(&mark).is_empty());
        return;
    }
    assert_eq!(outcome.status(), Some(200), "{outcome:?}");
    let seen = &gateway.recorder().wait_for(&mark, 1)[0];
    assert_eq!(seen.values("x-forwarded-proto"), ["http"]);
}

#[test]
fn s_21_cookie_crumbs() {
    let gateway = Gateway::shared();
    let mark = marker("S-21");
    let fields = [
        ("x-marker", mark.as_str()),
        ("cookie", "a=1"),
        ("cookie", "b=2; c=3"),
        ("cookie", "d=4"),
    ];
    let outcome = gateway.h2().get("/public/x", &fields);
    assert_eq!(outcome.status(), Some(200), "{outcome:?}");
    let seen = &gateway.recorder().wait_for(&mark, 1)[0];
    assert_eq!(seen.values("cookie"), ["a=1; b=2; c=3; d=4"]);
}

#[test]
fn s_24_the_protocol_that_was_agreed() {
    let gateway = Setup::new().tls(&["one.test"]).start();
    let mark = marker("S-24");
    let request = format!("GET /public/x HTTP/1.1\r\nHost: one.test\r\nX-Marker: {mark}\r\n\r\n");
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let wire = gateway.tls("one.test", offered);
        assert_eq!(tls::agreed(&wire).as_deref(), agreed);
    }
    let twin = Raw::over(gateway.tls("one.test", &["http/1.1"])).ask(&request);
    assert_eq!(twin.status, 200);
    // HTTP/1 where HTTP/2 was agreed, and the other way round.
    let mut wrong = Raw::over(gateway.tls("one.test", &["h2"]));
    assert!(wrong.send(&request).closes());
    assert!(!wrong.left().contains("HTTP/1.1 200"), "{}", wrong.left());
    let mut wrong = H2::over(gateway.tls("one.test", &["http/1.1"]));
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "one.test"),
        (":path", "/public/x"),
        ("x-marker", mark.as_str()),
    ];
    let outcome = wrong.ask(&fields);
    assert!(outcome.status().is_none(), "{outcome:?}");
    assert_eq!(gateway.recorder().with(&mark).len(), 1);
}

#[test]
fn s_24_https_pages_are_not_served_in_the_clear() {
    let gateway = Setup::new().tls(&["one.test"]).start();
    let mark = marker("S-24-clear");
    let ask = |method: &str, lines: &str| {
        gateway.ask(format!(
            "{method} /public/x?y HTTP/1.1\r\nHost: one.test\r\nX-Marker: {mark}\r\n{lines}Content-Length: 0\r\n\r\n"
        ))
    };
    for lines in ["", "X-Forwarded-Proto: https\r\n"] {
        let answer = ask("GET", lines);
        assert_eq!(answer.status, 308, "{}", answer.text());
        assert_eq!(
            answer.header("location").as_deref(),
            Some("https://one.test/public/x?y")
        );
        assert_eq!(ask("POST", lines).status, 403);
    }
    let request = format!("GET /public/x HTTP/1.1\r\nHost: one.test\r\nX-Marker: {mark}\r\n\r\n");
    assert_eq!(
        Raw::over(gateway.tls("one.test", &[])).ask(request).status,
        200
    );
    let seen = gateway.recorder().with(&mark);
    assert_eq!(seen.len(), 1);
    assert!(holds(&seen[0].head, b"https"), "{}", seen[0].text());
}
