//! How many letters one address is sent, and one place may cause: mail is no weapon.

use std::net::IpAddr;
use std::time::Duration;

use super::{AccountFault, Accounts};
use crate::base::name::Email;
use crate::base::net::Origin;
use crate::identity::mail::Letter;
use crate::store::volatile::{Key, Kind};

const HOUR: Duration = Duration::from_hours(1);
/// Letters to one address an hour that strangers can cause.
const TO: u64 = 5;
/// Accounts and letters that one place may cause an hour.
const FROM: u64 = 100;

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

    /// Sends a letter that a stranger caused, unless its reader had enough of them. Nobody is told which.
    pub(super) async fn send_for_stranger(&self, to: &Email, letter: &Letter) {
        let key = Key::of(&[b"letters", b"to", to.folded().as_bytes()]);
        let volatile = &self.parts().store.volatile;
        match volatile.count(Kind::Throttle, &key, HOUR, self.now()).await {
            Ok(tally) if tally.count <= TO => self.send(to, letter).await,
            Ok(_) => {
                tracing::warn!("a letter was not sent: its reader had enough of them this hour")
            }
            Err(error) => tracing::error!(%error, "could not count a letter; it was not sent"),
        }
    }

    /// Sends a letter where mail is set up. What cannot be sent is logged: it is told about something that has
    /// happened all the same.
    pub(super) async fn send(&self, to: &Email, letter: &Letter) {
        if !self.has_mail() {
            return;
        }
        if let Err(fault) = self.parts().mailer.post(to, letter, self.now()).await {
            tracing::error!(%fault, letter = letter.template(), "could not leave a letter to be sent");
        }
    }
}
