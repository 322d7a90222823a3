//! What the guard does on an HTTP/2 connection: it lets the bytes through and keeps count of what they ask for.
//!
//! Frames are not changed and none is refused on its own: a client that is over a limit is told to calm down, and its
//! connection ends.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;

use super::flood::Flood;
use super::{Guard, Phase, inner};
use crate::proxy::settings::Limits;
use crate::proxy::wire::h2::{Answers, Away, Frames, Went, calm_down};
use crate::telemetry::limit::Limit;
use crate::telemetry::metrics::Metrics;

/// Both directions of a connection, and what they cost.
pub(super) struct Traffic {
    frames: Frames,
    answers: Answers,
    /// None for a proxy that is trusted: it speaks for many, and keeps order among them.
    flood: Option<Flood>,
    end: End,
    /// Bytes that the client was sent.
    sent: usize,
    /// Others go first, before what is buffered is sent.
    turn: Option<Turn>,
}

/// A turn of the scheduler, in which what has arrived meanwhile is looked at.
type Turn = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// A client that was sent no more than this on all of a connection tells nobody how much of it it has read.
const READ_AT_ONCE: usize = 64 * 1024;

/// How long nothing may move on a connection whose client was told to leave it.
const LEAVES_WITHIN: Duration = Duration::from_mins(1);

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Not yet.
    Open,
    /// By us, because the client is over a limit.
    Over,
    /// By Pingora, because of what the client did; it has been told.
    Told,
}

impl Traffic {
    /// At the start of a connection.
    pub(super) fn new(limits: &Limits, trusted: bool) -> Box<Self> {
        Box::new(Self {
            frames: Frames::new(),
            answers: Answers::default(),
            flood: (!trusted).then(|| Flood::new(limits.resets)),
            end: End::Open,
            sent: 0,
            turn: None,
        })
    }

    /// Waits for a turn of the scheduler. What is ready for other requests of this connection by then leaves in one piece
    /// with what is buffered: fewer system calls, records and packets for the same answers. A connection with one request
    /// finds nothing else to do, and goes on at once.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let turn = self.turn.get_or_insert_with(|| Box::pin(yield_now()));
        ready!(turn.as_mut().poll(cx));
        self.turn = None;
        Poll::Ready(())
    }

    /// Whether more may come than anybody will read.
    pub(super) fn is_over(&self) -> bool {
        self.end != End::Open
    }

    /// What the client is still to be told, where there is room between frames.
    pub(super) fn farewell(&self) -> Option<[u8; 17]> {
        let ours = self.end == End::Over && self.answers.between_frames();
        ours.then(|| calm_down(self.frames.latest()))
    }
}

impl Guard {
    /// Whether the client was told to come back on another connection.
    fn is_leaving(&self) -> bool {
        let leaving = self.state.leaving();
        leaving.is_some_and(CancellationToken::is_cancelled)
    }

    pub(super) fn poll_h2(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_due(cx)?;
        let before = buffer.filled().len();
        if self.inbox.is_empty() {
            let read = inner(&mut self.inner)?.poll_read(cx, buffer);
            if read.is_pending() && self.is_leaving() {
                // Pingora waits for ever for whoever was told to leave.
                self.patience.check_silence(cx, LEAVES_WITHIN)?;
            }
            ready!(read)?;
        } else {
            // What was read to recognise the preface.
            self.approved = self.inbox.len();
            self.hand_over(buffer);
            self.approved = 0;
        }
        Poll::Ready(self.follow(buffer.filled().get(before..).unwrap_or_default()))
    }

    /// Follows the client; fails when it asks for too much.
    fn follow(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_leaving() && !bytes.is_empty() {
            self.patience.moved();
        }
        let Phase::H2(traffic) = &mut self.phase else {
            return Ok(());
        };
        if let Some(owed) = &self.owed {
            self.drain.heard(owed);
        }
        let came = traffic.frames.advance(bytes);
        let under_way = !traffic.frames.at_rest();
        if let Some(limit) = traffic.charge(|flood| flood.came(came)) {
            traffic.end(limit, &self.metrics);
        }
        let over = traffic.end == End::Over;
        if came.rested {
            self.patience.disarm();
        }
        if under_way {
            self.arm();
        }
        if over {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        Ok(())
    }

    /// Follows what the client was sent: `length` bytes of these pieces.
    pub(super) fn follow_answers<'a>(
        &mut self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
        length: usize,
    ) {
        if self.is_leaving() {
            self.patience.moved();
        }
        let Phase::H2(traffic) = &mut self.phase else {
            return;
        };
        traffic.sent = traffic.sent.saturating_add(length);
        if traffic.sent > READ_AT_ONCE && self.owed.is_none() {
            self.owed = Some(self.drain.owes());
        }
        let (mut went, mut left) = (Went::default(), length);
        for piece in pieces {
            let sent = piece.get(..left.min(piece.len())).unwrap_or_default();
            traffic.answers.advance(sent, &mut went);
            left -= sent.len();
        }
        for _ in 0..went.refused {
            self.metrics.refused(Limit::Streams);
        }
        if let Some(away) = went.away {
            traffic.told(away, &self.metrics);
        }
        if let Some(limit) = traffic.charge(|flood| flood.went(went)) {
            // Noticed when something is read next; a client that sends nothing more is no flood.
            traffic.end(limit, &self.metrics);
        }
    }
}

impl Traffic {
    fn charge(&mut self, what: impl FnOnce(&mut Flood) -> Option<Limit>) -> Option<Limit> {
        self.flood.as_mut().and_then(what)
    }

    fn end(&mut self, limit: Limit, metrics: &Metrics) {
        if self.end == End::Open {
            self.end = End::Over;
            metrics.refused(limit);
        }
    }

    /// Pingora has told the client that, and why, its connection ends.
    fn told(&mut self, away: Away, metrics: &Metrics) {
        self.end = End::Told;
        match away {
            Away::Resets => metrics.refused(Limit::Resets),
            Away::Head => metrics.refused(Limit::Head),
            Away::Frames => metrics.refused(Limit::Frames),
            Away::Fault => {}
        }
    }
}
