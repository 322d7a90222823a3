//! When a session was last seen: written behind the request, and never so that a dead one lives again.

use std::sync::Arc;
use std::time::Duration;

use super::record::Record;
use super::{Live, Sessions};
use crate::base::time::Timestamp;
use crate::base::token::TokenHash;
use crate::identity::IdentityFault;
use crate::store::volatile::{Key, Kind};

/// "Last seen" is written at most this often.
const TOUCH_EVERY: Duration = Duration::from_mins(1);

impl Sessions {
    /// Writes "last seen" behind the request, at most once a minute, and never brings a dead session back:
    /// the write is a compare-and-set on the row as it was read.
    pub(super) fn touch(&self, hash: TokenHash, live: &Arc<Live>, now: Timestamp) {
        let settings = self.0.settings.load();
        let seen = live.end.touched_at();
        let due = Timestamp::from_millis(seen).plus(TOUCH_EVERY.min(settings.idle / 4));
        if now < due || !live.end.touch(seen, now.millis()) {
            return;
        }
        let (sessions, live) = (self.clone(), Arc::clone(live));
        tokio::spawn(async move {
            if let Err(fault) = sessions.write_seen(hash, &live, now).await {
                tracing::warn!(%fault, sid = %live.sid, "could not note when a session was last seen");
            }
        });
    }

    pub(super) async fn write_seen(
        &self,
        hash: TokenHash,
        live: &Live,
        now: Timestamp,
    ) -> Result<(), IdentityFault> {
        let (key, volatile) = (Key::from(hash), &self.0.store.volatile);
        let Some(entry) = volatile.get(Kind::Session, &key, now).await? else {
            self.forget(&[key]);
            return Ok(());
        };
        let Some(mut record) = Record::decode(&entry) else {
            return Ok(());
        };
        let settings = self.0.settings.load();
        let end = Timestamp::from_millis(record.created_at).plus(settings.max);
        if record.seen_at >= now.millis() {
            // Somebody was quicker: written once more it would end sooner, or make a later write lose its race.
            self.0.ends.expires(&live.end, entry.expires_at.min(end));
            return Ok(());
        }
        // Tokens are given more time by a refresh, never by use.
        let expires_at = if record.tokens {
            entry.expires_at.min(end)
        } else {
            now.plus(settings.idle).min(end)
        };
        record.seen_at = now.millis();
        let written = volatile
            .replace(
                Kind::Session,
                &key,
                entry.version,
                record.encode()?,
                expires_at,
                now,
            )
            .await?;
        if written.is_some() {
            self.0.ends.expires(&live.end, expires_at);
        }
        // Not written: another node was quicker, or the session ended; the next look at the store tells.
        Ok(())
    }
}
