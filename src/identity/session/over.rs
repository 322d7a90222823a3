//! What is open for long: a tunnel that is in use keeps its session alive, and a session whose time is over ends what
//! is still open of it.
//!
//! A request that comes is looked at when it comes; what came long ago must be told.

use std::sync::Arc;

use super::{CACHE_TTL, Live, Sessions, Source};
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
        let mut all = Ok(());
        for (source, over) in self.0.ends.expired(self.0.clock.now()) {
            // A store that has just said nothing is not asked for each of them.
            if all.is_ok() {
                match self.load(&source, self.0.clock.now()).await {
                    Ok(Some(_)) => continue,
                    // One that cannot be read is over, and says nothing of the others.
                    Ok(None) | Err(IdentityFault::Corrupt(_)) => {}
                    Err(fault) => all = Err(fault),
                }
            }
            let ended = all.is_ok() || self.0.clock.now().since(over) > CACHE_TTL;
            if ended {
                let hash = source.hash();
                self.0.cache_of(&source).remove(&hash);
                self.0.ends.announce(&hash);
            }
        }
        all
    }
}
