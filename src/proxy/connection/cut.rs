//! What cuts a request short: the end of the session that it rests on.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// The session that requests of this connection rest on. It is listened to for as long as the connection
/// lasts and the session stays the same, because the next request is usually of the same session.
pub(super) struct Cut {
    token: CancellationToken,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Whom the end wakes: the task that was at work on the last request, which is nearly always at work on
    /// the next one, too, and need not be told again.
    listener: Option<Waker>,
}

impl Cut {
    /// Cut when that is cancelled.
    pub(super) fn by(token: &CancellationToken) -> Self {
        Self {
            token: token.clone(),
            ended: Box::pin(token.clone().cancelled_owned()),
            listener: None,
        }
    }

    /// Whether it is that which is listened to.
    pub(super) fn is_by(&self, token: &CancellationToken) -> bool {
        self.token == *token
    }

    /// Ready once it is cut.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.token.is_cancelled() {
            return Poll::Ready(());
        }
        if matches!(&self.listener, Some(known) if known.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        self.listener = Some(cx.waker().clone());
        self.ended.as_mut().poll(cx)
    }
}

impl std::fmt::Debug for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cut").finish_non_exhaustive()
    }
}
