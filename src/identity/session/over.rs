//! What is open for long: a tunnel that is in use keeps its session alive, and a session whose time is over ends what
//! is still open of it.
//!
//! A request that comes is looked at when it comes; what came long ago must be told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt, stream};

use super::{CACHE_TTL, Live, Sessions, Source};
use crate::base::time::Timestamp;
use crate::identity::IdentityFault;

impl Sessions {
    /// The client of something that is open sent something: counts as a use, as a request does.
    pub fn note_use(&self, live: &Arc<Live>) {
        // A certificate is not kept alive by use.
        if let Source::Row(hash) = live.end.source() {
            self.touch(*hash, live, self.0.clock.now());
        }
    }

    /// Whether a rule lets in whoever lacks something: what is open then ends also when somebody is given more.
    pub fn count_gains(&self, gains_count: bool) {
        self.0.ends.count_gains(gains_count);
    }

    /// Ends what is open of sessions whose time is over. Others may have given a session more time, so its row has
    /// the last word; and where nobody can read it, its time is over a while later.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn end_expired(&self) -> Result<(), IdentityFault> {
        let inner = &self.0;
        let expired = inner.ends.expired(inner.clock.now());
        let answers = &AtomicBool::new(true);
        let looks = stream::iter(expired)
            .map(async |(source, over)| self.end_if_over(&source, over, answers).await);
        let looks = looks.buffer_unordered(inner.store.db.reads_at_once());
        looks.fold(Ok(()), async |all, one| all.and(one)).await
    }

    async fn end_if_over(
        &self,
        source: &Source,
        over: Timestamp,
        answers: &AtomicBool,
    ) -> Result<(), IdentityFault> {
        let inner = &self.0;
        let mut looked = Ok(());
        let mut unread = true;
        // A store that has just said nothing is not asked for each of them.
        if answers.load(Ordering::Relaxed) {
            let found = self.load_from(&inner.looking, source, inner.clock.now());
            match found.await {
                Ok(Some(_)) => return Ok(()),
                // One that cannot be read is over, and says nothing of the others.
                Ok(None) | Err(IdentityFault::Corrupt(_)) => unread = false,
                Err(fault) => {
                    answers.store(false, Ordering::Relaxed);
                    looked = Err(fault);
                }
            }
        }
        if !unread || inner.clock.now().since(over) > CACHE_TTL {
            let hash = source.hash();
            inner.cache_of(source).remove(&hash);
            inner.ends.announce(&hash);
        }
        looked
    }
}
