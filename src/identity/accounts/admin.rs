//! Looking after other people's accounts: listing, making, changing and deleting them.
//!
//! Whoever asks is judged by what they and the other hold at that moment: a change is written only if the other
//! is still who was judged. Their roles are given elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::rights::{DEFAULT, Reach, Right};
use super::roles::FullRole;
use super::{AccountFault, Accounts, Actor, Links};
use crate::base::id::{PublicId, UserId};
use crate::base::name::{Email, RoleName, Username};
use crate::base::secret::Secret;
use crate::identity::hooks::Topic;
use crate::store::roles::RoleOrigin;
use crate::store::users::{Given, NewUser, Sort, User, UserChange, UserQuery};

/// A user, and the roles they were given.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The user.
    pub user: User,
    /// Their roles, without those that these include, by number.
    pub roles: Vec<Arc<FullRole>>,
}

/// An account that an administrator makes for somebody.
#[derive(Clone, Debug)]
pub struct UserDraft {
    /// The username.
    pub username: Username,
    /// The address.
    pub email: Option<Email>,
    /// The first password, to be changed at the first login. Without one, only a link in a letter lets them in.
    pub password: Option<Secret<String>>,
    /// Their roles; without, what every new account is given.
    pub roles: Option<BTreeSet<RoleName>>,
    /// Whether whoever makes the account knows that the address is theirs.
    pub is_verified: bool,
}

/// What an administrator wants changed about somebody; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct UserEdit {
    /// Another address. It counts as not proved, unless that is said as well.
    pub email: Option<Email>,
    /// Another username.
    pub username: Option<Username>,
    /// Another password, to be changed at the next login. Ends every session of theirs.
    pub password: Option<Secret<String>>,
    /// Enabled or disabled.
    pub is_active: Option<bool>,
    /// Promoted or demoted: by superusers only.
    pub is_superuser: Option<bool>,
    /// Whether the address counts as theirs.
    pub is_verified: Option<bool>,
}

/// How often a change is tried anew when somebody else was quicker.
const TRIES: u32 = 8;

const NOT_SELF: &str = "Your own account is changed at /me, and your rights by somebody else.";

impl Accounts {
    /// Users that a search finds, in this order.
    ///
    /// # Errors
    /// Without `users:read`.
    pub async fn list(
        &self,
        actor: &Actor<'_>,
        query: &UserQuery,
        sort: Sort,
    ) -> Result<Vec<Listed>, AccountFault> {
        actor.needs(Right::ReadUsers)?;
        let found = self.parts().store.users.page(query, sort).await?;
        let roles = self.full_roles().await?;
        Ok(found
            .into_iter()
            .map(|given| Listed::new(given, &roles))
            .collect())
    }

    /// How many users a search finds.
    ///
    /// # Errors
    /// Without `users:read`.
    pub async fn count(
        &self,
        actor: &Actor<'_>,
        search: Option<&str>,
    ) -> Result<u64, AccountFault> {
        actor.needs(Right::ReadUsers)?;
        Ok(self.parts().store.users.count(search).await?)
    }

    /// A user.
    ///
    /// # Errors
    /// Without `users:read`, or when there is none.
    pub async fn get(&self, actor: &Actor<'_>, id: UserId) -> Result<Listed, AccountFault> {
        actor.needs(Right::ReadUsers)?;
        self.listed(id).await
    }

    /// A user as lists show them, to whoever may see them already.
    ///
    /// # Errors
    /// When there is none.
    pub async fn listed(&self, id: UserId) -> Result<Listed, AccountFault> {
        let given = self.parts().store.users.given(id).await?;
        let given = given.ok_or(AccountFault::Missing)?;
        Ok(Listed::new(given, &self.full_roles().await?))
    }

    /// Makes an account for somebody.
    ///
    /// # Errors
    /// Without `users:write`, when a name is taken, the password may not be chosen, or a role may not be given.
    pub async fn create(
        &self,
        actor: &Actor<'_>,
        draft: &UserDraft,
        links: &Links,
    ) -> Result<Listed, AccountFault> {
        actor.needs(Right::WriteUsers)?;
        self.may_be_named(Some(&draft.username), actor.who.superuser)?;
        let new = NewUser {
            may_reuse_name: actor.who.superuser,
            ..self.new_user(actor, draft).await?
        };
        let named = self.0.terms.load().named.clone();
        let users = &self.parts().store.users;
        let user = users
            .insert_if(&new, self.now(), |graph| {
                Reach::new(actor.who, graph, &named).give(&new.roles)
            })
            .await?;
        let roles: Vec<&str> = new.roles.iter().map(RoleName::as_str).collect();
        actor.did_to("user.create", &user, &roles);
        self.tell_by(actor, Topic::UserRegistered, user.id).await;
        self.prove_later(&user, links);
        self.listed(user.id).await
    }

    /// Changes somebody's account.
    ///
    /// # Errors
    /// Without `users:write`; for oneself; for somebody who holds more; when a name is taken, the password may
    /// not be chosen, or nobody could administer the gateway any more.
    pub async fn edit(
        &self,
        actor: &Actor<'_>,
        id: UserId,
        edit: &UserEdit,
        links: &Links,
    ) -> Result<Listed, AccountFault> {
        actor.needs(Right::WriteUsers)?;
        if edit.is_superuser.is_some() {
            actor.needs(Right::Superuser)?;
        }
        actor.not_oneself(id, NOT_SELF)?;
        for _ in 0..TRIES {
            let before = self.managed(actor, id).await?;
            let name = edit.username.as_ref();
            let name = name.filter(|name| **name != before.username);
            self.may_be_named(name, actor.who.superuser)?;
            let change = UserChange {
                may_reuse_name: actor.who.superuser,
                ..self.change_of(actor, &before, edit).await?
            };
            let users = &self.parts().store.users;
            let changed = users.update_if(id, Some(before.generation), &change, self.now());
            match changed.await.map_err(AccountFault::from) {
                Err(AccountFault::Conflict) => {}
                Ok(after) => {
                    actor.did_to("user.edit", &after, &edit.said());
                    let ended = self.edited(actor, &before, &after, edit).await;
                    // After older links have ended, and whatever became of that.
                    if before.email != after.email {
                        self.prove_later(&after, links);
                    }
                    ended?;
                    return self.listed(id).await;
                }
                Err(fault) => return Err(fault),
            }
        }
        Err(AccountFault::Conflict)
    }

    /// Deletes somebody's account with everything that was theirs.
    ///
    /// # Errors
    /// Without `users:delete`; for oneself; for somebody who holds more; when it is the last active superuser.
    pub async fn delete(&self, actor: &Actor<'_>, id: UserId) -> Result<(), AccountFault> {
        actor.needs(Right::DeleteUsers)?;
        if actor.who.id == id {
            return Err(AccountFault::Fixed(
                "Your own account is deleted at /me, or by somebody else.".to_owned(),
            ));
        }
        for _ in 0..TRIES {
            let before = self.managed(actor, id).await?;
            let store = &self.parts().store;
            let deleted = store.delete_user_if(id, Some(before.generation)).await;
            match deleted.map_err(AccountFault::from) {
                Err(AccountFault::Conflict) => {}
                Ok(user) => {
                    actor.did_to("user.delete", &user, &[]);
                    return self.deleted(actor, &user).await;
                }
                Err(fault) => return Err(fault),
            }
        }
        Err(AccountFault::Conflict)
    }

    /// The user, if the actor may look after them.
    pub(super) async fn managed(
        &self,
        actor: &Actor<'_>,
        id: UserId,
    ) -> Result<User, AccountFault> {
        // The user before the roles: what changes in between raises their generation.
        let store = &self.parts().store;
        let user = store.users.by_id(id).await?.ok_or(AccountFault::Missing)?;
        let held = store.roles.ever_of_user(id).await?;
        let graph = store.roles.graph().await?;
        let named = self.0.terms.load().named.clone();
        Reach::new(actor.who, &graph, &named).manage(&user, &held)?;
        Ok(user)
    }

    async fn new_user(
        &self,
        actor: &Actor<'_>,
        draft: &UserDraft,
    ) -> Result<NewUser, AccountFault> {
        let hash = match &draft.password {
            Some(password) => Some(
                self.hash(password, (&draft.username, draft.email.as_ref()), actor.ip)
                    .await?,
            ),
            None => None,
        };
        let roles = match &draft.roles {
            Some(roles) => roles.clone(),
            None => DEFAULT.parse().into_iter().collect(),
        };
        Ok(NewUser {
            subject: PublicId::generate(&self.parts().random),
            username: draft.username.clone(),
            may_reuse_name: false,
            email: draft.email.clone(),
            must_change_password: hash.is_some(),
            password_hash: hash,
            is_active: true,
            is_superuser: false,
            is_verified: draft.is_verified && draft.email.is_some(),
            roles,
        })
    }

    async fn change_of(
        &self,
        actor: &Actor<'_>,
        user: &User,
        edit: &UserEdit,
    ) -> Result<UserChange, AccountFault> {
        let username = edit.username.as_ref().unwrap_or(&user.username);
        let email = edit.email.as_ref().or(user.email.as_ref());
        let password_hash = match &edit.password {
            Some(password) => Some(self.hash(password, (username, email), actor.ip).await?),
            None => None,
        };
        let moved = edit.email.is_some() && edit.email != user.email;
        Ok(UserChange {
            username: edit.username.clone(),
            may_reuse_name: false,
            email: edit.email.clone().map(Some),
            is_active: edit.is_active,
            is_superuser: edit.is_superuser,
            is_verified: edit.is_verified.or(moved.then_some(false)),
            must_change_password: password_hash.is_some().then_some(true),
            password_hash,
        })
    }
}

impl Listed {
    fn new(given: Given, roles: &BTreeMap<i64, Arc<FullRole>>) -> Self {
        let counting = given.roles.iter().filter_map(|id| roles.get(id));
        let counting = counting.filter(|full| full.role.origin != RoleOrigin::Retired);
        Self {
            roles: counting.cloned().collect(),
            user: given.user,
        }
    }
}
