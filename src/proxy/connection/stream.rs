//! The guard as the stream that Pingora reads: reading goes through the phases, all else to the socket.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Duration, Instant, sleep, timeout};

use super::h2::Traffic;
use super::{Guard, Phase, Progress, inner};
use crate::proxy::drain::{Debt, Drain};
use crate::telemetry::limit::Limit;

const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl AsyncRead for Guard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.approved > 0 {
                self.hand_over(buffer);
                return Poll::Ready(Ok(()));
            }
            let progress = match self.phase {
                Phase::H2(_) => return self.poll_h2(cx, buffer),
                Phase::Tunnel => return self.poll_tunnel(cx, buffer),
                Phase::Refused => return Poll::Pending,
                Phase::Head(_) => ready!(self.poll_head(cx))?,
                Phase::Body(_) => ready!(self.poll_body(cx))?,
                Phase::Answering => ready!(self.poll_answering(cx))?,
            };
            if let Progress::End = progress {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Guard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.state.is_tunnel() {
            return Poll::Ready(self.take_in(cx, bytes));
        }
        let written = inner(&mut self.inner)?.poll_write(cx, bytes);
        if let Poll::Ready(Ok(length)) = written {
            self.follow_answers([bytes], length);
        }
        self.note_written(cx, written, bytes.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.state.is_tunnel() {
            return self.poll_send_on(cx);
        }
        let buffered = self
            .inner
            .as_ref()
            .is_some_and(|inner| !inner.buffer().is_empty());
        if buffered && let Phase::H2(traffic) = &mut self.phase {
            ready!(traffic.poll_turn(cx));
        }
        let flushed = inner(&mut self.inner)?.poll_flush(cx);
        self.unwritten = flushed.is_pending();
        match flushed {
            Poll::Pending => {
                self.check_written(cx)?;
                Poll::Pending
            }
            flushed @ Poll::Ready(_) => {
                self.patience.written();
                flushed
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        inner(&mut self.inner)?.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.state.is_tunnel() {
            let first = pieces.iter().find(|piece| !piece.is_empty());
            return Poll::Ready(self.take_in(cx, first.map_or(&[], |piece| piece)));
        }
        let length = pieces.iter().map(|piece| piece.len()).sum();
        let written = inner(&mut self.inner)?.poll_write_vectored(cx, pieces);
        if let Poll::Ready(Ok(taken)) = written {
            self.follow_answers(pieces.iter().map(|piece| &**piece), taken);
        }
        self.note_written(cx, written, length)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner
            .as_ref()
            .is_some_and(AsyncWrite::is_write_vectored)
    }
}

impl Guard {
    /// Fails when the client has not taken what was written for too long.
    fn check_written(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let taken = self.patience.check_written(cx, self.limits.stall);
        taken.inspect_err(|_| self.cut(Limit::Reader))
    }

    /// A client that reads too slowly to take a piece whole is given as long as one that does not read.
    fn note_written(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        self.unwritten = !matches!(written, Poll::Ready(Ok(taken)) if taken == length);
        match written {
            Poll::Pending => self.check_written(cx)?,
            Poll::Ready(Ok(taken)) if taken == length => self.patience.written(),
            Poll::Ready(_) => {}
        }
        if written.is_ready() {
            self.note_movement();
        }
        written
    }
}

impl Drop for Guard {
    /// A socket that is closed with unread bytes is reset, and the reset may overtake the answer. So a
    /// connection that ends within a request is drained for a moment first.
    fn drop(&mut self) {
        if let Some(inner) = &self.inner
            && self
                .state
                .is_owed(self.unwritten || !inner.buffer().is_empty())
        {
            inner.get_ref().forget_unsent();
            return;
        }
        if let (Phase::H2(traffic), Some(owed)) = (&self.phase, self.owed.take())
            && self.drain.is_draining()
            && !(traffic.is_over() || self.is_cut)
            && let Some(stream) = self.inner.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(leave(stream, self.drain.clone(), owed));
            return;
        }
        let (unread, farewell) = match &self.phase {
            Phase::Refused | Phase::Body(_) => (true, None),
            Phase::H2(traffic) => (traffic.is_over(), traffic.farewell()),
            // The service has closed it; the client may be in the middle of something.
            Phase::Tunnel => (self.backlogs().to_client.is_last(), None),
            Phase::Head(_) | Phase::Answering => (false, None),
        };
        if let (true, Some(stream), Ok(runtime)) =
            (unread, self.inner.take(), Handle::try_current())
        {
            linger(&runtime, stream, farewell);
        }
    }
}

/// How many connections may be drained at a time. Whoever comes later finds their answer lost, if they were still
/// sending: what is drained is held by no other limit.
static LINGERING: Semaphore = Semaphore::const_new(PLACES);
const PLACES: usize = 256;

/// How long one may say nothing, and how long all are waited for at the end.
const LONGEST: Duration = Duration::from_secs(5);

/// Waits until no connection is drained any more, when none is begun to be: who goes before breaks the answers of those
/// who were still sending.
pub async fn all_parted() {
    const OFTEN: Duration = Duration::from_millis(20);
    let parting = async {
        while LINGERING.available_permits() < PLACES {
            sleep(OFTEN).await;
        }
    };
    let _ = timeout(LONGEST, parting).await;
}

/// Says a last word and reads what comes until the other side has closed, too. It counts from now on, whenever the runtime
/// comes to it.
pub fn linger(
    runtime: &Handle,
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    farewell: Option<[u8; 17]>,
) {
    /// Browsers send all of a form before they look at what was said of it, however large its files are.
    const WHOLE: Duration = Duration::from_mins(2);
    /// After which a place is not to be had for a byte now and then, but for so many a second.
    const PATIENT: Duration = Duration::from_secs(30);
    const PACE: u64 = 128 * 1024;
    let Ok(place) = LINGERING.try_acquire() else {
        return;
    };
    // Errors only mean that there is nobody left to wait for.
    let drained = async move {
        let goodbye = async {
            if let Some(farewell) = farewell {
                let _ = stream.write_all(&farewell).await;
            }
            let _ = stream.shutdown().await;
        };
        let _ = timeout(LONGEST, goodbye).await;
        let (begun, mut heard) = (Instant::now(), 0);
        let mut room = vec![0; 16 * 1024];
        while let Ok(Ok(length @ 1..)) = timeout(LONGEST, stream.read(&mut room)).await {
            heard += length as u64;
            if heard < begun.elapsed().saturating_sub(PATIENT).as_secs() * PACE {
                break;
            }
        }
    };
    runtime.spawn(async move {
        let _ = timeout(WHOLE, drained).await;
        drop(place);
    });
}

/// Waits, for as long as there is, until a client has read what it was sent and closes: one of HTTP/2 says again and again
/// how much it has read, and a socket that is closed already answers that with a reset, which takes the rest along.
async fn leave(mut stream: impl AsyncRead + AsyncWrite + Unpin, drain: Drain, owed: Arc<Debt>) {
    // Errors only mean that there is nobody left to wait for.
    let _ = stream.shutdown().await;
    let mut room = [0; 1024];
    while let Ok(1..) = stream.read(&mut room).await {
        drain.heard(&owed);
    }
}

#[async_trait]
impl Shutdown for Guard {
    async fn shutdown(&mut self) {
        if let Some(stream) = &mut self.inner {
            let goodbye = async {
                // Whoever is gone need not be told.
                let _ = stream.flush().await;
                stream.get_mut().close().await;
            };
            // And whoever takes nothing is waited for no longer than for an answer.
            if timeout(self.limits.stall, goodbye).await.is_err() {
                self.cut(Limit::Reader);
            }
        }
    }
}

#[async_trait]
impl Peek for Guard {
    /// Looks for the HTTP/2 preface on a plain connection. Bytes that cannot become one end the wait at
    /// once, and the whole wait has the deadline of a head; Pingora's own has none.
    async fn try_peek(&mut self, wanted: &mut [u8]) -> io::Result<bool> {
        let sniff = poll_fn(|cx| {
            loop {
                let prefix = H2_PREFACE.len().min(self.inbox.len());
                let possible = self.inbox.get(..prefix) == H2_PREFACE.get(..prefix);
                if !possible || prefix == H2_PREFACE.len() {
                    return Poll::Ready(Ok(possible));
                }
                self.check_due(cx)?;
                if ready!(self.fill(cx))? == 0 {
                    return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof)));
                }
            }
        });
        let found = sniff.await?;
        if found {
            self.phase = Phase::H2(Traffic::new(&self.limits, self.state.is_trusted()));
            let length = wanted.len().min(H2_PREFACE.len());
            wanted
                .iter_mut()
                .zip(H2_PREFACE)
                .take(length)
                .for_each(|(to, from)| *to = *from);
        }
        Ok(true)
    }
}

impl UniqueID for Guard {
    fn id(&self) -> UniqueIDType {
        self.inner
            .as_ref()
            .map_or(-1, |stream| stream.get_ref().id())
    }
}

impl Ssl for Guard {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner
            .as_ref()
            .and_then(|stream| stream.get_ref().ssl_digest())
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner
            .as_ref()
            .and_then(|stream| stream.get_ref().alpn())
    }
}

impl GetTimingDigest for Guard {
    /// Nobody asks how long a handshake took; Pingora would note it anew for each request.
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Guard {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.digest.clone()
    }
}

impl GetSocketDigest for Guard {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner
            .as_ref()
            .map(|stream| stream.get_ref().socket_digest())
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
