//! Sessions as their owners and administrators see them: listing them, and ending them.

use super::{Sessions, hash_of};
use crate::base::id::{PublicId, UserId};
use crate::base::time::Timestamp;
use crate::base::token::Token;
use crate::identity::IdentityFault;
use crate::store::volatile::{Entry, Key, Kind};

use super::record::{Record, SessionInfo};

impl Sessions {
    /// Ends the session behind a cookie; whether there was one.
    ///
    /// # Errors
    /// When the store does not answer; the session is then not known to be dead.
    pub async fn end(&self, token: &Token) -> Result<bool, IdentityFault> {
        self.end_key(Key::from(token.hash())).await
    }

    /// Ends the session of this public name, whoever's it is, and what may have been asked for in it; whether there was
    /// one.
    ///
    /// # Errors
    /// As [`Sessions::end`].
    pub async fn end_sid(&self, sid: PublicId) -> Result<bool, IdentityFault> {
        let (all, name) = (self.all().await?, sid.to_string());
        let Some((key, info)) = all.iter().find(|(_, info)| info.sid == name) else {
            return Ok(false);
        };
        let ended = self.end_key(*key).await;
        self.end_moves(UserId(info.user_id)).await?;
        ended
    }

    /// Ends every session of everybody, all at once, and then what may have been asked for in them; how many there were.
    ///
    /// # Errors
    /// As [`Sessions::end`].
    pub async fn end_everybody(&self) -> Result<u64, IdentityFault> {
        let (volatile, now) = (&self.0.store.volatile, self.0.clock.now());
        let ended = volatile
            .delete_all(Kind::Session, now)
            .await
            // It may have done it, and only its answer was lost.
            .inspect_err(|_| self.distrust())?;
        self.forget(&ended);
        // Also of sessions that have ended by themselves.
        volatile.delete_all(Kind::NewEmail, now).await?;
        Ok(u64::try_from(ended.len()).unwrap_or(u64::MAX))
    }

    /// Ends the links to another address that somebody has asked for: where a session is ended from outside, it may have
    /// been in a thief's hands, and so may the new address. A logout leaves them: they are opened on another device.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn end_moves(&self, user: UserId) -> Result<(), IdentityFault> {
        let volatile = &self.0.store.volatile;
        let ended = volatile.delete_owned(Kind::NewEmail, user.0, None).await;
        Ok(ended.map(drop)?)
    }

    /// Ends a session of a user's own; whether they had one of this public name.
    ///
    /// # Errors
    /// As [`Sessions::end`].
    pub async fn end_of(&self, user: UserId, sid: PublicId) -> Result<bool, IdentityFault> {
        let all = self.of_user(user).await?;
        self.end_in(&all, sid).await
    }

    /// Ends the session that tokens with this public name stand for; whether there was one.
    ///
    /// # Errors
    /// As [`Sessions::end`].
    pub async fn end_of_tokens(&self, sid: PublicId) -> Result<bool, IdentityFault> {
        self.end_key(Key::from(hash_of(sid))).await
    }

    /// Ends every session of a user but one, perhaps; how many those were.
    ///
    /// # Errors
    /// As [`Sessions::end`].
    pub async fn end_all_of(
        &self,
        user: UserId,
        but: Option<PublicId>,
    ) -> Result<usize, IdentityFault> {
        let spared = match but.map(|sid| sid.to_string()) {
            Some(sid) => {
                let all = self.of_user(user).await?;
                let found = all.into_iter().find(|(_, info)| info.sid == sid);
                found.map(|(key, _)| key)
            }
            None => None,
        };
        let volatile = &self.0.store.volatile;
        let ended = volatile
            .delete_owned(Kind::Session, user.0, spared.as_ref())
            .await
            // It may have done it, and only its answer was lost.
            .inspect_err(|_| self.distrust())?;
        self.forget(&ended);
        Ok(ended.len())
    }

    /// The live sessions of a user, oldest first, by key.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn of_user(&self, user: UserId) -> Result<Vec<(Key, SessionInfo)>, IdentityFault> {
        let now = self.0.clock.now();
        let entries = self
            .0
            .store
            .volatile
            .owned(Kind::Session, user.0, now)
            .await?;
        Ok(entries
            .iter()
            .filter_map(|entry| Some((entry.key, SessionInfo::of(entry)?)))
            .collect())
    }

    /// Every live session, by key.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn all(&self) -> Result<Vec<(Key, SessionInfo)>, IdentityFault> {
        let entries = self.every(Kind::Session).await?;
        Ok(entries
            .iter()
            .filter_map(|entry| Some((entry.key, SessionInfo::of(entry)?)))
            .collect())
    }

    async fn every(&self, kind: Kind) -> Result<Vec<Entry>, IdentityFault> {
        const PAGE: u32 = 1_000;
        let (volatile, now) = (&self.0.store.volatile, self.0.clock.now());
        let mut found: Vec<Entry> = Vec::new();
        loop {
            let after = found.last().map(|entry| entry.key);
            let page = volatile.scan(kind, after.as_ref(), PAGE, now).await?;
            if page.is_empty() {
                return Ok(found);
            }
            found.extend(page);
        }
    }

    /// Lets a session that tokens carry live until `until`, though never past its absolute end; whether it
    /// was alive.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn extend(&self, sid: PublicId, until: Timestamp) -> Result<bool, IdentityFault> {
        let (key, now) = (Key::from(hash_of(sid)), self.0.clock.now());
        let volatile = &self.0.store.volatile;
        // Somebody else may write "last seen" in between: then it is read again.
        for _ in 0..8 {
            let Some(entry) = volatile.get(Kind::Session, &key, now).await? else {
                return Ok(false);
            };
            let Some(record) = Record::decode(&entry) else {
                return Ok(false);
            };
            let born = Timestamp::from_millis(record.created_at);
            let until = until.min(born.plus(self.0.settings.load().max));
            let value = entry.value;
            let written = volatile
                .replace(Kind::Session, &key, entry.version, value, until, now)
                .await?;
            if written.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn end_in(
        &self,
        sessions: &[(Key, SessionInfo)],
        sid: PublicId,
    ) -> Result<bool, IdentityFault> {
        let sid = sid.to_string();
        match sessions.iter().find(|(_, info)| info.sid == sid) {
            Some((key, _)) => self.end_key(*key).await,
            None => Ok(false),
        }
    }

    async fn end_key(&self, key: Key) -> Result<bool, IdentityFault> {
        let existed = self.0.store.volatile.delete(Kind::Session, &key).await;
        // Also when the store said nothing: it may have done it, and only its answer was lost.
        self.forget(&[key]);
        Ok(existed?)
    }
}
