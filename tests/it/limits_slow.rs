//! Clients that take their time: B-04, B-06.

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Gateway, Raw, Setup, Trial, marker};

/// The head deadline of the slow gateway: a second, so that its default of ten need not be waited for.
const DEADLINE: Duration = Duration::from_secs(1);

/// How much later than the deadline a connection may still be found open on a busy machine.
const SLACK: Duration = Duration::from_secs(4);

fn slow() -> &'static Gateway {
    static GATEWAY: OnceLock<Gateway> = OnceLock::new();
    GATEWAY.get_or_init(|| {
        Setup::new()
            .tls(&["localhost"])
            .set("trusted_proxies", "[127.0.0.0/8]")
            .set("limits", "{ head_timeout: 1s }")
            .start()
    })
}

const HTTPS: &str = "X-Forwarded-Proto: https\r\n";

/// Asserts that the other side closes at about the deadline, whatever is dripped meanwhile.
fn closes_in_time(mut raw: Raw, mut drip: impl FnMut(&mut Raw) -> bool, what: &str) {
    let begun = Instant::now();
    let end = begun + DEADLINE + SLACK;
    let mut ended = false;
    while !ended && Instant::now() < end {
        drip(&mut raw);
        raw = raw.patience(Duration::from_millis(100));
        ended = raw.closes();
    }
    let took = begun.elapsed();
    assert!(ended, "{what}: still open after {took:?}");
    let early = DEADLINE.mul_f32(0.8);
    assert!(took > early, "{what}: closed after {took:?} already");
    let said = raw.left();
    let fits = said.is_empty() || said.starts_with("HTTP/1.1 408");
    assert!(fits, "{what}: {said}");
}

#[test]
fn b_04_slow_heads_on_a_new_connection() {
    let gateway = slow();
    let mut trial = Trial::new(gateway, "B-04");
    let twin = trial.get("/public/x", HTTPS);
    trial.allowed(&twin);
    let request = trial.get(
        "/public/x",
        &format!("{HTTPS}X-Long: {}\r\n", "y".repeat(1_000)),
    );
    let all: [(&str, Vec<u8>, bool); 5] = [
        ("one byte", b"G".to_vec(), false),
        ("half a line", b"GET /public/x HT".to_vec(), false),
        ("no end", request[..request.len() - 2].to_vec(), false),
        ("an empty line first", b"\r\n".to_vec(), false),
        ("a byte at a time", Vec::new(), true),
    ];
    thread::scope(|scope| {
        for (what, start, drips) in &all {
            let request = &request;
            scope.spawn(move || {
                let mut raw = gateway.connect();
                raw.send(start);
                let mut at = 0;
                let drip = |raw: &mut Raw| {
                    at += 1;
                    *drips && raw.send(&request[at - 1..at]).all_sent()
                };
                closes_in_time(raw, drip, what);
            });
        }
    });
    trial.nothing_came(&twin);
}

#[test]
fn b_04_slow_heads_on_a_connection_that_was_used() {
    let gateway = slow();
    let mut trial = Trial::new(gateway, "B-04-reused");
    let twin = trial.get("/public/x", HTTPS);
    trial.allowed(&twin);
    let mut raw = gateway.connect();
    for _ in 0..2 {
        assert_eq!(raw.ask(trial.get("/auth/login", HTTPS)).status, 200);
    }
    let request = trial.get(
        "/public/x",
        &format!("{HTTPS}X-Long: {}\r\n", "y".repeat(1_000)),
    );
    let mut at = 0;
    let drip = |raw: &mut Raw| {
        at += 1;
        raw.send(&request[at - 1..at]).all_sent()
    };
    closes_in_time(raw, drip, "dripped behind two requests");
    trial.nothing_came(&twin);
}

#[test]
fn b_04_a_head_just_in_time_is_served() {
    let gateway = slow();
    let mut trial = Trial::new(gateway, "B-04-twin");
    let request = trial.get("/public/x", HTTPS);
    trial.allowed(&request);
    // The same dripping, only faster.
    let mut raw = gateway.connect();
    for piece in request.chunks(8) {
        raw.send(piece);
    }
    assert_eq!(raw.read().status, 200);
    gateway.recorder().wait_for(&trial.marker, 2);
}

#[test]
fn b_04_a_slow_head_inside_tls() {
    let mut raw = Raw::over(slow().tls("localhost", &["http/1.1"]));
    raw.send("GET /public/x HTTP/1.1\r\nHost: loc");
    closes_in_time(raw, |_| true, "inside TLS");
}

#[test]
fn b_04_a_silent_connection() {
    closes_in_time(slow().connect(), |_| true, "silence");
}

#[test]
fn b_04_silence_inside_tls() {
    let raw = Raw::over(slow().tls("localhost", &["http/1.1"]));
    closes_in_time(raw, |_| true, "silence inside TLS");
}

#[test]
fn b_06_a_stalled_handshake() {
    let gateway = slow();
    // Nothing at all, half a ClientHello, and one byte of it after the other.
    let hello = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        &[7; 64],
    ]
    .concat();
    thread::scope(|scope| {
        for (what, start, drips) in [
            ("silence", 0, false),
            ("half a hello", 40, false),
            ("a byte at a time", 1, true),
        ] {
            let hello = &hello;
            scope.spawn(move || {
                let mut raw = Raw::connect(gateway.https());
                raw.send(&hello[..start]);
                let mut at = start;
                let drip = |raw: &mut Raw| {
                    at = (at + 1).min(hello.len() - 1);
                    drips && raw.send(&hello[at - 1..at]).all_sent()
                };
                closes_at_last(raw, drip, what);
            });
        }
    });
    let counted = gateway
        .metrics()
        .sum("portcullis_limit_refusals_total", &[("limit", "handshake")]);
    assert!(counted >= 3.0, "{counted}");
}

/// Closed within the ten seconds that any beginning may take at most, whatever is dripped meanwhile.
fn closes_at_last(mut raw: Raw, mut drip: impl FnMut(&mut Raw) -> bool, what: &str) {
    let begun = Instant::now();
    let mut ended = false;
    while !ended && begun.elapsed() < Duration::from_secs(10) + SLACK {
        drip(&mut raw);
        raw = raw.patience(Duration::from_millis(100));
        ended = raw.closes();
    }
    let took = begun.elapsed();
    assert!(ended, "{what}: still open after {took:?}");
    assert!(took > DEADLINE / 2, "{what}: closed after {took:?} already");
}

#[test]
fn b_04_http2_that_stalls() {
    let gateway = slow();
    let mark = marker("B-04-h2");
    // A block of fields that is never ended.
    let mut fields = Vec::new();
    for (name, value) in [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", "/public/x"),
        ("x-forwarded-proto", "https"),
        ("x-marker", mark.as_str()),
    ] {
        fields.push(0x10);
        for text in [name, value] {
            fields.push(u8::try_from(text.len()).unwrap());
            fields.extend_from_slice(text.as_bytes());
        }
    }
    let (headers, continuation, end_headers, end_stream) = (1, 9, 4, 1);
    let mut twin = gateway.h2();
    twin.frame(headers, end_stream | end_headers, 1, &fields);
    gateway.recorder().wait_for(&mark, 1);
    thread::scope(|scope| {
        // A preface and no more; half of one; a block that drips.
        scope.spawn(|| {
            let mut raw = gateway.connect();
            raw.send("PRI * HTTP/2.0\r\n\r\nSM");
            closes_in_time(raw, |_| true, "half a preface");
        });
        scope.spawn(|| {
            let mut client = gateway.h2();
            let (first, rest) = fields.split_at(10);
            client.frame(headers, end_stream, 1, first);
            let begun = Instant::now();
            let mut rest = rest.chunks(1);
            let over = loop {
                if let Some(piece) = rest.next() {
                    client.frame(continuation, 0, 1, piece);
                }
                let over = client.ends_within(Duration::from_millis(100));
                if over.is_some() || begun.elapsed() > DEADLINE + SLACK {
                    break over;
                }
            };
            assert!(over.is_some(), "a dripped block is still waited for");
        });
    });
    assert_eq!(gateway.recorder().with(&mark).len(), 1);
}

#[test]
fn b_04_the_default_deadline_is_ten_seconds() {
    let mut raw = Gateway::shared().connect();
    let begun = Instant::now();
    raw.send("GET /public/x HTTP/1.1\r\nHost: local");
    raw = raw.patience(Duration::from_secs(14));
    assert!(raw.closes(), "open after {:?}", begun.elapsed());
    let took = begun.elapsed();
    assert!((9..14).contains(&took.as_secs()), "closed after {took:?}");
}

#[test]
fn b_05_what_is_no_content_is_timed_as_well() {
    let gateway = Setup::new().set("limits", "{ stall: 1s }").start();
    let mut trial = Trial::new(&gateway, "B-05-aside");
    let post = |mark: &str, body: &str| {
        format!(
            "POST /public/x HTTP/1.1\r\nHost: localhost\r\nX-Marker: {mark}\r\n\
             Transfer-Encoding: chunked\r\n\r\n{body}"
        )
    };
    let whole = post(&trial.marker, "1;a=b\r\nx\r\n0\r\nx-trailer: y\r\n\r\n");
    trial.allowed(whole.as_bytes());
    let gateway = &gateway;
    thread::scope(|scope| {
        for (what, body) in [
            ("an extension", "5;a"),
            ("a trailer", "1\r\nx\r\n0\r\nx"),
            ("no trailer", "1\r\nx\r\n0\r\n"),
        ] {
            scope.spawn(move || {
                let mut raw = gateway.connect();
                raw.send(post("none", body));
                let drip = |raw: &mut Raw| body.ends_with('\n') || raw.send("a").all_sent();
                closes_in_time(raw, drip, what);
            });
        }
    });
    trial.nothing_came(whole.as_bytes());
    let labels = [("limit", "body")];
    let refused = gateway
        .metrics()
        .sum("portcullis_limit_refusals_total", &labels);
    assert!((refused - 3.0).abs() < 0.1, "{refused}");
}
