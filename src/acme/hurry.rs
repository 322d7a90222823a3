//! When this node orders, whatever was noted: sooner where a wrong clock wrote that, or where it failed before somebody put
//! it right; a little later where another node may have more luck.

use std::time::Duration;

use crate::base::time::Timestamp;
use crate::store::DbError;
use crate::store::acme::Wanted;

use super::worker::{Inner, LEASE, Seen, lock};
use super::{Settings, schedule};

/// How long a node that has failed leaves the next order to others: it may be the only one that cannot reach the
/// authority, and must not be the first every time.
const YIELD: Duration = Duration::from_secs(5);

/// Why what is noted is looked at again: somebody may well have put right what was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hurry {
    /// This process has just started.
    Started,
    /// Something else is asked for than before.
    Changed,
}

impl Seen {
    /// Forgets everything but why to look again.
    pub(super) fn forget(&mut self) {
        *self = Self {
            hurry: self.hurry,
            ..Self::default()
        };
    }
}

impl Inner {
    /// Brings forward what is noted for too late, here and in the store, and says what there is no certificate for.
    ///
    /// Only where there is a reason to: which of two nodes has the wrong clock neither of them knows, and each would else
    /// undo for ever what the other notes, orders that are under way included.
    ///
    /// # Errors
    /// What the database said.
    pub(super) async fn bring_forward(
        &self,
        settings: &Settings,
        wanted: &mut [Wanted],
        hurry: Hurry,
        now: Timestamp,
    ) -> Result<(), DbError> {
        for one in wanted {
            let life = self.life(&one.name);
            let mut due = schedule::believed(one.due_at, life, now, settings.pause);
            if life.is_none_or(|(_, until)| until <= now) {
                let wait = match hurry {
                    Hurry::Started => schedule::rest(one.failures, settings.pause),
                    Hurry::Changed => Duration::ZERO,
                };
                // Twice: clocks differ, and two orders at once would be two of the few that an authority allows.
                due = schedule::sooner(due, wait, now, LEASE * 2);
                if due > now {
                    tracing::warn!(name = one.name, next = %due, "there is no certificate yet");
                }
            }
            let directory = settings.directory.as_str();
            if due < one.due_at && self.store.acme.bring_forward(directory, one, due).await? {
                one.due_at = due;
            }
        }
        Ok(())
    }

    /// When a certificate is for this node to order.
    pub(super) fn due(&self, one: &Wanted) -> Timestamp {
        if self.shared && lock(&self.seen).failed.contains(&one.name) {
            one.due_at.plus(YIELD)
        } else {
            one.due_at
        }
    }

    /// From when and until when the certificate is good that is shown for a name.
    fn life(&self, name: &str) -> Option<(Timestamp, Timestamp)> {
        let seen = lock(&self.seen);
        let identity = seen.shown.get(name)?;
        Some((identity.from(), identity.until()))
    }
}
