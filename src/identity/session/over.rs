//! What is open for long: a tunnel that is in use keeps its session alive, and a session whose time is over ends what
//! is still open of it.
//!
//! A request that comes is looked at when it comes; what came long ago must be told.

use std::sync::Arc;

use super::{Live, Sessions, Source};
use crate::identity::IdentityFault;

impl Sessions {
    /// The client of something that is open sent something: counts as a use, as a request does.
    pub fn note_use(&self, live: &Arc<Live>) {
        // A certificate is not kept alive by use.
        if let Source::Row(hash) = live.end.source() {
            self.touch(*hash, live, self.0.clock.now());
        }
    }

    /// Ends what is open of sessions whose time is over. Others may have given a session more time, so its row has
    /// the last word.
    ///
    /// # Errors
    /// When the store does not answer; nothing has been forgotten then.
    pub async fn end_expired(&self) -> Result<(), IdentityFault> {
        let now = self.0.clock.now();
        for source in self.0.ends.expired(now) {
            if self.load(&source, now).await?.is_none() {
                let hash = source.hash();
                self.0.cache_of(&source).remove(&hash);
                self.0.ends.announce(&hash);
            }
        }
        Ok(())
    }
}
