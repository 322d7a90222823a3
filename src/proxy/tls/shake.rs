//! One handshake: within its time, counted and told when it comes to nothing, and parted from in a way that lets the
//! client hear why.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::server::TlsStream;

use crate::proxy::connection::Wire;
use crate::telemetry::limit::Limit;
use crate::telemetry::metrics::Metrics;

use super::{Made, Shown, with_shown};

/// What a request in the clear is answered.
const IN_THE_CLEAR: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 49\r\n\
    Cache-Control: no-store\r\nConnection: close\r\n\r\nThis port speaks TLS: the address is https://...\n";

/// How long a client is listened to that was told why it is refused.
const PARTING: Duration = Duration::from_secs(1);

/// How much of it, in bytes: more than a first request has.
const UNREAD: u64 = 64 * 1024;

/// Shakes hands; nothing when that is refused or too slow, or was an authority's look at what we answer.
pub async fn shake(
    made: &Made,
    socket: TcpStream,
    peer: SocketAddr,
    limit: Duration,
    metrics: &Metrics,
) -> Option<(TlsStream<Wire>, Shown)> {
    let began = Instant::now();
    if let Ok(true) = timeout(limit, is_in_the_clear(&socket)).await {
        metrics
            .connections_refused
            .with_label_values(&["handshake"])
            .inc();
        tracing::debug!(%peer, "a request in the clear where TLS is spoken");
        explain(Wire(socket)).await;
        return None;
    }
    let (handshake, shown) = with_shown(timeout(
        limit.saturating_sub(began.elapsed()),
        // Within: rustls asks who wants to know as soon as there is a handshake.
        async { made.acceptor.accept(Wire(socket)).into_fallible().await },
    ))
    .await;
    match handshake {
        // The authority has seen the answer in the handshake; nothing is said on this connection.
        Ok(Ok(_)) if shown.challenge => None,
        Ok(Ok(tls)) => Some((tls, shown)),
        Ok(Err((error, wire))) => {
            let why = if shown.refused {
                // No request comes of it, so no line of the access log either.
                let ip = peer.ip().to_canonical();
                tracing::info!(%error, %ip, "a client's certificate was refused");
                "certificate"
            } else {
                tracing::debug!(%error, %peer, "TLS handshake failed");
                "handshake"
            };
            metrics.connections_refused.with_label_values(&[why]).inc();
            part(wire).await;
            None
        }
        Err(_) => {
            metrics.refused(Limit::Handshake);
            None
        }
    }
}

/// Whether a client begins with a word, as requests do, and not with a handshake (RFC 8446 section 5.1: its first byte
/// is 22).
async fn is_in_the_clear(socket: &TcpStream) -> bool {
    let mut first = [0];
    matches!(socket.peek(&mut first).await, Ok(1)) && first[0].is_ascii_uppercase()
}

/// Whoever types the wrong scheme is told so, in the clear: an alert means nothing to them.
async fn explain(mut wire: Wire) {
    if wire.write_all(IN_THE_CLEAR).await.is_ok() {
        part(wire).await;
    }
}

/// Says that nothing follows the alert, and takes what the client sends meanwhile: a socket that is closed with
/// something unread is reset, and the alert is lost with it (TLS 1.3 clients send before they hear of a refusal).
async fn part(mut wire: Wire) {
    let parting = async {
        // It may be gone, which is just as well.
        if wire.shutdown().await.is_ok() {
            let _ = tokio::io::copy(&mut wire.take(UNREAD), &mut tokio::io::sink()).await;
        }
    };
    let _ = timeout(PARTING, parting).await;
}
