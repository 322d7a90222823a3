//! Answers that take their time: events as they are produced, long polls, and their end with the session. W-07.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::api::token;
use crate::harness::setup::password;
use crate::harness::{Gateway, H2, Outcome, PATIENCE, Raw, Setup, eventually, gateway, h2};
use crate::sessions_ends::{line, logout};

/// How soon the end of a session must be felt.
const NOTICED: Duration = Duration::from_secs(2);

pub const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A service that says what the test says, when the test says it.
pub struct Told {
    url: String,
    calls: Receiver<Call>,
}

/// A request it was sent.
pub struct Call(TcpStream);

impl Told {
    /// Begins to listen.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, calls) = mpsc::channel();
        thread::spawn(move || {
            for mut socket in listener.incoming().flatten() {
                let sender = sender.clone();
                thread::spawn(move || {
                    let (mut head, mut byte) = (Vec::new(), [0]);
                    while !head.ends_with(b"\r\n\r\n") {
                        match socket.read(&mut byte) {
                            Ok(1) => head.push(byte[0]),
                            _ => return,
                        }
                    }
                    let _ = sender.send(Call(socket));
                });
            }
        });
        Self { url, calls }
    }

    /// A gateway before it.
    pub fn setup(&self, more: &str) -> Setup {
        Setup::new().upstream("web", &format!("{{ to: \"{}\"{more} }}", self.url))
    }

    fn call(&self) -> Call {
        self.calls.recv_timeout(PATIENCE).unwrap()
    }
}

impl Call {
    /// Sends this.
    pub fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    fn chunk(&mut self, text: &str) {
        self.say(&format!("{:x}\r\n{text}\r\n", text.len()));
    }

    /// Waits until the gateway has let go of it.
    pub fn is_left(&mut self) {
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        match self.0.read(&mut [0; 1]) {
            Ok(0) => {}
            Ok(_) => panic!("more is asked"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it is kept"),
        }
    }
}

fn get(target: &str, cookie: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{}\r\n",
        line(cookie)
    )
}

/// A session begun on the TLS listener.
fn login_over_tls(gateway: &Gateway, name: &str) -> String {
    let form = serde_json::json!({ "username": name, "password": password(name) }).to_string();
    let mut raw = Raw::over(gateway.tls("localhost", &["http/1.1"]));
    let answer = raw.ask(format!(
        "POST /auth/session/login HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    ));
    gateway::session_cookie(&answer)
}

fn logout_over_tls(gateway: &Gateway, cookie: &str) {
    let mut raw = Raw::over(gateway.tls("localhost", &["http/1.1"]));
    let answer = raw.ask(format!(
        "POST /auth/logout HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nContent-Length: 0\r\n\r\n"
    ));
    assert_eq!(answer.status, 200);
}

/// Every event is produced only when the one before has arrived: what is held back anywhere never comes.
pub fn events_over_http1(told: &Told, mut raw: Raw, cookie: &str, head: &str) -> (Raw, Call) {
    raw.send(get("/app/events", cookie));
    let mut call = told.call();
    call.say(head);
    assert!(
        raw.wait_for("\r\n\r\n"),
        "the head waits for the first event"
    );
    for event in ["data: one\n\n", "data: two\n\n", "data: three\n\n"] {
        if head == CHUNKED {
            call.chunk(event);
        } else {
            call.say(event);
        }
        assert!(raw.wait_for(event), "{event} is held back");
    }
    (raw, call)
}

#[test]
fn w_07_events_arrive_as_they_are_produced_and_end_with_their_session() {
    let told = Told::start();
    let plain = told.setup("").start();
    for head in [HEAD, CHUNKED] {
        let cookie = plain.login("alice");
        let (raw, mut call) = events_over_http1(&told, plain.connect(), &cookie, head);
        let other = plain.login("alice");
        let (mut kept, mut going) = events_over_http1(&told, plain.connect(), &other, head);
        assert_eq!(logout(&plain, &cookie), 200);
        let mut raw = raw.patience(NOTICED);
        assert!(raw.closes(), "events go on");
        assert!(
            !raw.left().ends_with("0\r\n\r\n"),
            "it looks like a whole answer"
        );
        call.is_left();
        going.chunk("data: still\n\n");
        assert!(kept.wait_for("still"));
    }
    let tls = told.setup("").tls(&["localhost"]).start();
    let cookie = login_over_tls(&tls, "alice");
    let wire = tls.tls("localhost", &["http/1.1"]);
    let (raw, mut call) = events_over_http1(&told, Raw::over(wire), &cookie, CHUNKED);
    logout_over_tls(&tls, &cookie);
    assert!(raw.patience(NOTICED).closes());
    call.is_left();
}

#[test]
fn w_07_events_over_http2() {
    let told = Told::start();
    for over_tls in [false, true] {
        let setup = told.setup("");
        let gateway = if over_tls {
            setup.tls(&["localhost"])
        } else {
            setup
        }
        .start();
        let (cookies, mut client) = if over_tls {
            let cookies = ["alice", "root"].map(|name| login_over_tls(&gateway, name));
            (cookies, H2::over(gateway.tls("localhost", &["h2"])))
        } else {
            (
                ["alice", "root"].map(|name| gateway.login(name)),
                gateway.h2(),
            )
        };
        let mut open = |cookie: &str| {
            let mut fields = h2::request("GET", "/app/events");
            fields[1] = (":scheme", if over_tls { "https" } else { "http" });
            fields.push(("cookie", cookie));
            let stream = client.open(&fields, true);
            let mut call = told.call();
            call.say(CHUNKED);
            for event in ["data: one\n\n", "data: two\n\n"] {
                call.chunk(event);
                client.wait_for(stream, event).unwrap();
            }
            (stream, call)
        };
        let (doomed, mut left) = open(&cookies[0]);
        let (kept, mut going) = open(&cookies[1]);
        if over_tls {
            logout_over_tls(&gateway, &cookies[0]);
        } else {
            assert_eq!(logout(&gateway, &cookies[0]), 200);
        }
        let ended = client.read(doomed);
        assert!(matches!(ended, Outcome::Reset(_)), "{ended:?}");
        left.is_left();
        // Its neighbour on the same connection goes on.
        going.chunk("data: still\n\n");
        client.wait_for(kept, "still").unwrap();
    }
}

#[test]
fn w_07_a_long_poll_ends_with_its_session() {
    let told = Told::start();
    let rules = "
  - { path: /public/**, allow: anyone }
  - { path: /app/**, allow: signed_in, auth: [session, jwt] }
";
    let gateway = told.setup("").rules(rules).start();
    // Logged out, disabled, out of time, short of a role, by cookie and by token.
    let cookie = gateway.login("alice");
    let mut raw = gateway.connect().patience(NOTICED);
    raw.send(get("/app/poll", &cookie));
    let mut call = told.call();
    assert_eq!(logout(&gateway, &cookie), 200);
    assert!(raw.closes());
    assert_eq!(raw.left(), "");
    call.is_left();
    let bearer = token(&gateway, "alice");
    let mut raw = gateway.connect().patience(NOTICED);
    raw.send(format!(
        "GET /app/poll HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\n\r\n"
    ));
    let mut call = told.call();
    gateway.cli(&["user", "disable", "alice"], "").fine();
    assert!(raw.closes());
    call.is_left();
    let root = gateway.login("root");
    let mut raw = gateway.connect().patience(NOTICED);
    raw.send(get("/app/poll", &root));
    let mut call = told.call();
    gateway
        .cli(&["user", "set-roles", "root", "user"], "")
        .fine();
    assert!(raw.closes());
    call.is_left();
    // The twin is answered, however long it takes.
    let mut raw = gateway.connect();
    raw.send(get("/app/poll", &root));
    let mut call = told.call();
    call.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nnews!");
    assert_eq!(raw.read().text(), "news!");
}

#[test]
fn w_07_what_is_open_ends_when_the_time_of_its_session_is_over() {
    let told = Told::start();
    let gateway = told
        .setup("")
        .set("session", "{ idle: 1s, max: 1h }")
        .start();
    let (mut raw, mut call) =
        events_over_http1(&told, gateway.connect(), &gateway.login("alice"), CHUNKED);
    let begun = Instant::now();
    // Events are no use of the session: nobody says that anybody is there.
    eventually("the end of the stream", || {
        let _ = call.0.write_all(b"1\r\n\n\r\n");
        let came = raw.drain(Duration::from_millis(20));
        let over = came.is_empty() && !matches!(call.0.take_error(), Ok(None));
        (over || begun.elapsed() > Duration::from_secs(4)).then_some(())
    });
    let lasted = begun.elapsed();
    assert!(lasted < Duration::from_secs(4), "{lasted:?}");
    let mut client = gateway.h2();
    let cookie = gateway.login("alice");
    let mut fields = h2::request("GET", "/app/poll");
    fields.push(("cookie", &cookie));
    let stream = client.open(&fields, true);
    let mut call = told.call();
    let ended = client.read(stream);
    assert!(matches!(ended, Outcome::Reset(_)), "{ended:?}");
    call.is_left();
}

#[test]
fn w_07_a_stream_may_be_silent_for_as_long_as_its_rule_says() {
    let told = Told::start();
    let rules = "
  - { path: /public/patient/**, allow: anyone, idle: 1m }
  - { path: /public/hasty/**, allow: anyone, idle: 200ms }
  - { path: /public/**, allow: anyone }
";
    let gateway = told.setup(", timeout: 600ms").rules(rules).start();
    let open = |path: &str, head: &str| {
        let mut raw = gateway.connect();
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let mut call = told.call();
        call.say(head);
        (raw, call)
    };
    // The upstream's timeout is for what comes next, too: a stream that may be silent says so.
    let (mut usual, mut left) = open("/public/events", CHUNKED);
    let (mut patient, mut going) = open("/public/patient/events", CHUNKED);
    let (mut waiting, mut asked) = open("/public/patient/poll", "");
    assert!(usual.closes());
    left.is_left();
    going.chunk("data: late\n\n");
    assert!(patient.wait_for("data: late"));
    asked.say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlate");
    assert_eq!(waiting.read().text(), "late");
    // Before its answer begins, the client is told.
    let (mut hasty, _asked) = open("/public/hasty/poll", "");
    assert_eq!(hasty.read().status, 504);
    let (mut usual, _asked) = open("/public/poll", "");
    assert_eq!(usual.read().status, 504);
}

#[test]
fn w_07_whoever_leaves_is_noticed() {
    let told = Told::start();
    let gateway = told.setup("").start();
    let cookie = gateway.login("alice");
    let (raw, mut call) = events_over_http1(&told, gateway.connect(), &cookie, HEAD);
    drop(raw);
    call.is_left();
    let (mut raw, call) = events_over_http1(&told, gateway.connect(), &cookie, HEAD);
    call.0.shutdown(Shutdown::Both).unwrap();
    assert!(
        raw.wait_for("0\r\n\r\n"),
        "the end of the answer is not told"
    );
}
