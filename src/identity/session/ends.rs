//! Where the end of a session is heard: one place for each session that somebody is using just now.
//!
//! It outlives what the cache knows of the session. A stream that was opened under an earlier reading of the
//! row ends all the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio_util::sync::CancellationToken;

use crate::base::token::TokenHash;

/// The ends of all sessions in use.
#[derive(Debug, Default)]
pub(super) struct Ends(Mutex<Register>);

/// The end of one session: cancelled when it comes.
#[derive(Debug, Default)]
pub(super) struct End(CancellationToken);

#[derive(Debug, Default)]
struct Register {
    ends: HashMap<TokenHash, Weak<End>>,
    /// At this many entries those that nobody uses any more are cleared away.
    sweep_at: usize,
}

const SWEEP_LEAST: usize = 1_024;

impl End {
    /// Cancelled when the session ends.
    pub(super) const fn token(&self) -> &CancellationToken {
        &self.0
    }
}

impl Ends {
    /// The end of a session, the same one for everybody who uses it.
    pub(super) fn of(&self, hash: TokenHash) -> Arc<End> {
        let mut register = self.lock();
        if let Some(end) = register.ends.get(&hash).and_then(Weak::upgrade) {
            return end;
        }
        register.sweep();
        let end = Arc::new(End::default());
        register.ends.insert(hash, Arc::downgrade(&end));
        end
    }

    /// The session has ended: everybody who uses it is told.
    pub(super) fn announce(&self, hash: &TokenHash) {
        if let Some(end) = self.lock().ends.remove(hash).and_then(|end| end.upgrade()) {
            end.0.cancel();
        }
    }

    /// Whether somebody uses a session.
    pub(super) fn is_used(&self, hash: &TokenHash) -> bool {
        let register = self.lock();
        let end = register.ends.get(hash);
        end.is_some_and(|end| end.strong_count() > 0)
    }

    /// The sessions that somebody uses.
    pub(super) fn in_use(&self) -> Vec<TokenHash> {
        let register = self.lock();
        let used = register
            .ends
            .iter()
            .filter(|(_, end)| end.strong_count() > 0);
        used.map(|(hash, _)| *hash).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Register> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Register {
    fn sweep(&mut self) {
        if self.ends.len() >= self.sweep_at.max(SWEEP_LEAST) {
            self.ends.retain(|_, end| end.strong_count() > 0);
            self.sweep_at = self.ends.len() * 2;
        }
    }
}
