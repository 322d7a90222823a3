//! More connections than there is room for: B-14.

use std::fs;
use std::time::{Duration, Instant};

use crate::harness::{Gateway, Raw, Recorder, Reply, Setup, eventually, h2};

const GET: &str = "GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// As many as a gateway with so few descriptors is asked for.
const DESCRIPTORS: u32 = 128;

fn refusals(gateway: &Gateway, limit: &str) -> f64 {
    let labels = [("limit", limit)];
    gateway
        .metrics()
        .sum("portcullis_limit_refusals_total", &labels)
}

fn is_served(gateway: &Gateway) -> Option<()> {
    let mut raw = Raw::try_connect(gateway.http())?;
    let answer = raw.send(GET).try_read().ok();
    answer.filter(|answer| answer.status == 200).map(drop)
}

/// Processor time that a process has used.
fn used(gateway: &Gateway) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", gateway.pid())).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: u64 = [11, 12]
        .iter()
        .map(|at| fields[*at].parse::<u64>().unwrap())
        .sum();
    // The kernel counts hundredths of a second.
    Duration::from_millis(ticks * 10)
}

#[test]
fn b_14_what_there_is_no_room_for_is_closed() {
    let gateway = Setup::new().descriptors(DESCRIPTORS).start();
    // What is left beside the store and the like, less an eighth for kept connections: half of it, for each client may need
    // one more, towards the service.
    let mut held: Vec<Raw> = (0..28).map(|_| gateway.connect()).collect();
    for raw in &mut held {
        assert_eq!(raw.ask(GET).status, 200);
    }
    for _ in 0..200 {
        let mut raw = gateway.connect();
        raw.send(GET);
        assert!(raw.closes(), "one too many");
    }
    assert!(refusals(&gateway, "connections") >= 200.0);
    assert!(refusals(&gateway, "descriptors") < 1.0);
    // Whoever is in is served, and operators see what goes on.
    for raw in &mut held {
        assert_eq!(raw.ask(GET).status, 200);
    }
    assert_eq!(gateway.ask_admin("/healthz").status, 200);
    held.clear();
    eventually("a place to become free", || is_served(&gateway));
}

#[test]
fn b_14_no_descriptors_left() {
    // Told to take more than there are: the kernel refuses, and says so to whoever accepts and whoever connects.
    let gateway = Setup::new()
        .descriptors(DESCRIPTORS)
        .set("limits", "{ connections: 100000 }")
        .start();
    assert_eq!(gateway.ask(GET).status, 200);
    gateway.says("limits.connections");
    let mut held: Vec<Raw> = Vec::new();
    // More than there are descriptors, and fewer than wait behind the port besides.
    for _ in 0..180 {
        held.push(gateway.connect());
    }
    eventually("accepting to fail", || {
        gateway.log().contains("cannot be accepted").then_some(())
    });
    // Not at the cost of a processor.
    let (before, begun) = (used(&gateway), Instant::now());
    eventually("two seconds to pass", || {
        (begun.elapsed() > Duration::from_secs(2)).then_some(())
    });
    let share = used(&gateway).saturating_sub(before).as_secs_f64() / begun.elapsed().as_secs_f64();
    assert!(
        share < 0.5,
        "{share:.2} of a processor is spent on accepting"
    );
    assert!(gateway.ended().is_none());
    // A request on one of the open connections needs one more, and there is none.
    let answer = held[1].send(GET).try_read();
    let status = answer.as_ref().map(|answer| answer.status);
    assert!(
        matches!(status, Ok(200 | 502 | 503)),
        "{answer:?}: {}",
        gateway.log()
    );
    held.clear();
    eventually("descriptors to be free", || is_served(&gateway));
    assert!(refusals(&gateway, "descriptors") >= 1.0);
    let said = gateway.log().matches("cannot be accepted").count();
    assert!(said < 10, "said {said} times");
}

#[test]
fn b_14_only_so_many_answers_are_compressed_at_a_time() {
    let recorder = Recorder::start();
    recorder.answer(|request| {
        let reply = Reply::raw(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4000\r\n\r\n",
        )
        .then("a".repeat(2_000));
        let reply = if request.path() == "/public/long" {
            reply.pause(Duration::from_secs(20))
        } else {
            reply
        };
        reply.then("a".repeat(2_000))
    });
    let gateway = Setup::before(recorder)
        .rules("\n  - { path: /public/**, allow: anyone, compress: true }\n")
        .set("limits", "{ compressed: 2 }")
        .start();
    let ask = |path: &str| {
        let mut raw = gateway.connect();
        raw.send(format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n"
        ));
        let head = raw.read_head();
        assert_eq!(head.header("vary").as_deref(), Some("Accept-Encoding"));
        (head.header("content-encoding"), raw)
    };
    let gzip = Some("gzip".to_owned());
    let mut held: Vec<_> = (0..2).map(|_| ask("/public/long")).collect();
    assert!(held.iter().all(|(coding, _)| *coding == gzip));
    // No room is left: what comes is what the service said.
    for _ in 0..3 {
        let (coding, mut raw) = ask("/public/short");
        assert_eq!(coding, None);
        assert!(raw.wait_for(&"a".repeat(4_000)), "all of it comes");
    }
    assert!((refusals(&gateway, "compressed") - 3.0).abs() < 0.1);
    // Whoever goes makes room, and so does an answer that is through.
    held.pop();
    eventually("room for another one", || {
        (ask("/public/short").0 == gzip).then_some(())
    });
    eventually("room once more", || {
        (ask("/public/short").0 == gzip).then_some(())
    });
}

#[test]
fn b_14_only_so_many_requests_of_one_address_are_under_way() {
    let setup = || {
        let recorder = Recorder::start();
        recorder.answer(|request| match request.path().as_str() {
            "/public/slow" => Reply::default().pause(Duration::from_secs(20)),
            _ => Reply::ok("quick"),
        });
        Setup::before(recorder)
    };
    let gateway = setup().set("limits", "{ requests_per_address: 3 }").start();
    let mut client = gateway.h2();
    for _ in 0..3 {
        client.open(&h2::request("GET", "/public/slow"), true);
    }
    eventually("three requests to be under way", || {
        (gateway.recorder().count() == 3).then_some(())
    });
    // On all connections together; whoever comes from elsewhere does not notice.
    let answer = gateway.ask(GET);
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
    assert_eq!(gateway.h2().get("/public/x", &[]).status(), Some(429));
    let mut other = Raw::from("127.0.0.2", gateway.http());
    assert_eq!(other.ask(GET).status, 200);
    assert!((refusals(&gateway, "requests") - 2.0).abs() < 0.1);
    drop(client);
    eventually("a place to become free", || is_served(&gateway));
    // Whoever is proxied for by somebody trusted is not counted as them.
    let gateway = setup()
        .set("limits", "{ requests_per_address: 1 }")
        .set("trusted_proxies", "[127.0.0.0/8]")
        .start();
    let mut client = gateway.h2();
    client.open(&h2::request("GET", "/public/slow"), true);
    eventually("it to be under way", || {
        (gateway.recorder().count() == 1).then_some(())
    });
    assert_eq!(gateway.ask(GET).status, 200);
}

/// A server that is there and takes no connection: its queue of those that wait is full.
struct Deaf {
    address: std::net::SocketAddr,
    _held: (socket2::Socket, Vec<std::net::TcpStream>),
}

impl Deaf {
    fn start() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&any.into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut waiting = Vec::new();
        let patience = Duration::from_millis(300);
        while let Ok(one) = std::net::TcpStream::connect_timeout(&address, patience) {
            waiting.push(one);
            assert!(waiting.len() < 100, "the queue has no end");
        }
        Self {
            address,
            _held: (socket, waiting),
        }
    }
}

/// A connection that is closed takes nothing back that it has asked for over HTTP/2: what waits for a service goes on
/// waiting, and counts until it is over.
#[test]
fn b_14_a_request_counts_when_its_connection_is_gone() {
    let deaf = Deaf::start();
    let rules =
        "  - { path: /deaf/**, to: deaf, allow: anyone }\n  - { path: /public/**, allow: anyone }";
    let upstream = format!(
        "{{ to: \"http://{}\", timeout: {{ connect: 8s }} }}",
        deaf.address
    );
    let gateway = Setup::new()
        .set("limits", "{ requests_per_address: 3 }")
        .upstream("deaf", &upstream)
        .rules(rules)
        .start();
    let asked = Instant::now();
    let mut client = gateway.h2();
    for _ in 0..4 {
        client.open(&h2::request("GET", "/deaf/x"), true);
    }
    // Three of the four have a place, whichever they are.
    eventually("no place to be left", || {
        (refusals(&gateway, "requests") > 0.5).then_some(())
    });
    drop(client);
    let connections = "portcullis_connections";
    eventually("the connection to be gone", || {
        // One is the scrape's own.
        (gateway.metrics().sum(connections, &[]) < 1.5).then_some(())
    });
    assert_eq!(gateway.h2().get("/public/x", &[]).status(), Some(429));
    assert!(
        asked.elapsed() < Duration::from_secs(8),
        "too slow a machine"
    );
    let mut other = Raw::from("127.0.0.2", gateway.http());
    assert_eq!(other.ask(GET).status, 200);
    gateway.says("status=429");
    let log = gateway.log();
    let told = log.lines().filter(|line| line.contains("status=429"));
    assert!(
        told.clone().all(|line| line.contains("ip=127.0.0.1")),
        "{log}"
    );
    eventually("the places to become free", || is_served(&gateway));
}
