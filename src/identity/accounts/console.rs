//! What only pages ask: how short a password may be, everybody's sessions, and who somebody is to the gate.

use super::rights::Right;
use super::{AccountFault, Accounts, Actor};
use crate::base::identity::Identity;
use crate::identity::account;
use crate::identity::session::SessionInfo;

impl Accounts {
    /// The least number of characters of a password.
    #[must_use]
    pub fn shortest_password(&self) -> usize {
        self.0.terms.load().password.min_length
    }

    /// Everybody's sessions.
    ///
    /// # Errors
    /// Without `users:read`.
    pub async fn all_sessions(&self, actor: &Actor<'_>) -> Result<Vec<SessionInfo>, AccountFault> {
        actor.needs(Right::ReadUsers)?;
        let found = self.parts().sessions.all().await?;
        Ok(found.into_iter().map(|(_, info)| info).collect())
    }

    /// Who somebody is, by username or e-mail address, as every door would see them now.
    ///
    /// # Errors
    /// Without `users:read`, or when nobody of that name may sign in.
    pub async fn identity_of(
        &self,
        actor: &Actor<'_>,
        login: &str,
    ) -> Result<Identity, AccountFault> {
        actor.needs(Right::ReadUsers)?;
        let parts = self.parts();
        let user = parts.store.users.by_login(login).await?;
        let user = user.ok_or(AccountFault::Missing)?;
        let demands = parts.sessions.demands();
        let admitted = account::check(&parts.store, user.id, demands).await?;
        Ok(admitted.ok_or(AccountFault::Missing)?.identity)
    }
}
