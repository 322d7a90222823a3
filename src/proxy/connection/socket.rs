//! What a guard reads from and writes to: a socket as it is, or TLS over one.
//!
//! Pingora's own streams are left out: they read the clock whenever they are polled, keep buffers of their own, and
//! read of a client's certificate what nobody asks them for.

use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pingora::protocols::tls::SslDigest;
use pingora::protocols::{ALPN, SocketDigest, UniqueIDType};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::outbox::keep_little_unsent;

/// One end of a connection.
pub struct Socket {
    layer: Layer,
    digest: Arc<SocketDigest>,
}

enum Layer {
    /// In the clear.
    Plain(Wire),
    /// Behind a handshake.
    Tls(Box<TlsStream<Wire>>, Arc<SslDigest>),
}

/// A TCP socket that sends a single piece as one. Most of what TLS has to send is; gathering costs more.
pub struct Wire(pub TcpStream);

impl Socket {
    /// A socket in the clear.
    #[must_use]
    pub fn plain(stream: TcpStream, digest: SocketDigest) -> Self {
        Self {
            layer: Layer::Plain(Wire(stream)),
            digest: Arc::new(digest),
        }
    }

    /// Has the kernel keep little of what the client does not take.
    pub(super) fn keep_little_unsent(&self) {
        keep_little_unsent(self.wire());
    }

    /// Has the kernel drop what the client did not take, once this is closed; megabytes would else stay with it for as
    /// long as the client acknowledges nothing, which no limit of ours counts.
    pub(super) fn forget_unsent(&self) {
        let set = socket2::SockRef::from(self.wire()).set_linger(Some(Duration::ZERO));
        if let Err(error) = set {
            tracing::debug!(%error, "SO_LINGER");
        }
    }

    fn wire(&self) -> &TcpStream {
        let Wire(stream) = match &self.layer {
            Layer::Plain(wire) => wire,
            Layer::Tls(stream, _) => stream.get_ref().0,
        };
        stream
    }

    /// A socket whose handshake is done.
    #[must_use]
    pub fn tls(stream: TlsStream<Wire>, digest: SocketDigest) -> Self {
        let (_, agreed) = stream.get_ref();
        let version = agreed.protocol_version().and_then(|one| one.as_str());
        let suite = agreed.negotiated_cipher_suite();
        let cipher = suite.and_then(|one| one.suite().as_str());
        let ssl = SslDigest::new(
            cipher.unwrap_or_default(),
            version.unwrap_or_default(),
            None,
            None,
            Vec::new(),
        );
        Self {
            layer: Layer::Tls(Box::new(stream), Arc::new(ssl)),
            digest: Arc::new(digest),
        }
    }

    pub(super) fn id(&self) -> UniqueIDType {
        match &self.layer {
            Layer::Plain(wire) => wire.0.as_raw_fd(),
            Layer::Tls(stream, _) => stream.get_ref().0.0.as_raw_fd(),
        }
    }

    /// HTTP/2 or not: what else was agreed upon is HTTP/1 of some version, which Pingora would not know.
    pub(super) fn alpn(&self) -> Option<ALPN> {
        let Layer::Tls(stream, _) = &self.layer else {
            return None;
        };
        let agreed = stream.get_ref().1.alpn_protocol()?;
        Some(if agreed == b"h2" { ALPN::H2 } else { ALPN::H1 })
    }

    pub(super) fn ssl_digest(&self) -> Option<Arc<SslDigest>> {
        match &self.layer {
            Layer::Plain(_) => None,
            Layer::Tls(_, digest) => Some(Arc::clone(digest)),
        }
    }

    pub(super) fn socket_digest(&self) -> Arc<SocketDigest> {
        Arc::clone(&self.digest)
    }

    pub(super) async fn close(&mut self) {
        // Whoever is gone need not be told.
        let _ = self.shutdown().await;
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().layer {
            Layer::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Layer::Tls(stream, _) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().layer {
            Layer::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Layer::Tls(stream, _) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().layer {
            Layer::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Layer::Tls(stream, _) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().layer {
            Layer::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Layer::Tls(stream, _) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().layer {
            Layer::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Layer::Tls(stream, _) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.layer {
            Layer::Plain(stream) => stream.is_write_vectored(),
            Layer::Tls(stream, _) => stream.is_write_vectored(),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match pieces {
            [piece] => Pin::new(&mut self.0).poll_write(cx, piece),
            pieces => Pin::new(&mut self.0).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}
