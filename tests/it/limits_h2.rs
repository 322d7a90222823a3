//! HTTP/2 clients that make us work for nothing: B-07 and B-08.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Gateway, H2, Outcome, Recorder, Reply, Setup, eventually, h2, marker};
use crate::limits_memory::{MIB, growth};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW: u8 = 8;
const CONTINUATION: u8 = 9;
const CANCEL: [u8; 4] = [0, 0, 0, 8];
const ENHANCE_YOUR_CALM: u32 = 11;

/// What the gateway may grow by while it is attacked.
const GROWTH: u64 = 64 * MIB;

/// How many resets are allowed at once by the limit that is set here.
const RESETS: usize = 100;

/// Resets are few here; everything else is as it is by default.
fn gateway() -> &'static Gateway {
    static GATEWAY: OnceLock<Gateway> = OnceLock::new();
    GATEWAY.get_or_init(|| {
        let recorder = Recorder::start();
        recorder.answer(|request| match request.path().as_str() {
            "/public/slow" => Reply::default()
                .pause(Duration::from_secs(5))
                .then("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            _ => Reply::ok("quick"),
        });
        Setup::before(recorder)
            .set("limits", "{ resets: 10 }")
            .start()
    })
}

fn refusals(limit: &str) -> f64 {
    let labels = [("limit", limit)];
    gateway()
        .metrics()
        .sum("portcullis_limit_refusals_total", &labels)
}

/// Attacks on one connection, a batch at a time, until it ends; somebody else is served all the while, and memory does
/// not grow.
fn ends(what: &str, limit: Option<&str>, mut batch: impl FnMut(&mut H2, &str)) -> Outcome {
    const LONGEST: Duration = Duration::from_secs(30);
    let (gateway, mark) = (gateway(), marker("B-07"));
    let before = limit.map(refusals);
    let done = AtomicBool::new(false);
    let mut outcome = None;
    thread::scope(|scope| {
        let others = scope.spawn(|| {
            let mut served = 0;
            while !done.load(Ordering::Acquire) || served == 0 {
                assert_eq!(gateway.h2().get("/public/x", &[]).status(), Some(200));
                served += 1;
            }
        });
        let grown = growth(gateway, || {
            let mut client = gateway.h2();
            let begun = Instant::now();
            while outcome.is_none() && begun.elapsed() < LONGEST {
                batch(&mut client, &mark);
                outcome = client.ends_within(Duration::from_millis(1));
            }
        });
        done.store(true, Ordering::Release);
        others.join().unwrap();
        assert!(grown < GROWTH, "{what}: grew by {} MiB", grown / MIB);
    });
    let outcome = outcome.unwrap_or_else(|| panic!("{what}: still open after {LONGEST:?}"));
    assert_eq!(gateway.h2().get("/public/x", &[]).status(), Some(200));
    if let (Some(limit), Some(before)) = (limit, before) {
        assert!(
            refusals(limit) > before,
            "{what} is not counted: {outcome:?}"
        );
    }
    // What was let through before the end is a handful.
    let seen = gateway.recorder().with(&mark).len();
    assert!(
        seen <= 2 * RESETS,
        "{what}: the service saw {seen} requests"
    );
    outcome
}

/// The same, with the word that the client is told.
fn calms_down(what: &str, limit: &str, batch: impl FnMut(&mut H2, &str)) {
    let outcome = ends(what, Some(limit), batch);
    assert_eq!(outcome, Outcome::Away(ENHANCE_YOUR_CALM), "{what}");
}

fn open(client: &mut H2, mark: &str, path: &str, end: bool) -> u32 {
    let mut fields = h2::request(if end { "GET" } else { "POST" }, path);
    fields.push(("x-marker", mark));
    client.open(&fields, end)
}

#[test]
fn b_07_rapid_reset() {
    calms_down("streams opened and reset", "resets", |client, mark| {
        for _ in 0..20 {
            let stream = open(client, mark, "/public/slow", true);
            client.frame(RESET, 0, stream, &CANCEL);
        }
    });
}

#[test]
fn b_07_the_server_is_made_to_reset() {
    calms_down("too much window", "resets", |client, mark| {
        let stream = open(client, mark, "/public/slow", true);
        client.frame(WINDOW, 0, stream, &[0x7f, 0xff, 0xff, 0xff]);
    });
    calms_down(
        "a stream that waits for itself",
        "resets",
        |client, mark| {
            let stream = open(client, mark, "/public/slow", true);
            client.frame(
                PRIORITY,
                0,
                stream,
                &[&stream.to_be_bytes()[..], &[0]].concat(),
            );
        },
    );
    // These are answered by the end of the connection at once.
    let outcome = ends("no window to add", None, |client, mark| {
        let stream = open(client, mark, "/public/slow", true);
        client.frame(WINDOW, 0, stream, &[0; 4]);
    });
    assert!(matches!(outcome, Outcome::Away(1)), "{outcome:?}");
    let outcome = ends("content behind the end", None, |client, mark| {
        let stream = open(client, mark, "/public/slow", true);
        client.frame(DATA, 0, stream, b"more");
    });
    assert!(matches!(outcome, Outcome::Away(_)), "{outcome:?}");
    let outcome = ends("a frame that is too large", None, |client, mark| {
        let stream = open(client, mark, "/public/slow", false);
        client.frame(DATA, 0, stream, &vec![0; 20_000]);
    });
    assert!(matches!(outcome, Outcome::Away(6)), "{outcome:?}");
}

#[test]
fn b_07_frames_of_no_request() {
    let fifty = |client: &mut H2, kind: u8, payload: &[u8]| {
        (0..50).for_each(|_| client.frame(kind, 0, 0, payload));
    };
    calms_down("settings", "frames", |client, _| {
        fifty(client, SETTINGS, &[]);
    });
    calms_down("pings", "frames", |client, _| {
        fifty(client, PING, b"12345678");
    });
    calms_down("grants", "frames", |client, _| {
        fifty(client, WINDOW, &[0, 0, 0, 1]);
    });
    calms_down("unknown frames", "frames", |client, _| {
        fifty(client, 0xfa, b"what");
    });
    calms_down("priorities", "frames", |client, _| {
        for stream in 1..50_u32 {
            client.frame(PRIORITY, 0, 2 * stream + 1, &[0, 0, 0, 0, 9]);
        }
    });
}

#[test]
fn b_07_heads_without_end_and_content_without_bytes() {
    calms_down("continuations", "head", |client, mark| {
        client.frame(HEADERS, 0, 1, &[0x10, 1, b'a', 100]);
        (0..100).for_each(|_| client.frame(CONTINUATION, 0, 1, mark.as_bytes()));
    });
    let mut stream = None;
    calms_down("empty content", "frames", |client, mark| {
        let stream = *stream.get_or_insert_with(|| open(client, mark, "/public/x", false));
        (0..50).for_each(|_| client.frame(DATA, 0, stream, &[]));
    });
}

#[test]
fn b_07_ten_thousand_streams() {
    // As many as are allowed are held; each one more is refused, and those have a budget, too.
    let (before, mut opened) = (refusals("streams"), 0);
    calms_down("streams that stay open", "resets", |client, mark| {
        for _ in 0..50 {
            open(client, mark, "/public/slow", true);
            opened += 1;
        }
    });
    assert!(opened < 10_000, "{opened} streams were taken");
    let refused = refusals("streams") - before;
    assert!(refused >= 50.0, "{refused} streams were refused");
}

#[test]
fn b_07_whoever_asks_for_something_is_not_counted_out() {
    // Ten times as many grants and pings as any client would send beside its requests, and some streams given up.
    let gateway = gateway();
    let mut client = gateway.h2();
    for round in 0..1_500 {
        for _ in 0..3 {
            client.frame(PING, 0, 0, b"keepaliv");
            client.frame(WINDOW, 0, 0, &[0, 0, 0, 1]);
        }
        let answer = client.get("/public/x", &[]);
        assert_eq!(answer.status(), Some(200), "round {round}: {answer:?}");
        if round % 50 == 0 {
            let stream = client.open(&h2::request("GET", "/public/slow"), true);
            client.frame(RESET, 0, stream, &CANCEL);
        }
    }
}

#[test]
fn b_07_a_proxy_that_is_trusted_speaks_for_many() {
    let recorder = Recorder::start();
    recorder.answer(|request| match request.path().as_str() {
        "/public/slow" => Reply::default().pause(Duration::from_secs(5)),
        _ => Reply::ok("quick"),
    });
    let gateway = Setup::before(recorder)
        .set("limits", "{ resets: 1 }")
        .set("trusted_proxies", "[127.0.0.0/8]")
        .start();
    let mut client = gateway.h2();
    for round in 0..60 {
        let stream = client.open(&h2::request("GET", "/public/slow"), true);
        client.frame(RESET, 0, stream, &CANCEL);
        let answer = client.get("/public/x", &[]);
        assert_eq!(answer.status(), Some(200), "round {round}: {answer:?}");
    }
}

/// A block that puts one large field into the table and then refers to it, a byte each time.
fn bomb(references: usize) -> Vec<u8> {
    // GET, http, / and localhost by the table of the protocol.
    let mut block = vec![0x82, 0x86, 0x84, 0x41, 9];
    block.extend_from_slice(b"localhost");
    block.extend_from_slice(&[0x40, 6]);
    block.extend_from_slice(b"x-bomb");
    // 3,900 bytes as the length of a string: 127 and the rest in pieces of seven bits.
    let rest: usize = 3_900 - 127;
    block.extend_from_slice(&[
        127,
        u8::try_from(rest % 128).unwrap() | 128,
        u8::try_from(rest / 128).unwrap(),
    ]);
    block.resize(block.len() + 3_900, b'b');
    block.resize(block.len() + references, 0xbe);
    block
}

#[test]
fn b_08_a_small_head_that_becomes_a_large_one() {
    let gateway = gateway();
    let before = gateway.recorder().count();
    let mut codes = Vec::new();
    let grown = growth(gateway, || {
        for references in [100, 1_000, 12_000] {
            for _ in 0..20 {
                let mut client = gateway.h2();
                let stream = client.open(&h2::request("GET", "/public/other"), true);
                client.read(stream);
                client.frame(HEADERS, 4 | 1, stream + 2, &bomb(references));
                codes.push(client.ends_within(Duration::from_millis(20)));
            }
        }
        assert_eq!(gateway.h2().get("/public/other", &[]).status(), Some(200));
    });
    assert!(grown < GROWTH, "grew by {} MiB", grown / MIB);
    let seen: Vec<_> = gateway.recorder().everything();
    let bombs = seen
        .iter()
        .skip(before)
        .filter(|seen| seen.mentions("x-bomb"));
    assert_eq!(bombs.count(), 0, "{codes:?}");
}

#[test]
fn b_08_four_thousand_crumbs() {
    let gateway = gateway();
    let mark = marker("B-08");
    // By reference: four thousand cookies in four thousand bytes.
    let block = |crumbs: usize| {
        let mut block = vec![0x82, 0x86, 0x04, 9];
        block.extend_from_slice(b"/public/x");
        block.extend_from_slice(&[0x41, 9]);
        block.extend_from_slice(b"localhost");
        block.extend_from_slice(&[0x10, 8]);
        block.extend_from_slice(b"x-marker");
        block.push(u8::try_from(mark.len()).unwrap());
        block.extend_from_slice(mark.as_bytes());
        block.extend_from_slice(&[0x60, 3]);
        block.extend_from_slice(b"a=b");
        block.resize(block.len() + crumbs - 1, 0xbe);
        block
    };
    for (crumbs, served) in [(90, true), (4_000, false), (16_000, false)] {
        let mut client = gateway.h2();
        let stream = client.open(&h2::request("GET", "/public/other"), true);
        client.read(stream);
        client.expect(stream + 2);
        client.frame(HEADERS, 4 | 1, stream + 2, &block(crumbs));
        let outcome = client.read(stream + 2);
        assert_eq!(
            outcome.status() == Some(200),
            served,
            "{crumbs}: {outcome:?}"
        );
        assert_ne!(outcome, Outcome::Late);
    }
    let seen = gateway.recorder().wait_for(&mark, 1);
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].values("cookie").len(), 1);
}

#[test]
fn b_08_an_answer_that_nobody_takes() {
    let recorder = Recorder::start();
    let large = "d".repeat(4 << 20);
    recorder.answer(move |request| match request.path().as_str() {
        "/public/large" => Reply::ok(&large),
        _ => Reply::ok("quick"),
    });
    let gateway = Setup::before(recorder)
        .set("limits", "{ stall: 1s }")
        .start();
    let counted = || {
        let labels = [("limit", "reader")];
        gateway
            .metrics()
            .sum("portcullis_limit_refusals_total", &labels)
    };
    // No room at all is granted; or now and then some, far too little.
    for (round, grants) in [(1.0, false), (2.0, true)] {
        let mut client = gateway.h2();
        client.frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
        let stream = client.open_unread(&h2::request("GET", "/public/large"));
        eventually("the stream to be given up", || {
            if grants {
                client.frame(WINDOW, 0, stream, &[0, 0, 0, 1]);
            }
            client.ends_within(Duration::from_millis(20));
            (counted() >= round).then_some(())
        });
        // Its neighbours go on.
        let grant = 65_535_u32.to_be_bytes();
        client.frame(SETTINGS, 0, 0, &[&[0, 4], &grant[..]].concat());
        assert_eq!(client.get("/public/x", &[]).status(), Some(200));
    }
    // The services' side is let go, too.
    assert_eq!(gateway.h2().get("/public/x", &[]).status(), Some(200));
}
