//! Signals: SIGTERM drains, SIGINT goes at once, SIGQUIT hands over to a new process and then drains.

use std::future::pending;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::proxy::connection::all_parted;
use crate::proxy::drain::Drain;
use crate::proxy::running::Running;

use super::hand_over;
use super::relief;
use super::successor::{HandOverFault, Next, Successor};

/// How long what was promised in answers may take, once there are none any more.
const LAST_ERRANDS: Duration = Duration::from_secs(10);

/// What a process that is given up has beside the time of a drain, and one that is to go at once has altogether.
const LAST_STEPS: Duration = Duration::from_secs(5);

/// Waits for a signal and drains before Pingora is told.
pub struct Signals {
    /// What is drained.
    pub drain: Drain,
    /// What is in force, and with it how long requests in flight may take.
    pub running: Arc<ArcSwap<Running>>,
    /// Who takes over. It holds the ports open, so it goes when draining begins.
    pub successor: Mutex<Option<Successor>>,
    /// What is done after answers that were given.
    pub errands: TaskTracker,
    /// What is listened for; taken by whoever waits.
    pub heard: Mutex<Option<Heard>>,
}

/// What may be waited for.
///
/// Made before the gateway says that it is ready: a SIGQUIT that nobody listens for ends a process, and one that is told
/// to stop would not drain.
pub struct Heard {
    stop: Stop,
    quit: unix::Signal,
    /// Asks for a reload, which the next process must hear of as well.
    hangup: unix::Signal,
    /// The process that has taken over.
    next: Option<Next>,
    /// Those that were to, and are given up.
    leaving: TaskTracker,
    /// What other servers are sent to open their logs anew, or to replace themselves: unheard, it ends a process.
    others: [unix::Signal; 2],
}

/// What says that the gateway is to stop.
struct Stop {
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Heard {
    /// Begins to listen, within a runtime.
    ///
    /// # Errors
    /// When signals cannot be listened for.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            stop: Stop {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            },
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
            next: None,
            leaving: TaskTracker::new(),
            others: [
                signal(SignalKind::user_defined1())?,
                signal(SignalKind::user_defined2())?,
            ],
        })
    }

    /// Waits until the gateway is to drain; `false` when it is to go at once.
    async fn is_patient(
        &mut self,
        successor: Option<&Successor>,
        running: &ArcSwap<Running>,
    ) -> bool {
        loop {
            let [one, two] = &mut self.others;
            tokio::select! {
                // This process reloads by itself.
                _ = self.hangup.recv() => {}
                patient = self.stop.is_patient() => return patient,
                _ = one.recv() => ignore("SIGUSR1"),
                _ = two.recv() => ignore("SIGUSR2"),
                _ = self.quit.recv() => {
                    if let Some(successor) = successor
                        && let Some(patient) = self.is_relieved(successor, running).await
                    {
                        return patient;
                    }
                }
            }
        }
    }

    /// Starts the process that is to take over, and waits for it; none where it does not and this one goes on. Who is told
    /// to stop meanwhile does not wait for it, and stops it, too.
    ///
    /// The new process has read the file when it started: it is asked to reload where this one was since, or what this one
    /// has put in force would be taken back.
    async fn is_relieved(
        &mut self,
        successor: &Successor,
        running: &ArcSwap<Running>,
    ) -> Option<bool> {
        tracing::info!("handing over: starting the new process");
        let known = relief::known(&running.load());
        let started = tokio::select! {
            biased;
            started = successor.start(&known) => started,
            // Who waits for leave to begin has none then, and ends.
            patient = self.stop.is_patient() => return Some(patient),
        };
        let mut next = started.inspect_err(tell_kept).ok()?;
        tracing::info!(pid = next.id, "the new process has been started");
        let mut reloads = false;
        let outcome = {
            let mut ready = pin!(next.ready());
            loop {
                tokio::select! {
                    biased;
                    _ = self.hangup.recv() => reloads = true,
                    ready = &mut ready => break Ok(ready),
                    patient = self.stop.is_patient() => break Err(patient),
                }
            }
        };
        match outcome {
            Ok(Ok(())) => {
                if reloads {
                    pass_on_reload(&next);
                }
                hand_over::over();
                let pid = next.id;
                self.next = Some(next);
                tracing::info!(
                    pid,
                    "the new process serves; waiting for requests in flight"
                );
                Some(true)
            }
            Ok(Err(fault)) => {
                tell_kept(&fault);
                self.give_up(next, running);
                None
            }
            Err(true) => {
                self.give_up(next, running);
                Some(true)
            }
            Err(false) => {
                next.give_up(Signal::INT, LAST_STEPS).await;
                Some(false)
            }
        }
    }

    /// Lets a process go that may have something in flight, for as long as this one would take for it.
    fn give_up(&self, next: Next, running: &ArcSwap<Running>) {
        let longest = running.load().limits.drain + LAST_ERRANDS + LAST_STEPS;
        self.leaving.spawn(next.give_up(Signal::TERM, longest));
    }
}

fn ignore(signal: &'static str) {
    tracing::warn!(
        signal,
        "nothing is done: there are no files of logs, SIGHUP reloads, and SIGQUIT hands over"
    );
}

impl Stop {
    /// Waits until the gateway is to stop: after what is in flight, or, with `false`, at once.
    async fn is_patient(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => {
                tracing::info!("stopping: waiting for requests in flight");
                true
            }
            _ = self.interrupt.recv() => {
                tracing::info!("stopping at once");
                false
            }
        }
    }
}

fn tell_kept(fault: &HandOverFault) {
    tracing::error!(%fault, "not handed over; this process goes on");
}

/// Passes on that there is something to reload, and tells of an end that nobody meant: this process, which could say so,
/// cannot serve again.
async fn look_after(hangup: &mut unix::Signal, next: Option<Next>) {
    let Some(mut next) = next else {
        return pending().await;
    };
    loop {
        let meant = tokio::select! {
            _ = hangup.recv() => {
                pass_on_reload(&next);
                continue;
            }
            meant = next.ended() => meant,
        };
        if !meant {
            tracing::error!(
                pid = next.id,
                "the new process has ended, and nobody serves: start the gateway anew"
            );
        }
        return pending().await;
    }
}

fn pass_on_reload(next: &Next) {
    if let Err(error) = next.tell(Signal::HUP) {
        tracing::error!(%error, "could not tell the new process that there is something to reload");
    }
}

fn take<T>(kept: &Mutex<Option<T>>) -> Option<T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner).take()
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let Some(mut heard) = take(&self.heard) else {
            tracing::error!("asked twice for what to wait for; stopping");
            return ShutdownSignal::FastShutdown;
        };
        let successor = take(&self.successor);
        if !heard.is_patient(successor.as_ref(), &self.running).await {
            return ShutdownSignal::FastShutdown;
        }
        drop(successor);
        let longest = self.running.load().limits.drain;
        let drained = async {
            let idle = self.drain.run(longest).await;
            // A letter that was promised is in the store, or lost.
            self.errands.close();
            let done = timeout(LAST_ERRANDS, self.errands.wait());
            heard.leaving.close();
            let (done, (), ()) = tokio::join!(done, all_parted(), heard.leaving.wait());
            (idle, done.is_ok())
        };
        tokio::select! {
            (idle, done) = drained => {
                if !idle {
                    tracing::warn!("some requests took too long and are cut");
                }
                if !done {
                    tracing::warn!("something that was promised could not be done in time");
                }
                ShutdownSignal::GracefulTerminate
            }
            // Whoever asks this process means the one that serves.
            () = look_after(&mut heard.hangup, heard.next) => ShutdownSignal::FastShutdown,
            _ = heard.stop.interrupt.recv() => ShutdownSignal::FastShutdown,
        }
    }
}
