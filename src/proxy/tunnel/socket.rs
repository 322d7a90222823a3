//! The service's end of a handshake: a socket of which nothing is read before Pingora has put the request behind it.
//!
//! Pingora reads a service's answer and takes the end of the (empty) request from a queue side by side, whichever it
//! happens to look at first. When the answer is a 101 that came very soon, and is looked at first, the end of the
//! request is taken for the end of the tunnel, which is then closed as soon as it was opened (0.9.1,
//! `proxy_handle_upstream`; seen with one handshake in twenty on a busy machine). So the answer is held back until the
//! end of the request is in the queue, and then for one more look.
//!
//! And while Pingora writes to a service, it does not read from it. A service that sends back what it gets, and reads no
//! more until that is taken, would wait for us as we wait for it; so what it sends meanwhile is taken in here, up to a
//! bound, and the client is not listened to until that has been passed on.
//!
//! Such a connection serves one handshake and is not kept for another request: Pingora tells kept connections apart by
//! their descriptor, and knows none of this one.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use pingora::connectors::l4::Connect;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::io::poll_read_buf;

use crate::proxy::connection::ConnState;

/// Whether a service's bytes may be read. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Latch(Arc<Mutex<Hold>>);

#[derive(Debug, Default)]
enum Hold {
    /// They may: nothing has been asked yet, as during a TLS handshake, or the answer may come.
    #[default]
    Open,
    /// They may not; whoever wanted to is woken when they may.
    Shut(Option<Waker>),
    /// They may at the next look.
    Once,
}

/// What a socket must be able to do.
trait Socket: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Socket for T {}

/// A socket behind a latch.
struct Latched {
    socket: Box<dyn Socket>,
    latch: Latch,
    /// The connection at the other end of the tunnel.
    client: Option<Arc<ConnState>>,
    /// What came while something was being written.
    inbox: BytesMut,
}

/// Most of what is taken in while a write waits, in bytes. The client is not read from until that has been read, so
/// that only the few pieces which Pingora has taken from it already are written meanwhile.
const MOST: usize = 1 << 20;

/// Connects to where Pingora would, and puts a latch before it.
#[derive(Debug)]
struct Connector {
    latch: Latch,
    client: Arc<ConnState>,
}

/// No two handshakes share a connection.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Makes a server be connected to through this latch, for one request alone.
pub fn latch(peer: &mut HttpPeer, latch: &Latch, client: &Arc<ConnState>) {
    // What an earlier handshake of this connection left behind holds up nobody.
    client.note_backlog(false);
    peer.group_key = NEXT.fetch_add(1, Ordering::Relaxed);
    peer.options.idle_timeout = Some(Duration::ZERO);
    peer.options.custom_l4 = Some(Arc::new(Connector {
        latch: latch.clone(),
        client: Arc::clone(client),
    }));
}

impl Latch {
    /// The request is about to be sent: nothing is read until [`Latch::lift`].
    pub fn shut(&self) {
        *self.hold() = Hold::Shut(None);
    }

    /// The end of the request is about to be put where it is looked for.
    pub fn lift(&self) {
        let before = std::mem::replace(&mut *self.hold(), Hold::Once);
        if let Hold::Shut(Some(waker)) = before {
            waker.wake();
        }
    }

    /// Whether something may be read.
    fn poll_open(&self, cx: &Context<'_>) -> Poll<()> {
        let mut hold = self.hold();
        match &mut *hold {
            Hold::Open => return Poll::Ready(()),
            Hold::Shut(waker) => *waker = Some(cx.waker().clone()),
            Hold::Once => {
                *hold = Hold::Open;
                cx.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }

    fn hold(&self) -> std::sync::MutexGuard<'_, Hold> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Connect for Connector {
    async fn connect(&self, address: &SocketAddr) -> pingora::Result<Stream> {
        let failed = |error: io::Error| {
            let kind = match error.kind() {
                io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
                io::ErrorKind::TimedOut => ErrorType::ConnectTimedout,
                _ => ErrorType::ConnectError,
            };
            Error::because(kind, "connecting for a handshake", error)
        };
        let socket: Box<dyn Socket> = match address {
            SocketAddr::Inet(address) => {
                let socket = TcpStream::connect(address).await.map_err(failed)?;
                socket.set_nodelay(true).map_err(failed)?;
                Box::new(socket)
            }
            SocketAddr::Unix(address) => {
                let path = address.as_pathname().ok_or_else(|| {
                    Error::explain(ErrorType::SocketError, "a socket without a path")
                })?;
                Box::new(UnixStream::connect(path).await.map_err(failed)?)
            }
        };
        let latched = Latched {
            socket,
            latch: self.latch.clone(),
            client: Some(Arc::clone(&self.client)),
            inbox: BytesMut::new(),
        };
        Ok(VirtualSocketStream::new(Box::new(latched)).into())
    }
}

impl Latched {
    /// Takes in what the service sends while it does not read. Its end and its errors are met again when it is read.
    fn relieve(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.inbox.len() < MOST {
            self.inbox.reserve(16 * 1024);
            let socket = Pin::new(&mut self.socket);
            match poll_read_buf(socket, cx, &mut self.inbox)? {
                Poll::Ready(count) if count > 0 => {}
                _ => break,
            }
        }
        self.note_backlog();
        Ok(())
    }

    fn note_backlog(&self) {
        if let Some(client) = &self.client {
            client.note_backlog(!self.inbox.is_empty());
        }
    }
}

impl AsyncRead for Latched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.latch.poll_open(cx).is_pending() {
            return Poll::Pending;
        }
        if self.inbox.is_empty() {
            self.inbox = BytesMut::new();
            return Pin::new(&mut self.socket).poll_read(cx, buffer);
        }
        let length = self.inbox.len().min(buffer.remaining());
        buffer.put_slice(&self.inbox.split_to(length));
        self.note_backlog();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Latched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        if written.is_pending() {
            self.relieve(cx)?;
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl VirtualSocket for Latched {
    /// `TCP_NODELAY` is set when it connects, and nothing else is asked for.
    fn set_socket_option(&self, _option: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Latched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latched")
            .field("latch", &self.latch)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn an_answer_waits_for_the_end_of_its_request() {
        let (mut far, near) = duplex(64);
        let latch = Latch::default();
        let mut socket = Latched {
            socket: Box::new(near),
            latch: latch.clone(),
            client: None,
            inbox: BytesMut::new(),
        };
        far.write_all(b"hello").await.unwrap();
        let mut buffer = [0; 5];
        socket.read_exact(&mut buffer).await.unwrap();
        latch.shut();
        far.write_all(b"agree").await.unwrap();
        let mut look = async || {
            let mut space = [0; 5];
            let mut space = ReadBuf::new(&mut space);
            poll_fn(|cx| {
                let read = Pin::new(&mut socket).poll_read(cx, &mut space);
                Poll::Ready(read.is_ready())
            })
            .await
        };
        assert!(!look().await && !look().await);
        latch.lift();
        assert!(!look().await, "whatever else is due comes first");
        assert!(look().await);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken() {
        let (mut far, near) = duplex(64);
        let latch = Latch::default();
        latch.shut();
        let mut socket = Latched {
            socket: Box::new(near),
            latch: latch.clone(),
            client: None,
            inbox: BytesMut::new(),
        };
        far.write_all(b"agree").await.unwrap();
        let reading = tokio::spawn(async move { socket.read_u8().await });
        tokio::task::yield_now().await;
        assert!(!reading.is_finished());
        latch.lift();
        assert_eq!(reading.await.unwrap().unwrap(), b'a');
    }

    #[tokio::test]
    async fn w_06_two_that_write_do_not_wait_for_each_other() {
        let (mut far, near) = duplex(16);
        let mut socket = Latched {
            socket: Box::new(near),
            latch: Latch::default(),
            client: None,
            inbox: BytesMut::new(),
        };
        let service = tokio::spawn(async move {
            far.write_all(&[b's'; 500]).await.unwrap();
            let mut buffer = [0; 300];
            far.read_exact(&mut buffer).await.unwrap();
            assert_eq!(buffer, [b'c'; 300]);
            far
        });
        socket.write_all(&[b'c'; 300]).await.unwrap();
        let mut buffer = [0; 500];
        socket.read_exact(&mut buffer).await.unwrap();
        assert_eq!(buffer, [b's'; 500]);
        drop(service.await.unwrap());
        assert_eq!(socket.read(&mut buffer).await.unwrap(), 0);
    }
}
