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
    // What is remembered for a time is remembered for less than the first third: a timer for each is kept until it is over.
    let yaml = format!(
        "{{ to: \"{}\", timeout: 5s, keep_alive: 5s }}",
        recorder.url()
    );
    // Without huge pages: whether the kernel makes one of many small ones is its own affair, and each is two megabytes.
    Setup::before(recorder)
        .env("MIMALLOC_ALLOW_THP", "0")
        .upstream("web", &yaml)
        .start()
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
        usual(&gateway, third);
        while rounds.load(Ordering::Relaxed) < WARM {
            usual(&gateway, third / 10);
        }
        let measured = (usual(&gateway, third), usual(&gateway, third));
        done.store(true, Ordering::Release);
        measured
    });
    let rounds = rounds.load(Ordering::Relaxed);
    println!(
        "{rounds} rounds; usually {} KiB, then {} KiB",
        first / 1024,
        last / 1024
    );
    assert!(
        last < first + first / 20,
        "from {first} to {last} bytes in {rounds} rounds"
    );
}

/// How much memory there is in the middle of all looks for so long. The most is what happened to be under way: with large bodies
/// in their buffers that is a tenth more than a moment later, and says nothing of what stays.
fn usual(gateway: &Gateway, span: Duration) -> u64 {
    let begun = Instant::now();
    let mut looks = Vec::new();
    while begun.elapsed() < span || looks.is_empty() {
        looks.push(resident(gateway));
        gateway.recorder().forget();
        thread::park_timeout(Duration::from_millis(50));
    }
    looks.sort_unstable();
    looks[looks.len() / 2]
}
