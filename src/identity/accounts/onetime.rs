//! What stands behind a link in a letter: 256 random bits, kept as a hash, good once and not for long.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{AccountFault, Accounts};
use crate::base::id::UserId;
use crate::base::token::Token;
use crate::identity::IdentityFault;
use crate::store::users::{User, UserChange, UserError};
use crate::store::volatile::{Entry, Key, Kind, NewEntry};

/// How often a change is tried anew when somebody else was quicker.
const TRIES: u32 = 8;

/// What was behind a link.
pub(super) struct Opened<T> {
    /// Whose it is.
    pub(super) owner: Option<UserId>,
    /// What it is for.
    pub(super) what: T,
}

impl Accounts {
    /// Makes what a link leads to. Of one owner and kind there is one at a time: a newer link ends the older.
    pub(super) async fn make_link<T: Serialize>(
        &self,
        kind: Kind,
        owner: Option<UserId>,
        what: &T,
        life: Duration,
    ) -> Result<Token, AccountFault> {
        let now = self.now();
        let token = Token::generate(&self.parts().random)?;
        let entry = NewEntry {
            key: Key::from(token.hash()),
            value: value_of(what)?,
            owner: owner.map(|id| id.0),
            expires_at: now.plus(life),
        };
        let volatile = &self.parts().store.volatile;
        let made = volatile.create_capped(kind, entry, 1, now).await?;
        made.ok_or_else(|| IdentityFault::Random("a link came up twice".into()))?;
        Ok(token)
    }

    /// What is behind a link, which stays good.
    pub(super) async fn look<T: DeserializeOwned>(
        &self,
        kind: Kind,
        token: &str,
    ) -> Result<Opened<T>, AccountFault> {
        let token = Token::parse(token).map_err(|_| AccountFault::Link)?;
        let volatile = &self.parts().store.volatile;
        let entry = volatile
            .get(kind, &Key::from(token.hash()), self.now())
            .await?;
        open(&entry.ok_or(AccountFault::Link)?)
    }

    /// What is behind a link, given to one of those who ask, once.
    pub(super) async fn spend<T: DeserializeOwned>(
        &self,
        kind: Kind,
        token: &str,
    ) -> Result<Opened<T>, AccountFault> {
        let token = Token::parse(token).map_err(|_| AccountFault::Link)?;
        let volatile = &self.parts().store.volatile;
        let entry = volatile
            .take(kind, &Key::from(token.hash()), self.now())
            .await?;
        open(&entry.ok_or(AccountFault::Link)?)
    }
}

impl Accounts {
    /// Changes an account as long as `still` holds of it, and gives it as it was and as it is. What somebody else
    /// changes at the same moment is looked at first.
    pub(super) async fn change_while(
        &self,
        id: UserId,
        still: impl Fn(&User) -> bool + Send,
        change: &UserChange,
    ) -> Result<(User, User), AccountFault> {
        let users = &self.parts().store.users;
        for _ in 0..TRIES {
            let before = users.by_id(id).await?;
            let before = before.filter(|user| user.is_active && still(user));
            let before = before.ok_or(AccountFault::Link)?;
            let judged = Some(before.generation);
            match users.update_if(id, judged, change, self.now()).await {
                Err(UserError::Stale(_)) => {}
                done => return Ok((before, done?)),
            }
        }
        Err(AccountFault::Conflict)
    }
}

/// What is kept of something.
pub(super) fn value_of<T: Serialize>(what: &T) -> Result<Vec<u8>, AccountFault> {
    let value = serde_json::to_vec(what);
    Ok(value.map_err(|error| IdentityFault::Store(error.to_string()))?)
}

/// What was kept.
pub(super) fn open<T: DeserializeOwned>(entry: &Entry) -> Result<Opened<T>, AccountFault> {
    let what = serde_json::from_slice(&entry.value)
        .inspect_err(|error| tracing::error!(%error, "unreadable link in the store"))
        .map_err(|_| AccountFault::Link)?;
    Ok(Opened {
        owner: entry.owner.map(UserId),
        what,
    })
}
