//! What a client may ask for, and how slowly: B-03, B-04, B-06, B-12 (the limits).

use std::net::TcpStream;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Gateway, H2, Outcome, Raw, Setup, Trial, eventually, marker};

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

#[test]
fn b_03_too_many_headers_or_too_large() {
    let gateway = Gateway::shared();
    let mut trial = Trial::with_plain_twin(gateway, "B-03");
    let many = |count: usize| -> String { (0..count).map(|n| format!("X-H{n}: v\r\n")).collect() };
    let large = |bytes: usize| format!("X-Large: {}\r\n", "x".repeat(bytes));
    let cookies: Vec<String> = (0..10_000).map(|n| format!("c{n}=v")).collect();
    // Just below the limits, Host and marker included: served.
    for lines in [
        many(97),
        large(31 * 1_024),
        format!("Cookie: {}\r\n", cookies[..1_000].join("; ")),
    ] {
        trial.served(&trial.get("/public/x", &lines));
    }
    for lines in [
        many(101),
        many(250),
        many(5_000),
        large(32 * 1_024),
        large(33 * 1_024),
        large(1_000_000),
        (0..20).map(|_| large(2_000)).collect(),
        format!("Cookie: {}\r\n", cookies.join("; ")),
        cookies.iter().map(|c| format!("Cookie: {c}\r\n")).collect(),
        format!("{}: v\r\n", "X".repeat(33 * 1_024)),
    ] {
        trial.malformed(trial.get("/public/x", &lines), &[431]);
    }
    // On a connection that has served something already, too.
    let mut raw = gateway.connect();
    assert_eq!(raw.ask(trial.get("/auth/login", "")).status, 200);
    let refusal = trial.refused_on(raw, trial.get("/public/x", &many(101)), true);
    assert_eq!(refusal.answer.unwrap().status, 431);
    assert!(refusal.closed);
}

#[test]
fn b_03_over_http2() {
    let gateway = Gateway::shared();
    let mark = marker("B-03-h2");
    let names: Vec<String> = (0..10_000).map(|n| format!("x-h{n}")).collect();
    let large = "x".repeat(40 * 1_024);
    let ask = |more: &[(&str, &str)]| -> Outcome {
        let mut fields = vec![("x-marker", mark.as_str())];
        fields.extend_from_slice(more);
        H2::connect(gateway.http()).get("/public/x", &fields)
    };
    let mut served = 0;
    for count in [150, 1_000, 10_000] {
        let fields: Vec<_> = names[..count].iter().map(|n| (n.as_str(), "v")).collect();
        let crumbs: Vec<_> = names[..count]
            .iter()
            .map(|n| ("cookie", n.as_str()))
            .collect();
        for attack in [fields, crumbs, vec![("x-large", large.as_str())]] {
            let outcome = ask(&attack);
            let refused = outcome.status() == Some(431) || outcome.status().is_none();
            // Crumbs are one header in the end, and may be served while it is small enough.
            let crumbs = attack[0].0 == "cookie" && count < 1_001;
            assert!(refused || crumbs, "{:?} for {count}", outcome.status());
            if outcome.status() == Some(200) {
                served += 1;
            }
            assert_eq!(ask(&[]).status(), Some(200));
            served += 1;
            assert_eq!(gateway.recorder().wait_for(&mark, served).len(), served);
        }
    }
}

#[test]
fn b_03_limits_are_settable() {
    let gateway = Setup::new()
        .set("limits", "{ head: 2KiB, fields: 8, target: 100B }")
        .start();
    let mut trial = Trial::with_plain_twin(&gateway, "B-03-set");
    trial.served(&trial.get("/public/x", "A: 1\r\nB: 2\r\nC: 3\r\n"));
    let many: String = (0..9).map(|n| format!("X-H{n}: v\r\n")).collect();
    trial.malformed(trial.get("/public/x", &many), &[431]);
    let large = format!("X-Large: {}\r\n", "x".repeat(2_048));
    trial.malformed(trial.get("/public/x", &large), &[431]);
    trial.malformed(
        trial.get(format!("/public/{}", "x".repeat(100)), ""),
        &[414],
    );
}

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
    let early = DEADLINE - Duration::from_millis(200);
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
fn b_05_connections_per_address_are_bounded() {
    let gateway = Setup::new()
        .set("limits", "{ connections_per_address: 8 }")
        .start();
    let get = "GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut open: Vec<Raw> = (0..8).map(|_| gateway.connect()).collect();
    for raw in &mut open {
        assert_eq!(raw.ask(get).status, 200);
    }
    let mut ninth = gateway.connect();
    ninth.send(get);
    assert!(ninth.closes(), "a ninth connection");
    assert!(!ninth.left().contains("200 OK"), "{}", ninth.left());
    for raw in &mut open {
        assert_eq!(raw.ask(get).status, 200, "the eight are not disturbed");
    }
    drop(open.pop());
    eventually("a place to become free", || {
        let mut raw = gateway.connect();
        raw.send(get);
        raw.try_read().ok().filter(|answer| answer.status == 200)
    });
    // The admin listener has room of its own.
    assert!(TcpStream::connect(gateway.admin()).is_ok());
    assert_eq!(gateway.ask_admin("/healthz").status, 200);
}

#[test]
fn b_12_bodies_over_the_limit() {
    let gateway = Setup::new()
        .set("limits", "{ body: 1KiB }")
        .rules(
            "
  - { path: /public/large/**, allow: anyone, body: 64KiB }
  - { path: /public/small/**, allow: anyone, body: 10B }
  - { path: /public/**, allow: anyone }
",
        )
        .start();
    let mut trial = Trial::new(&gateway, "B-12");
    trial.allowed(trial.post("/public/x", "", &"b".repeat(1_024)));
    trial.served(&trial.post("/public/large/x", "", &"b".repeat(64 * 1_024)));
    trial.served(&trial.post("/public/small/x", "", "0123456789"));
    for (target, length) in [
        ("/public/x", 1_025),
        ("/public/x", 1_000_000),
        ("/public/large/x", 64 * 1_024 + 1),
        ("/public/small/x", 11),
    ] {
        let refusal = trial.refused(trial.post(target, "", &"b".repeat(length)));
        let answer = refusal.answer.unwrap();
        assert_eq!(answer.status, 413, "{length} to {target}");
        assert!(refusal.closed, "{length} to {target}");
        // Announced and not sent: refused before a byte of it.
        let head = trial.head("POST", target, &format!("Content-Length: {length}\r\n"));
        assert_eq!(trial.refused(head).answer.unwrap().status, 413);
        let expects = format!("Content-Length: {length}\r\nExpect: 100-continue\r\n");
        let answer = trial.refused(trial.head("POST", target, &expects)).answer;
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.interim.len()), (413, 0));
    }
}

#[test]
fn b_12_chunked_bodies_over_the_limit() {
    let gateway = Setup::new().set("limits", "{ body: 1KiB }").start();
    let mut trial = Trial::new(&gateway, "B-12-chunked");
    let chunked = |trial: &Trial<'_>, pieces: usize| {
        let mut bytes = trial.head("POST", "/public/x", "Transfer-Encoding: chunked\r\n");
        for _ in 0..pieces {
            bytes.extend_from_slice(b"100\r\n");
            bytes.extend_from_slice(&[b'c'; 256]);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        bytes
    };
    let twin = chunked(&trial, 4);
    trial.allowed(&twin);
    for pieces in [5, 6, 100, 4_000] {
        let mut raw = gateway.connect();
        raw.send(chunked(&trial, pieces));
        if let Ok(answer) = raw.try_read() {
            assert_eq!(answer.status, 413, "{pieces} pieces");
        }
        assert!(raw.closes(), "left open after {pieces} pieces");
        // Only the end of such a body tells its length: the service may have seen its beginning, never a
        // whole request.
        trial.nothing_came(&chunked(&trial, pieces));
        let all = gateway.recorder().everything();
        let most = all.iter().map(|seen| seen.body.len()).max();
        assert!(most <= Some(1_024), "{most:?} bytes were taken");
    }
}
