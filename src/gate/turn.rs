//! Which file is in force. Rules are of a file, and so are the roles that they ask for, which lie in the store: a request
//! that is judged while a reload replaces both could meet the rules of one file with the roles of the other.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// The turn that is in force: even, and odd while it changes.
#[derive(Debug, Default)]
pub struct Turns {
    now: AtomicU64,
    changed: Notify,
}

/// A change that is going on. Dropped, it never was.
#[derive(Debug)]
#[must_use = "dropping it puts the old turn in force"]
pub struct Change<'a> {
    turns: &'a Turns,
    old: u64,
}

impl Turns {
    /// Begins to put another file in force. Until that is done, no judgement that rests on somebody's roles counts.
    pub fn change(&self) -> Change<'_> {
        let old = self.now.fetch_add(1, Ordering::AcqRel);
        Change { turns: self, old }
    }

    /// Whether a judgement counts that was made by what belongs to this turn.
    #[must_use]
    pub fn is(&self, turn: u64) -> bool {
        self.now.load(Ordering::Acquire) == turn
    }

    /// Waits until no change is going on.
    pub async fn settled(&self) {
        loop {
            let changed = self.changed.notified();
            if self.now.load(Ordering::Acquire).is_multiple_of(2) {
                return;
            }
            changed.await;
        }
    }
}

impl Change<'_> {
    /// What was replaced is in force, and nothing older is remembered.
    pub fn done(mut self) {
        self.old = next(self.old);
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.turns.now.store(self.old, Ordering::Release);
        self.turns.changed.notify_waiters();
    }
}

/// The turn after this one.
#[must_use]
pub const fn next(turn: u64) -> u64 {
    turn.wrapping_add(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn r_09_nothing_counts_while_a_file_is_replaced() {
        let turns = Arc::new(Turns::default());
        turns.settled().await;
        assert!(turns.is(0));
        let change = turns.change();
        assert!(!turns.is(0) && !turns.is(next(0)));
        let waiting = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { turns.settled().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        change.done();
        waiting.await.unwrap();
        assert!(turns.is(next(0)) && !turns.is(0));
        drop(turns.change());
        assert!(turns.is(next(0)), "one that failed");
    }
}
