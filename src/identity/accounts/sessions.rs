//! Sessions, as their owners see and end them, and as administrators do for others.
//!
//! What was asked for in a session ends with it, unless it is the one that asks: that is a logout.

use super::rights::Right;
use super::{AccountFault, Accounts, Actor};
use crate::base::id::{PublicId, UserId};
use crate::identity::session::SessionInfo;

impl Accounts {
    /// The actor's own sessions, oldest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn my_sessions(&self, actor: &Actor<'_>) -> Result<Vec<SessionInfo>, AccountFault> {
        self.sessions(actor.who.id).await
    }

    /// Ends a session of the actor's own.
    ///
    /// # Errors
    /// When they have none of that name.
    pub async fn end_my_session(
        &self,
        actor: &Actor<'_>,
        sid: PublicId,
    ) -> Result<(), AccountFault> {
        self.end(actor, actor.who.id, sid).await
    }

    /// Ends every session of the actor's own but the one they ask in; how many those were.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn end_my_other_sessions(&self, actor: &Actor<'_>) -> Result<usize, AccountFault> {
        self.end_all(actor, actor.who.id, Some(actor.sid)).await
    }

    /// Somebody's sessions, oldest first.
    ///
    /// # Errors
    /// Without `users:read`, or when there is no such user.
    pub async fn sessions_of(
        &self,
        actor: &Actor<'_>,
        user: UserId,
    ) -> Result<Vec<SessionInfo>, AccountFault> {
        actor.needs(Right::ReadUsers)?;
        self.listed(user).await?;
        self.sessions(user).await
    }

    /// Ends a session of somebody's.
    ///
    /// # Errors
    /// Without `users:write`; for somebody who holds more; when they have none of that name.
    pub async fn end_session_of(
        &self,
        actor: &Actor<'_>,
        user: UserId,
        sid: PublicId,
    ) -> Result<(), AccountFault> {
        actor.needs(Right::WriteUsers)?;
        let owner = self.managed(actor, user).await?;
        self.end(actor, user, sid).await?;
        actor.did_to("session.end", &owner, &[&sid.to_string()]);
        Ok(())
    }

    /// Ends every session of somebody's, though never the one that is asked in; how many those were.
    ///
    /// # Errors
    /// Without `users:write`; for somebody who holds more.
    pub async fn end_sessions_of(
        &self,
        actor: &Actor<'_>,
        user: UserId,
    ) -> Result<usize, AccountFault> {
        actor.needs(Right::WriteUsers)?;
        let owner = self.managed(actor, user).await?;
        let count = self.end_all(actor, user, Some(actor.sid)).await?;
        actor.did_to("session.end_all", &owner, &[]);
        Ok(count)
    }

    async fn sessions(&self, user: UserId) -> Result<Vec<SessionInfo>, AccountFault> {
        let found = self.parts().sessions.of_user(user).await?;
        Ok(found.into_iter().map(|(_, info)| info).collect())
    }

    async fn end(
        &self,
        actor: &Actor<'_>,
        user: UserId,
        sid: PublicId,
    ) -> Result<(), AccountFault> {
        let sessions = &self.parts().sessions;
        let ended = sessions.end_of(user, sid).await;
        if sid != actor.sid {
            // Also of one that is over already: who ends it means to be rid of whoever was in it.
            sessions.end_moves(user).await?;
        }
        if !ended? {
            return Err(AccountFault::Missing);
        }
        if let Some(user) = self.parts().store.users.by_id(user).await? {
            self.tell_session(actor, &user, &sid.to_string()).await;
        }
        Ok(())
    }

    async fn end_all(
        &self,
        actor: &Actor<'_>,
        user: UserId,
        but: Option<PublicId>,
    ) -> Result<usize, AccountFault> {
        let (sessions, users) = (&self.parts().sessions, &self.parts().store.users);
        let spared = but.map(|sid| sid.to_string());
        let ended = sessions.of_user(user).await?;
        let count = sessions.end_all_of(user, but).await;
        sessions.end_moves(user).await?;
        let count = count?;
        if let Some(user) = users.by_id(user).await? {
            for (_, info) in ended {
                if spared.as_deref() != Some(&*info.sid) {
                    self.tell_session(actor, &user, &info.sid).await;
                }
            }
        }
        Ok(count)
    }
}
