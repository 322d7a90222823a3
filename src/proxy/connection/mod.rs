//! One connection: its bytes are guarded before Pingora parses them.
//!
//! The guard holds a request head back until it is whole and sound, lets the body through as long as its
//! framing is, and holds the next request back until this one is answered. A head that is refused is
//! replaced by a harmless one, with the fault noted on the connection, so that the refusal is answered,
//! counted and logged like every other request; see [`super::gateway`].

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use pingora::http::ResponseHeader;
use pingora::protocols::ALPN;
use pingora::protocols::raw_connect::ProxyDigest;
use tokio::io::{AsyncWrite, BufWriter, ReadBuf};
use tokio_util::io::poll_read_buf;

mod cookies;
mod cut;
mod flood;
mod h2;
mod outbox;
mod owed;
mod patience;
mod socket;
mod state;
mod stream;
mod tunnel;

use self::h2::Traffic;
use crate::proxy::drain::{Debt, Drain};
use crate::proxy::settings::Limits;
use crate::proxy::wire::body::Body;
use crate::proxy::wire::glimpse::Glimpse;
use crate::proxy::wire::head::{Head, HeadFault, LastHost, Scanner, check};
use crate::telemetry::limit::Limit;
use crate::telemetry::metrics::Metrics;
pub use outbox::{Backlogs, Outbox, keep_little_unsent};
pub use owed::Owed;
use patience::Patience;
pub use socket::{Socket, Wire};
pub use state::ConnState;
pub use stream::{all_parted, linger};

/// A stream whose bytes are checked on the way in.
pub struct Guard {
    /// Gone only while the guard is being dropped. Buffered, so that the head and the body of a short answer
    /// leave in one packet.
    inner: Option<BufWriter<Socket>>,
    state: Arc<ConnState>,
    /// The state again, in the one place of a digest that has room for it; asked for by each request.
    digest: Option<Arc<ProxyDigest>>,
    limits: Limits,
    metrics: Metrics,
    drain: Drain,
    /// Set once a client of HTTP/2 was sent so much that it may not have read all of it.
    owed: Option<Arc<Debt>>,
    /// Read from the socket and not yet handed on.
    inbox: BytesMut,
    /// What came through a tunnel and the client has not taken yet.
    outbox: Outbox,
    /// What waits for the two sides of the one tunnel that a connection can have.
    backlogs: OnceLock<Arc<Backlogs>>,
    /// How much of the inbox has been approved.
    approved: usize,
    phase: Phase,
    last_host: LastHost,
    patience: Patience,
    /// Between two requests: the limit is that of an idle connection, not of a head.
    idle: bool,
    /// Whether something of what was written last was not taken yet.
    unwritten: bool,
    /// Whether it was counted why the connection ends.
    is_cut: bool,
}

enum Phase {
    Head(Scanner),
    Body(Body),
    /// The request is whole; the next one waits for the answer to this one.
    Answering,
    /// A refused head was replaced; whatever else arrives is not read.
    Refused,
    /// HTTP has ended by agreement of both sides: bytes go through as they come.
    Tunnel,
    H2(Box<Traffic>),
}

/// One TCP segment, as Pingora buffers: more would hold back what is streamed.
const SEGMENT: usize = 1460;

/// How much is read at once: enough for most heads, and for uploads not to be slowed.
const READ: usize = 16 * 1024;

/// What stands in for a refused head. It is answered before anything looks at it.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nHost: refused.invalid\r\nConnection: close\r\n\r\n";

impl Guard {
    /// Guards a stream. `h2` says that TLS agreed on HTTP/2.
    #[must_use]
    pub fn new(
        inner: Socket,
        state: Arc<ConnState>,
        limits: Limits,
        metrics: Metrics,
        drain: Drain,
    ) -> Self {
        let h2 = matches!(inner.alpn(), Some(ALPN::H2));
        let phase = if h2 {
            Phase::H2(Traffic::new(&limits, state.is_trusted()))
        } else {
            Phase::Head(Scanner::default())
        };
        let mut guard = Self {
            inner: Some(BufWriter::with_capacity(SEGMENT, inner)),
            digest: digest(&state),
            state,
            limits,
            metrics,
            drain,
            owed: None,
            inbox: BytesMut::new(),
            outbox: Outbox::default(),
            backlogs: OnceLock::new(),
            approved: 0,
            phase,
            last_host: LastHost::default(),
            patience: Patience::default(),
            idle: false,
            unwritten: false,
            is_cut: false,
        };
        // Silence counts, too: a new connection owes its first head, or its preface, in time.
        guard.arm();
        guard
    }

    fn arm(&mut self) {
        self.patience.arm(self.limits.head_timeout);
    }

    /// Fails when a head is not there in time.
    fn check_due(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let due = self.patience.check(cx);
        due.inspect_err(|_| self.cut(Limit::Head))
    }

    /// Counts once why the connection ends.
    fn cut(&mut self, limit: Limit) {
        if std::mem::replace(&mut self.is_cut, true) {
            return;
        }
        self.metrics.refused(limit);
        if let (Limit::Reader, Some(inner)) = (limit, &self.inner) {
            inner.get_ref().forget_unsent();
        }
    }

    /// Reads from the socket into the inbox; how many bytes, where none is the end.
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // A head is small; a body is read in larger pieces.
        let room = if matches!(self.phase, Phase::Body(_)) {
            READ
        } else {
            4096
        };
        self.inbox.reserve(room);
        poll_read_buf(inner(&mut self.inner)?, cx, &mut self.inbox)
    }

    /// Whoever reads has nothing to write just now. Pingora does not flush the pieces of an answer whose length
    /// is known; a slow one would wait here for its next piece.
    fn send_what_waits(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let waits = self
            .inner
            .as_ref()
            .is_some_and(|stream| !stream.buffer().is_empty());
        if waits && let Poll::Ready(flushed) = inner(&mut self.inner)?.poll_flush(cx) {
            return flushed;
        }
        Ok(())
    }

    fn hand_over(&mut self, buffer: &mut ReadBuf<'_>) {
        let length = self.approved.min(buffer.remaining());
        buffer.put_slice(self.inbox.get(..length).unwrap_or_default());
        self.inbox.advance(length);
        self.approved -= length;
    }

    /// Waits for a whole head and approves it.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Progress>> {
        loop {
            let Phase::Head(scanner) = &mut self.phase else {
                return Poll::Ready(Ok(Progress::Again));
            };
            match scanner.advance(&self.inbox) {
                Ok(Some(length)) => return Poll::Ready(Ok(self.approve_head(length))),
                Ok(None) if self.inbox.len() > self.limits.head => {
                    return Poll::Ready(Ok(self.replace_head(oversize(&self.inbox, &self.limits))));
                }
                Ok(None) => {}
                Err(fault) => return Poll::Ready(Ok(self.replace_head(fault))),
            }
            match self.fill(cx)? {
                Poll::Ready(0) => return Poll::Ready(Ok(Progress::End)),
                Poll::Ready(_) => {}
                Poll::Pending => {
                    // Most heads arrive whole; only one that does not is worth a timer.
                    self.wait(cx)?;
                    return Poll::Pending;
                }
            }
        }
    }

    /// Nothing more has come: between requests for as long as a connection may idle, within a head until it
    /// is due.
    fn wait(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.idle && self.inbox.is_empty() {
            return self.patience.check_rest(cx);
        }
        self.idle = false;
        self.arm();
        self.check_due(cx)
    }

    fn approve_head(&mut self, length: usize) -> Progress {
        let head = self.inbox.get(..length).unwrap_or_default();
        match check(head, &self.limits, &mut self.last_host) {
            Err(fault) => self.replace_head(fault),
            Ok(Head { framing, host }) => {
                self.state.note_host(host);
                self.patience.disarm();
                self.state.take_head();
                self.approved = length;
                let body = Body::new(framing);
                self.state.note_bodiless(body.is_done());
                self.patience.answered();
                self.phase = if body.is_done() {
                    Phase::Answering
                } else {
                    Phase::Body(body)
                };
                Progress::Again
            }
        }
    }

    fn replace_head(&mut self, fault: HeadFault) -> Progress {
        self.patience.disarm();
        self.state.refuse(fault, Glimpse::of(&self.inbox));
        self.inbox.clear();
        self.inbox.extend_from_slice(STAND_IN);
        self.approved = STAND_IN.len();
        self.phase = Phase::Refused;
        Progress::Again
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Progress>> {
        if self.state.wants_head() {
            // Somebody is about to read the rest of a body as a request.
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        self.send_what_waits(cx)?;
        if self.inbox.is_empty() {
            match self.fill(cx)? {
                Poll::Ready(0) => return Poll::Ready(Ok(Progress::End)),
                Poll::Ready(_) => {}
                Poll::Pending => {
                    self.check_aside(cx)?;
                    return Poll::Pending;
                }
            }
        }
        let Phase::Body(body) = &mut self.phase else {
            return Poll::Ready(Ok(Progress::Again));
        };
        let used = body
            .advance(&self.inbox)
            .map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))?;
        self.approved = used;
        if body.is_done() {
            self.patience.disarm();
            self.phase = Phase::Answering;
        }
        Poll::Ready(Ok(Progress::Again))
    }

    /// Fails when the extension of a chunk, or the trailers, are not there in time: their bytes are no content, by whose
    /// pieces a body is timed.
    fn check_aside(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Phase::Body(body) = &mut self.phase else {
            return Ok(());
        };
        if body.take_moved() || !body.is_aside() {
            self.patience.disarm();
        }
        if !body.is_aside() {
            return Ok(());
        }
        self.patience.arm(self.limits.stall);
        let due = self.patience.check(cx);
        due.inspect_err(|_| self.cut(Limit::Body))
    }

    /// Between the end of a request and the end of its answer: listens for the client's leaving only.
    fn poll_answering(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Progress>> {
        if self.state.take_head() {
            self.phase = Phase::Head(Scanner::default());
            self.idle = true;
            self.patience.rest();
            return Poll::Ready(Ok(Progress::Again));
        }
        if self.state.is_tunnel() {
            self.enter_tunnel();
            return Poll::Ready(Ok(Progress::Again));
        }
        self.send_what_waits(cx)?;
        // Whether somebody is still there who has sent so much ahead cannot be seen, and is not certain of somebody who has
        // closed their half with something behind the request: they count as gone once nothing moves.
        let perhaps_gone = Some(self.limits.stall);
        if self.inbox.len() > self.limits.head {
            return self.listen_within(cx, perhaps_gone);
        }
        match self.fill(cx)? {
            Poll::Ready(0) if self.inbox.is_empty() => Poll::Ready(Ok(Progress::End)),
            // Pipelined requests are answered also to a client that has closed its half.
            Poll::Ready(0) => self.listen_within(cx, perhaps_gone),
            Poll::Pending => self.listen(cx),
            Poll::Ready(_) => self.poll_answering(cx),
        }
    }
}

/// Carries the connection's state to the filters.
fn digest(state: &Arc<ConnState>) -> Option<Arc<ProxyDigest>> {
    let response = ResponseHeader::build(200, Some(0)).ok()?;
    let state: Box<dyn std::any::Any + Send + Sync> = Box::new(Arc::clone(state));
    Some(Arc::new(ProxyDigest::new(Box::new(response), Some(state))))
}

enum Progress {
    Again,
    End,
}

/// What is wrong with a head that has no end within the limit.
fn oversize(head: &[u8], limits: &Limits) -> HeadFault {
    let first_line = head
        .iter()
        .take(limits.target + 64)
        .any(|&byte| byte == b'\n');
    if first_line {
        HeadFault::TooLarge
    } else {
        HeadFault::TargetTooLong
    }
}

fn inner(stream: &mut Option<BufWriter<Socket>>) -> io::Result<Pin<&mut BufWriter<Socket>>> {
    stream
        .as_mut()
        .map(Pin::new)
        .ok_or_else(|| io::ErrorKind::NotConnected.into())
}
