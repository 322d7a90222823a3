//! What the guard does once HTTP has ended by agreement, and while that is waited for: nothing is read as a request
//! any more, bytes go through untouched, and a connection on which nothing moves is given up.
//!
//! Apart from the phases of HTTP, because none of them is ever entered again: a tunnel's connection ends with it.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};

use super::{Guard, Phase, Progress, inner};

impl Guard {
    /// From the head's phases to none: what the client sent ahead of the agreement belongs to the tunnel.
    pub(super) fn enter_tunnel(&mut self) {
        self.phase = Phase::Tunnel;
        self.patience.listen_anew();
    }

    /// Whatever the client sends, into Pingora's own buffer: a tunnel that is idle keeps no room for more.
    pub(super) fn poll_tunnel(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.send_what_waits(cx)?;
        if !self.inbox.is_empty() {
            self.approved = self.inbox.len();
            self.hand_over(buffer);
            self.approved = 0;
            return Poll::Ready(Ok(()));
        }
        self.inbox = BytesMut::new();
        if self.state.poll_eased(cx).is_pending() {
            ready!(self.listen(cx))?;
            return Poll::Pending;
        }
        if inner(&mut self.inner)?.poll_read(cx, buffer)?.is_ready() {
            self.patience.moved();
            return Poll::Ready(Ok(()));
        }
        ready!(self.listen(cx))?;
        Poll::Pending
    }

    /// Waits for something to come or go, and not for ever where the request says for how long.
    pub(super) fn listen(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Progress>> {
        if let Some(limit) = self.state.answer() {
            if self.state.take_another() {
                self.patience.answered();
            }
            let heard = self.patience.check_answer(cx, limit);
            heard.inspect_err(|_| self.state.note_unanswered())?;
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
