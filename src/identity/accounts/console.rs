//! What only pages ask: how short a password may be, everybody's sessions, and who somebody is to the gate.

use std::collections::BTreeSet;

use super::rights::{Reach, Right};
use super::{AccountFault, Accounts, Actor};
use crate::base::id::UserId;
use crate::base::identity::Identity;
use crate::base::name::RoleName;
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

    /// Those of these roles that the actor may give.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn givable(
        &self,
        actor: &Actor<'_>,
        names: BTreeSet<RoleName>,
    ) -> Result<BTreeSet<RoleName>, AccountFault> {
        let graph = self.parts().store.roles.graph().await?;
        let named = self.0.terms.load().named.clone();
        let reach = Reach::new(actor.who, &graph, &named);
        let may = |name: &RoleName| reach.give(&BTreeSet::from([name.clone()])).is_ok();
        Ok(names.into_iter().filter(may).collect())
    }

    /// Whether the actor may lay hands on somebody's account, as far as it is a question of who holds more.
    ///
    /// # Errors
    /// When there is no such user, or the store does not answer.
    pub async fn is_managed(&self, actor: &Actor<'_>, id: UserId) -> Result<bool, AccountFault> {
        match self.managed(actor, id).await {
            Ok(_) => Ok(true),
            Err(AccountFault::Forbidden(_)) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Who somebody is, by username or e-mail address, as every door would see them now; and whether they must choose
    /// another password before anything else is open.
    ///
    /// # Errors
    /// Without `users:read`, or when nobody of that name may sign in.
    pub async fn identity_of(
        &self,
        actor: &Actor<'_>,
        login: &str,
    ) -> Result<(Identity, bool), AccountFault> {
        actor.needs(Right::ReadUsers)?;
        let parts = self.parts();
        let user = parts.store.users.by_login(login).await?;
        let user = user.ok_or(AccountFault::Missing)?;
        let demands = parts.sessions.demands();
        let admitted = account::check(&parts.store, user.id, demands).await?;
        let admitted = admitted.ok_or(AccountFault::Missing)?;
        Ok((admitted.identity, admitted.must_change_password))
    }
}
