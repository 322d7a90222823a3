//! Orders that are not waited for as long as was noted: what a wrong clock wrote, and what failed before somebody put it
//! right.

use crate::base::time::Timestamp;
use crate::store::DbError;
use crate::store::acme::Wanted;

use super::worker::{Inner, LEASE, lock};
use super::{Settings, schedule};

impl Inner {
    /// Brings forward what is noted for too late, here and in the store, and says what there is no certificate for.
    ///
    /// # Errors
    /// What the database said.
    pub(super) async fn bring_forward(
        &self,
        settings: &Settings,
        wanted: &mut [Wanted],
        now: Timestamp,
    ) -> Result<(), DbError> {
        let hurry = lock(&self.seen).hurry;
        for one in wanted {
            let life = self.life(&one.name);
            let mut due = schedule::believed(one.due_at, life, now, settings.pause);
            if let Some(wait) = hurry
                && life.is_none_or(|(_, until)| until <= now)
            {
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
        let mut seen = lock(&self.seen);
        // Other settings may have come in between, which are a reason of their own.
        if seen.hurry == hurry {
            seen.hurry = None;
        }
        Ok(())
    }

    /// From when and until when the certificate is good that is shown for a name.
    fn life(&self, name: &str) -> Option<(Timestamp, Timestamp)> {
        let seen = lock(&self.seen);
        let (_, identity) = seen.opened.get(name)?;
        let identity = identity.as_ref()?;
        Some((identity.from(), identity.until()))
    }
}
