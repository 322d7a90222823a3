//! Small frames of HTTP/2, from services and from clients, which h2 lets nobody leave untaken in any number: what becomes of
//! the others on such a connection (B-05, B-07, G-18).

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ::h2::server::SendResponse;
use bytes::Bytes;
use tokio::sync::Notify;

use crate::harness::{Gateway, H2, Outcome, Raw, Setup, eventually, h2, serve_on};
use crate::limits_memory::{MIB, growth};

const SETTINGS: u8 = 4;
const ENHANCE_YOUR_CALM: u32 = 11;

/// What the gateway may grow by for a connection full of small frames.
const GROWTH: u64 = 64 * MIB;

/// How many frames an answer has that is a stream of events, of sixteen bytes: more than a window of ours holds.
const EVENTS: usize = 40_000;

/// A service in the clear that keeps what is asked for `/public/held` until somebody asks for `/public/release`.
struct Service {
    url: String,
    asked: Arc<Mutex<Vec<(usize, String)>>>,
}

impl Service {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let service = Self {
            url: format!("h2c://localhost:{port}"),
            asked: Arc::default(),
        };
        let asked = Arc::clone(&service.asked);
        let release = Arc::new(Notify::new());
        thread::spawn(move || {
            serve_on(listener, async move |listener| {
                for number in 0.. {
                    let (socket, _) = listener.accept().await.unwrap();
                    let (asked, release) = (Arc::clone(&asked), Arc::clone(&release));
                    tokio::spawn(async move {
                        let mut builder = ::h2::server::Builder::new();
                        // It is the gateway that is tried.
                        builder.data_frame_budget(usize::MAX);
                        let mut connection = builder.handshake(socket).await.unwrap();
                        while let Some(Ok((request, respond))) = connection.accept().await {
                            let path = request.uri().path().to_owned();
                            let dies = path == "/public/dead";
                            asked.lock().unwrap().push((number, path));
                            if dies {
                                return;
                            }
                            tokio::spawn(answer(request, respond, Arc::clone(&release)));
                        }
                    });
                }
            });
        });
        service
    }

    fn before(&self, more: &str, rules: &str) -> Gateway {
        let to = format!("{{ to: \"{}\", timeout: 20s{more} }}", self.url);
        Setup::new().upstream("web", &to).rules(rules).start()
    }

    /// The connections on which it was asked for this, one for each time.
    fn on(&self, path: &str) -> Vec<usize> {
        let asked = self.asked.lock().unwrap();
        let on = asked.iter().filter(|(_, seen)| seen == path);
        on.map(|(number, _)| *number).collect()
    }

    /// Asks for what is answered when somebody else says so, and waits until it has been asked for.
    fn hold(&self, gateway: &Gateway, method: &str) -> Raw {
        let before = self.on("/public/held").len();
        let mut held = gateway.connect();
        held.send(format!(
            "{method} /public/held HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        ));
        eventually("the service to be asked", || {
            (self.on("/public/held").len() > before).then_some(())
        });
        held
    }
}

/// Answers with the length of the body, which is not looked at for as long as the request is held.
async fn answer(
    request: http::Request<::h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    release: Arc<Notify>,
) {
    match request.uri().path() {
        "/public/held" => release.notified().await,
        "/public/release" => release.notify_waiters(),
        _ => {}
    }
    let (head, mut upload) = request.into_parts();
    let path = head.uri.path();
    let mut length = 0;
    while let Some(Ok(piece)) = upload.data().await {
        length += piece.len();
        let _ = upload.flow_control().release_capacity(piece.len());
    }
    let answer = http::Response::builder().header("x-length", length);
    let Ok(mut body) = respond.send_response(answer.body(()).unwrap(), false) else {
        return;
    };
    let (piece, times): (&[u8], _) = match path {
        "/public/events" | "/public/stream/events" | "/test.Greeter/Forever" => {
            (b"data: 01234567\n\n", EVENTS)
        }
        "/public/nothing" => (b"", 101),
        _ => (b"", 0),
    };
    for _ in 0..times {
        let _ = body.send_data(Bytes::from_static(piece), false);
    }
    if path == "/public/nothing" {
        // Whatever comes next comes too late.
        release.notified().await;
    }
    let _ = body.send_data(Bytes::new(), true);
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// A client that grants nothing to any answer.
fn unwilling(gateway: &Gateway) -> H2 {
    let mut client = gateway.h2();
    client.frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    client
}

const RULES: &str = "
  - { path: /public/stream/**, allow: anyone, idle: 1m }
  - { path: /public/**, allow: anyone }
  - { path: /test.Greeter/Forever, allow: anyone }
";

#[test]
fn b_05_events_that_nobody_takes_end_nobody_elses_answer() {
    let (events, grpc) = (("accept", "text/event-stream"), "/test.Greeter/Forever");
    let call = [("content-type", "application/grpc"), ("te", "trailers")];
    let cases: [(&str, &str, &[_], usize); 4] = [
        ("GET", "/public/events", &[events], 12),
        ("GET", "/public/stream/events", &[], 12),
        ("POST", grpc, &call, 40),
        // Nobody said so beforehand: there is room for some.
        ("GET", "/public/events", &[], 12),
    ];
    for (method, path, more, clients) in cases {
        let service = Service::start();
        let gateway = service.before("", RULES);
        let mut held = service.hold(&gateway, "GET");
        let mut client = unwilling(&gateway);
        for _ in 0..clients {
            let mut fields = h2::request(method, path);
            fields.extend_from_slice(more);
            if method == "POST" {
                let stream = client.open(&fields, false);
                client.data(stream, &[0, 0, 0, 0, 0], true);
            } else {
                client.open_unread(&fields);
            }
        }
        eventually("the service to be asked", || {
            (service.on(path).len() >= clients).then_some(())
        });
        let alone = !more.is_empty() || path.starts_with("/public/stream/");
        // As often as it takes for all that fits in between to be full.
        for _ in 0..100 {
            assert_eq!(gateway.ask(get("/public/x")).status, 200, "{path}");
        }
        // Whoever says so beforehand has a connection to themselves.
        let shared = [service.on("/public/held"), service.on("/public/x")].concat();
        let mut apart = service.on(path);
        apart.retain(|number| !shared.contains(number));
        apart.sort_unstable();
        apart.dedup();
        assert!(!alone || apart.len() == clients, "{path}: {apart:?}");
        assert_eq!(gateway.ask(get("/public/release")).status, 200);
        assert_eq!(held.read().status, 200, "{path}");
        assert_eq!(service.on("/public/held").len(), 1, "{path}: asked once");
    }
}

#[test]
fn g_18_what_we_end_ourselves_is_no_fault_of_the_service() {
    let service = Service::start();
    let gateway = service.before(", eject: { after: 1, for: 1h }", RULES);
    let labels = [("upstream", "web")];
    let healthy = || {
        let metrics = gateway.metrics();
        metrics.sum("portcullis_upstream_healthy", &labels)
    };
    let mut read = service.hold(&gateway, "GET");
    let mut changed = service.hold(&gateway, "POST");
    // More empty frames than h2 takes.
    let mut nothing = gateway.connect();
    nothing.send(get("/public/nothing"));
    assert!(nothing.closes());
    // What may be asked for twice is; of the other nobody knows what became.
    let answer = changed.read();
    assert_eq!(answer.status, 502, "{}", answer.text());
    eventually("the other to be asked for again", || {
        (service.on("/public/held").len() == 3).then_some(())
    });
    let on = service.on("/public/held");
    assert!(on[0] == on[1] && on[1] != on[2], "{on:?}");
    assert_eq!(gateway.ask(get("/public/release")).status, 200);
    assert_eq!(read.read().status, 200);
    assert!(healthy() > 0.5);
}

#[test]
fn b_07_an_upload_in_small_frames_ends_no_connection() {
    // All of the window of a stream, in the lines of a log; more frames than that in which there is next to nothing.
    for (size, times, good) in [(35, 14_979, true), (16, 32_768, true), (1, 150_000, false)] {
        let service = Service::start();
        let gateway = service.before("", RULES);
        let mut client = gateway.h2();
        // The windows are known by then.
        assert_eq!(client.get("/public/x", &[]).status(), Some(200));
        let upload = client.open(&h2::request("POST", "/public/held"), false);
        let piece = vec![b'x'; size];
        let mut other = Outcome::Late;
        let grown = growth(&gateway, || {
            for _ in 0..times {
                client.data(upload, &piece, false);
            }
            other = client.get("/public/x", &[]);
        });
        assert!(grown < GROWTH, "{size}: grew by {} MiB", grown / MIB);
        if !good {
            assert_eq!(other, Outcome::Away(ENHANCE_YOUR_CALM), "{size}");
            assert_eq!(service.on("/public/x").len(), 1, "{size}");
            continue;
        }
        assert_eq!(other.status(), Some(200), "{size}: {other:?}");
        assert_eq!(gateway.ask(get("/public/release")).status, 200);
        client.data(upload, b"", true);
        let answer = client.read(upload);
        let length = (times * size).to_string();
        assert_eq!(answer.values("x-length"), [length], "{size}");
        assert_eq!(answer.status(), Some(200), "{size}: {answer:?}");
    }
}

/// The next connection that is kept might be dead as well, and the request be what kills them.
#[test]
fn g_18_whoever_kills_a_connection_has_one_more_and_not_all() {
    let service = Service::start();
    let gateway = service.before("", RULES);
    let events =
        |path: &str| get(path).replace("\r\n\r\n", "\r\nAccept: text/event-stream\r\n\r\n");
    let ask = |path: &str| {
        let mut raw = gateway.connect();
        raw.send(events(path));
        raw
    };
    let mut held: Vec<_> = (0..6).map(|_| ask("/public/held")).collect();
    eventually("each to be asked for", || {
        (service.on("/public/held").len() == 6).then_some(())
    });
    for raw in &mut held {
        while !raw.hears(Duration::from_millis(50)) {
            gateway.ask(get("/public/release"));
        }
        assert_eq!(raw.read().status, 200);
    }
    let kept: BTreeSet<_> = service.on("/public/held").into_iter().collect();
    assert_eq!(kept.len(), 6, "some share a connection");
    assert_eq!(ask("/public/dead").read().status, 502);
    let seen = service.on("/public/dead");
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(kept.contains(&seen[0]) && !kept.contains(&seen[1]));
}
