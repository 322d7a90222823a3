//! What one side of a tunnel is sent and has not taken yet.
//!
//! Pingora does not listen to a side of a tunnel while it writes to that side. Two that send each other more than
//! there is room for, as with a service that sends back what it gets, would so wait for each other for ever. Here a
//! write into a tunnel never waits: what a side does not take at once is kept, and offered again whenever that side is
//! listened to. Nothing more is read for a side as long as something is kept for it, so that this is never more than
//! the few pieces which Pingora had taken from the other side already.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use futures_util::task::AtomicWaker;
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::time::Duration;
use tokio_util::io::poll_write_buf;

use super::patience::Timer;

/// What one side of a tunnel has not taken yet.
#[derive(Debug, Default)]
pub struct Outbox {
    kept: BytesMut,
    /// Some more must have been taken by then.
    due: Timer,
    /// Bytes taken since that was said.
    taken: usize,
    /// The side takes no more; what it sent may still be read, and its end is told by that.
    deaf: bool,
}

/// Whether something is kept for one side of a tunnel, as the other side may know.
#[derive(Debug, Default)]
pub struct Backlog {
    waits: AtomicBool,
    /// Whether the other side has ended, so that there is nobody left to wait with.
    last: AtomicBool,
    eased: AtomicWaker,
}

/// What waits for the two sides of one handshake and the tunnel behind it. Never of a connection: what an earlier handshake
/// of the same client left behind ends a while later, and would be taken for the end of this one.
#[derive(Debug, Default)]
pub struct Backlogs {
    /// Whether something waits for the client.
    pub to_client: Backlog,
    /// Whether something waits for the service.
    pub to_service: Backlog,
}

/// How much a side must take within its limit: one piece, as Pingora reads.
const PIECE: usize = 64 * 1024;

/// How much of what a side was sent may wait in the kernel to be sent, in bytes (`TCP_NOTSENT_LOWAT`, `tcp(7)`). Without a
/// limit that is megabytes, and the kernel says that there is room again only when a third of them is gone: who reads
/// slowly and steadily would look like somebody who does not read.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 * 1024;

/// Has the kernel say soon when a side takes something.
pub fn keep_little_unsent(socket: &TcpStream) {
    #[cfg(target_os = "linux")]
    if let Err(error) = SockRef::from(socket).set_tcp_notsent_lowat(UNSENT) {
        tracing::debug!(%error, "TCP_NOTSENT_LOWAT");
    }
}

impl Outbox {
    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Whether the side takes no more.
    #[must_use]
    pub const fn is_deaf(&self) -> bool {
        self.deaf
    }

    /// Writes what the socket takes at once, in order, and keeps the rest.
    pub fn accept(
        &mut self,
        mut socket: Pin<&mut impl AsyncWrite>,
        cx: &mut Context<'_>,
        mut bytes: &[u8],
    ) {
        while self.kept.is_empty() && !bytes.is_empty() && !self.deaf {
            match socket.as_mut().poll_write(cx, bytes) {
                Poll::Ready(Ok(taken @ 1..)) => bytes = bytes.get(taken..).unwrap_or_default(),
                Poll::Ready(_) => self.lose(),
                Poll::Pending => break,
            }
        }
        if !self.deaf {
            self.kept.extend_from_slice(bytes);
        }
    }

    /// Writes what is kept, and flushes. Keeps no room once that is done.
    pub fn poll_drain(
        &mut self,
        mut socket: Pin<&mut impl AsyncWrite>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        while !self.kept.is_empty() {
            match ready!(poll_write_buf(socket.as_mut(), cx, &mut self.kept)) {
                Ok(taken @ 1..) => self.taken += taken,
                _ => self.lose(),
            }
        }
        if !self.deaf && ready!(socket.poll_flush(cx)).is_err() {
            self.lose();
        }
        (self.kept, self.taken) = (BytesMut::new(), 0);
        self.due.disarm();
        Poll::Ready(())
    }

    /// Whatever was to be written is lost, with what will be.
    fn lose(&mut self) {
        (self.kept, self.deaf) = (BytesMut::new(), true);
    }

    /// What is kept could not all be written just now.
    ///
    /// # Errors
    /// When less than a piece of it was taken within `limit`.
    pub fn check_taken(&mut self, cx: &mut Context<'_>, limit: Duration) -> io::Result<()> {
        if self.taken >= PIECE {
            self.taken = 0;
            self.due.disarm();
        }
        self.due.arm(limit);
        self.due.check(cx)
    }
}

impl Backlog {
    /// Says whether something is kept.
    pub fn note(&self, waits: bool) {
        let before = self.waits.swap(waits, Ordering::AcqRel);
        if before && !waits {
            self.eased.wake();
        }
    }

    /// Whether something is kept.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.waits.load(Ordering::Acquire)
    }

    /// Waits until nothing is kept.
    pub fn poll_eased(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.waits() {
            return Poll::Ready(());
        }
        self.eased.register(cx.waker());
        if self.waits() {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// Nothing more will come from the other side: what was sent last is to be waited for, or it would be lost with
    /// the tunnel.
    pub fn note_last(&self) {
        self.last.store(true, Ordering::Release);
    }

    /// Whether what is written now is to be waited for.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.last.load(Ordering::Acquire)
    }
}
