//! Signals: SIGTERM drains, SIGINT goes at once, SIGQUIT hands over to a new process and then drains.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::proxy::drain::Drain;
use crate::proxy::running::Running;

use super::hand_over::Successor;

/// Waits for a signal and drains before Pingora is told.
pub struct Signals {
    /// What is drained.
    pub drain: Drain,
    /// What is in force, and with it how long requests in flight may take.
    pub running: Arc<ArcSwap<Running>>,
    /// Who takes over. It holds the ports open, so it goes when draining begins.
    pub successor: Mutex<Option<Arc<Successor>>>,
}

/// What may be waited for.
struct Heard {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Heard {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// Waits until the gateway is to drain; `false` when it is to go at once.
    async fn is_patient(&mut self, successor: Option<&Arc<Successor>>) -> bool {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => {
                    tracing::info!("stopping: waiting for requests in flight");
                    return true;
                }
                _ = self.quit.recv() => if hand_over(successor).await { return true },
                _ = self.interrupt.recv() => {
                    tracing::info!("stopping at once");
                    return false;
                }
            }
        }
    }
}

/// Whether a new process has taken over. Where none did, this one goes on.
async fn hand_over(successor: Option<&Arc<Successor>>) -> bool {
    let Some(successor) = successor.map(Arc::clone) else {
        return false;
    };
    tracing::info!("handing over: starting the new process");
    let started = tokio::task::spawn_blocking(move || successor.start()).await;
    let fault = match started {
        Ok(Ok(pid)) => {
            tracing::info!(
                pid,
                "the new process serves; waiting for requests in flight"
            );
            return true;
        }
        Ok(Err(fault)) => fault.to_string(),
        Err(fault) => fault.to_string(),
    };
    tracing::error!(fault, "not handed over; this process goes on");
    false
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let Ok(mut heard) = Heard::new() else {
            tracing::error!(
                "signals cannot be listened for; stopping, rather than running without a way to stop"
            );
            return ShutdownSignal::FastShutdown;
        };
        let successor = self
            .successor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if !heard.is_patient(successor.as_ref()).await {
            return ShutdownSignal::FastShutdown;
        }
        drop(successor);
        let longest = self.running.load().limits.drain;
        tokio::select! {
            idle = self.drain.run(longest) => {
                if !idle {
                    tracing::warn!("some requests took too long and are cut");
                }
                ShutdownSignal::GracefulTerminate
            }
            _ = heard.interrupt.recv() => ShutdownSignal::FastShutdown,
        }
    }
}
