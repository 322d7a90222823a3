//! Gets certificates in the background, and renews them: for each name one order at a time, on one node of several.
//!
//! A node that dies with an order under way loses it to the next when the lease is over. What any node was issued,
//! and what an authority is to find, every node reads from the store when it hears that something was written.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::base::random::Random;
use crate::base::secret::Secret;
use crate::base::time::{Clock, Timestamp};
use crate::crypto::certificate::Identity;
use crate::crypto::key::GatewayKey;
use crate::crypto::keyring::{Keyring, Pending};
use crate::store::acme::{Answer, Ticket, Wanted};
use crate::store::{DbError, Store};
use crate::telemetry::metrics::Metrics;

use super::answers;
use super::client::Client;
use super::desk::Desk;
use super::hurry::Hurry;
use super::order::{Issued, OrderFault};
use super::shown::{Kept, Opened, context};
use super::{Settings, schedule};

/// How long an order may take.
const DEADLINE: Duration = Duration::from_mins(3);

/// How long a node has an order to itself.
pub(super) const LEASE: Duration = Duration::from_mins(4);

/// How many orders are under way at once: a name that comes to nothing must not hold up all others.
const AT_ONCE: usize = 4;

/// The longest that nobody looks whether something is due, whatever is known of it.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// The shortest.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Gets certificates. Clones share everything.
#[derive(Clone)]
pub struct Worker(Arc<Inner>);

/// What certificates are got with, handed over by `app`.
pub struct Parts {
    /// Where certificates, answers and the account are.
    pub store: Store,
    /// Seals them.
    pub key: GatewayKey,
    /// Where they are shown from.
    pub keyring: Arc<Keyring>,
    /// The time.
    pub clock: Clock,
    /// The dice.
    pub random: Random,
    /// Where orders are counted.
    pub metrics: Metrics,
    /// Whether other nodes have the same store.
    pub shared: bool,
}

/// The parts, and what is known meanwhile.
pub(super) struct Inner {
    parts: Parts,
    /// What is asked for; `None` while nothing is.
    settings: ArcSwapOption<Settings>,
    /// Rings when that has changed.
    changed: Notify,
    /// Held while an account is made: one is enough.
    pub(super) account: Mutex<()>,
    /// What was read last.
    pub(super) seen: std::sync::Mutex<Seen>,
    /// Cancelled when the process is about to end.
    leaving: CancellationToken,
    /// What is under way.
    taken: std::sync::Mutex<Vec<Ticket>>,
}

/// What was read last, so that what has not changed is neither opened again nor complained of again.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) opened: Opened,
    /// By name, what is shown of it.
    pub(super) shown: BTreeMap<String, Arc<Identity>>,
    pub(super) answers: Vec<Answer>,
    /// The names for which the last order of this node came to nothing.
    pub(super) failed: BTreeSet<String>,
    /// Why what is noted is to be looked at again, until that is done.
    pub(super) hurry: Option<Hurry>,
}

impl Worker {
    /// Gets what `settings` ask for.
    #[must_use]
    pub fn new(parts: Parts, settings: Option<Settings>) -> Self {
        Self(Arc::new(Inner {
            parts,
            settings: ArcSwapOption::from_pointee(settings),
            changed: Notify::default(),
            account: Mutex::default(),
            seen: std::sync::Mutex::new(Seen {
                hurry: Some(Hurry::Started),
                ..Seen::default()
            }),
            leaving: CancellationToken::new(),
            taken: std::sync::Mutex::default(),
        }))
    }

    /// Puts other settings in force.
    pub fn configure(&self, settings: Option<Settings>) {
        let settings = settings.map(Arc::new);
        if *self.0.settings.load() != settings {
            self.0.settings.store(settings);
            lock(&self.0.seen).hurry = Some(Hurry::Changed);
            self.0.changed.notify_one();
        }
    }

    /// Reads what was issued before, so that it is served from the first handshake on.
    ///
    /// # Errors
    /// When the store does not answer, or what it holds does not open with this gateway key.
    pub async fn load(&self) -> Result<(), OrderFault> {
        self.0.refresh().await.map(drop)
    }

    /// Asks [`Worker::run`] to end.
    pub fn leave(&self) {
        self.0.leaving.cancel();
    }

    /// Orders what is due until it is asked to end. What is under way then is given back: else the next process would
    /// wait for the lease of this one to be over.
    pub async fn run(self) {
        let mut under_way = JoinSet::new();
        let mut changes = self.0.store.db.changes();
        loop {
            // Before the settings are read: what changes from now on is a reason of its own.
            let hurry = lock(&self.0.seen).hurry.take();
            let pause = match self.begin(hurry, &mut under_way).await {
                Ok(pause) => pause,
                Err(fault) => {
                    tracing::warn!(%fault, "could not look for certificates that are due");
                    let mut seen = lock(&self.0.seen);
                    seen.hurry = seen.hurry.or(hurry);
                    LOOK_EVERY
                }
            };
            tokio::select! {
                () = self.0.changed.notified() => {}
                Ok(()) = changes.changed() => {}
                Some(ended) = under_way.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "ordering a certificate failed in an unforeseen way");
                    }
                }
                () = sleep(pause) => {}
                () = self.0.leaving.cancelled() => break,
            }
        }
        under_way.shutdown().await;
        let now = self.0.clock.now();
        let left = std::mem::take(&mut *lock(&self.0.taken));
        for ticket in left {
            if let Err(error) = self.0.store.acme.give_back(&ticket, now).await {
                tracing::warn!(%error, name = ticket.name, "could not give an order back");
            }
        }
    }

    /// Takes what is due and there is room for. Says how long nothing else will be.
    async fn begin(
        &self,
        hurry: Option<Hurry>,
        under_way: &mut JoinSet<()>,
    ) -> Result<Duration, OrderFault> {
        let mut wanted = self.0.refresh().await?;
        let Some(settings) = self.0.settings.load_full() else {
            return Ok(LOOK_EVERY);
        };
        let now = self.0.clock.now();
        if let Some(hurry) = hurry {
            self.0
                .bring_forward(&settings, &mut wanted, hurry, now)
                .await?;
        }
        let mut pause = LOOK_EVERY;
        for one in &wanted {
            let due = self.0.due(one);
            if due > now {
                pause = pause.min(due.since(now));
            } else if under_way.len() < AT_ONCE
                && let Some(ticket) = self.0.take(&settings, &one.name, now).await?
            {
                let (worker, settings) = (self.clone(), Arc::clone(&settings));
                lock(&self.0.taken).push(ticket.clone());
                under_way.spawn(async move { worker.0.attend(&settings, ticket).await });
            }
        }
        Ok(pause.max(LOOK_AGAIN))
    }
}

impl Deref for Inner {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl Inner {
    /// Reads everything that concerns this node and puts it in force. Gives what is wanted.
    async fn refresh(&self) -> Result<Vec<Wanted>, OrderFault> {
        let Some(settings) = self.settings.load_full() else {
            lock(&self.seen).forget();
            self.keyring.set_issued(Vec::new(), BTreeSet::new());
            self.keyring.set_pending(Pending::default());
            return Ok(Vec::new());
        };
        let now = self.clock.now();
        let directory = settings.directory.as_str();
        let all = self.store.acme.all(directory).await?;
        let known = |name: &&String| all.iter().any(|one| one.name == **name);
        let missing: Vec<_> = settings
            .names
            .iter()
            .filter(|name| !known(name))
            .cloned()
            .collect();
        self.store.acme.want(directory, &missing, now).await?;
        let mut all = if missing.is_empty() {
            all
        } else {
            self.store.acme.all(directory).await?
        };
        all.retain(|one| settings.names.contains(&one.name));
        let is_issued = |name: &String| {
            let mut issued = all.iter().filter(|one| one.sealed.is_some());
            issued.any(|one| one.name == *name)
        };
        let former = if settings.names.iter().all(is_issued) {
            Vec::new()
        } else {
            self.store.acme.former(directory).await?
        };
        self.show(&settings, &all, &former, now);
        self.answer(now).await?;
        Ok(all)
    }

    pub(super) async fn answer(&self, now: Timestamp) -> Result<(), OrderFault> {
        let answers = self.store.acme.answers(now).await?;
        let mut seen = lock(&self.seen);
        if seen.answers != answers {
            self.keyring.set_pending(answers::pending(&answers)?);
            seen.answers = answers;
        }
        Ok(())
    }

    async fn take(
        &self,
        settings: &Settings,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<Ticket>, DbError> {
        let directory = settings.directory.as_str();
        self.store.acme.take(directory, name, LEASE, now).await
    }

    /// One order, from its beginning to what is noted of it.
    async fn attend(&self, settings: &Settings, ticket: Ticket) {
        let client = Client::new(settings, self.clock.clone());
        let desk = Desk::new(self);
        let order = desk.order(settings, &client, &ticket);
        let outcome = timeout(DEADLINE, order).await;
        desk.clear().await;
        let outcome = outcome.unwrap_or(Err(OrderFault::TooSlow(DEADLINE)));
        // It has come to its end, which is about to be noted.
        lock(&self.taken).retain(|other| *other != ticket);
        let noted = match outcome {
            Ok(issued) => self.keep(settings, &ticket, &issued).await,
            Err(fault) => self.put_off(settings, &client, &ticket, &fault).await,
        };
        if let Err(fault) = noted {
            tracing::warn!(%fault, name = ticket.name, "could not note what came of an order");
        }
    }

    async fn keep(
        &self,
        settings: &Settings,
        ticket: &Ticket,
        issued: &Issued,
    ) -> Result<(), OrderFault> {
        let kept = Secret::new(serde_json::to_vec(&Kept {
            chain: issued.chain.clone(),
            key: issued.key.expose().clone(),
        })?);
        let context = context(&ticket.directory, &ticket.name);
        let sealed = self.key.seal(&context, kept.expose(), &self.random)?;
        let (identity, now) = (&issued.identity, self.clock.now());
        let due = schedule::renewal(identity.from(), identity.until(), now, settings.pause);
        let ours = self.store.acme.issued(ticket, sealed, due).await?;
        self.count("issued");
        tracing::info!(name = ticket.name, until = %identity.until(), renewal = %due, ours, "a certificate was issued");
        self.refresh().await.map(drop)
    }

    async fn put_off(
        &self,
        settings: &Settings,
        client: &Client,
        ticket: &Ticket,
        fault: &OrderFault,
    ) -> Result<(), OrderFault> {
        let dice = u16::from_le_bytes(self.random.quick());
        let failures = ticket.failures.saturating_add(1);
        let asked = client.asked_to_wait();
        let now = self.clock.now();
        let due = schedule::retry(failures, asked, now, settings.pause, dice);
        lock(&self.seen).failed.insert(ticket.name.clone());
        self.store.acme.failed(ticket, due).await?;
        self.count("failed");
        let said = printable(&fault.to_string());
        tracing::error!(name = ticket.name, failures, next = %due, "no certificate was issued: {said}");
        Ok(())
    }

    fn count(&self, result: &str) {
        self.metrics.acme_orders.with_label_values(&[result]).inc();
    }
}

pub(super) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What an authority said, fit for a line of the log.
fn printable(text: &str) -> String {
    let fit = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(fit).take(500).collect()
}
