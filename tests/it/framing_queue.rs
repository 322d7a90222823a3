//! Several requests on one connection: bodies nobody asked for, pipelining, `Expect` (S-07, S-15 to S-17).

use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use crate::harness::raw::Silence;
use crate::harness::{Gateway, Raw, Setup, Trial, marker};

/// A gateway with small body limit, so that 413 is one of its own answers.
fn gateway() -> &'static Gateway {
    static GATEWAY: OnceLock<Gateway> = OnceLock::new();
    GATEWAY.get_or_init(|| Setup::new().set("limits", "{ body: 64KiB }").start())
}

/// How the body is announced.
#[derive(Clone, Copy, Debug)]
pub enum Framed {
    Length,
    Chunked,
}

/// Every kind of answer there is, forwarded, refused and our own; `framing_router` has each endpoint.
const ROUTES: &[(&str, &str, &str)] = &[
    ("GET", "/public/x", ""),
    ("POST", "/public/x", ""),
    ("GET", "/app/x", ""),
    ("POST", "/app/x", "Accept: text/html\r\n"),
    (
        "GET",
        "/app/x",
        "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\n",
    ),
    ("POST", "/admin/x", "@alice"),
    ("DELETE", "/nowhere", ""),
    ("GET", "/auth/login", "Accept: text/html\r\n"),
    ("GET", "/auth/jwks.json", ""),
    ("POST", "/auth/jwks.json", ""),
    ("GET", "/auth/nothing", ""),
    ("POST", "/auth/nothing", ""),
    ("GET", "/auth/logout", ""),
    ("POST", "/auth/logout", ""),
    ("POST", "/auth/login", ""),
    (
        "POST",
        "/auth/login",
        "Accept: text/html\r\nContent-Type: application/x-www-form-urlencoded\r\n",
    ),
    (
        "POST",
        "/auth/session/login",
        "Content-Type: application/json\r\n",
    ),
    (
        "POST",
        "/auth/session/login",
        "Content-Type: application/x-www-form-urlencoded\r\n",
    ),
    ("POST", "/auth/session/login", "Content-Type: image/png\r\n"),
    ("PUT", "/auth/session/login", ""),
    ("OPTIONS", "/auth/login", ""),
    ("OPTIONS", "*", ""),
];

/// Sends a request whose body is a request (`size` bytes of it, behind `lead`), then a second one. Whatever the first
/// is answered, the hidden one never runs, and the second is answered for itself or not at all. The status of the first
/// answer; none when it was lost on the way.
pub fn hide(
    gateway: &Gateway,
    id: &str,
    (method, target, lines): (&str, &str, &str),
    lead: &str,
    framed: Framed,
    size: usize,
) -> Option<u16> {
    let shown = format!("{method} {target} {framed:?} {size}");
    let mark = marker(id);
    let hidden = format!("GET /public/inner-{mark} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let body = lead.to_owned() + &hidden.repeat(size.div_ceil(hidden.len()).max(1));
    let (announced, framed_body) = match framed {
        Framed::Length => (format!("Content-Length: {}\r\n", body.len()), body),
        Framed::Chunked => {
            let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
            ("Transfer-Encoding: chunked\r\n".to_owned(), chunk)
        }
    };
    let first = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\n{lines}{announced}\r\n{framed_body}"
    );
    let second = format!("GET /public/second-{mark} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut raw = gateway.connect();
    let status = match raw.send(&first).try_read() {
        Ok(answer) => answer.status,
        // So much may be left unread at the close that the answer is lost on the way.
        Err(Silence::Closed) if size > 4096 => return None,
        Err(why) => panic!("{why:?} to {shown}"),
    };
    match raw.send(&second).try_read() {
        Ok(answer) => assert_eq!(
            answer.text(),
            format!("seen GET /public/second-{mark}"),
            "{shown}"
        ),
        Err(why) => assert_eq!(why, Silence::Closed, "{shown}"),
    }
    let inner = gateway.recorder().with(&format!("inner-{mark}"));
    assert!(inner.is_empty(), "the hidden request ran behind {shown}");
    Some(status)
}

/// The same on the gateway of this file, whose answers are no faults of the gateway.
fn hide_behind(id: &str, route: (&str, &str, &str), framed: Framed, size: usize) {
    let (method, target, lines) = route;
    let lines = lines
        .strip_prefix('@')
        .map_or(lines.to_owned(), |user| gateway().as_user(user));
    let status = hide(gateway(), id, (method, target, &lines), "", framed, size);
    assert!(
        status.is_none_or(|status| status < 500 || status == 501),
        "{status:?} to {method} {target} {framed:?} {size}"
    );
}

#[test]
fn s_07_a_request_inside_a_body() {
    Trial::with_plain_twin(gateway(), "S-07");
    for route in ROUTES {
        hide_behind("S-07", *route, Framed::Length, 1);
    }
    Trial::with_plain_twin(gateway(), "S-07-after");
}

#[test]
fn s_16_unread_bodies_of_every_answer() {
    Trial::with_plain_twin(gateway(), "S-16");
    for route in ROUTES {
        hide_behind("S-16", *route, Framed::Chunked, 1);
        for framed in [Framed::Length, Framed::Chunked] {
            // Within the limit, and above it: 413.
            hide_behind("S-16", *route, framed, 32 * 1024);
            hide_behind("S-16", *route, framed, 300 * 1024);
        }
    }
    Trial::with_plain_twin(gateway(), "S-16-after");
}

#[test]
fn s_07_a_length_that_lies() {
    // The body announced is shorter than what follows: what follows is the next request, and judged as one.
    let gateway = gateway();
    let mark = marker("S-07-short");
    let inner = format!("GET /admin/inner-{mark} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let twin = format!("GET /public/twin-{mark} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut raw = gateway.connect();
    let first = raw.ask(format!(
        "POST /public/{mark} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n{inner}{twin}"
    ));
    assert_eq!(first.status, 200);
    assert_eq!(raw.read().status, 401);
    assert_eq!(raw.read().text(), format!("seen GET /public/twin-{mark}"));
    assert!(gateway.recorder().with(&format!("inner-{mark}")).is_empty());
}

/// Pipelines `count` requests, every third to a page the client may not see, and reads all answers in order.
fn pipeline(count: usize) {
    let gateway = gateway();
    let mark = marker("S-15");
    let place = |at: usize| if at % 3 == 1 { "admin" } else { "public" };
    let requests: Vec<String> = (0..count)
        .map(|at| {
            format!(
                "GET /{}/{mark}-{at} HTTP/1.1\r\nHost: localhost\r\n\r\n",
                place(at)
            )
        })
        .collect();
    let mut raw = gateway.connect();
    raw.send(requests.concat());
    for at in 0..count {
        let answer = raw.read();
        if place(at) == "admin" {
            assert_eq!(answer.status, 401, "request {at} of {count}");
        } else {
            assert_eq!(
                answer.text(),
                format!("seen GET /public/{mark}-{at}"),
                "request {at} of {count}"
            );
        }
    }
    let seen: Vec<String> = gateway
        .recorder()
        .with(&mark)
        .iter()
        .map(super::harness::Recorded::target)
        .collect();
    let expected: Vec<String> = (0..count)
        .filter(|at| place(*at) == "public")
        .map(|at| format!("/public/{mark}-{at}"))
        .collect();
    assert_eq!(seen, expected);
}

#[test]
fn s_15_two_and_ten_at_once() {
    pipeline(2);
    pipeline(10);
}

#[test]
fn s_15_a_thousand_at_once() {
    pipeline(1000);
}

#[test]
fn s_15_bodies_between_the_requests() {
    let gateway = gateway();
    let mark = marker("S-15-bodies");
    let head = |target: &str| format!("POST /{target}/{mark} HTTP/1.1\r\nHost: localhost\r\n");
    let all = [
        format!("{}Content-Length: 5\r\n\r\nhello", head("public")),
        format!(
            "{}Transfer-Encoding: chunked\r\n\r\n5\r\nworld\r\n0\r\n\r\n",
            head("public")
        ),
        format!("{}Content-Length: 0\r\n\r\n", head("public")),
        format!("{}\r\n", head("public")),
        format!("GET /public/{mark} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        format!("{}\r\n", head("public")),
    ];
    let mut raw = gateway.connect();
    raw.send(all.concat());
    for _ in 0..5 {
        assert_eq!(raw.read().status, 200);
    }
    assert!(raw.closes());
    assert_eq!(raw.left(), "", "nothing is answered behind a close");
    let bodies: Vec<Vec<u8>> = gateway
        .recorder()
        .with(&mark)
        .into_iter()
        .map(|seen| seen.body)
        .collect();
    assert_eq!(bodies, [&b"hello"[..], b"world", b"", b"", b""]);
}

#[test]
fn s_15_split_anywhere() {
    // The same two requests in pieces of every size: where a packet ends means nothing.
    let gateway = gateway();
    let mark = marker("S-15-split");
    let request = format!(
        "POST /public/{mark} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n\
         GET /public/{mark} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    );
    for size in [1, 2, 3, 7, 16, 61, 83, 100] {
        let mut raw = gateway.connect();
        for piece in request.as_bytes().chunks(size) {
            raw.send(piece);
            thread::yield_now();
        }
        assert_eq!(raw.read().status, 200, "pieces of {size}");
        assert_eq!(raw.read().status, 200, "pieces of {size}");
    }
    let seen = gateway.recorder().with(&mark);
    assert_eq!(seen.len(), 16);
    assert!(seen.iter().all(|seen| seen.body
        == if seen.method() == "POST" {
            &b"hello"[..]
        } else {
            b""
        }));
}

fn expecting(trial: &Trial<'_>, target: &str, value: &str, lines: &str, length: usize) -> Vec<u8> {
    let lines = format!("Expect: {value}\r\nContent-Length: {length}\r\n{lines}");
    trial.head("POST", target, &lines)
}

#[test]
fn s_17_expect_is_answered_once() {
    let gateway = gateway();
    let mut trial = Trial::new(gateway, "S-17");
    let mut whole = expecting(&trial, "/public/x", "100-continue", "", 5);
    whole.extend_from_slice(b"hello");
    assert_eq!(trial.allowed(&whole).body, b"hello");
    let mut raw = gateway.connect();
    raw.send(expecting(&trial, "/public/wait", "100-Continue", "", 5));
    assert!(raw.wait_for("\r\n\r\n"), "no 100: {}", raw.left());
    let answer = raw.ask("world");
    assert_eq!(
        (answer.interim.as_slice(), answer.status),
        (&[100][..], 200)
    );
    // The connection goes on, with nothing else than the next request.
    let next = raw.ask(trial.get("/public/next", ""));
    assert_eq!(next.text(), "seen GET /public/next");
    let seen = gateway.recorder().with(&trial.marker);
    let bodies: Vec<&[u8]> = seen.iter().map(|seen| seen.body.as_slice()).collect();
    assert_eq!(bodies[..2], [&b"hello"[..], b"world"]);
}

#[test]
fn s_17_expect_at_our_own_endpoints() {
    let gateway = gateway();
    let login = serde_json::json!({ "username": "alice", "password": crate::harness::setup::password("alice") }).to_string();
    let trial = Trial::new(gateway, "S-17-own");
    let json = "Content-Type: application/json\r\n";
    let mut raw = gateway.connect();
    raw.send(expecting(
        &trial,
        "/auth/session/login",
        "100-continue",
        json,
        login.len(),
    ));
    assert!(raw.wait_for("\r\n\r\n"), "no 100: {}", raw.left());
    let answer = raw.ask(&login);
    assert_eq!(
        (answer.interim.as_slice(), answer.status),
        (&[100][..], 200),
        "{}",
        answer.text()
    );
}

#[test]
fn s_17_expect_at_a_closed_gate() {
    // Denied at once: the body is not asked for, and not taken for a request when it comes all the same.
    let gateway = gateway();
    let mut trial = Trial::with_plain_twin(gateway, "S-17-denied");
    let hidden = trial.get("/public/hidden", "");
    let mut request = expecting(&trial, "/app/x", "100-continue", "", hidden.len());
    let answer = trial.denied(&request, "");
    assert_eq!(answer.interim, [0_u16; 0], "a body was asked for in vain");
    request.extend_from_slice(&hidden);
    trial.denied(&request, "");
}

#[test]
fn s_17_other_expectations() {
    let mut trial = Trial::with_plain_twin(gateway(), "S-17-junk");
    for value in [
        "junk",
        "100-continue, junk",
        "100-continuex",
        "200-ok",
        "100",
        "\"100-continue\"",
        "",
    ] {
        let mut request = expecting(&trial, "/public/x", value, "", 5);
        request.extend_from_slice(b"hello");
        trial.malformed(&request, &[400, 417]);
        // An old client may not expect anything (RFC 9110 section 10.1.1), and nothing else either.
        let old = String::from_utf8(request).unwrap();
        trial.malformed(old.replacen("HTTP/1.1", "HTTP/1.0", 1), &[400, 417]);
    }
    let twice = "Expect: 100-continue\r\n";
    let mut request = expecting(&trial, "/public/x", "junk", twice, 5);
    request.extend_from_slice(b"hello");
    trial.malformed(&request, &[400, 417]);
}

#[test]
fn s_17_nothing_is_said_to_silence() {
    // A connection without a single byte gets no answer that could be taken for one to somebody's request.
    let mut raw = Raw::connect(gateway().http());
    assert_eq!(raw.finish().drain(Duration::from_secs(5)), b"");
}
