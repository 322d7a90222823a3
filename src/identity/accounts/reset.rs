//! Another password for who has forgotten theirs: a link to the address of the account, good once.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::onetime::Opened;
use super::{AccountFault, Accounts, Links};
use crate::base::name::Email;
use crate::base::secret::Secret;
use crate::identity::hooks::{Event, Topic};
use crate::identity::mail::{Letter, Salutation};
use crate::store::users::{User, UserChange};
use crate::store::volatile::Kind;

/// How long such a link is good.
const MINUTES: u32 = 30;

/// What stands behind such a link: good for the account as it was when it was sent.
#[derive(Serialize, Deserialize)]
struct Wish {
    email: String,
    password_version: i64,
}

impl Accounts {
    /// Sends the letter, to an account that there is. Nobody is told whether there is one.
    ///
    /// # Errors
    /// When no letters are sent here, too many are asked for from one place, or the store does not answer.
    pub async fn forgot(
        &self,
        email: &Email,
        ip: IpAddr,
        links: &Links,
    ) -> Result<(), AccountFault> {
        self.must_have_mail()?;
        self.admit_stranger(ip).await?;
        let (this, email, links) = (self.clone(), email.clone(), links.clone());
        // Afterwards: the time that the answer takes must not tell whether the address is known.
        self.later("forgot", this.send_reset(email, links));
        Ok(())
    }

    pub(super) async fn send_reset(self, email: Email, links: Links) -> Result<(), AccountFault> {
        let user = self.parts().store.users.by_email(&email).await?;

        let Some(user) = user.filter(|user| user.is_active) else {
            return Ok(());
        };
        // To the address as it is stored: what a stranger typed may be another that folds to it.
        let Some(email) = user.email.clone() else {
            return Ok(());
        };
        if !self.admit_letter("reset", &email).await {
            return Ok(());
        }
        let wish = Wish {
            email: email.folded().to_owned(),
            password_version: user.password_version,
        };
        let life = Duration::from_mins(MINUTES.into());
        let token = self
            .make_link(Kind::Reset, Some(user.id), &wish, life)
            .await?;
        let letter = Letter::ResetPassword {
            name: Salutation::of(&user),
            link: links.with_token("reset-password", &token),
            minutes: MINUTES,
        };
        self.send(&email, &letter).await;
        self.tell(Event::of(Topic::UserForgotPassword, &user)).await;
        Ok(())
    }

    /// Whether a link is good, which it stays.
    ///
    /// # Errors
    /// When it is not, or the store does not answer.
    pub async fn behind_reset(&self, token: &str) -> Result<(), AccountFault> {
        let seen = self.look::<Wish>(Kind::Reset, token).await?;
        self.wisher(&seen).await.map(drop)
    }

    /// Sets the password that was chosen behind the link. It ends every session, and proves the address, to
    /// which the link was sent.
    ///
    /// # Errors
    /// When the link is no good, or the password may not be chosen: then the link stays good.
    pub async fn reset(
        &self,
        token: &str,
        password: &Secret<String>,
        ip: IpAddr,
    ) -> Result<User, AccountFault> {
        let seen = self.look::<Wish>(Kind::Reset, token).await?;
        let user = self.wisher(&seen).await?;
        let hash = self
            .hash(password, (&user.username, user.email.as_ref()), ip)
            .await?;
        // Spent only now, so that a slip of the pen does not cost a letter; of two at once, one is first.
        let spent = self.spend::<Wish>(Kind::Reset, token).await?;
        let change = UserChange {
            password_hash: Some(hash),
            must_change_password: Some(false),
            is_verified: Some(true),
            ..UserChange::default()
        };
        let (before, user) = self
            .change_while(user.id, |user| spent.what.fits(user), &change)
            .await?;
        // It has happened: neither waits for the other, nor is one left out where the other fails.
        let tell = async {
            self.tell_password(&user, ip).await;
            if !before.is_verified {
                self.tell(Event::of(Topic::UserVerified, &user)).await;
            }
            self.tell(Event::of(Topic::UserResetPassword, &user)).await;
        };
        tokio::join!(self.end_everything(&user), tell).0?;
        Ok(user)
    }

    async fn wisher(&self, opened: &Opened<Wish>) -> Result<User, AccountFault> {
        let id = opened.owner.ok_or(AccountFault::Link)?;
        let user = self.parts().store.users.by_id(id).await?;
        let user = user.filter(|user| user.is_active && opened.what.fits(user));
        user.ok_or(AccountFault::Link)
    }
}

impl Wish {
    /// Whether the account is still what it was.
    fn fits(&self, user: &User) -> bool {
        user.password_version == self.password_version
            && user.email.as_ref().map(Email::folded) == Some(&self.email)
    }
}
