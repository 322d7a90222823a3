//! Memory that stays where it is under mixed load: B-19.
//!
//! Half a minute by itself; `PORTCULLIS_TEST_DRIFT` asks for more seconds.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Gateway, H2, Recorder, Reply, Setup, h2};
use crate::limits_memory::resident;

/// How many clients work at once.
const CLIENTS: usize = 6;

/// How many rounds it takes at least until caches and pools are full.
const WARM: u64 = 300;

fn seconds() -> u64 {
    std::env::var("PORTCULLIS_TEST_DRIFT").map_or(24, |text| text.parse().unwrap())
}

fn gateway() -> Gateway {
    let recorder = Recorder::start();
    recorder.answer(|request| match request.path().as_str() {
        "/public/fails" => Reply::raw("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"),
        "/public/breaks" => {
            Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome").close()
        }
        "/public/nonsense" => Reply::raw("nonsense\r\n\r\n").close(),
        "/public/large" => Reply::ok(&"d".repeat(200_000)),
        _ => Reply::ok("quick"),
    });
    Setup::before(recorder).start()
}

/// One round of everything that happens to a gateway in a day.
fn round(gateway: &Gateway, cookie: &str, number: u64) {
    let host = "Host: localhost\r\n";
    let mut raw = gateway.connect();
    for target in ["/public/x", "/public/large", "/public/fails", "/app/x"] {
        raw.ask(format!("GET {target} HTTP/1.1\r\n{host}\r\n"));
        raw.ask(format!(
            "GET {target}?n={number} HTTP/1.1\r\n{host}Cookie: {cookie}\r\n\r\n"
        ));
    }
    raw.ask(format!(
        "POST /public/x HTTP/1.1\r\n{host}Content-Length: 5\r\n\r\nhello"
    ));
    raw.ask(format!("GET /auth/login HTTP/1.1\r\n{host}\r\n"));
    for bad in [
        format!("GET /public/breaks HTTP/1.1\r\n{host}\r\n"),
        format!("GET /public/nonsense HTTP/1.1\r\n{host}\r\n"),
        format!("GET /x HTTP/1.1\r\n{host}Cookie: portcullis={number:064}\r\n\r\n"),
        format!("GET /{number} HTTP/1.1\r\nHost: h{number}.example\r\n\r\n"),
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
        format!(
            "POST /public/x HTTP/1.1\r\n{host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        ),
    ] {
        let _ = gateway.connect().send(bad).try_read();
    }
    // Gone in the middle.
    gateway
        .connect()
        .send(format!("GET /public/large HTTP/1.1\r\n{host}\r\n"));
    gateway.connect().send(format!(
        "POST /public/x HTTP/1.1\r\n{host}Content-Length: 50\r\n\r\nhel"
    ));
    let mut client = H2::connect(gateway.http());
    for path in ["/public/x", "/public/large", "/app/x", "/public/breaks"] {
        let stream = client.open(&h2::request("GET", path), true);
        client.read(stream);
        let given_up = client.open(&h2::request("GET", path), true);
        client.frame(3, 0, given_up, &[0, 0, 0, 8]);
    }
}

#[test]
fn b_19_memory_does_not_drift() {
    let gateway = gateway();
    let cookie = gateway.cookie("alice");
    let (done, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    let (first, last) = thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    let number = rounds.fetch_add(1, Ordering::Relaxed);
                    round(&gateway, &cookie, number);
                }
            });
        }
        // The middle third is compared with the last: the first one fills caches and pools.
        let third = Duration::from_secs(seconds()) / 3;
        most(&gateway, third);
        while rounds.load(Ordering::Relaxed) < WARM {
            most(&gateway, third / 10);
        }
        let measured = (most(&gateway, third), most(&gateway, third));
        done.store(true, Ordering::Release);
        measured
    });
    let rounds = rounds.load(Ordering::Relaxed);
    println!(
        "{rounds} rounds; at most {} KiB, then {} KiB",
        first / 1024,
        last / 1024
    );
    assert!(
        last < first + first / 20,
        "from {first} to {last} bytes in {rounds} rounds"
    );
}

/// The most memory that is seen for so long.
fn most(gateway: &Gateway, span: Duration) -> u64 {
    let begun = Instant::now();
    let mut most = 0;
    while begun.elapsed() < span {
        most = most.max(resident(gateway));
        gateway.recorder().forget();
        thread::park_timeout(Duration::from_millis(50));
    }
    most
}
