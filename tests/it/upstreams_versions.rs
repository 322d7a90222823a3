//! Services that offer two versions of HTTP over TLS and mean one of them, and how their kept connections end (G-18).

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use ::h2::Reason;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use crate::harness::tls::Identity;
use crate::harness::{Gateway, Setup, eventually, serve_on};
use crate::upstreams_h2::acceptor;

/// What came in HTTP/1.1, head by head, and `RESET` for each request in HTTP/2.
type Seen = Arc<Mutex<Vec<String>>>;

/// A service that resets whatever comes in HTTP/2 because it wants HTTP/1.1, where it answers: on a connection that it
/// keeps, and closes without a word in TLS once a second request is on it.
struct Service {
    port: u16,
    seen: Seen,
}

impl Service {
    fn start(identity: &Identity, versions: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tls, seen) = (acceptor(identity, versions), Seen::default());
        let shared = Arc::clone(&seen);
        thread::spawn(move || serve(listener, &tls, &shared));
        Self { port, seen }
    }

    fn seen(&self, words: &str) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|head| head.contains(words)).count()
    }
}

fn serve(listener: TcpListener, tls: &TlsAcceptor, seen: &Seen) {
    serve_on(listener, async |listener| {
        while let Ok((socket, _)) = listener.accept().await {
            let (tls, seen) = (tls.clone(), Arc::clone(seen));
            tokio::spawn(async move {
                let Ok(stream) = tls.accept(socket).await else {
                    return;
                };
                match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => reset_all(stream, &seen).await,
                    _ => answer_one(stream, &seen).await,
                }
            });
        }
    });
}

async fn reset_all(stream: impl AsyncRead + AsyncWrite + Unpin, seen: &Seen) {
    let Ok(mut connection) = ::h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        seen.lock().unwrap().push("RESET".to_owned());
        respond.send_reset(Reason::HTTP_1_1_REQUIRED);
    }
}

async fn answer_one(mut stream: impl AsyncRead + AsyncWrite + Unpin, seen: &Seen) {
    for number in 0..2 {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte).await {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut body = [0; 5];
        if head.starts_with("POST") && stream.read_exact(&mut body).await.is_err() {
            return;
        }
        if number == 1 {
            // Dropped as it is: the end of the socket, and not of TLS.
            return;
        }
        seen.lock().unwrap().push(head);
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";
        if stream.write_all(answer).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

fn before(service: &Service, identity: &Identity, more: &str) -> Gateway {
    let to = format!(
        "{{ to: [\"https://localhost:{}\"], tls: {{ ca: ca.pem }}, timeout: 5s{more} }}",
        service.port
    );
    Setup::new()
        .asset("ca.pem", &identity.certificate)
        .upstream("web", &to)
        .start()
}

fn post(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")
}

#[test]
fn g_18_what_wants_http_1_has_it_whatever_the_request() {
    let identity = Identity::new(&["localhost"]);
    let never = ", keep_alive: never";
    let get = |more: &str| format!("GET /public/x HTTP/1.1\r\nHost: localhost\r\n{more}\r\n");
    for (more, times, request) in [
        ("", 1, post("/public/x")),
        ("", 1, get("Accept: text/event-stream\r\n")),
        (never, 3, post("/public/x")),
        (never, 3, get("")),
        (never, 3, get("Accept: text/event-stream\r\n")),
    ] {
        let service = Service::start(&identity, &["h2", "http/1.1"]);
        let gateway = before(&service, &identity, more);
        for _ in 0..times {
            let answer = gateway.ask(&request);
            assert_eq!(answer.status, 200, "{more} {request} {}", gateway.log());
        }
        assert_eq!(service.seen("/public/x"), times, "{more} {request}");
        // It is not asked again in a version that it did not want.
        assert_eq!(service.seen("RESET"), 1, "{more} {request}");
    }
}

#[test]
fn g_18_a_check_finds_out_what_a_service_wants() {
    let identity = Identity::new(&["localhost"]);
    let service = Service::start(&identity, &["h2", "http/1.1"]);
    let gateway = before(
        &service,
        &identity,
        ", health: { path: /healthz, interval: 1h }",
    );
    eventually("the check", || {
        (service.seen("GET /healthz") > 0).then_some(())
    });
    assert_eq!(
        gateway.ask(post("/public/x")).status,
        200,
        "{}",
        gateway.log()
    );
    assert!(!gateway.log().contains("unhealthy"), "{}", gateway.log());
}

#[test]
fn g_18_a_kept_connection_may_end_without_a_word() {
    let identity = Identity::new(&["localhost"]);
    let service = Service::start(&identity, &["http/1.1"]);
    let gateway = before(&service, &identity, "");
    for number in 0..6 {
        let path = format!("/public/{number}");
        let asked = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(gateway.ask(asked).status, 200, "{}", gateway.log());
        assert_eq!(service.seen(&path), 1);
    }
}
