//! Services that are spoken to in HTTP/2, where many requests share a connection: what becomes of the others when one of
//! them, or the connection, comes to nothing (G-18).

use std::future::{pending, poll_fn};
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::{io, thread};

use ::h2::Reason;
use ::h2::server::SendResponse;
use bytes::Bytes;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::harness::tls::Identity;
use crate::harness::{Gateway, Raw, Setup, eventually, serve_on};

/// What a service was asked, and on which of its connections.
pub type Asked = Arc<Mutex<Vec<(usize, String)>>>;

/// A service that speaks nothing but HTTP/2.
pub struct Service {
    url: String,
    pub asked: Asked,
}

impl Service {
    /// One in the clear, or over TLS with this certificate.
    pub fn start(identity: Option<&Identity>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let scheme = if identity.is_some() { "https" } else { "h2c" };
        let asked = Asked::default();
        let tls = identity.map(|identity| acceptor(identity, &["h2"]));
        let shared = Arc::clone(&asked);
        thread::spawn(move || serve(listener, tls.as_ref(), &shared));
        Self {
            url: format!("{scheme}://localhost:{port}"),
            asked,
        }
    }

    pub fn count(&self, path: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(_, seen)| seen == path).count()
    }

    /// On how many connections it was asked for this.
    pub fn connections(&self, path: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        let mut on: Vec<_> = asked.iter().filter(|(_, seen)| seen == path).collect();
        on.sort();
        on.dedup();
        on.len()
    }
}

pub fn acceptor(identity: &Identity, versions: &[&str]) -> tokio_rustls::TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = CertificateDer::pem_slice_iter(identity.certificate.as_bytes())
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = versions.iter().map(|it| it.as_bytes().to_vec()).collect();
    Arc::new(config).into()
}

fn serve(listener: TcpListener, tls: Option<&tokio_rustls::TlsAcceptor>, asked: &Asked) {
    static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
    serve_on(listener, async |listener| {
        while let Ok((socket, _)) = listener.accept().await {
            let number = CONNECTIONS.fetch_add(1, Ordering::SeqCst);
            let (tls, asked) = (tls.cloned(), Arc::clone(asked));
            tokio::spawn(async move {
                match tls {
                    None => connection(socket, number, asked).await,
                    Some(tls) => match tls.accept(socket).await {
                        Ok(stream) => connection(stream, number, asked).await,
                        Err(_) => drop(asked),
                    },
                }
            });
        }
    });
}

/// A stream into which some bytes are written between frames.
struct Spoiled<S> {
    inner: S,
    spoil: Arc<Mutex<Vec<u8>>>,
}

/// Data of no stream: a frame that nobody may send.
const BAD: [u8; 9] = [0; 9];

/// Goes away, because there was too much of something, and has looked at none of what it was sent.
const CALM_DOWN: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];

impl<S: AsyncRead + Unpin> AsyncRead for Spoiled<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Spoiled<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let spoil = std::mem::take(&mut *self.spoil.lock().unwrap());
        if !spoil.is_empty() {
            let written = Pin::new(&mut self.inner).poll_write(cx, &spoil);
            assert!(
                matches!(written, Poll::Ready(Ok(n)) if n == spoil.len()),
                "{written:?}"
            );
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

async fn connection(socket: impl AsyncRead + AsyncWrite + Unpin, number: usize, asked: Asked) {
    let spoil = Arc::new(Mutex::default());
    let stream = Spoiled {
        inner: socket,
        spoil: Arc::clone(&spoil),
    };
    let Ok(mut connection) = ::h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let path = request.uri().path().to_owned();
        let times = {
            let mut asked = asked.lock().unwrap();
            asked.push((number, path.clone()));
            asked.iter().filter(|(_, seen)| *seen == path).count()
        };
        match path.as_str() {
            // Nothing is heard or said on this connection from here on.
            "/public/stop" => pending().await,
            "/public/old" => {
                let mut respond = respond;
                respond.send_reset(Reason::HTTP_1_1_REQUIRED);
            }
            "/public/refuse" => refuse(respond),
            "/public/nonsense" => {
                let mut respond = respond;
                let head = http::Response::builder().header("content-length", "much");
                drop(respond.send_response(head.body(()).unwrap(), true));
            }
            path if path.starts_with("/public/once") && times == 1 => refuse(respond),
            path if path.starts_with("/public/hold") => {
                let told = (number, format!("{path}/all"), Arc::clone(&asked));
                tokio::spawn(hold(request.into_body(), respond, told));
            }
            path => {
                match path {
                    "/public/bad" if times == 1 => spoil.lock().unwrap().extend(BAD),
                    "/public/calm" if times == 1 => spoil.lock().unwrap().extend(CALM_DOWN),
                    _ => {}
                }
                let size = if path == "/public/big" {
                    60 << 20
                } else {
                    100_000
                };
                tokio::spawn(answer(request.into_body(), respond, size));
            }
        }
    }
}

/// Says when all of a body is there, and takes none of it before somebody else ends that.
async fn hold(
    mut body: ::h2::RecvStream,
    mut respond: SendResponse<Bytes>,
    (number, path, asked): (usize, String, Asked),
) {
    while let Some(Ok(_)) = body.data().await {}
    asked.lock().unwrap().push((number, path));
    let _ = poll_fn(|cx| respond.poll_reset(cx)).await;
}

fn refuse(mut respond: SendResponse<Bytes>) {
    respond.send_reset(Reason::REFUSED_STREAM);
}

/// Reads the body, and answers with its length and so many bytes.
async fn answer(mut body: ::h2::RecvStream, mut respond: SendResponse<Bytes>, size: usize) {
    let mut length = 0;
    while let Some(Ok(piece)) = body.data().await {
        length += piece.len();
        let _ = body.flow_control().release_capacity(piece.len());
    }
    let head = http::Response::builder()
        .header("x-length", length)
        .body(())
        .unwrap();
    if let Ok(mut body) = respond.send_response(head, false) {
        let _ = body.send_data(vec![b'x'; size].into(), true);
    }
}

pub fn before(service: &Service, more: &str) -> Gateway {
    let to = format!("{{ to: \"{}\", {more} }}", service.url);
    Setup::new().upstream("web", &to).start()
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

pub fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[test]
fn g_18_a_connection_that_fell_silent_is_given_up() {
    let service = Service::start(None);
    let gateway = before(&service, "timeout: { read: 500ms }");
    assert_eq!(gateway.ask(get("/public/x")).status, 200);
    assert_eq!(gateway.ask(get("/public/stop")).status, 504);
    for _ in 0..3 {
        assert_eq!(gateway.ask(get("/public/x")).status, 200);
    }
    assert_eq!(service.connections("/public/x"), 2);
}

#[test]
fn b_05_who_reads_slowly_slows_nobody_else() {
    let service = Service::start(None);
    let gateway = before(&service, "timeout: { read: 1m }");
    let slow: Vec<Raw> = (0..4)
        .map(|_| {
            let mut raw = gateway.connect();
            raw.send(get("/public/big"));
            assert!(raw.wait_for("\r\n\r\n"));
            raw
        })
        .collect();
    // As often as it takes for all that fits in between to be full.
    for _ in 0..100 {
        let answer = gateway.ask(get("/public/small"));
        assert_eq!((answer.status, answer.body.len()), (200, 100_000));
    }
    assert_eq!(service.connections("/public/small"), 1);
    drop(slow);
}

#[test]
fn g_18_what_is_refused_unseen_is_sent_once_more() {
    let service = Service::start(None);
    let gateway = before(&service, "timeout: 5s");
    assert_eq!(gateway.ask(get("/public/refuse")).status, 502);
    assert_eq!(service.count("/public/refuse"), 2);
    for (path, request) in [
        ("/public/once/get", get("/public/once/get")),
        ("/public/once/post", post("/public/once/post", "hello")),
        ("/public/once/none", post("/public/once/none", "")),
    ] {
        let answer = gateway.ask(&request);
        assert_eq!(answer.status, 200, "{path}");
        let length = if path.ends_with("/post") { "5" } else { "0" };
        assert_eq!(answer.header("x-length").as_deref(), Some(length));
        assert_eq!(service.count(path), 2, "{path}");
    }
    // More of a body than is kept: sent again whole, where little of it had come by then, or not at all.
    let large = post("/public/once/large", &"x".repeat(1 << 20));
    let answer = gateway.ask(&large);
    let length = answer.header("x-length");
    match service.count("/public/once/large") {
        1 => assert_eq!(answer.status, 502),
        again => assert_eq!(
            (again, answer.status, length.as_deref()),
            (2, 200, Some("1048576"))
        ),
    }
}

#[test]
fn g_18_every_check_has_a_connection_of_its_own() {
    let service = Service::start(None);
    let health = "health: { path: /healthz, interval: 50ms }";
    let gateway = before(&service, health);
    eventually("checks", || (service.count("/healthz") >= 4).then_some(()));
    let checks = service.count("/healthz");
    assert!(service.connections("/healthz") >= checks);
    assert_eq!(gateway.ask(get("/public/x")).status, 200);
}

#[test]
fn g_18_one_bad_frame_does_not_end_http_2() {
    let identity = Identity::new(&["localhost"]);
    let service = Service::start(Some(&identity));
    let to = format!(
        "{{ to: \"{}\", tls: {{ ca: ca.pem }}, timeout: 5s }}",
        service.url
    );
    let gateway = Setup::new()
        .asset("ca.pem", &identity.certificate)
        .upstream("web", &to)
        .start();
    assert_eq!(gateway.ask(get("/public/x")).status, 200);
    // Nobody knows what became of it, so that it is not sent again where the file does not say so.
    assert_eq!(gateway.ask(get("/public/bad")).status, 502);
    assert_eq!(service.count("/public/bad"), 1);
    for _ in 0..3 {
        assert_eq!(gateway.ask(get("/public/x")).status, 200);
    }
    // Where HTTP/1.1 is asked for, it is spoken from then on; this service does not know it.
    assert_eq!(gateway.ask(get("/public/old")).status, 502);
    assert_eq!(service.count("/public/old"), 1);
    assert_eq!(gateway.ask(get("/public/x")).status, 502);
}

#[test]
fn g_18_one_bad_frame_does_not_end_http_2_after_a_reload_either() {
    let identity = Identity::new(&["localhost"]);
    let service = Service::start(Some(&identity));
    // Other servers in the file, and the same socket.
    let behind = |host: &str| {
        let url = service.url.replace("localhost", host);
        let tls = "tls: { ca: ca.pem, server_name: localhost }";
        Setup::new()
            .asset("ca.pem", &identity.certificate)
            .upstream("web", &format!("{{ to: \"{url}\", {tls}, timeout: 5s }}"))
    };
    let gateway = behind("localhost").start();
    assert_eq!(gateway.ask(get("/public/bad")).status, 502);
    assert_eq!(gateway.ask(get("/public/x")).status, 200);
    assert!(gateway.reload_with(&behind("127.0.0.1")));
    for _ in 0..2 {
        assert_eq!(gateway.ask(get("/public/x")).status, 200);
    }
}

#[test]
fn g_18_an_answer_that_is_none_is_told_from_a_service_that_is_not_there() {
    let service = Service::start(None);
    let gateway = before(&service, "timeout: 5s");
    let answer = gateway.ask(get("/public/nonsense"));
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (502, Some("UPSTREAM_INVALID"))
    );
    assert_eq!(service.count("/public/nonsense"), 1);
    let refused = gateway.ask(get("/public/refuse"));
    let code = refused.json()["code"].clone();
    assert_eq!(
        (refused.status, code.as_str()),
        (502, Some("UPSTREAM_UNREACHABLE"))
    );
}

#[test]
fn g_18_who_leaves_has_looked_at_nothing_more() {
    let service = Service::start(None);
    let gateway = before(&service, "timeout: 5s");
    let answer = gateway.ask(post("/public/calm", "hello"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-length").as_deref(), Some("5"));
    assert_eq!(service.count("/public/calm"), 2);
}

#[test]
fn a_client_of_http_1_0_is_told_no_chunks() {
    let service = Service::start(None);
    let gateway = before(&service, "timeout: 5s");
    let old = "GET /public/x HTTP/1.0\r\nHost: localhost\r\n\r\n";
    let answer = gateway.ask(old);
    assert_eq!(answer.status, 505, "{}", answer.text());
    assert_eq!(answer.json()["code"], "HTTP_VERSION");
    assert_eq!(gateway.ask(get("/public/x")).status, 200);
}
