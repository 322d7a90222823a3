//! Proving that an address is one's own.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AccountFault, Accounts, Links};
use crate::base::name::{Email, Username};
use crate::identity::hooks::{Event, Topic};
use crate::identity::mail::Letter;
use crate::store::users::{User, UserChange};
use crate::store::volatile::Kind;

/// How long a link that proves an address is good.
pub(super) const HOURS: u32 = 24;

/// What stands behind such a link: good for this address only.
#[derive(Serialize, Deserialize)]
struct Proof {
    email: String,
}

/// What a link in a letter would confirm, for the page that asks.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The account, which may be one that is only made by it.
    pub username: Username,
    /// The address that would be its own.
    pub email: Email,
}

impl Accounts {
    /// What a link would confirm, which stays good. Whoever has the address may not be who chose the name and the
    /// password of the account: the page must tell whose it is before anybody confirms it.
    ///
    /// # Errors
    /// When the link is no good, or the store does not answer.
    pub async fn behind_verify(&self, token: &str) -> Result<Claim, AccountFault> {
        let opened = match self.look::<Proof>(Kind::Verify, token).await {
            Err(AccountFault::Link) => return self.wanted(token).await,
            opened => opened?,
        };
        let id = opened.owner.ok_or(AccountFault::Link)?;
        let user = self.parts().store.users.by_id(id).await?;
        let user = user
            .filter(|user| user.is_active)
            .ok_or(AccountFault::Link)?;
        let email = user
            .email
            .filter(|email| email.folded() == opened.what.email);
        Ok(Claim {
            username: user.username,
            email: email.ok_or(AccountFault::Link)?,
        })
    }

    /// Sends the letter that proves an address, to an account that still needs it. Nobody is told whether
    /// there is one.
    ///
    /// # Errors
    /// When no letters are sent here, too many are asked for from one place, or the store does not answer.
    pub async fn request_verify(
        &self,
        email: &Email,
        ip: IpAddr,
        links: &Links,
    ) -> Result<(), AccountFault> {
        self.must_have_mail()?;
        self.admit_stranger(ip).await?;
        let (this, email, links) = (self.clone(), email.clone(), links.clone());
        // Afterwards: the time that the answer takes must not tell whether the address is known.
        self.later("verify", this.send_proof_to(email, links));
        Ok(())
    }

    async fn send_proof_to(self, email: Email, links: Links) -> Result<(), AccountFault> {
        match self.parts().store.users.by_email(&email).await? {
            Some(user) if user.is_active && !user.is_verified => {
                self.send_proof(&user, &links).await
            }
            Some(_) => Ok(()),
            None => self.send_wanted(&email, links).await,
        }
    }

    /// Sends the letter to an account that somebody else has made or changed, where it does not open before.
    pub(super) fn prove_later(&self, user: &User, links: &Links) {
        if self.wants_proof() && user.is_active && !user.is_verified {
            let (this, user, links) = (self.clone(), user.clone(), links.clone());
            // Afterwards: the account is changed, whatever becomes of the letter.
            self.later(
                "verify",
                async move { this.send_proof(&user, &links).await },
            );
        }
    }

    /// Takes a proof, and gives the user whose address it proves: who had an account, or has one now.
    ///
    /// # Errors
    /// When the link is no good, also because the address has changed since; when the name that was chosen has been
    /// taken meanwhile.
    pub async fn verify(&self, token: &str) -> Result<User, AccountFault> {
        let opened = match self.spend::<Proof>(Kind::Verify, token).await {
            Err(AccountFault::Link) => return self.finish_registration(token).await,
            opened => opened?,
        };
        let id = opened.owner.ok_or(AccountFault::Link)?;
        let change = UserChange {
            is_verified: Some(true),
            ..UserChange::default()
        };
        let still =
            |user: &User| user.email.as_ref().map(Email::folded) == Some(&opened.what.email);
        let (_, user) = self.change_while(id, still, &change).await?;
        self.changed_user(user.id).await?;
        self.tell(Event::of(Topic::UserVerified, &user)).await;
        Ok(user)
    }

    /// Sends the letter with a fresh link.
    pub(super) async fn send_proof(&self, user: &User, links: &Links) -> Result<(), AccountFault> {
        let Some(email) = &user.email else {
            return Ok(());
        };
        if !self.admit_letter("verify", email).await {
            return Ok(());
        }
        let proof = Proof {
            email: email.folded().to_owned(),
        };
        let life = Duration::from_hours(HOURS.into());
        let token = self
            .make_link(Kind::Verify, Some(user.id), &proof, life)
            .await?;
        let letter = Letter::VerifyEmail {
            link: links.with_token("verify", &token),
            hours: HOURS,
        };
        self.send(email, &letter).await;
        Ok(())
    }
}
