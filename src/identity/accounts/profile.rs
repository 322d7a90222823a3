//! What people change about themselves: name, address, password, and whether they are here at all.
//!
//! Whoever finds an unlocked screen must not be able to take the account over: another password or address needs
//! the current password, or a login that is minutes old.

use std::net::IpAddr;
use std::time::Duration;

use super::letters::{BY, MOVES, NAMES};
use super::{AccountFault, Accounts, Actor, Links};
use crate::base::id::UserId;
use crate::base::name::{Email, Username};
use crate::base::net::Origin;
use crate::base::secret::Secret;
use crate::crypto::password::Password;
use crate::identity::hooks::{Event, Topic};
use crate::identity::mail::{Letter, Salutation};
use crate::store::Account;
use crate::store::users::{User, UserChange};

/// How old a login may be that stands for the current password.
const RECENT: Duration = Duration::from_mins(5);

/// What somebody wants changed about themselves; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct MeChange {
    /// Another address.
    pub email: Option<Email>,
    /// Another name.
    pub username: Option<Username>,
    /// Another password.
    pub password: Option<Secret<String>>,
    /// The current one.
    pub current_password: Option<Secret<String>>,
}

impl MeChange {
    /// What a password must not be made of: the names as they will be.
    fn names<'a>(&'a self, user: &'a User) -> (&'a Username, Option<&'a Email>) {
        let username = self.username.as_ref().unwrap_or(&user.username);
        (username, self.email.as_ref().or(user.email.as_ref()))
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Changed {
    /// The account as it is now.
    pub account: Account,
    /// Whether the password is another, so that every session but the caller's has ended.
    pub password: bool,
    /// The address that is to be proved before it counts.
    pub unproved: Option<Email>,
}

impl Accounts {
    /// Changes what is the actor's own, as it was when it was looked at: whoever was quicker, a change of the
    /// password above all, is not undone.
    ///
    /// # Errors
    /// When a name is taken, the password may not be chosen, the current one is needed, or the account has been
    /// changed meanwhile.
    pub async fn change_me(
        &self,
        actor: &Actor<'_>,
        change: &MeChange,
        links: &Links,
    ) -> Result<Changed, AccountFault> {
        let before = self.own(actor).await?;
        let username = change
            .username
            .clone()
            .filter(|name| *name != before.username);
        let email = change
            .email
            .clone()
            .filter(|new| before.email.as_ref() != Some(new));
        if username.is_none() && email.is_none() && change.password.is_none() {
            return self.told(before, false, None).await;
        }
        self.may_be_named(username.as_ref(), actor.who.superuser)?;
        if let Some(name) = &username {
            self.may_rename(actor, &before, name).await?;
        }
        if change.password.is_some() || email.is_some() {
            let current = change.current_password.as_ref();
            self.reauthenticate(actor, &before, current).await?;
        }
        let (at_once, unproved) = match email {
            Some(email) if self.wants_proof() => (None, Some(email)),
            other => (other, None),
        };
        // Before anything is hashed or changed: what is refused is not hashed, and has not happened in part.
        if let Some(password) = &change.password {
            self.choosable(password, change.names(&before))?;
        }
        let counted = [
            (username.is_some(), NAMES),
            (unproved.is_some(), BY),
            (at_once.is_some(), MOVES),
        ];
        for (_, ration) in counted.into_iter().filter(|(is_asked, _)| *is_asked) {
            self.admit_change(before.id, ration).await?;
        }
        self.refuse_of_others(before.id, (username.as_ref(), at_once.as_ref()))
            .await?;
        let hash = self.new_hash(change, (actor, &before)).await?;
        let edit = UserChange {
            username,
            may_reuse_name: actor.who.superuser,
            is_verified: at_once.is_some().then_some(false),
            email: at_once.map(Some),
            must_change_password: hash.is_some().then_some(false),
            password_hash: hash,
            ..UserChange::default()
        };
        let (users, judged) = (&self.parts().store.users, Some(before.generation));
        let after = users
            .update_if(before.id, judged, &edit, self.now())
            .await?;
        self.changed_own(actor, &before, &after).await?;
        if let Some(email) = &unproved {
            // Another password has ended the session that asks.
            let asked_by = edit.password_hash.is_none().then_some(actor.sid);
            self.ask_for_proof((&after, asked_by), email, links);
        }
        self.told(after, edit.password_hash.is_some(), unproved)
            .await
    }

    /// Deletes the actor's own account.
    ///
    /// # Errors
    /// When the password is wrong, or nobody could administer the gateway any more.
    pub async fn delete_me(
        &self,
        actor: &Actor<'_>,
        current_password: &Secret<String>,
    ) -> Result<(), AccountFault> {
        let user = self.own(actor).await?;
        let logins = &self.parts().logins;
        logins.confirm(&user, current_password, actor.ip).await?;
        let user = self.parts().store.delete_user(user.id).await?;
        // All of them: what was the user's is gone, so that nobody could tell which sessions those were.
        let tell = async {
            if let Some(email) = &user.email {
                let name = Salutation::of(&user);
                self.send(email, &Letter::AccountDeleted { name }).await;
            }
            self.tell(Event::of(Topic::UserDeleted, &user)).await;
        };
        tokio::join!(self.changed(), tell).0
    }

    async fn own(&self, actor: &Actor<'_>) -> Result<User, AccountFault> {
        let user = self.parts().store.users.by_id(actor.who.id).await?;
        let user = user.ok_or(AccountFault::Missing)?;
        // Another password, or a disabled account, has ended the session that asks.
        if user.password_version == actor.password_version {
            Ok(user)
        } else {
            Err(AccountFault::Conflict)
        }
    }

    async fn reauthenticate(
        &self,
        actor: &Actor<'_>,
        user: &User,
        current: Option<&Secret<String>>,
    ) -> Result<(), AccountFault> {
        match current {
            Some(password) => {
                let logins = &self.parts().logins;
                Ok(logins.confirm(user, password, actor.ip).await?)
            }
            None if self.now().since(actor.since) <= RECENT => Ok(()),
            None => Err(AccountFault::Reauthenticate),
        }
    }

    /// Goes on unless somebody else has the name or the address; the update alone is sure.
    async fn refuse_of_others(
        &self,
        user: UserId,
        (username, email): (Option<&Username>, Option<&Email>),
    ) -> Result<(), AccountFault> {
        let users = &self.parts().store.users;
        let another = |found: Option<User>| found.is_some_and(|found| found.id != user);
        if let Some(name) = username
            && another(users.by_username(name).await?)
        {
            return Err(AccountFault::UsernameTaken(name.clone()));
        }
        if let Some(email) = email
            && another(users.by_email(email).await?)
        {
            return Err(AccountFault::EmailTaken(email.clone()));
        }
        Ok(())
    }

    async fn new_hash(
        &self,
        change: &MeChange,
        (actor, user): (&Actor<'_>, &User),
    ) -> Result<Option<Secret<String>>, AccountFault> {
        let Some(password) = &change.password else {
            return Ok(None);
        };
        if user.must_change_password {
            self.refuse_same(password, user, actor.ip).await?;
        }
        let hash = self.hash(password, change.names(user), actor.ip).await?;
        Ok(Some(hash))
    }

    /// Whoever set it knows it.
    async fn refuse_same(
        &self,
        password: &Secret<String>,
        user: &User,
        ip: IpAddr,
    ) -> Result<(), AccountFault> {
        let Some(stored) = user.password_hash.clone() else {
            return Ok(());
        };
        let typed = Password::typed(password.expose())?;
        let hashing = &self.parts().hashing;
        let origin = Origin::of(ip);
        match hashing.run(origin, move || typed.matches(&stored)).await {
            Ok(false) => Ok(()),
            Ok(true) => Err(AccountFault::Fixed(
                "This is the password that was set for you; please choose another.".into(),
            )),
            Err(busy) => Err(AccountFault::Busy(busy)),
        }
    }

    /// What follows when somebody has changed their own account.
    async fn changed_own(
        &self,
        actor: &Actor<'_>,
        before: &User,
        after: &User,
    ) -> Result<(), AccountFault> {
        let another = before.password_version != after.password_version;
        let end = async {
            if another {
                self.end_everything(after).await?;
            }
            if before.email != after.email {
                self.end_links(after.id).await?;
            }
            self.changed_user(after.id).await
        };
        // It has happened: neither waits for the other, nor is one left out where the other fails.
        let tell = async {
            if another {
                // To the address that its owner reads, not to one that came with the same request.
                self.tell_password(before, actor.ip).await;
                self.tell(Event::of(Topic::UserPasswordChanged, after))
                    .await;
            }
            self.tell_moved(before, after).await;
        };
        tokio::join!(end, tell).0
    }

    /// The account as this change left it: what somebody else changes from here on is theirs to tell.
    async fn told(
        &self,
        user: User,
        password: bool,
        unproved: Option<Email>,
    ) -> Result<Changed, AccountFault> {
        let account = self.account(user.id).await?;
        Ok(Changed {
            account: Account { user, ..account },
            password,
            unproved,
        })
    }

    /// Ends what an earlier password opened, the session of who changed it included: a browser is given another.
    pub(super) async fn end_everything(&self, user: &User) -> Result<(), AccountFault> {
        // Each is tried, whatever became of the one before.
        let looked = self.changed_user(user.id).await;
        let ended = self.parts().sessions.end_all_of(user.id, None).await;
        let links = self.end_links(user.id).await;
        looked.and(ended.map(drop).map_err(Into::into)).and(links)
    }

    pub(super) async fn tell_password(&self, user: &User, ip: IpAddr) {
        if let Some(email) = &user.email {
            let letter = Letter::PasswordChanged {
                name: Salutation::of(user),
                ip,
                at: self.now(),
            };
            self.send(email, &letter).await;
        }
    }
}
