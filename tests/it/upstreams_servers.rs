//! Upstreams of several servers, and of servers that are no port of a host: which server a request goes to, what
//! host it is told, and how long it may take.

use std::collections::BTreeSet;
use std::io;
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::harness::relay::Relay;
use crate::harness::{Gateway, Raw, Recorder, Reply, Setup, Trial, eventually, marker};

fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

fn two() -> ([Recorder; 2], String) {
    let servers = [Recorder::start(), Recorder::start()];
    let to = format!("[\"{}\", \"{}\"]", servers[0].url(), servers[1].url());
    (servers, to)
}

fn counts(servers: &[Recorder; 2]) -> (usize, usize) {
    (servers[0].count(), servers[1].count())
}

/// Requests that stay with the service until the sender is dropped.
fn hold(servers: &[Recorder; 2]) -> (Sender<()>, Arc<Mutex<usize>>) {
    let (release, held) = mpsc::channel::<()>();
    let (held, arrived) = (Arc::new(Mutex::new(held)), Arc::new(Mutex::new(0)));
    for server in servers {
        let (held, arrived) = (Arc::clone(&held), Arc::clone(&arrived));
        server.answer(move |request| {
            if request.path() == "/public/slow" {
                *arrived.lock().unwrap() += 1;
                let _ = held.lock().unwrap().recv();
            }
            Reply::ok("done")
        });
    }
    (release, arrived)
}

#[test]
fn the_server_with_the_fewest_requests_under_way_is_next() {
    let (servers, to) = two();
    let (release, arrived) = hold(&servers);
    let gateway = Setup::new()
        .upstream(
            "web",
            &format!("{{ to: {to}, balance: least_connections }}"),
        )
        .start();
    let mut slow = gateway.connect();
    slow.send(get("/public/slow", ""));
    eventually("the slow request to arrive", || {
        (*arrived.lock().unwrap() == 1).then_some(())
    });
    // On one connection, where a request begins when nothing of the one before is under way any more.
    let mut quick = gateway.connect();
    for _ in 0..6 {
        assert_eq!(quick.ask(get("/public/quick", "")).status, 200);
    }
    let (a, b) = counts(&servers);
    assert_eq!((a.min(b), a.max(b)), (0, 6), "all to the one that is free");
    drop(release);
    assert_eq!(slow.read().status, 200);
    // What is done counts no more: now they take turns.
    let before = counts(&servers);
    for _ in 0..6 {
        assert_eq!(slow.ask(get("/public/quick", "")).status, 200);
    }
    let after = counts(&servers);
    assert_eq!((after.0 - before.0, after.1 - before.1), (3, 3));
}

#[test]
fn a_client_address_keeps_its_server() {
    let (servers, to) = two();
    let gateway = Setup::new()
        .set("trusted_proxies", "[127.0.0.1]")
        .upstream("web", &format!("{{ to: {to}, balance: by_address }}"))
        .start();
    let mut used = BTreeSet::new();
    for number in 0..24 {
        let before = counts(&servers);
        for _ in 0..3 {
            let lines = format!("X-Forwarded-For: 198.51.100.{number}\r\n");
            assert_eq!(gateway.ask(get("/public/x", &lines)).status, 200);
        }
        let after = counts(&servers);
        let grown = (after.0 - before.0, after.1 - before.1);
        assert!(grown == (3, 0) || grown == (0, 3), "{number}: {grown:?}");
        used.insert(grown);
    }
    assert_eq!(used.len(), 2, "addresses are spread over both");
}

#[test]
fn a_user_keeps_their_server_wherever_they_are() {
    let (servers, to) = two();
    let names: Vec<String> = (0..24).map(|number| format!("user{number}")).collect();
    let setup = Setup::new()
        .set("trusted_proxies", "[127.0.0.1]")
        .upstream("web", &format!("{{ to: {to}, balance: by_user }}"));
    let setup = names
        .iter()
        .fold(setup, |setup, name| setup.user(name, "user"));
    let gateway = setup.start();
    let mut used = BTreeSet::new();
    for name in &names {
        let before = counts(&servers);
        for number in 0..2 {
            let lines = format!(
                "X-Forwarded-For: 198.51.100.{number}\r\n{}",
                gateway.as_user(name)
            );
            assert_eq!(gateway.ask(get("/app/x", &lines)).status, 200);
        }
        let after = counts(&servers);
        let grown = (after.0 - before.0, after.1 - before.1);
        assert!(grown == (2, 0) || grown == (0, 2), "{name}: {grown:?}");
        used.insert(grown);
    }
    assert_eq!(used.len(), 2, "users are spread over both");
}

#[test]
fn a_service_is_told_its_own_host_where_the_file_says_so() {
    let recorder = Recorder::start();
    let (url, port) = (recorder.url(), recorder.address().port());
    let named = format!("http://localhost:{port}");
    let gateway = Setup::before(recorder)
        .upstream("own", &format!("{{ to: \"{named}\", host: upstream }}"))
        .upstream("web", &format!("{{ to: \"{url}\", host: keep }}"))
        .rules("  - { path: /own/**, to: own, allow: anyone }\n  - { path: /**, allow: anyone }")
        .start();
    let told = |request: &str, path: &str| {
        assert_eq!(gateway.ask(request).status, 200);
        let seen = gateway.recorder().with(path).pop().unwrap();
        (
            seen.value("host").unwrap(),
            seen.value("x-forwarded-host").unwrap(),
        )
    };
    let own = format!("localhost:{port}");
    assert_eq!(
        told(&get("/own/1", ""), "/own/1"),
        (own.clone(), "localhost".into())
    );
    assert_eq!(
        told(&get("/keep/1", ""), "/keep/1"),
        ("localhost".into(), "localhost".into())
    );
    let mut h2 = gateway.h2();
    let answer = h2.ask(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", "/own/2"),
    ]);
    assert!(format!("{answer:?}").contains("200"), "{answer:?}");
    let seen = gateway.recorder().with("/own/2").pop().unwrap();
    assert_eq!(seen.value("host"), Some(own));
    assert_eq!(seen.value("x-forwarded-host").as_deref(), Some("localhost"));
}

/// A unix socket that leads to a port.
fn socket_to(port: u16) -> (TempDir, PathBuf) {
    let folder = TempDir::with_prefix("portcullis-it-").unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let far = TcpStream::connect(("127.0.0.1", port)).unwrap();
            join(near, far);
        }
    });
    (folder, path)
}

fn join(near: UnixStream, far: TcpStream) {
    let (mut from_near, mut to_near) = (near.try_clone().unwrap(), near);
    let (mut from_far, mut to_far) = (far.try_clone().unwrap(), far);
    thread::spawn(move || {
        let _ = io::copy(&mut from_near, &mut to_far);
        let _ = to_far.shutdown(std::net::Shutdown::Write);
    });
    thread::spawn(move || {
        let _ = io::copy(&mut from_far, &mut to_near);
        let _ = to_near.shutdown(std::net::Shutdown::Both);
    });
}

#[test]
fn a_service_behind_a_unix_socket() {
    let recorder = Recorder::start();
    let (_folder, path) = socket_to(recorder.address().port());
    let gateway = Setup::before(recorder)
        .upstream("web", &format!("{{ to: \"unix:{}\" }}", path.display()))
        .start();
    let mut trial = Trial::with_plain_twin(&gateway, "unix");
    let (seen, _) = trial.served(&trial.get("/app/x", &gateway.as_user("alice")));
    assert_eq!(seen.value("x-auth-user").as_deref(), Some("alice"));
    assert_eq!(seen.value("host").as_deref(), Some("localhost"));
    let (seen, answer) = trial.served(&trial.post("/public/y", "", "hello"));
    assert_eq!((&seen.body[..], answer.status), (&b"hello"[..], 200));
    trial.denied(trial.get("/app/x", ""), "");
    assert!(gateway.recorder().connections() < 4, "connections are kept");
}

#[test]
fn http_2_over_a_unix_socket() {
    let inner = Setup::new().start();
    let (_folder, path) = socket_to(inner.http().port());
    let gateway = Setup::new()
        .upstream("web", &format!("{{ to: \"h2c+unix:{}\" }}", path.display()))
        .start();
    assert_eq!(gateway.ask(get("/public/over-h2", "")).status, 200);
    assert_eq!(inner.recorder().wait_for("/public/over-h2", 1).len(), 1);
}

#[test]
fn a_socket_that_is_not_there() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("nobody.sock");
    let gateway = Setup::new()
        .upstream(
            "web",
            &format!("{{ to: \"unix:{}\" }}", Path::display(&path)),
        )
        .start();
    let answer = gateway.ask(get("/public/x", ""));
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (502, Some("UPSTREAM_UNREACHABLE"))
    );
}

/// Ten seconds of this, a piece at a time.
fn slowly(first: &str, piece: &str) -> Reply {
    (0..200).fold(Reply::raw(first), |reply, _| {
        reply.pause(Duration::from_millis(50)).then(piece)
    })
}

fn timed(timeout: &str) -> Gateway {
    let recorder = Recorder::start();
    recorder.answer(|request| match request.path().as_str() {
        // Never silent for long, and never done.
        "/public/drip" => slowly("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", "."),
        "/public/half" => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
            .pause(Duration::from_secs(20))
            .then("."),
        "/public/silent" => Reply::default().pause(Duration::from_secs(20)),
        "/public/news" => slowly("", "HTTP/1.1 102 Processing\r\n\r\n"),
        "/public/head" => slowly("HTTP/1.1 200 OK\r\nX-Long: ", "."),
        _ => Reply::ok("done"),
    });
    let url = recorder.url();
    Setup::before(recorder)
        .upstream("web", &format!("{{ to: \"{url}\", timeout: {timeout} }}"))
        .start()
}

#[test]
fn g_18_a_limit_for_the_whole_request() {
    let gateway = timed("{ read: 1s, total: 600ms }");
    assert_eq!(gateway.ask(get("/public/quick", "")).text(), "done");
    let begun = Instant::now();
    assert_eq!(gateway.ask(get("/public/silent", "")).status, 504);
    // Whatever comes is no answer yet.
    assert_eq!(gateway.ask(get("/public/news", "")).status, 504);
    let news = gateway.h2().get("/public/news", &[]);
    assert_eq!(news.status(), Some(504));
    assert_eq!(gateway.ask(get("/public/head", "")).status, 504);
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    let begun = Instant::now();
    let mut raw: Raw = gateway.connect();
    raw.send(get("/public/drip", ""));
    assert!(raw.closes(), "an answer that drips is cut");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    let got = raw.left();
    assert!(
        got.starts_with("HTTP/1.1 200") && !got.ends_with(&".".repeat(1000)),
        "{got}"
    );
}

#[test]
fn g_18_a_connection_that_goes_dead_without_a_word() {
    let recorder = Recorder::start();
    let relay = Relay::to(recorder.address().port());
    let to = format!("http://127.0.0.1:{}", relay.port());
    let gateway = Setup::before(recorder)
        .upstream("web", &format!("{{ to: \"{to}\", timeout: 400ms }}"))
        .start();
    assert_eq!(gateway.ask(get("/public/x", "")).status, 200);
    relay.silence();
    for _ in 0..2 {
        let begun = Instant::now();
        assert_eq!(gateway.ask(get("/public/x", "")).status, 504);
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{:?}",
            begun.elapsed()
        );
    }
    relay.mend();
    assert_eq!(gateway.ask(get("/public/x", "")).status, 200);
}

#[test]
fn g_18_a_limit_for_each_step() {
    let gateway = timed("{ connect: 5s, read: 400ms }");
    let begun = Instant::now();
    let answer = gateway.ask(get("/public/silent", ""));
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (504, Some("UPSTREAM_TIMEOUT"))
    );
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    // Silent in the middle of its answer: what has begun is broken off.
    let mut raw = gateway.connect();
    raw.send(get("/public/half", ""));
    assert!(raw.wait_for("half") && raw.closes(), "{}", raw.left());
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    // Slow as a whole, and never silent: no step took too long.
    let mut raw = gateway.connect();
    raw.send(get("/public/drip", ""));
    assert!(raw.wait_for(&".".repeat(20)), "{}", raw.left());
}

/// NTLM and Negotiate prove who asks for the connection, and not for the request: whoever came next on it was answered as
/// that user.
#[test]
fn h_16_a_connection_that_proves_somebody_is_nobody_elses() {
    let gateway = Setup::new().start();
    let on = |client: &mut Raw, lines: &str| {
        let mark = marker("h-16");
        let answer = client.ask(format!(
            "GET /public/{mark} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"
        ));
        assert_eq!(answer.status, 200);
        gateway.recorder().wait_for(&mark, 1).remove(0).connection
    };
    let client = || Raw::connect(gateway.http());
    // Whoever asks a moment after an answer may find its connection not yet given back.
    let comes_to = |what: &str, client: &mut dyn FnMut() -> Raw, lines: &str, one: u64| {
        let mut raw = client();
        eventually(what, || (on(&mut raw, lines) == one).then_some(()));
    };
    // The twin: connections of requests that prove nothing are shared.
    let shared = on(&mut client(), "");
    let mut new = client;
    comes_to(
        "a shared one",
        &mut new,
        "Authorization: Basic YTpi\r\n",
        shared,
    );
    for scheme in ["NTLM", "Negotiate", "negotiate", "Kerberos"] {
        let proof = format!("Authorization: {scheme} TlRMTVNTUAAB\r\n");
        let mut first = client();
        let own = on(&mut first, &proof);
        assert_ne!(own, shared, "{scheme}");
        // Proving it takes several requests, and what comes after them needs no proof.
        for lines in [&*proof, ""] {
            eventually("its own", || (on(&mut first, lines) == own).then_some(()));
        }
        let mut other = client();
        assert_ne!(on(&mut other, ""), own, "{scheme}");
        assert_ne!(on(&mut other, &proof), own, "{scheme}");
        drop(first);
        assert_ne!(on(&mut client(), ""), own, "{scheme}");
    }
}
