//! Giving and taking roles. What is given is judged in the transaction that gives it.

use std::collections::BTreeSet;

use super::admin::Listed;
use super::rights::{Reach, Right};
use super::{AccountFault, Accounts, Actor};
use crate::base::id::UserId;
use crate::base::name::RoleName;
use crate::identity::hooks::Topic;
use crate::store::roles::Standing;

/// Which of somebody's roles to change, and how.
#[derive(Clone, Debug)]
enum Wanted<'a> {
    Names(&'a BTreeSet<RoleName>),
    Numbers(&'a BTreeSet<i64>),
    With(&'a RoleName),
    Without(&'a RoleName),
}

impl Accounts {
    /// Makes `roles` the ones that people gave to somebody.
    ///
    /// # Errors
    /// Without `users:write`; for oneself; for somebody who holds more; when a role may not be given.
    pub async fn set_roles(
        &self,
        actor: &Actor<'_>,
        id: UserId,
        roles: &BTreeSet<RoleName>,
    ) -> Result<Listed, AccountFault> {
        self.regrant(actor, id, Wanted::Names(roles)).await
    }

    /// The same, by the roles' numbers.
    ///
    /// # Errors
    /// As [`Accounts::set_roles`].
    pub async fn set_role_ids(
        &self,
        actor: &Actor<'_>,
        id: UserId,
        roles: &BTreeSet<i64>,
    ) -> Result<Listed, AccountFault> {
        self.regrant(actor, id, Wanted::Numbers(roles)).await
    }

    /// Gives somebody one more role.
    ///
    /// # Errors
    /// As [`Accounts::set_roles`].
    pub async fn grant(
        &self,
        actor: &Actor<'_>,
        id: UserId,
        role: &RoleName,
    ) -> Result<Listed, AccountFault> {
        self.regrant(actor, id, Wanted::With(role)).await
    }

    /// Takes one role from somebody.
    ///
    /// # Errors
    /// As [`Accounts::set_roles`].
    pub async fn revoke(
        &self,
        actor: &Actor<'_>,
        id: UserId,
        role: &RoleName,
    ) -> Result<Listed, AccountFault> {
        self.regrant(actor, id, Wanted::Without(role)).await
    }

    async fn regrant(
        &self,
        actor: &Actor<'_>,
        id: UserId,
        wanted: Wanted<'_>,
    ) -> Result<Listed, AccountFault> {
        actor.needs(Right::WriteUsers)?;
        actor.not_oneself(id, "Nobody changes their own roles.")?;
        let named = self.0.terms.load().named.clone();
        let roles = &self.parts().store.roles;
        let choose = |standing: &Standing| {
            let reach = Reach::new(actor.who, &standing.graph, &named);
            reach.manage(&standing.user, &standing.held)?;
            let chosen = wanted.choose(standing)?;
            let new = chosen.difference(&standing.given).cloned().collect();
            reach.give(&new)?;
            Ok::<_, AccountFault>(chosen)
        };
        if roles.regrant(id, self.now(), choose).await? {
            let tell = self.tell_by(actor, Topic::UserRolesChanged, id);
            let (changed, ()) = tokio::join!(self.changed_user(id), tell);
            // Not before: what asks the store could keep rights from being taken away.
            self.note_grants(actor, id).await;
            changed?;
        }
        self.listed(id).await
    }

    /// Writes who has which roles now.
    async fn note_grants(&self, actor: &Actor<'_>, id: UserId) {
        let roles = self.parts().store.roles.of_user(id).await;
        let roles = roles.unwrap_or_default();
        let names: Vec<&str> = roles.iter().map(RoleName::as_str).collect();
        match self.parts().store.users.by_id(id).await {
            Ok(Some(user)) => actor.did_to("user.roles", &user, &names),
            _ => actor.did("user.roles", (&id.0, ""), &names),
        }
    }
}

impl Wanted<'_> {
    fn choose(&self, standing: &Standing) -> Result<BTreeSet<RoleName>, AccountFault> {
        let mut chosen = standing.given.clone();
        match *self {
            // Roles that have left the file have no number, and no page offers them; who has them keeps them.
            Self::Names(names) => {
                chosen.retain(|role| standing.graph.counting(role).is_none());
                chosen.extend(names.iter().cloned());
                Ok(chosen)
            }
            Self::Numbers(numbers) => {
                chosen.retain(|role| standing.graph.counting(role).is_none());
                for id in numbers {
                    chosen.insert(numbered(standing, *id)?);
                }
                Ok(chosen)
            }
            Self::With(role) => {
                chosen.insert(role.clone());
                Ok(chosen)
            }
            Self::Without(role) if standing.graph.counting(role).is_none() => {
                Err(AccountFault::UnknownRole(role.to_string()))
            }
            Self::Without(role) => {
                chosen.remove(role);
                Ok(chosen)
            }
        }
    }
}

fn numbered(standing: &Standing, id: i64) -> Result<RoleName, AccountFault> {
    let name = standing.numbers.get(&id).cloned();
    name.ok_or_else(|| AccountFault::UnknownRole(id.to_string()))
}
