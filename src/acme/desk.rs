//! The desk at which one order is worked on: what is put down for the authority to find is taken up again, however
//! the order ends.

use std::time::Duration;

use tokio::time::sleep;

use crate::store::acme::{Answer, Ticket};

use super::Settings;
use super::client::Client;
use super::order::{self, Issued, OrderFault, Place};
use super::worker::{Inner, LEASE, lock};

/// How long after a write every node has heard of it.
const HEARD: Duration = Duration::from_secs(2);

/// An order that is under way, and what it has put down.
pub(super) struct Desk<'a> {
    parts: &'a Inner,
    answers: std::sync::Mutex<Vec<Answer>>,
}

impl<'a> Desk<'a> {
    pub(super) fn new(parts: &'a Inner) -> Self {
        Self {
            parts,
            answers: std::sync::Mutex::default(),
        }
    }

    pub(super) async fn order(
        &self,
        settings: &Settings,
        client: &Client,
        ticket: &Ticket,
    ) -> Result<Issued, OrderFault> {
        let account = self.parts.account(settings, client).await?;
        // After a failure the other way is tried first: one of the two ports may not be open.
        let mut ways = settings.ways.clone();
        let turns = usize::try_from(ticket.failures).unwrap_or(0) % ways.len().max(1);
        ways.rotate_left(turns);
        let now = || self.parts.clock.now();
        let outcome = order::order(&account, &ticket.name, &ways, self, now).await;
        if let Err(fault) = &outcome
            && self
                .parts
                .is_without_account(settings, &account, fault)
                .await
        {
            tracing::warn!(
                "the authority has no such account any more: the next order makes another"
            );
            self.parts.forget_account(settings, &account).await?;
        }
        outcome
    }

    /// Takes down whatever was put down.
    pub(super) async fn clear(&self) {
        let answers = std::mem::take(&mut *lock(&self.answers));
        for answer in answers {
            if let Err(error) = self.parts.store.acme.silence(&answer).await {
                tracing::warn!(%error, "an answer to an authority stays until it expires");
            }
        }
        if let Err(fault) = self.parts.answer(self.parts.clock.now()).await {
            tracing::warn!(%fault, "could not read what authorities are to find");
        }
    }
}

impl Place for Desk<'_> {
    async fn put(&self, answer: &Answer) -> Result<(), OrderFault> {
        let now = self.parts.clock.now();
        let expires = now.plus(LEASE);
        lock(&self.answers).push(answer.clone());
        self.parts.store.acme.answer(answer, expires, now).await?;
        self.parts.answer(now).await?;
        if self.parts.shared {
            // The authority may come to another node.
            sleep(HEARD).await;
        }
        Ok(())
    }
}
