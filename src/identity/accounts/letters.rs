//! How many letters one address is sent, and one place may cause: mail is no weapon.

use std::net::IpAddr;
use std::time::Duration;

use super::{AccountFault, Accounts};
use crate::base::id::UserId;
use crate::base::name::Email;
use crate::base::net::Origin;
use crate::identity::mail::{Letter, ration};
use crate::store::volatile::{Key, Kind};

/// What whoever asks for a letter is told where none can be sent.
pub const NO_LETTERS: &str = "No letters are sent here. Please ask an administrator.";

const HOUR: Duration = Duration::from_hours(1);
/// Letters of one kind to one address an hour that strangers can cause.
const TO: u64 = 5;
/// Accounts and letters that one place may cause an hour.
const FROM: u64 = 100;
/// Names that one user may take an hour.
pub(super) const NAMES: (&[u8], u64) = (b"names", 20);
/// Addresses that one user may have letters sent to an hour.
pub(super) const BY: (&[u8], u64) = (b"by", 20);
/// Addresses that one user may take without proof an hour: each change is told to the address before it, whose reader
/// has their own ration of letters, and to hooks.
pub(super) const MOVES: (&[u8], u64) = (b"moves", 100);

impl Accounts {
    /// Counts something that a stranger caused from `ip`.
    pub(super) async fn admit_stranger(&self, ip: IpAddr) -> Result<(), AccountFault> {
        let origin = Origin::of(ip).to_string();
        let key = Key::of(&[b"letters", b"from", origin.as_bytes()]);
        let volatile = &self.parts().store.volatile;
        let tally = volatile
            .count(Kind::Throttle, &key, HOUR, self.now())
            .await?;
        if tally.count > FROM {
            return Err(AccountFault::TooMany);
        }
        Ok(())
    }

    /// Counts another name or address of a user's.
    pub(super) async fn admit_change(
        &self,
        user: UserId,
        (what, most): (&[u8], u64),
    ) -> Result<(), AccountFault> {
        let key = Key::of(&[b"letters", what, &user.0.to_be_bytes()]);
        let volatile = &self.parts().store.volatile;
        let tally = volatile
            .count(Kind::Throttle, &key, HOUR, self.now())
            .await?;
        if tally.count > most {
            return Err(AccountFault::TooMany);
        }
        Ok(())
    }

    /// Whether a letter of this kind that a stranger caused may be sent, or its reader had enough of them. Asked
    /// before a link is made, so that one that was sent stays good; nobody is told the answer.
    pub(super) async fn admit_letter(&self, kind: &str, to: &Email) -> bool {
        let key = Key::of(&[b"letters", b"to", kind.as_bytes(), to.folded().as_bytes()]);
        let volatile = &self.parts().store.volatile;
        match volatile.count(Kind::Throttle, &key, HOUR, self.now()).await {
            Ok(tally) if tally.count <= TO => true,
            Ok(_) => {
                tracing::warn!(
                    kind,
                    "a letter was not sent: its reader had enough of them this hour"
                );
                false
            }
            Err(error) => {
                tracing::error!(%error, kind, "could not count a letter; it was not sent");
                false
            }
        }
    }

    /// Sends a letter where mail is set up. What cannot be sent is logged: it is told about something that has
    /// happened all the same.
    pub(super) async fn send(&self, to: &Email, letter: &Letter) {
        // Logged, and nobody's to wait for.
        let _ = self.post(to, letter).await;
    }

    /// The same of a letter without which what it is about has not happened.
    ///
    /// # Errors
    /// When the address has had too many, or the letter could not be left to be sent.
    pub(super) async fn post(&self, to: &Email, letter: &Letter) -> Result<(), AccountFault> {
        if !self.has_mail() {
            return Ok(());
        }
        let (parts, now) = (self.parts(), self.now());
        let posted = match ration::admit(&*parts.store.volatile, to, now).await {
            Ok(true) => parts.mailer.post(to, letter, now).await,
            Ok(false) => return Err(AccountFault::TooMany),
            Err(fault) => Err(fault),
        };
        posted
            .inspect_err(|fault| {
                tracing::error!(%fault, letter = letter.template(), "could not leave a letter to be sent");
            })
            .map_err(Into::into)
    }
}
