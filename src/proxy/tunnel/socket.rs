//! The service's end of a handshake: a socket of which nothing is read before Pingora has put the request behind it.
//!
//! Pingora reads a service's answer and takes the end of the (empty) request from a queue side by side, whichever it
//! happens to look at first. When the answer is a 101 that came very soon, and is looked at first, the end of the
//! request is taken for the end of the tunnel, which is then closed as soon as it was opened (0.9.1,
//! `proxy_handle_upstream`; seen with one handshake in twenty on a busy machine). So the answer is held back until the
//! end of the request is in the queue, and then for one more look.
//!
//! And while Pingora writes to a service, it does not read from it; so a write never waits here, see
//! [`crate::proxy::connection::Outbox`].
//!
//! Such a connection serves one handshake and is not kept for another request: Pingora tells kept connections apart by
//! their descriptor, and knows none of this one.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora::connectors::l4::Connect;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::proxy::connection::{Backlogs, ConnState, Outbox, keep_little_unsent, linger};

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
    /// What waits for the two sides of this handshake.
    backlogs: Arc<Backlogs>,
    /// What came through a tunnel and the service has not taken yet.
    outbox: Outbox,
    /// Within how long it must take a piece.
    limit: Duration,
}

/// Connects to where Pingora would, and puts a latch before it.
#[derive(Debug)]
struct Connector {
    latch: Latch,
    backlogs: Arc<Backlogs>,
    limit: Duration,
}

/// No two handshakes share a connection.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Makes a server be connected to through this latch, for one request alone.
pub fn latch(peer: &mut HttpPeer, latch: &Latch, client: &Arc<ConnState>) {
    peer.group_key = NEXT.fetch_add(1, Ordering::Relaxed);
    peer.options.idle_timeout = Some(Duration::ZERO);
    peer.options.custom_l4 = Some(Arc::new(Connector {
        latch: latch.clone(),
        backlogs: client.begin_handshake(),
        limit: peer.options.write_timeout.unwrap_or(Duration::MAX),
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
                keep_little_unsent(&socket);
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
            backlogs: Arc::clone(&self.backlogs),
            outbox: Outbox::default(),
            limit: self.limit,
        };
        Ok(VirtualSocketStream::new(Box::new(latched)).into())
    }
}

impl Latched {
    /// Sends the service what waits, as far as it takes it.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let drained = self.outbox.poll_drain(Pin::new(&mut self.socket), cx);
        self.backlogs.to_service.note(drained.is_pending());
        drained
    }
}

impl AsyncRead for Latched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.outbox.is_empty() && self.poll_drain(cx).is_pending() {
            let limit = self.limit;
            self.outbox.check_taken(cx, limit)?;
        }
        ready!(self.latch.poll_open(cx));
        ready!(self.backlogs.to_client.poll_eased(cx));
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.socket).poll_read(cx, buffer));
        if read.is_err() || buffer.filled().len() == before {
            self.backlogs.to_client.note_last();
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Latched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.outbox.accept(Pin::new(&mut this.socket), cx, bytes);
        if !this.outbox.is_empty() {
            this.backlogs.to_service.note(true);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    /// Waits for what the client sent last only; for all else, reading does.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let drained = self.poll_drain(cx);
        if drained.is_pending() && self.backlogs.to_service.is_last() {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl Drop for Latched {
    /// A socket that is closed with unread bytes is reset, and the reset may overtake what the client sent last.
    fn drop(&mut self) {
        let runtime = tokio::runtime::Handle::try_current();
        if self.backlogs.to_service.is_last()
            && let Ok(runtime) = runtime
        {
            let socket = std::mem::replace(&mut self.socket, Box::new(tokio::io::empty()));
            linger(&runtime, socket, None);
        }
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
    use crate::proxy::tls::Shown;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    fn latched(near: DuplexStream, latch: &Latch) -> Latched {
        Latched {
            socket: Box::new(near),
            latch: latch.clone(),
            backlogs: Arc::default(),
            outbox: Outbox::default(),
            limit: Duration::from_secs(30),
        }
    }

    #[tokio::test]
    async fn an_answer_waits_for_the_end_of_its_request() {
        let (mut far, near) = duplex(64);
        let latch = Latch::default();
        let mut socket = latched(near, &latch);
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
        let mut socket = latched(near, &latch);
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
        let mut socket = latched(near, &Latch::default());
        let service = tokio::spawn(async move {
            far.write_all(&[b's'; 500]).await.unwrap();
            let mut buffer = [0; 300];
            far.read_exact(&mut buffer).await.unwrap();
            assert_eq!(buffer, [b'c'; 300]);
            far
        });
        let backlogs = Arc::clone(&socket.backlogs);
        let eased = || poll_fn(|cx| Poll::Ready(backlogs.to_service.poll_eased(cx).is_ready()));
        socket.write_all(&[b'c'; 300]).await.unwrap();
        socket.flush().await.unwrap();
        assert!(!eased().await, "the client is not listened to meanwhile");
        let mut buffer = [0; 500];
        socket.read_exact(&mut buffer).await.unwrap();
        assert_eq!(buffer, [b's'; 500]);
        let reading = socket.read(&mut buffer);
        let (read, service) = tokio::join!(reading, async { drop(service.await.unwrap()) });
        assert_eq!((read.unwrap(), service), (0, ()));
        assert!(eased().await);
    }

    /// A connection that was refused a tunnel asks for another one, while the service's answer to the first is still
    /// being closed.
    #[tokio::test]
    async fn w_06_the_end_of_an_earlier_handshake_is_not_that_of_the_next() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = ConnState::new(([127, 0, 0, 1], 1).into(), false, Shown::default());
        let shake_hands = async || {
            let mut peer = HttpPeer::new(address, false, String::new());
            latch(&mut peer, &Latch::default(), &client);
            let connector = peer.options.custom_l4.unwrap();
            let near = connector.connect(&address.into()).await.unwrap();
            (near, listener.accept().await.unwrap().0)
        };
        let (mut refused, far) = shake_hands().await;
        let _tunnel = shake_hands().await;
        drop(far);
        assert_eq!(refused.read(&mut [0]).await.unwrap(), 0);
        assert!(!client.backlogs().to_client.is_last());
    }

    #[tokio::test]
    async fn what_the_client_sent_last_is_waited_for() {
        let (mut far, near) = duplex(16);
        let mut socket = latched(near, &Latch::default());
        socket.backlogs.to_service.note_last();
        let sending = tokio::spawn(async move {
            socket.write_all(&[b'c'; 100]).await.unwrap();
            socket.flush().await.unwrap();
        });
        let mut buffer = Vec::new();
        far.read_to_end(&mut buffer).await.unwrap();
        assert_eq!(buffer, [b'c'; 100]);
        sending.await.unwrap();
    }

    #[tokio::test]
    async fn what_a_service_says_is_heard_also_when_it_takes_nothing_more() {
        let (mut far, near) = duplex(64);
        let mut socket = latched(near, &Latch::default());
        far.write_all(b"too big").await.unwrap();
        drop(far);
        socket.write_all(&[b'c'; 100]).await.unwrap();
        socket.flush().await.unwrap();
        let mut said = Vec::new();
        assert!(!socket.backlogs.to_client.is_last());
        socket.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"too big");
        assert!(socket.backlogs.to_client.is_last());
    }

    #[tokio::test(start_paused = true)]
    async fn w_06_a_service_that_takes_nothing_is_given_up() {
        let (_far, near) = duplex(16);
        let mut socket = latched(near, &Latch::default());
        socket.write_all(&[b'c'; 100]).await.unwrap();
        let mut buffer = [0; 1];
        let begun = tokio::time::Instant::now();
        let error = socket.read(&mut buffer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), 30);
    }
}
