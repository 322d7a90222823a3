//! Looking at sessions again, because something has changed that they rest on: nothing stale is believed from then on, and
//! what is open ends where its session is no more.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::ends::Source;
use super::{Inner, Sessions};
use crate::base::id::UserId;
use crate::base::token::TokenHash;
use crate::identity::IdentityFault;
use crate::store::volatile::Kind;

/// Until the store is asked again that did not answer.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Something that everybody who is let in rests on has changed. Unless all that follows from it was done, nothing that is
/// remembered is believed, and [`Sessions::missed`] hears of it.
struct Undone<'a>(Option<&'a Inner>);

impl Undone<'_> {
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Undone<'_> {
    fn drop(&mut self) {
        if let Some(inner) = self.0 {
            inner.forget_all();
            inner.missed.notify_one();
        }
    }
}

impl Sessions {
    /// Drops every cached answer, as when another process wrote to the store, and ends live requests whose
    /// session is no more. Certificates come first: that nobody vouches for one any more is known without the store.
    ///
    /// # Errors
    /// When the store did not answer for one of them; the others have been looked at. Nothing stale is cached then,
    /// so nothing stale is believed.
    pub async fn revalidate(&self) -> Result<(), IdentityFault> {
        self.distrust();
        self.look_through().await
    }

    /// Drops every cached answer: whoever asks from now on is asked of the store.
    pub fn distrust(&self) {
        self.0.epoch.fetch_add(1, Ordering::AcqRel);
        self.0.forget_all();
    }

    /// Ends live requests whose session is no more.
    ///
    /// # Errors
    /// As [`Sessions::revalidate`].
    pub async fn look_through(&self) -> Result<(), IdentityFault> {
        let undone = Undone(Some(&self.0));
        let mut sources = self.0.ends.in_use();
        sources.sort_by_key(|source| matches!(source, Source::Row(_)));
        self.look_at(sources).await?;
        undone.done();
        Ok(())
    }

    /// Waits until somebody has changed something, and what is open could not be looked at: the store did not answer, or
    /// they left. To do what they asked for once more would change nothing, and look at nothing.
    pub(super) async fn missed(&self) {
        self.0.missed.notified().await;
    }

    /// Ends live requests of those sessions among these that are no more.
    async fn look_at(&self, sources: Vec<Source>) -> Result<(), IdentityFault> {
        let at_once = self.0.store.db.reads_at_once();
        let looks = stream::iter(sources).map(async |source| self.look(&source).await);
        let looks = looks.buffer_unordered(at_once);
        looks.fold(Ok(()), async |all, one| all.and(one)).await
    }

    async fn look(&self, source: &Source) -> Result<(), IdentityFault> {
        let found = self.load_from(&self.0.looking, source, self.0.clock.now());
        let is_over = match found.await {
            Ok(live) => live.is_none(),
            // Whose it is cannot be read, now or later: one such row must not keep the others' ends from being heard.
            Err(fault @ IdentityFault::Corrupt(_)) => {
                tracing::error!(%fault, "a session is ended whose account cannot be read");
                true
            }
            Err(fault) => return Err(fault),
        };
        if is_over {
            self.0.ends.announce(&source.hash());
        }
        Ok(())
    }

    /// Empties the cache when another process has written to the store, and ends what that ends; also what a change of this
    /// process ends whose look failed. Never returns while the store is open.
    pub async fn follow_changes(&self) {
        let mut changes = self.0.store.db.changes();
        let again = Notify::new();
        // Whoever asks from now on is asked of the store; that waits for no other session.
        let distrust = async {
            while changes.changed().await.is_ok() {
                self.distrust();
                again.notify_one();
            }
        };
        let end_what_is_open = async {
            loop {
                tokio::select! {
                    () = again.notified() => {}
                    // Of this process, which hears no word of its own changes.
                    () = self.missed() => {}
                }
                while let Err(fault) = self.look_through().await {
                    tracing::warn!(%fault, "could not look at the sessions again; none is cached");
                    sleep(RETRY_AFTER).await;
                }
            }
        };
        tokio::select! {
            () = distrust => {}
            () = end_what_is_open => {}
        }
    }

    /// Looks at one user's sessions again, after their account was changed.
    ///
    /// # Errors
    /// As [`Sessions::revalidate`].
    pub async fn reconsider(&self, user: UserId) -> Result<(), IdentityFault> {
        let inner = &self.0;
        inner.epoch.fetch_add(1, Ordering::AcqRel);
        // Whoever asks may leave before it is done.
        let undone = Undone(Some(inner));
        let now = inner.clock.now();
        let owned = inner.store.volatile.owned(Kind::Session, user.0, now).await;
        let owned = owned?;
        let rows = owned
            .iter()
            .map(|entry| Source::Row(TokenHash::from_bytes(*entry.key.as_bytes())));
        let sources: Vec<Source> = rows.chain(inner.ends.certificates_of(user)).collect();
        // None of them is believed from here on, whatever the store says of the others.
        for source in &sources {
            inner.cache_of(source).remove(&source.hash());
        }
        let used = |source: &Source| inner.ends.is_used(&source.hash());
        self.look_at(sources.into_iter().filter(used).collect())
            .await?;
        undone.done();
        Ok(())
    }
}
