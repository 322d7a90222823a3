//! The client against a stub that misbehaves in every way there is.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const LIMITS: Limits = Limits {
    body: 1000,
    deadline: Duration::from_millis(500),
};

/// A server that answers every connection with the same bytes (and then the tail, for as long as it is read).
struct Stub {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Stub {
    async fn start(answer: &'static [u8], tail: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let _ = socket.read(&mut [0; 4096]).await;
                    let _ = socket.write_all(answer).await;
                    while !tail.is_empty() && socket.write_all(tail).await.is_ok() {}
                    let _ = socket.read(&mut [0; 1]).await;
                });
            }
        });
        Self { port, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    async fn asked(&self, host: &str, reach: Reach) -> Result<Answer, OutboundFault> {
        ask(&format!("http://{host}:{}/hook?secret", self.port), reach).await
    }
}

async fn ask(url: &str, reach: Reach) -> Result<Answer, OutboundFault> {
    let question = Question {
        method: Method::POST,
        url: url.parse().unwrap(),
        reach,
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{}"),
    };
    Outbound::new(LIMITS).ask(question).await
}

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn f_01_private_addresses_are_asked_only_when_named() {
    let stub = Stub::start(FINE, b"").await;
    let spellings = [
        "127.0.0.1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0177.0.0.1",
        "0x7f.1",
        "127.1",
        "localhost",
        "localhost.",
        "[64:ff9b::7f00:1]",
    ];
    for host in spellings {
        let refused = stub.asked(host, Reach::Public).await;
        assert!(refused.is_err(), "{host}");
    }
    assert_eq!(stub.connections(), 0);
    for host in ["127.0.0.1", "localhost", "2130706433"] {
        let answer = stub.asked(host, Reach::Private).await.unwrap();
        assert_eq!(
            (answer.status, &answer.body[..]),
            (StatusCode::OK, &b"ok"[..])
        );
    }
    for host in ["169.254.169.254", "0.0.0.0", "[fe80::1]", "224.0.0.1"] {
        let refused = stub.asked(host, Reach::Private).await;
        assert!(matches!(refused, Err(OutboundFault::Address(_))), "{host}");
    }
}

/// The name is resolved, judged and connected to in one piece: what it meant before or after is no matter.
#[tokio::test]
async fn f_01_a_name_is_judged_by_the_address_that_is_connected_to() {
    let stub = Stub::start(FINE, b"").await;
    let said = stub.asked("localhost", Reach::Public).await.unwrap_err();
    let text = said.to_string();
    assert!(
        text.contains("has no address to ask") && text.contains("127.0.0.1"),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
    assert_eq!(stub.connections(), 0);
}

#[tokio::test]
async fn f_01_only_http_is_asked() {
    for url in [
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "unix:/run/docker.sock",
        "ftp://127.0.0.1/",
        "data:,x",
    ] {
        let refused = ask(url, Reach::Private).await;
        assert!(matches!(refused, Err(OutboundFault::Scheme(_))), "{url}");
    }
}

#[tokio::test]
async fn f_02_redirects_are_answers() {
    let elsewhere = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1/admin\r\nContent-Length: 0\r\n\r\n";
    let stub = Stub::start(elsewhere, b"").await;
    let answer = stub.asked("127.0.0.1", Reach::Private).await.unwrap();
    assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(stub.connections(), 1);
}

#[tokio::test]
async fn f_06_answers_are_bounded_in_size_and_time() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let endless = Stub::start(chunked, b"5\r\nxxxxx\r\n").await;
    let said = endless.asked("127.0.0.1", Reach::Private).await;
    assert!(
        matches!(said, Err(OutboundFault::TooLarge(1000))),
        "{said:?}"
    );
    let announced = Stub::start(
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n",
        b"x",
    )
    .await;
    let said = announced.asked("127.0.0.1", Reach::Private).await;
    assert!(
        matches!(said, Err(OutboundFault::TooLarge(1000))),
        "{said:?}"
    );
    for stalls in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
    ] {
        let said = Stub::start(stalls, b"")
            .await
            .asked("127.0.0.1", Reach::Private)
            .await;
        assert!(matches!(said, Err(OutboundFault::TooSlow(_))), "{said:?}");
    }
}

#[tokio::test]
async fn f_06_compressed_answers_are_not_unpacked() {
    let packed =
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\xff\xfe";
    let answer = Stub::start(packed, b"")
        .await
        .asked("127.0.0.1", Reach::Private)
        .await
        .unwrap();
    assert_eq!(&answer.body[..], b"\x1f\x8b\xff\xfe");
}
