//! Another address of somebody's own: asked for, proved by a link in a letter to it, and told to the one before.
//!
//! Whoever holds a stolen session can ask for one. So the one before is told of it at once, and whatever ends sessions
//! from outside ends what was asked for in them as well.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AccountFault, Accounts, Claim, Links};
use crate::base::id::{PublicId, UserId};
use crate::base::name::Email;
use crate::identity::hooks::{Event, Topic};
use crate::identity::mail::{Letter, Salutation};
use crate::store::users::{User, UserChange};
use crate::store::volatile::Kind;

/// How long the link to a new address is good.
const HOURS: u32 = 24;

/// What stands behind the link to a new address.
#[derive(Serialize, Deserialize)]
struct Move {
    email: String,
    /// The address before, folded: the link is good only as long as it is that.
    from: Option<String>,
    password_version: i64,
}

impl Accounts {
    /// What the link to a new address would confirm, which stays good.
    ///
    /// # Errors
    /// When the link is no good, or the store does not answer.
    pub async fn behind_move(&self, token: &str) -> Result<Claim, AccountFault> {
        let opened = self.look::<Move>(Kind::NewEmail, token).await?;
        let id = opened.owner.ok_or(AccountFault::Link)?;
        let user = self.parts().store.users.by_id(id).await?;
        Ok(Claim {
            username: user.ok_or(AccountFault::Link)?.username,
            email: opened.what.email.parse().map_err(|_| AccountFault::Link)?,
        })
    }

    /// Takes the new address that a link proves.
    ///
    /// # Errors
    /// When the link is no good, or somebody else has the address by now.
    pub async fn confirm_email(&self, token: &str) -> Result<User, AccountFault> {
        let opened = self.spend::<Move>(Kind::NewEmail, token).await?;
        let id = opened.owner.ok_or(AccountFault::Link)?;
        let email: Email = opened.what.email.parse().map_err(|_| AccountFault::Link)?;
        let change = UserChange {
            email: Some(Some(email)),
            is_verified: Some(true),
            ..UserChange::default()
        };
        let still = |user: &User| {
            user.password_version == opened.what.password_version
                && user.email.as_ref().map(Email::folded) == opened.what.from.as_deref()
        };
        let (before, after) = self.change_while(id, still, &change).await?;
        let end = async {
            self.end_links(after.id).await?;
            self.changed_user(after.id).await
        };
        tokio::join!(end, self.tell_moved(&before, &after)).0?;
        Ok(after)
    }

    /// Ends the links to another password or address: they were for the account as it was.
    pub(super) async fn end_links(&self, user: UserId) -> Result<(), AccountFault> {
        let volatile = &self.parts().store.volatile;
        volatile.delete_owned(Kind::Reset, user.0, None).await?;
        Ok(self.parts().sessions.end_moves(user).await?)
    }

    /// Sends a link to a new address, after the answer: whose it is, nobody learns from it.
    pub(super) fn ask_for_proof(
        &self,
        (user, sid): (&User, Option<PublicId>),
        email: &Email,
        links: &Links,
    ) {
        let (this, asks) = (self.clone(), (user.clone(), sid));
        self.later(
            "new email",
            this.send_move(asks, email.clone(), links.clone()),
        );
    }

    pub(super) async fn send_move(
        self,
        (user, sid): (User, Option<PublicId>),
        email: Email,
        links: Links,
    ) -> Result<(), AccountFault> {
        // Before anything else: whether it comes tells nothing of whose the new address is.
        self.tell_asked(&user).await;
        let owner = self.parts().store.users.by_email(&email).await?;
        // Whose it is has no need to know, and whoever asks must not learn it.
        if owner.is_some_and(|owner| owner.id != user.id)
            || !self.admit_letter("new email", &email).await
        {
            return Ok(());
        }
        let what = Move {
            email: email.to_string(),
            from: user.email.as_ref().map(|email| email.folded().to_owned()),
            password_version: user.password_version,
        };
        let life = Duration::from_hours(HOURS.into());
        let token = self
            .make_link(Kind::NewEmail, Some(user.id), &what, life)
            .await?;
        // Whoever has ended the session meanwhile has looked for links before this one was there.
        let sessions = &self.parts().sessions;
        let may_ask = if let Some(sid) = sid.map(|sid| sid.to_string()) {
            let all = sessions.of_user(user.id).await?;
            all.iter().any(|(_, info)| info.sid == sid)
        } else {
            let now = self.parts().store.users.by_id(user.id).await?;
            now.is_some_and(|now| now.is_active && now.password_version == user.password_version)
        };
        if !may_ask {
            return Ok(sessions.end_moves(user.id).await?);
        }
        let letter = Letter::ConfirmNewEmail {
            link: links.with_token("confirm-email", &token),
            hours: HOURS,
        };
        self.send(&email, &letter).await;
        Ok(())
    }

    /// Tells the address of an account that another is asked for, while there is time to stop it.
    async fn tell_asked(&self, user: &User) {
        if let Some(email) = user.email.as_ref().filter(|_| user.is_verified) {
            let name = Salutation::of(user);
            self.send(email, &Letter::NewEmailAsked { name }).await;
        }
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
                name: Salutation::of(old),
                old: was.clone(),
                new: old.is_verified.then(|| is.clone()),
            };
            self.send(was, &letter).await;
        }
        if !event.changed.is_empty() {
            self.tell(event).await;
        }
    }
}
