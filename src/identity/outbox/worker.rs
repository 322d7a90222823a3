//! Sends what waits, in the background: a few at a time, each again until it was taken or a day is over.
//!
//! A worker that is told to stop takes nothing new and lets what is under way come to its end. What it had
//! taken when the process died is due again when the lease is over: everything is sent at least once.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::base::time::Clock;
use crate::store::DbError;
use crate::store::outbox::{Kind, Taken};
use crate::telemetry::metrics::Metrics;

use super::{Outbox, backoff};

/// How one kind of message is brought to where it belongs.
pub trait Courier: Clone + Send + Sync + 'static {
    /// The kind.
    const KIND: Kind;

    /// How many are under way at once: a slow receiver must not hold up all others.
    const AT_ONCE: usize = 8;

    /// One attempt. Must end within [`backoff::LEASE`].
    fn deliver(&self, body: &[u8]) -> impl Future<Output = Delivery> + Send;
}

/// How an attempt ended. The texts are for the log and hold nothing that opens an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It was taken.
    Done,
    /// It was not, but may be later.
    Later(String),
    /// It never will be.
    Never(String),
}

/// Sends messages of one kind.
#[derive(Clone)]
pub struct Worker<C> {
    /// Where they wait.
    pub outbox: Outbox,
    /// Who carries them.
    pub courier: C,
    /// The time.
    pub clock: Clock,
    /// Where attempts are counted.
    pub metrics: Metrics,
}

/// How often to look for what became due, or what another process has put in.
const LOOK_EVERY: Duration = Duration::from_secs(2);

impl<C: Courier> Worker<C> {
    /// Sends until it is told to stop, then waits for what is under way.
    pub async fn run(self, stop: CancellationToken) {
        let mut under_way = JoinSet::new();
        let bell = self.outbox.bell(C::KIND);
        while !stop.is_cancelled() {
            self.begin(&mut under_way).await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = bell.notified() => {}
                Some(ended) = under_way.join_next() => warn_of_panic::<C>(ended),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        while let Some(ended) = under_way.join_next().await {
            warn_of_panic::<C>(ended);
        }
    }

    /// Takes as many as there is room for.
    async fn begin(&self, under_way: &mut JoinSet<()>) {
        let room = C::AT_ONCE.saturating_sub(under_way.len());
        let Ok(room @ 1..) = u32::try_from(room) else {
            return;
        };
        match self.outbox.take(C::KIND, room, self.clock.now()).await {
            Ok(taken) => taken.into_iter().for_each(|one| {
                under_way.spawn(self.clone().attend(one));
            }),
            Err(error) => {
                tracing::warn!(%error, kind = C::KIND.as_str(), "could not look for messages to send");
            }
        }
    }

    pub(super) async fn attend(self, taken: Taken) {
        let delivery = self.attempt(&taken).await;
        if let Err(error) = self.settle(&taken, delivery).await {
            tracing::warn!(%error, kind = C::KIND.as_str(), ticket = taken.ticket.id, "could not note how sending went; it may be sent again");
        }
    }

    async fn attempt(&self, taken: &Taken) -> Delivery {
        if backoff::is_stale(taken.created_at, self.clock.now()) {
            return Delivery::Never("it is too old".into());
        }
        match self.outbox.open(C::KIND, &taken.body) {
            Ok(body) => self.courier.deliver(body.expose()).await,
            Err(fault) => Delivery::Later(fault.to_string()),
        }
    }

    async fn settle(&self, taken: &Taken, delivery: Delivery) -> Result<(), DbError> {
        let (kind, ticket, attempt) = (C::KIND.as_str(), taken.ticket.id, taken.ticket.attempt);
        let result = match delivery {
            Delivery::Done => {
                self.outbox.done(taken.ticket).await?;
                "sent"
            }
            Delivery::Later(why) => match self.outbox.put_back(taken, self.clock.now()).await? {
                Some(due) => {
                    tracing::warn!(kind, ticket, attempt, %due, "not sent yet: {why}");
                    "retried"
                }
                None => {
                    tracing::error!(kind, ticket, attempt, "given up: {why}");
                    "given_up"
                }
            },
            Delivery::Never(why) => {
                self.outbox.give_up(taken).await?;
                tracing::error!(kind, ticket, attempt, "given up: {why}");
                "given_up"
            }
        };
        self.metrics
            .outbox_sent
            .with_label_values(&[kind, result])
            .inc();
        Ok(())
    }
}

fn warn_of_panic<C: Courier>(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, kind = C::KIND.as_str(), "sending a message failed in an unforeseen way");
    }
}
