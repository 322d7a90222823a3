//! Signals: SIGTERM drains, SIGINT goes at once, SIGQUIT hands over to a new process and then drains.

use std::future::pending;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::proxy::connection::all_parted;
use crate::proxy::drain::Drain;
use crate::proxy::running::Running;

use super::hand_over::{Line, Starting, Successor};

/// How long what was promised in answers may take, once there are none any more.
const LAST_ERRANDS: Duration = Duration::from_secs(10);

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
    next: Option<u32>,
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
            others: [
                signal(SignalKind::user_defined1())?,
                signal(SignalKind::user_defined2())?,
            ],
        })
    }

    /// Waits until the gateway is to drain; `false` when it is to go at once.
    async fn is_patient(&mut self, successor: Option<&Successor>) -> bool {
        let [one, two] = &mut self.others;
        loop {
            tokio::select! {
                // This process reloads by itself.
                _ = self.hangup.recv() => {}
                patient = self.stop.is_patient() => return patient,
                _ = one.recv() => ignore("SIGUSR1"),
                _ = two.recv() => ignore("SIGUSR2"),
                _ = self.quit.recv() => {
                    if let Some(next) = hand_over(successor)
                        && let Some(patient) = self.stop.is_relieved(next, (&mut self.hangup, &mut self.next)).await
                    {
                        return patient;
                    }
                }
            }
        }
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

    /// Waits for the new process; none where it does not take over and this one goes on. Who is told to stop meanwhile
    /// does not wait for it, and stops it, too.
    ///
    /// The new process has read the file when it started: it is asked to reload where this one was since, or what this one
    /// has put in force would be taken back.
    async fn is_relieved(
        &mut self,
        (starting, line): (Starting, Line),
        (hangup, next): (&mut unix::Signal, &mut Option<u32>),
    ) -> Option<bool> {
        let mut waiting = pin!(starting.wait());
        let mut reloads = false;
        let (stopped, started) = loop {
            tokio::select! {
                biased;
                _ = hangup.recv() => reloads = true,
                started = &mut waiting => break (None, started),
                patient = self.is_patient() => {
                    line.cut();
                    break (Some(patient), waiting.await);
                }
            }
        };
        let fault = match started {
            Ok(pid) => {
                if let Some(patient) = stopped {
                    pass_on(pid, if patient { Signal::TERM } else { Signal::INT });
                } else {
                    *next = Some(pid);
                    if reloads {
                        pass_on(pid, Signal::HUP);
                    }
                    tracing::info!(
                        pid,
                        "the new process serves; waiting for requests in flight"
                    );
                }
                return Some(stopped.unwrap_or(true));
            }
            Err(fault) => fault,
        };
        if stopped.is_none() {
            tell_kept(&fault.to_string());
        }
        stopped
    }
}

/// Starts the process that is to take over. Where that cannot be, this one goes on.
fn hand_over(successor: Option<&Successor>) -> Option<(Starting, Line)> {
    tracing::info!("handing over: starting the new process");
    successor?
        .start()
        .inspect_err(|fault| tell_kept(&fault.to_string()))
        .ok()
}

fn tell_kept(fault: &str) {
    tracing::error!(fault, "not handed over; this process goes on");
}

/// Passes on that there is something to reload, for as long as there is somebody to hear of it.
async fn pass_on_reloads(hangup: &mut unix::Signal, next: Option<u32>) {
    let Some(next) = next else {
        return pending().await;
    };
    loop {
        hangup.recv().await;
        pass_on(next, Signal::HUP);
    }
}

/// Tells the process that was ready just then what this one was told.
fn pass_on(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(Err(error)) = pid.map(|pid| kill_process(pid, signal)) {
        tracing::error!(%error, ?signal, "could not tell the new process what this one was told");
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
        if !heard.is_patient(successor.as_ref()).await {
            return ShutdownSignal::FastShutdown;
        }
        drop(successor);
        let longest = self.running.load().limits.drain;
        let drained = async {
            let idle = self.drain.run(longest).await;
            // A letter that was promised is in the store, or lost.
            self.errands.close();
            let done = timeout(LAST_ERRANDS, self.errands.wait());
            let (done, ()) = tokio::join!(done, all_parted());
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
            () = pass_on_reloads(&mut heard.hangup, heard.next) => ShutdownSignal::FastShutdown,
            _ = heard.stop.interrupt.recv() => ShutdownSignal::FastShutdown,
        }
    }
}
