//! Clients that keep a connection and a service busy for nothing: B-05.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Gateway, Raw, Recorder, Reply, Setup, eventually, h2, marker};
use crate::limits_memory::resident;

/// How long a body or an answer may wait at the gateway of these tests; its service has as long again to take a piece.
const STALL: Duration = Duration::from_secs(1);

/// How much later than is due something may be noticed on a busy machine.
const SLACK: Duration = Duration::from_secs(8);

/// A mebibyte, sixteen times.
const LARGE: usize = 16 << 20;

fn gateway() -> &'static Gateway {
    static GATEWAY: OnceLock<Gateway> = OnceLock::new();
    GATEWAY.get_or_init(|| {
        let recorder = Recorder::start();
        recorder.answer(|request| match request.path().as_str() {
            "/public/large" => Reply::ok(&"d".repeat(LARGE)),
            _ => Reply::ok("quick"),
        });
        let url = recorder.url();
        let upstream = format!("{{ to: \"{url}\", timeout: {{ read: 3s, write: 1s }} }}");
        Setup::before(recorder)
            .upstream("web", &upstream)
            .set("limits", "{ stall: 1s, body_rate: 1KiB }")
            .start()
    })
}

fn refusals(gateway: &Gateway, limit: &str) -> f64 {
    let labels = [("limit", limit)];
    gateway
        .metrics()
        .sum("portcullis_limit_refusals_total", &labels)
}

/// Sends a byte every now and then until an answer has come; how long that took.
fn drip(raw: &mut Raw, piece: &str) -> Duration {
    let begun = Instant::now();
    let mut over = false;
    while !over && begun.elapsed() < 2 * STALL + SLACK {
        raw.send(piece);
        over = raw.hears(Duration::from_millis(50));
    }
    begun.elapsed()
}

#[test]
fn b_05_a_body_that_drips() {
    let gateway = gateway();
    let (mark, before) = (marker("B-05"), refusals(gateway, "body"));
    let head = |more: &str| {
        format!("POST /public/x HTTP/1.1\r\nHost: localhost\r\nX-Marker: {mark}\r\n{more}\r\n")
    };
    thread::scope(|scope| {
        for (more, piece) in [
            ("Content-Length: 100000\r\n", "b"),
            // Whoever says so makes no conversation of it.
            (
                "Content-Length: 100000\r\nContent-Type: application/grpc\r\n",
                "b",
            ),
            ("Transfer-Encoding: chunked\r\n", "1\r\nb\r\n"),
        ] {
            let head = head(more);
            scope.spawn(move || {
                let mut raw = gateway.connect();
                raw.send(head);
                let took = drip(&mut raw, piece);
                let answer = raw.read();
                assert_eq!(answer.status, 408, "{more}{}", answer.text());
                assert!(took >= STALL, "{more}: after {took:?} already");
                assert!(raw.closes(), "{more}");
            });
        }
        scope.spawn(|| {
            let mut client = gateway.h2();
            let stream = client.open(&h2::request("POST", "/public/x"), false);
            let begun = Instant::now();
            let outcome = loop {
                client.frame(0, 0, stream, b"b");
                client.ends_within(Duration::from_millis(50));
                if let Some(outcome) = client.ended(stream) {
                    break outcome;
                }
                assert!(begun.elapsed() < 2 * STALL + SLACK, "still waited for");
            };
            assert_eq!(outcome.status(), Some(408), "{outcome:?}");
        });
        // Somebody else is served meanwhile.
        for _ in 0..20 {
            let answer = gateway.ask("GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert_eq!(answer.status, 200);
        }
    });
    assert!(refusals(gateway, "body") >= before + 4.0);
    // The service never saw a whole one.
    let seen = gateway.recorder().everything();
    let whole = seen
        .iter()
        .filter(|seen| seen.complete && seen.mentions(&mark));
    assert_eq!(whole.count(), 0);
}

#[test]
fn b_05_a_body_that_does_not_come() {
    // Three servers, and more requests without a body than would have each of them left alone.
    let servers: Vec<Recorder> = (0..3).map(|_| Recorder::start()).collect();
    let urls: Vec<String> = servers
        .iter()
        .map(|one| format!("\"{}\"", one.url()))
        .collect();
    for (timeout, told) in [("{ read: 1s, write: 1s }", 408), ("{ total: 1s }", 504)] {
        let upstream = format!("{{ to: [{}], timeout: {timeout} }}", urls.join(", "));
        let gateway = Setup::new().upstream("web", &upstream).start();
        thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    let head =
                        "POST /public/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n";
                    let answer = gateway.ask(head);
                    assert_eq!(answer.status, told, "{}", answer.text());
                });
            }
        });
        let servers = gateway.metrics();
        let healthy = servers.sum("portcullis_upstream_healthy", &[("upstream", "web")]);
        assert!(
            (healthy - 3.0).abs() < 0.1,
            "{healthy} of 3 servers are used with {timeout}"
        );
        if told == 408 {
            assert!(refusals(&gateway, "body") >= 12.0);
        }
    }
}

#[test]
fn b_05_a_client_that_asks_first_is_not_late() {
    let recorder = Recorder::start();
    recorder.answer(|request| match request.path().as_str() {
        "/public/asked" => Reply::raw("HTTP/1.1 100 Continue\r\n\r\n")
            .early()
            .pause(Duration::from_secs(5)),
        _ => Reply::default().early().pause(Duration::from_secs(5)),
    });
    let upstream = format!("{{ to: \"{}\", timeout: {{ read: 1s }} }}", recorder.url());
    let gateway = Setup::before(recorder).upstream("web", &upstream).start();
    for (path, more, status) in [
        ("/public/silent", "Expect: 100-continue\r\n", 504),
        ("/public/asked", "Expect: 100-continue\r\n", 408),
        ("/public/silent", "", 408),
    ] {
        let answer = gateway.ask(format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n{more}\r\n"
        ));
        assert_eq!(answer.status, status, "{path} {more}{}", answer.text());
    }
    assert!((refusals(&gateway, "body") - 2.0).abs() < 0.1);
}

#[test]
fn b_05_a_conversation_goes_at_its_own_pace() {
    let gateway = gateway();
    let mut client = gateway.h2();
    let mut fields = h2::request("POST", "/public/x");
    fields.extend([
        ("content-type", "application/grpc+proto"),
        ("te", "trailers"),
    ]);
    let stream = client.open(&fields, false);
    let begun = Instant::now();
    while begun.elapsed() < 4 * STALL {
        client.frame(0, 0, stream, b"b");
        client.ends_within(Duration::from_millis(200));
        assert_eq!(client.ended(stream), None);
    }
    client.frame(0, 1, stream, b"b");
    assert_eq!(client.read(stream).status(), Some(200));
}

#[test]
fn b_05_a_rule_for_streams_takes_what_hardly_comes() {
    let recorder = Recorder::start();
    let upstream = format!("{{ to: \"{}\", timeout: {{ write: 1s }} }}", recorder.url());
    let gateway = Setup::before(recorder)
        .upstream("web", &upstream)
        .rules("\n  - { path: /public/**, allow: anyone, idle: 1m }\n")
        .set("limits", "{ stall: 10ms, body_rate: 1KiB }")
        .start();
    thread::scope(|scope| {
        for (more, piece, last) in [
            ("Transfer-Encoding: chunked\r\n", "1\r\nb\r\n", "0\r\n\r\n"),
            ("Content-Length: 31\r\n", "b", "b"),
        ] {
            let gateway = &gateway;
            scope.spawn(move || {
                let mut raw = gateway.connect();
                raw.send(format!(
                    "POST /public/x HTTP/1.1\r\nHost: localhost\r\n{more}\r\n"
                ));
                for _ in 0..30 {
                    raw.send(piece);
                    assert!(!raw.hears(Duration::from_millis(100)), "{more}");
                }
                raw.send(last);
                assert_eq!(raw.read().status, 200, "{more}");
            });
        }
    });
}

#[test]
fn b_05_a_reader_that_hardly_reads() {
    let gateway = gateway();
    let before = refusals(gateway, "reader");
    // Over HTTP/1, a byte now and then; over HTTP/2, granted a byte now and then.
    let mut slow = TcpStream::connect(gateway.http()).unwrap();
    slow.write_all(b"GET /public/large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut client = gateway.h2();
    client.frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let stream = client.open_unread(&h2::request("GET", "/public/large"));
    eventually("both to be given up", || {
        let _ = slow.read(&mut [0]);
        client.frame(8, 0, stream, &[0, 0, 0, 1]);
        client.ends_within(Duration::from_millis(50));
        let answer = gateway.ask("GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(answer.status, 200, "somebody else is served meanwhile");
        (refusals(gateway, "reader") >= before + 2.0).then_some(())
    });
    // What was on its way is all that comes.
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    assert!(rest.len() < LARGE, "all of it came");
}

#[test]
fn b_05_many_idle_connections() {
    let many = std::env::var("PORTCULLIS_TEST_CONNECTIONS");
    let many: u32 = many.map_or(2_000, |text| text.parse().unwrap());
    let gateway = Setup::new()
        .set(
            "limits",
            "{ connections_per_address: 1000, connections: 100000, head_timeout: 9s }",
        )
        .start();
    let get = "GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(gateway.ask(get).status, 200);
    let before = resident(&gateway);
    let begun = Instant::now();
    // Half of them silent, half idle behind a request, from addresses of their own.
    let (mut silent, mut idle) = (Vec::new(), Vec::new());
    for number in 0..many / 2 {
        let from = origin(number / 250);
        silent.push(Raw::from(&from, gateway.http()));
        let mut raw = Raw::from(&from, gateway.http());
        assert_eq!(raw.ask(get).status, 200, "connection {number}");
        idle.push(raw);
    }
    let each = resident(&gateway).saturating_sub(before) / u64::from(many);
    println!(
        "{many} connections in {:?}, {each} bytes each",
        begun.elapsed()
    );
    assert!(each < 64 * 1024, "{each} bytes for each idle connection");
    // One address has all it may have, others are served, on new connections and on those that idle.
    let one = origin(250);
    let full: Vec<Raw> = (0..1_000)
        .map(|_| Raw::from(&one, gateway.http()))
        .collect();
    let mut over = Raw::from(&one, gateway.http());
    over.send(get);
    assert!(over.closes(), "one too many of one address");
    drop(full);
    for _ in 0..50 {
        assert_eq!(gateway.ask(get).status, 200);
    }
    for raw in idle.iter_mut().rev().take(50) {
        assert_eq!(raw.ask(get).status, 200);
    }
    assert!(refusals(&gateway, "address") >= 1.0);
    // The silent ones owe a head.
    eventually("silent connections to be closed and counted", || {
        (refusals(&gateway, "head") >= f64::from(many / 2)).then_some(())
    });
    for raw in idle.iter_mut().take(50) {
        assert_eq!(raw.ask(get).status, 200, "idle is not silent");
    }
}

/// An address of this machine that nobody else uses.
fn origin(number: u32) -> String {
    format!("127.1.{}.{}", number / 250, number % 250 + 1)
}

/// A service that answers as soon as it has a head, and reads on; says how long each of its connections lasted after that.
fn eager() -> (String, Receiver<Duration>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (ends, ended) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, ends) = (stream.unwrap(), ends.clone());
            thread::spawn(move || {
                let mut piece = [0; 4096];
                let mut head = Vec::new();
                while !head.windows(4).any(|it| it == b"\r\n\r\n") {
                    match stream.read(&mut piece) {
                        Ok(read @ 1..) => head.extend_from_slice(&piece[..read]),
                        _ => return,
                    }
                }
                let answered = Instant::now();
                let answer =
                    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\neager";
                if stream.write_all(answer).is_ok() {
                    while matches!(stream.read(&mut piece), Ok(1..)) {}
                }
                // The test may be over.
                let _ = ends.send(answered.elapsed());
            });
        }
    });
    (url, ended)
}

#[test]
fn b_05_an_answered_request_whose_body_never_ends() {
    let (url, ended) = eager();
    let gateway = Setup::new()
        .upstream("web", &format!("{{ to: \"{url}\" }}"))
        .set("limits", "{ stall: 1s }")
        .start();
    let mut client = h2::H2::connect(gateway.http());
    // That there is nothing to come is not that nothing comes.
    let mut empty = h2::request("GET", "/public/x");
    empty.push(("content-length", "0"));
    client.open(&empty, false);
    let open = client.open(&h2::request("GET", "/public/x"), false);
    assert_eq!(client.read(open).status(), Some(200));
    let took = [(); 2].map(|()| ended.recv_timeout(STALL + SLACK).expect("held on to"));
    assert!(took.iter().any(|took| *took >= STALL), "{took:?}");
    // Nothing was wrong with the answer, and the connection is as good as before.
    assert!(client.ends_within(Duration::ZERO).is_none());
    let twin = client.open(&h2::request("GET", "/public/x"), true);
    assert_eq!(client.read(twin).status(), Some(200));
    assert!(client.was_reset(open) && !client.was_reset(twin));
    // Who goes on sending is not stopped.
    let busy = client.open(&h2::request("POST", "/public/x"), false);
    assert_eq!(client.read(busy).status(), Some(200));
    let until = Instant::now() + 2 * STALL;
    while Instant::now() < until {
        client.data(busy, b"more", false);
        assert!(client.ends_within(STALL / 50).is_none());
    }
    assert!(!client.was_reset(busy));
    client.data(busy, b"", true);
    eventually("the requests to be logged as answered", || {
        let log = gateway.log();
        let lines = log.lines().filter(|line| line.contains("/public/x"));
        (lines.filter(|line| line.contains("status=200")).count() == 4).then_some(())
    });
}
