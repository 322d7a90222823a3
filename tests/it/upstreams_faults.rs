//! G-18: whose fault it is that a request fails: the service's, which is left alone then, or that of whoever asks; and what is
//! told of it.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Gateway, Raw, Recorder, Reply, Setup, eventually};
use crate::pages_browser::NAVIGATION;
use crate::tunnels;
use crate::upstreams_tries::Dead;

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// What is told of the servers of `web`, by address.
fn healthy(gateway: &Gateway) -> Vec<f64> {
    let metrics = gateway.metrics();
    let labels = metrics.labels_of("portcullis_upstream_healthy");
    let of_web = labels
        .iter()
        .filter(|labels| labels.get("upstream").is_some_and(|name| name == "web"));
    of_web
        .map(|labels| metrics.exactly("portcullis_upstream_healthy", labels))
        .collect()
}

/// A service that takes connections and says nothing on them.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[test]
fn g_18_who_sends_slowly_puts_no_server_out() {
    let servers = [Recorder::start(), Recorder::start()];
    let [a, b] = [servers[0].url(), servers[1].url()];
    let gateway = Setup::before(servers[0].clone())
        .upstream(
            "web",
            &format!("{{ to: [\"{a}\", \"{b}\"], timeout: {{ total: 1500ms }}, eject: {{ after: 1, for: 1h }} }}"),
        )
        .start();
    let head = "POST /public/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n";
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut raw = gateway.connect();
                // The last of it comes when the time for everything is up.
                for piece in [&format!("{head}bo"), "d", "y"] {
                    raw.send(piece);
                    thread::sleep(Duration::from_millis(900));
                }
                let answer = raw.read();
                assert!([408, 504].contains(&answer.status), "{}", answer.text());
            });
        }
    });
    assert!(
        healthy(&gateway).iter().all(|it| *it > 0.5),
        "{}",
        gateway.log()
    );
    let whole = servers.iter().map(Recorder::count).sum::<usize>();
    assert_eq!(whole, 0, "nothing was passed on whole");
}

/// Whoever can have a service repeat what they say may have it say what is passed on to nobody.
#[test]
fn g_18_who_spoils_answers_puts_no_server_out() {
    let servers = [Recorder::start(), Recorder::start()];
    for server in &servers {
        server.answer(|request| {
            let head = |line: &str| format!("{line}\r\nContent-Length: 2\r\n\r\nok");
            Reply::raw(match request.path().as_str() {
                "/public/cr" => head("HTTP/1.1 200 OK\r\nX-Echo: a\rb"),
                "/public/nul" => head("HTTP/1.1 200 OK\r\nX-Echo: a\0b"),
                "/public/reason" => head("HTTP/1.1 200 O\0K"),
                "/public/coding" => head("HTTP/1.1 200 OK\r\nTransfer-Encoding: x"),
                // What speaks something else does not answer.
                "/public/junk" => "SSH-2.0-OpenSSH_9.9\r\n\r\n".to_owned(),
                _ => head("HTTP/1.1 200 OK"),
            })
        });
    }
    let [a, b] = [servers[0].url(), servers[1].url()];
    let gateway = Setup::before(servers[0].clone())
        .upstream(
            "web",
            &format!("{{ to: [\"{a}\", \"{b}\"], eject: {{ after: 1, for: 1h }} }}"),
        )
        .start();
    let spoiled = |path: &str| {
        let answer = gateway.ask(get(path));
        let code = answer.json()["code"].as_str().map(str::to_owned);
        assert_eq!(
            (answer.status, code.as_deref()),
            (502, Some("UPSTREAM_INVALID"))
        );
    };
    for path in [
        "/public/cr",
        "/public/nul",
        "/public/reason",
        "/public/coding",
    ] {
        for _ in 0..3 {
            spoiled(path);
            assert_eq!(gateway.ask(get("/public/x")).status, 200, "after {path}");
        }
        let well = healthy(&gateway);
        assert!(well.iter().all(|it| *it > 0.5), "{path}: {}", gateway.log());
    }
    spoiled("/public/junk");
    let left: Vec<f64> = healthy(&gateway);
    assert_eq!(left.iter().filter(|it| **it > 0.5).count(), 1, "{left:?}");
}

#[test]
fn g_18_a_handshake_that_gets_no_answer_is_tried_elsewhere_and_counts() {
    let well = tunnels::agreeing();
    let (_listener, url) = silent();
    let rules = "  - { path: /app/**, allow: signed_in, idle: 1h }\n  - { path: /public/**, allow: anyone }";
    let gateway = Setup::before(well.clone())
        .upstream(
            "web",
            &format!("{{ to: [\"{url}\", \"{}\"], timeout: {{ read: 300ms }}, retry: 1, eject: {{ after: 2, for: 1h }} }}", well.url()),
        )
        .rules(rules)
        .start();
    let user = gateway.as_user("alice");
    let began = Instant::now();
    for _ in 0..8 {
        let mut tunnel = tunnels::open(&gateway, "/app/ws", &user);
        tunnels::round_trip(&mut tunnel, "hello");
    }
    assert_eq!(well.requests().len(), 8);
    let told: BTreeSet<bool> = healthy(&gateway).iter().map(|it| *it > 0.5).collect();
    assert_eq!(
        told.len(),
        2,
        "one of them is left alone\n{}",
        gateway.log()
    );
    // Not the hour that the tunnel may be silent for.
    assert!(began.elapsed() < Duration::from_mins(1));
}

#[test]
fn g_18_one_request_tries_a_server_that_was_left_alone() {
    let (well, ill) = (Recorder::start(), Recorder::start());
    let (held, told) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (holds, word) = (Arc::clone(&held), Arc::clone(&told));
    // It hangs up on all that it holds, when it is told to.
    ill.answer(move |_| {
        // Before it says that it holds one more: the word that ends this round comes later than that.
        let round = word.load(Ordering::Acquire);
        holds.fetch_add(1, Ordering::AcqRel);
        eventually("a word", || {
            (word.load(Ordering::Acquire) > round).then_some(())
        });
        Reply::default().close()
    });
    let gateway = Setup::before(well.clone())
        .upstream(
            "web",
            &format!(
                "{{ to: [\"{}\", \"{}\"], eject: {{ after: 2, for: 5s }} }}",
                ill.url(),
                well.url()
            ),
        )
        .start();
    // Sixteen at once, all of them under way before the first fails; how many do.
    let at_once = |meant: usize| {
        let (before, served) = (held.load(Ordering::Acquire), well.count());
        thread::scope(|scope| {
            let all: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| gateway.ask(get("/public/x")).status))
                .collect();
            eventually("all of them to be under way", || {
                let there = held.load(Ordering::Acquire) == before + meant;
                (there && well.count() == served + 16 - meant).then_some(())
            });
            told.fetch_add(1, Ordering::AcqRel);
            let all = all.into_iter().map(|one| one.join().unwrap());
            all.filter(|status| *status != 200).count()
        })
    };
    let due = || {
        eventually("its time alone to be over", || {
            let told = healthy(&gateway);
            told.iter().all(|it| *it > 0.5).then_some(())
        });
    };
    assert_eq!(at_once(8), 8, "nothing is known yet");
    assert!(healthy(&gateway).iter().any(|it| *it < 0.5));
    due();
    // What may have to wait for its client finds out nothing.
    let body = "POST /public/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi";
    for _ in 0..4 {
        assert_eq!(gateway.ask(body).status, 200);
    }
    assert_eq!(ill.connections(), 8);
    assert_eq!(at_once(1), 1);
}

#[test]
fn g_18_other_checks_decide_anew() {
    let service = Recorder::start();
    service.answer(|request| match request.path().as_str() {
        "/wrong" => Reply::raw("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
        // What comes before an answer is none.
        "/right" => Reply::raw("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
            .then("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        _ => Reply::ok("served"),
    });
    let url = service.url();
    let checked = |path: &str| {
        let checks = format!("health: {{ path: {path}, interval: 1h, up_after: 5 }}");
        Setup::before(service.clone()).upstream("web", &format!("{{ to: \"{url}\", {checks} }}"))
    };
    let gateway = checked("/wrong").start();
    eventually("the wrong check to fail", || {
        (gateway.ask(get("/public/x")).status == 503).then_some(())
    });
    assert!(gateway.reload_with(&checked("/right")));
    service.wait_for("GET /right", 1);
    for _ in 0..5 {
        assert_eq!(
            gateway.ask(get("/public/x")).status,
            200,
            "{}",
            gateway.log()
        );
    }
    assert_eq!(service.with("GET /right").len(), 1);
    assert_eq!(healthy(&gateway), [1.0]);
}

#[test]
fn g_18_time_for_everything_holds_where_answers_may_take_their_time() {
    let service = Recorder::start();
    service.answer(|_| {
        Reply::default()
            .pause(Duration::from_secs(20))
            .then("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let url = service.url();
    let gateway = Setup::before(service)
        .upstream(
            "web",
            &format!("{{ to: \"{url}\", timeout: {{ total: 500ms }} }}"),
        )
        .rules("  - { path: /**, allow: anyone, idle: 1h }")
        .start();
    let began = Instant::now();
    let answer = gateway
        .connect()
        .patience(Duration::from_secs(30))
        .ask(get("/x"));
    assert_eq!(answer.status, 504);
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn g_18_two_names_of_one_address_are_two_servers() {
    let service = Recorder::start();
    let port = service.address().port();
    let gateway = Setup::before(service.clone())
        .upstream(
            "web",
            &format!("{{ to: [\"http://127.0.0.1:{port}\", \"http://localhost:{port}\"], host: upstream, balance: by_address }}"),
        )
        .start();
    assert_eq!(healthy(&gateway).len(), 2);
    for number in 2..30 {
        let mut raw = Raw::from(&format!("127.0.0.{number}"), gateway.http());
        assert_eq!(raw.ask(get("/public/x")).status, 200);
    }
    let hosts: BTreeSet<_> = service
        .requests()
        .iter()
        .filter_map(|seen| seen.value("host"))
        .collect();
    assert_eq!(hosts.len(), 2, "{hosts:?}");
}

#[test]
fn g_18_a_page_stands_in_for_a_service_that_cannot_be_reached() {
    let dead = Dead::new();
    let url = dead.url();
    let gateway = Setup::new()
        .upstream(
            "web",
            &format!("{{ to: \"{url}\", maintenance: page.html }}"),
        )
        .asset("page.html", "<!doctype html><h1>Back at noon</h1>")
        .start();
    let ask = |lines: &str| {
        gateway.ask(format!(
            "GET /public/x HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"
        ))
    };
    let (person, program) = (ask(NAVIGATION), ask(""));
    assert_eq!(
        (person.status, person.text().contains("Back at noon")),
        (503, true)
    );
    assert_eq!(program.json()["code"], "UPSTREAM_UNAVAILABLE");
    let told = eventually("the reason in the log", || {
        let log = gateway.log();
        let line = log.lines().find(|line| line.contains("ConnectRefused"))?;
        Some(line.to_owned())
    });
    assert!(told.contains("status=503"), "{told}");
}

#[test]
fn what_the_system_said_is_told_to_whoever_runs_the_gateway() {
    let gateway = Setup::new()
        .upstream("web", "{ to: \"unix:/nowhere/at/all.sock\" }")
        .start();
    assert_eq!(gateway.ask(get("/public/x")).status, 502);
    eventually("the reason in the log", || {
        let log = gateway.log();
        (log.contains("No such file") && log.contains("server=\"/nowhere/at/all.sock\""))
            .then_some(())
    });
}

#[test]
fn f_05_a_service_that_takes_nothing_is_given_up() {
    let (_listener, url) = silent();
    let gateway = Setup::new()
        .upstream(
            "web",
            &format!("{{ to: \"{url}\", timeout: {{ write: 300ms, read: 5s }} }}"),
        )
        .rules("  - { path: /**, allow: anyone, body: none }")
        .start();
    // More than the system keeps for anybody.
    let size = 32 << 20;
    let mut client = TcpStream::connect(gateway.http()).unwrap();
    let head = format!("POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n");
    client.write_all(head.as_bytes()).unwrap();
    let mut upload = client.try_clone().unwrap();
    // Which fails when the gateway has had enough of it.
    let sender = thread::spawn(move || drop(upload.write_all(&vec![b'x'; size])));
    let mut status = [0; 12];
    client.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 504");
    drop(client);
    sender.join().unwrap();
}

#[test]
fn a_host_has_an_upstream_of_its_own() {
    let (one, two) = (Recorder::start(), Recorder::start());
    let (to_one, to_two) = (one.url(), two.url());
    let gateway = Setup::before(one.clone())
        .upstream("web", &format!("{{ to: \"{to_one}\" }}"))
        .upstream("other", &format!("{{ to: \"{to_two}\" }}"))
        .rules("  - { path: /**, host: other.localhost, to: other, allow: anyone }\n  - { path: /**, to: web, allow: anyone }")
        .start();
    for (host, seen) in [
        ("localhost", (1, 0)),
        ("other.localhost", (1, 1)),
        ("localhost", (2, 1)),
    ] {
        let answer = gateway.ask(format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answer.status, 200, "{host}: {}", answer.text());
        assert_eq!((one.count(), two.count()), seen, "{host}");
    }
}
