//! What a guard reads from and writes to: a socket as it is, or TLS over one.
//!
//! Pingora's own stream for sockets reads the clock whenever it is polled and keeps buffers of its own: it is left out
//! where nothing needs it. A TLS handshake does.

use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pingora::protocols::tls::SslDigest;
use pingora::protocols::{ALPN, Shutdown, SocketDigest, Stream, UniqueIDType};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

/// One end of a connection.
pub enum Socket {
    /// In the clear.
    Plain(TcpStream, Arc<SocketDigest>),
    /// Behind a handshake.
    Tls(Stream),
}

impl Socket {
    pub(super) fn id(&self) -> UniqueIDType {
        match self {
            Self::Plain(stream, _) => stream.as_raw_fd(),
            Self::Tls(stream) => stream.id(),
        }
    }

    /// HTTP/2 or not: what else was agreed upon is HTTP/1 of some version, which Pingora would not know.
    pub(super) fn alpn(&self) -> Option<ALPN> {
        match self {
            Self::Plain(..) => None,
            Self::Tls(stream) => stream.selected_alpn_proto().map(|agreed| match agreed {
                ALPN::H2 => ALPN::H2,
                _ => ALPN::H1,
            }),
        }
    }

    pub(super) fn ssl_digest(&self) -> Option<Arc<SslDigest>> {
        match self {
            Self::Plain(..) => None,
            Self::Tls(stream) => stream.get_ssl_digest(),
        }
    }

    pub(super) fn socket_digest(&self) -> Option<Arc<SocketDigest>> {
        match self {
            Self::Plain(_, digest) => Some(Arc::clone(digest)),
            Self::Tls(stream) => stream.get_socket_digest(),
        }
    }

    pub(super) async fn close(&mut self) {
        match self {
            // Whoever is gone need not be told.
            Self::Plain(stream, _) => drop(stream.shutdown().await),
            Self::Tls(stream) => Shutdown::shutdown(stream.as_mut()).await,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream, _) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream, _) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream, _) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream, _) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream, _) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream, _) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
