//! Signals: SIGTERM drains, SIGINT goes at once, SIGQUIT is for the hand-over to a new process.

use std::time::Duration;

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{SignalKind, signal};

use crate::proxy::drain::Drain;

/// How long requests in flight may take once the gateway is told to stop.
const DRAIN: Duration = Duration::from_secs(30);

/// Waits for a signal and drains before Pingora is told.
pub struct Signals {
    /// What is drained.
    pub drain: Drain,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut terminate), Ok(mut interrupt), Ok(mut quit)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
            signal(SignalKind::quit()),
        ) else {
            tracing::error!(
                "signals cannot be listened for; stopping, rather than running without a way to stop"
            );
            return ShutdownSignal::FastShutdown;
        };
        tokio::select! {
            _ = terminate.recv() => tracing::info!("stopping: waiting for requests in flight"),
            _ = quit.recv() => tracing::info!("stopping: waiting for requests in flight"),
            _ = interrupt.recv() => {
                tracing::info!("stopping at once");
                return ShutdownSignal::FastShutdown;
            }
        }
        tokio::select! {
            idle = self.drain.run(DRAIN) => {
                if !idle {
                    tracing::warn!("some requests took too long and are cut");
                }
                ShutdownSignal::GracefulTerminate
            }
            _ = interrupt.recv() => ShutdownSignal::FastShutdown,
        }
    }
}
