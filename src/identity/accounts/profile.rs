//! What people change about themselves: name, address, password, and whether they are here at all.
//!
//! Whoever finds an unlocked screen must not be able to take the account over: another password or address needs
//! the current password, or a login that is minutes old.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AccountFault, Accounts, Actor, Links};
use crate::base::id::PublicId;
use crate::base::name::{Email, Username};
use crate::base::secret::Secret;
use crate::identity::hooks::{Event, Topic};
use crate::identity::mail::Letter;
use crate::store::Account;
use crate::store::users::{User, UserChange};
use crate::store::volatile::Kind;

/// How old a login may be that stands for the current password.
const RECENT: Duration = Duration::from_mins(5);
/// How long the link to a new address is good.
const HOURS: u32 = 24;

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

/// What stands behind the link to a new address.
#[derive(Serialize, Deserialize)]
struct Move {
    email: String,
    password_version: i64,
}

impl Accounts {
    /// Changes what is the actor's own.
    ///
    /// # Errors
    /// When a name is taken, the password may not be chosen, or the current one is needed.
    pub async fn change_me(
        &self,
        actor: &Actor<'_>,
        change: &MeChange,
        links: &Links,
    ) -> Result<Changed, AccountFault> {
        let mut user = self.own(actor).await?;
        let new_email = change
            .email
            .clone()
            .filter(|email| user.email.as_ref() != Some(email));
        if change.password.is_some() || new_email.is_some() {
            self.reauthenticate(actor, &user, change.current_password.as_ref())
                .await?;
        }
        // Everything that may be refused comes before anything is changed.
        let hash = match &change.password {
            Some(password) => Some(self.new_hash(password, change, &user).await?),
            None => None,
        };
        let (at_once, unproved) = match new_email {
            Some(email) if self.wants_proof() => (None, Some(email)),
            other => (other, None),
        };
        user = self
            .rename(&user, change.username.as_ref(), at_once)
            .await?;
        if let Some(hash) = &hash {
            user = self.set_own_password(actor, &user, hash).await?;
        }
        if let Some(email) = &unproved {
            self.send_move(&user, email, links).await?;
        }
        self.changed().await?;
        Ok(Changed {
            account: self.account(user.id).await?,
            password: hash.is_some(),
            unproved,
        })
    }

    /// Takes the new address that a link proves.
    ///
    /// # Errors
    /// When the link is no good, or somebody else has the address by now.
    pub async fn confirm_email(&self, token: &str) -> Result<User, AccountFault> {
        let opened = self.spend::<Move>(Kind::NewEmail, token).await?;
        let id = opened.owner.ok_or(AccountFault::Link)?;
        let user = self.parts().store.users.by_id(id).await?;
        let still =
            |user: &User| user.is_active && user.password_version == opened.what.password_version;
        let user = user.filter(still).ok_or(AccountFault::Link)?;
        let email: Email = opened.what.email.parse().map_err(|_| AccountFault::Link)?;
        let change = UserChange {
            email: Some(Some(email)),
            is_verified: Some(true),
            ..UserChange::default()
        };
        let users = &self.parts().store.users;
        let changed = users.update(user.id, &change, self.now()).await?;
        self.changed().await?;
        self.tell_moved(&user, &changed).await;
        Ok(changed)
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
        self.changed().await?;
        if let Some(email) = &user.email {
            let name = user.username.clone();
            self.send(email, &Letter::AccountDeleted { name }).await;
        }
        self.tell(Event::of(Topic::UserDeleted, &user)).await;
        Ok(())
    }

    async fn own(&self, actor: &Actor<'_>) -> Result<User, AccountFault> {
        let user = self.parts().store.users.by_id(actor.who.id).await?;
        user.ok_or(AccountFault::Missing)
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

    async fn new_hash(
        &self,
        password: &Secret<String>,
        change: &MeChange,
        user: &User,
    ) -> Result<Secret<String>, AccountFault> {
        let username = change.username.as_ref().unwrap_or(&user.username);
        let email = change.email.as_ref().or(user.email.as_ref());
        self.hash(password, username, email).await
    }

    /// Changes the name and, where it need not be proved, the address.
    async fn rename(
        &self,
        user: &User,
        username: Option<&Username>,
        email: Option<Email>,
    ) -> Result<User, AccountFault> {
        let username = username.filter(|name| **name != user.username);
        if username.is_none() && email.is_none() {
            return Ok(user.clone());
        }
        let change = UserChange {
            username: username.cloned(),
            is_verified: email.is_some().then_some(false),
            email: email.map(Some),
            ..UserChange::default()
        };
        let users = &self.parts().store.users;
        let changed = users.update(user.id, &change, self.now()).await?;
        self.tell_moved(user, &changed).await;
        Ok(changed)
    }

    async fn set_own_password(
        &self,
        actor: &Actor<'_>,
        user: &User,
        hash: &Secret<String>,
    ) -> Result<User, AccountFault> {
        let users = &self.parts().store.users;
        let user = users.set_password(user.id, hash, false, self.now()).await?;
        self.end_everything(&user, Some(actor.sid)).await?;
        self.tell_password(&user, actor.ip).await;
        self.tell(Event::of(Topic::UserPasswordChanged, &user))
            .await;
        Ok(user)
    }

    /// Ends what an earlier password opened, but for the session of who changed it, which is taken over.
    pub(super) async fn end_everything(
        &self,
        user: &User,
        but: Option<PublicId>,
    ) -> Result<(), AccountFault> {
        let (sessions, volatile) = (&self.parts().sessions, &self.parts().store.volatile);
        sessions.end_all_of(user.id, but).await?;
        if let Some(sid) = but {
            sessions.carry_over(user, sid).await?;
        }
        for kind in [Kind::Reset, Kind::NewEmail] {
            volatile.delete_owned(kind, user.id.0, None).await?;
        }
        self.changed().await
    }

    async fn send_move(
        &self,
        user: &User,
        email: &Email,
        links: &Links,
    ) -> Result<(), AccountFault> {
        if self.parts().store.users.by_email(email).await?.is_some() {
            // Whose it is has no need to know, and whoever asks must not learn it.
            return Ok(());
        }
        let what = Move {
            email: email.to_string(),
            password_version: user.password_version,
        };
        let life = Duration::from_hours(HOURS.into());
        let token = self
            .make_link(Kind::NewEmail, Some(user.id), &what, life)
            .await?;
        let letter = Letter::ConfirmNewEmail {
            name: user.username.clone(),
            link: links.with_token("confirm-email", &token),
            hours: HOURS,
        };
        self.send_for_stranger(email, &letter).await;
        Ok(())
    }

    /// Tells the old address that there is a new one, and hooks what has changed.
    pub(super) async fn tell_moved(&self, old: &User, new: &User) {
        let mut event = Event::of(Topic::UserUpdated, new);
        if old.username != new.username {
            event.changed.push("username");
        }
        if old.email != new.email {
            event.changed.push("email");
        }
        if let (Some(was), Some(is)) = (&old.email, &new.email)
            && was != is
        {
            let letter = Letter::EmailChanged {
                name: new.username.clone(),
                old: was.clone(),
                new: is.clone(),
            };
            self.send(was, &letter).await;
        }
        if !event.changed.is_empty() {
            self.tell(event).await;
        }
    }

    pub(super) async fn tell_password(&self, user: &User, ip: IpAddr) {
        if let Some(email) = &user.email {
            let letter = Letter::PasswordChanged {
                name: user.username.clone(),
                ip,
                at: self.now(),
            };
            self.send(email, &letter).await;
        }
    }
}
