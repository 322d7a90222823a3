//! What the guard does once HTTP has ended by agreement, and while that is waited for: nothing is read as a request
//! any more, bytes go through untouched, and a connection on which nothing moves is given up.
//!
//! Apart from the phases of HTTP, because none of them is ever entered again: a tunnel's connection ends with it.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, BufWriter, ReadBuf};

use super::{Backlogs, Guard, Phase, Progress, inner};
use crate::telemetry::limit::Limit;

impl Guard {
    /// From the head's phases to none: what the client sent ahead of the agreement belongs to the tunnel.
    pub(super) fn enter_tunnel(&mut self) {
        self.phase = Phase::Tunnel;
        if let Some(stream) = &self.inner {
            stream.get_ref().keep_little_unsent();
        }
        self.patience.listen_anew();
    }

    /// What waits for the two sides of this connection's tunnel.
    pub(super) fn backlogs(&self) -> &Backlogs {
        self.backlogs.get_or_init(|| self.state.backlogs())
    }

    /// Whatever the client sends, into Pingora's own buffer: a tunnel that is idle keeps no room for more.
    pub(super) fn poll_tunnel(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.send_on(cx)?;
        if !self.inbox.is_empty() {
            self.approved = self.inbox.len();
            self.hand_over(buffer);
            self.approved = 0;
            return Poll::Ready(Ok(()));
        }
        self.inbox = BytesMut::new();
        if self.backlogs().to_service.poll_eased(cx).is_pending() {
            ready!(self.listen(cx))?;
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let Poll::Ready(read) = inner(&mut self.inner)?.poll_read(cx, buffer) else {
            ready!(self.listen(cx))?;
            return Poll::Pending;
        };
        if read.is_err() || buffer.filled().len() == before {
            // The end in either way: with an error, Pingora would forget what came before.
            let deaf = read.is_ok() && self.outbox.is_deaf();
            let broke = if deaf {
                Err(io::ErrorKind::BrokenPipe.into())
            } else {
                read
            };
            self.state.note_left(broke);
            // What it sent last is still to reach the service.
            self.backlogs().to_service.note_last();
        }
        self.patience.moved();
        Poll::Ready(Ok(()))
    }

    /// What the service sent through the tunnel: as much as the client takes at once, and the rest into the outbox.
    pub(super) fn take_in(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<usize> {
        self.outbox.accept(inner(&mut self.inner)?, cx, bytes);
        if !self.outbox.is_empty() || self.outbox.is_deaf() {
            self.backlogs().to_client.note(true);
        }
        self.note_movement();
        Ok(bytes.len())
    }

    /// Sends the client what waits for it, if anything does.
    fn send_on(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let buffered = |stream: &BufWriter<_>| !stream.buffer().is_empty();
        if self.backlogs().to_client.waits() || self.inner.as_ref().is_some_and(buffered) {
            self.drain(cx)?;
        }
        Ok(())
    }

    /// Flushes, without waiting for anything but what the service sent last.
    pub(super) fn poll_send_on(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.drain(cx)?;
        let backlog = &self.backlogs().to_client;
        if backlog.is_last() && backlog.waits() && !self.outbox.is_deaf() {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends the client what it takes; which it must, a piece at a time. For one that takes no more, nothing is read from
    /// the service any more either: what the client sent before may still be on its way.
    fn drain(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let drained = self.outbox.poll_drain(inner(&mut self.inner)?, cx);
        self.backlogs()
            .to_client
            .note(drained.is_pending() || self.outbox.is_deaf());
        if drained.is_pending() {
            let taken = self.outbox.check_taken(cx, self.limits.stall);
            taken.inspect_err(|_| self.cut(Limit::Reader))?;
        }
        Ok(())
    }

    /// Waits for something to come or go, and not for ever where the request says for how long.
    pub(super) fn listen(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Progress>> {
        self.listen_within(cx, None)
    }

    /// The same for a client that may be gone: then nothing of the answer may be missing for longer than `bound`.
    pub(super) fn listen_within(
        &mut self,
        cx: &mut Context<'_>,
        bound: Option<Duration>,
    ) -> Poll<io::Result<Progress>> {
        let asked = self.state.answer();
        let limit = match (asked, bound) {
            (Some(asked), Some(bound)) => Some(asked.min(bound)),
            (asked, bound) => asked.or(bound),
        };
        if let Some(limit) = limit {
            if self.state.take_another() {
                self.patience.answered();
            }
            if let Err(late) = self.patience.check_answer(cx, limit) {
                if asked != Some(limit) {
                    return Poll::Ready(Ok(Progress::End));
                }
                self.state.note_unanswered();
                return Poll::Ready(Err(late));
            }
        }
        let Some(limit) = self.state.silence() else {
            return Poll::Pending;
        };
        let heard = self.patience.check_silence(cx, limit);
        heard.inspect_err(|_| self.state.note_silence())?;
        Poll::Pending
    }

    /// The client took some of what it is sent.
    pub(super) fn note_movement(&mut self) {
        self.patience.answered();
        if self.state.silence().is_some() {
            self.patience.moved();
        }
    }
}
