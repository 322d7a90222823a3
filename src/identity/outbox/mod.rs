//! What is to be sent to others, kept until it was: the sealed side of [`crate::store::outbox`].
//!
//! A mail holds links that open accounts, so what is stored is sealed with the gateway key, and a stolen
//! database opens nothing. Whoever puts a message in does not wait for it to be sent: [`worker`] does that, in
//! the background, again and again by the rules of [`backoff`].

pub mod backoff;
pub mod worker;

use std::sync::Arc;

use tokio::sync::Notify;

use crate::base::random::Random;
use crate::base::secret::Secret;
use crate::base::time::Timestamp;
use crate::crypto::key::{GatewayKey, KeyFault};
use crate::store;
use crate::store::outbox::{Kind, NewMessage, Taken, Ticket};

use super::IdentityFault;

/// Messages on their way out. Clones share them.
#[derive(Clone)]
pub struct Outbox {
    store: store::outbox::Outbox,
    key: GatewayKey,
    random: Random,
    mail: Arc<Notify>,
    hook: Arc<Notify>,
}

/// A message to be sent.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// Names it: while it waits, a second one of the same name is let go.
    pub key: String,
    /// What its courier reads.
    pub body: Secret<Vec<u8>>,
}

impl Outbox {
    /// Over the stored messages, sealed with `key`.
    #[must_use]
    pub fn new(store: store::outbox::Outbox, key: GatewayKey, random: Random) -> Self {
        Self {
            store,
            key,
            random,
            mail: Arc::default(),
            hook: Arc::default(),
        }
    }

    /// Keeps messages to be sent, all or none, and wakes whoever sends them.
    ///
    /// # Errors
    /// When the store does not answer, or there is no randomness to seal with.
    pub async fn put(
        &self,
        kind: Kind,
        parcels: Vec<Parcel>,
        now: Timestamp,
    ) -> Result<(), IdentityFault> {
        if parcels.is_empty() {
            return Ok(());
        }
        let seal = |Parcel { key, body }| -> Result<_, KeyFault> {
            let body = self.key.seal(context(kind), body.expose(), &self.random)?;
            Ok(NewMessage { kind, key, body })
        };
        let messages = parcels.into_iter().map(seal).collect::<Result<_, _>>()?;
        self.store.put(messages, now).await?;
        self.bell(kind).notify_one();
        Ok(())
    }

    async fn take(
        &self,
        kind: Kind,
        most: u32,
        now: Timestamp,
    ) -> Result<Vec<Taken>, store::DbError> {
        let spans = (backoff::LEASE, backoff::LONGEST);
        self.store.take(kind, most, spans, now).await
    }

    fn open(&self, kind: Kind, sealed: &[u8]) -> Result<Secret<Vec<u8>>, KeyFault> {
        self.key.open(context(kind), sealed)
    }

    async fn done(&self, ticket: Ticket) -> Result<(), store::DbError> {
        self.store.done(ticket).await
    }

    /// When a message that was not sent is due again; `None` when it is given up.
    async fn put_back(
        &self,
        taken: &Taken,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, store::DbError> {
        let dice = u16::from_le_bytes(self.random.quick());
        let due = backoff::next(taken.ticket.attempt, taken.created_at, now, dice);
        match due {
            Some(due) => self.store.retry(taken.ticket, due).await?,
            None => self.store.give_up(taken.ticket).await?,
        };
        Ok(due)
    }

    async fn give_up(&self, taken: &Taken) -> Result<(), store::DbError> {
        self.store.give_up(taken.ticket).await.map(drop)
    }

    /// Rings when something of this kind was put in by this process.
    fn bell(&self, kind: Kind) -> &Notify {
        match kind {
            Kind::Mail => &self.mail,
            Kind::Hook => &self.hook,
        }
    }
}

/// What messages are sealed for: one kind cannot be passed off as the other.
const fn context(kind: Kind) -> &'static str {
    match kind {
        Kind::Mail => "outbox/mail",
        Kind::Hook => "outbox/hook",
    }
}

#[cfg(test)]
mod tests;
