//! How many letters one address is sent in all. A notice tells its reader of something that happened; where that is
//! done over and over, by whoever holds an account with their address, the twenty-first of an hour tells nothing
//! new and only fills the box.

use std::time::Duration;

use crate::base::name::Email;
use crate::base::time::Timestamp;
use crate::identity::IdentityFault;
use crate::store::volatile::{Key, Kind, Volatile};

const HOUR: Duration = Duration::from_hours(1);
const LETTERS: u64 = 20;

/// Counts a letter, and says whether it may be sent.
///
/// # Errors
/// When the store does not answer.
pub async fn admit(
    volatile: &dyn Volatile,
    to: &Email,
    now: Timestamp,
) -> Result<bool, IdentityFault> {
    let key = Key::of(&[b"letters", b"all", to.folded().as_bytes()]);
    let tally = volatile.count(Kind::Throttle, &key, HOUR, now).await?;
    if tally.count > LETTERS {
        tracing::warn!("a letter was not sent: twenty went to its reader this hour");
    }
    Ok(tally.count <= LETTERS)
}
