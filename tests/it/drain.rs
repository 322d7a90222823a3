//! Going down in order: G-13.

use std::io::Read;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Gateway, H2, Raw, Recorder, Reply, Setup, Silence, eventually, h2, within};
use crate::tunnels;

const GET: &str = "GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A gateway in front of a service that takes its time for `/public/slow`.
fn gateway(slow: Duration) -> Gateway {
    let recorder = Recorder::start();
    recorder.answer(move |request| match request.path().as_str() {
        "/public/slow" => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nfirs")
            .pause(slow)
            .then("tend"),
        _ => Reply::ok("quick"),
    });
    Setup::before(recorder).start()
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// Waits until the gateway has noticed that it is to stop: it accepts nobody any more.
fn refuses_connections(gateway: &Gateway) {
    let address = gateway.http();
    eventually(
        "new connections to be refused",
        || match TcpStream::connect(address) {
            Err(_) => Some(()),
            Ok(_) => None,
        },
    );
}

#[test]
fn g_13_requests_in_flight_are_answered_whole() {
    let gateway = gateway(Duration::from_millis(1_200));
    let mut slow = gateway.connect();
    slow.send(get("/public/slow"));
    assert!(slow.wait_for("firs"), "the answer has begun");
    let mut upload = gateway.connect();
    upload.send("POST /public/up HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello");
    let mut idle = gateway.connect();
    assert_ne!(idle.ask(GET).header("connection").as_deref(), Some("close"));
    // The upload is in flight once its head has been judged, which the recorder tells.
    eventually("the upload to begin", || {
        (gateway.recorder().connections() >= 3).then_some(())
    });
    gateway.signal("TERM");
    refuses_connections(&gateway);
    assert!(gateway.ended().is_none(), "gone with requests in flight");
    let answer = slow.read();
    assert_eq!((answer.status, answer.text().as_str()), (200, "firstend"));
    upload.send("world");
    let answer = upload.read();
    assert_eq!((answer.status, answer.text().as_str()), (200, "quick"));
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    let status = eventually("the gateway to end", || gateway.ended());
    assert_eq!(status.code(), Some(0), "{}", gateway.log());
    let body = gateway.recorder().last().unwrap().body;
    assert_eq!(body, b"helloworld");
}

#[test]
fn g_13_kept_connections_are_told_to_close() {
    let gateway = gateway(Duration::from_secs(2));
    let mut slow = gateway.connect();
    slow.send(get("/public/slow"));
    assert!(slow.wait_for("firs"));
    let mut kept: Vec<Raw> = (0..3).map(|_| gateway.connect()).collect();
    for raw in &mut kept {
        assert_eq!(raw.ask(GET).status, 200);
    }
    gateway.signal("TERM");
    refuses_connections(&gateway);
    // Either closed while idle, or a last answer that says so; never an error.
    for mut raw in kept {
        raw.send(GET);
        if let Ok(answer) = raw.try_read() {
            assert_eq!(answer.status, 200);
            let said = answer.header("connection").unwrap_or_default();
            assert_eq!(said.to_lowercase(), "close");
        }
        assert!(raw.closes(), "left open");
    }
    assert_eq!(slow.read().text(), "firstend");
    assert!(slow.closes(), "left open");
    let status = eventually("the gateway to end", || gateway.ended());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn g_13_no_request_fails_while_a_busy_gateway_stops() {
    let gateway = gateway(Duration::from_secs(1));
    let address = gateway.http();
    let mut slow = gateway.connect();
    slow.send(get("/public/slow"));
    assert!(slow.wait_for("firs"));
    let counts: Vec<usize> = thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(|| work(address))).collect();
        eventually("some traffic", || {
            (gateway.recorder().count() > 40).then_some(())
        });
        gateway.signal("TERM");
        workers.into_iter().map(|w| w.join().unwrap()).collect()
    });
    assert_eq!(slow.read().text(), "firstend");
    let status = eventually("the gateway to end", || gateway.ended());
    assert_eq!(status.code(), Some(0));
    // What was served was answered, whatever became of the connections.
    let answered: usize = counts.iter().sum();
    assert!(answered > 30, "{answered} answers");
    assert_eq!(
        gateway.recorder().count(),
        answered + 1,
        "served and answered"
    );
}

/// Asks on kept connections until nobody accepts any more; the number of good answers. Any other is a failure, and so is
/// none on a connection that was told of no end: but one that was accepted by nobody when the doors closed.
fn work(address: std::net::SocketAddr) -> usize {
    let mut answered = 0;
    while let Some(mut raw) = Raw::try_connect(address) {
        for number in 0.. {
            let answer = match raw.send(GET).try_read() {
                Ok(answer) => answer,
                Err(silence) => {
                    let unheard = silence == Silence::Closed && raw.left().is_empty();
                    assert!(unheard && number == 0, "{silence:?} after {number} answers");
                    break;
                }
            };
            assert_eq!(answer.status, 200, "{}", answer.text());
            answered += 1;
            let said = answer.header("connection").unwrap_or_default();
            if said.eq_ignore_ascii_case("close") {
                break;
            }
        }
    }
    answered
}

#[test]
fn g_13_a_tunnel_goes_on_while_others_are_let_finish() {
    let setup = Setup::before(tunnels::agreeing()).set("limits", "{ drain: 2s }");
    let gateway = setup.start();
    let mut tunnel = tunnels::open(&gateway, "/public/ws", "");
    tunnels::round_trip(&mut tunnel, "before");
    let begun = Instant::now();
    gateway.signal("TERM");
    refuses_connections(&gateway);
    tunnels::round_trip(&mut tunnel, "after");
    assert!(tunnel.closes(), "left open");
    assert!(
        begun.elapsed() >= Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    let status = eventually("the gateway to end", || gateway.ended());
    assert_eq!(status.code(), Some(0), "{}", gateway.log());
}

#[test]
fn g_13_streams_of_http2_are_finished() {
    let gateway = gateway(Duration::from_millis(800));
    let mut client = H2::connect(gateway.http());
    let stream = client.open(&h2::request("GET", "/public/slow"), true);
    gateway.recorder().wait_for("/public/slow", 1);
    gateway.signal("TERM");
    refuses_connections(&gateway);
    let answer = client.read(stream);
    assert_eq!(
        (answer.status(), h2::text(&answer).as_str()),
        (Some(200), "firstend")
    );
    let status = eventually("the gateway to end", || gateway.ended());
    assert_eq!(status.code(), Some(0));
}

/// It says again and again how much it has read, and most of the answer is on its way when the gateway has done its part.
#[test]
fn g_13_who_reads_slowly_over_http2_gets_all_of_it() {
    const LENGTH: usize = 20_000_000;
    let recorder = Recorder::start();
    recorder.answer(|_| Reply::ok(&"x".repeat(LENGTH)));
    let gateway = Setup::before(recorder).tls(&["localhost"]).start();
    let url = format!("https://localhost:{}/public/x", gateway.https().port());
    let mut curl = Command::new("curl")
        .args(["-sSk", "--http2", "--limit-rate", "2M"])
        .args(["-o", "/dev/null", "-w", "%{size_download}", &url])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("the download to begin", || {
        (gateway.recorder().count() == 1).then_some(())
    });
    gateway.signal("TERM");
    let mut came = String::new();
    let mut out = curl.stdout.take().unwrap();
    out.read_to_string(&mut came).unwrap();
    assert!(curl.wait().unwrap().success());
    assert_eq!(came, LENGTH.to_string());
    // Who has read it all holds up nobody.
    within(Duration::from_secs(5), || gateway.ended()).expect("the end");
}

#[test]
fn g_13_an_idle_gateway_stops_at_once() {
    let gateway = gateway(Duration::from_secs(1));
    let cookie = gateway.login("alice");
    gateway.signal("TERM");
    let ended = within(Duration::from_secs(4), || gateway.ended());
    assert_eq!(ended.expect("still there").code(), Some(0));
    // Nothing is forgotten over it.
    let gateway = gateway.restart();
    let app = format!("GET /app/x HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n");
    assert_eq!(gateway.ask(app).status, 200);
}

/// A request that is on its way when the gateway is told to stop comes upon a connection that is open still.
#[test]
fn g_13_idle_connections_are_closed_after_a_while() {
    let gateway = gateway(Duration::from_secs(1));
    let mut used = gateway.connect();
    let mut idle = gateway.connect();
    assert_eq!(used.ask(GET).status, 200);
    assert_eq!(idle.ask(GET).status, 200);
    gateway.signal("TERM");
    refuses_connections(&gateway);
    let answer = used.ask(GET);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    assert!(used.closes() && idle.closes(), "left open");
    let status = eventually("the gateway to end", || gateway.ended());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn g_13_not_ready_while_it_drains() {
    let gateway = gateway(Duration::from_millis(1_500));
    let mut slow = gateway.connect();
    slow.send(get("/public/slow"));
    assert!(slow.wait_for("firs"));
    assert_eq!(gateway.ask_admin("/readyz").status, 200);
    let mut probe = Raw::connect(gateway.admin());
    let ready = "GET /readyz HTTP/1.1\r\nHost: admin\r\n\r\n";
    assert_eq!(probe.ask(ready).status, 200);
    gateway.signal("TERM");
    refuses_connections(&gateway);
    // Whoever still has a connection to the admin port is told; others are not let in.
    if let Ok(answer) = probe.send(ready).try_read() {
        assert_eq!(answer.status, 503);
    }
    assert_eq!(slow.read().text(), "firstend");
}

#[test]
fn g_13_the_time_to_drain_is_the_files() {
    let recorder = Recorder::start();
    recorder.answer(|_| {
        Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nfirs")
            .pause(Duration::from_mins(1))
            .then("tend")
    });
    let setup = Setup::before(recorder).set("limits", "{ drain: 20s }");
    let gateway = setup.clone().start();
    // What was loaded last counts.
    assert!(gateway.reload_with(&setup.set("limits", "{ drain: 1s }")));
    let mut slow = gateway.connect();
    slow.send(get("/public/slow"));
    assert!(slow.wait_for("firs"), "the answer has begun");
    let begun = Instant::now();
    gateway.stop();
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_secs(1),
        "gone after {took:?} already"
    );
    assert!(took < Duration::from_secs(10), "gone after {took:?} only");
    assert!(slow.closes());
}
