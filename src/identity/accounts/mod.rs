//! Accounts, and everything that people do with them: making one, proving an address, changing what is theirs,
//! and looking after those of others.
//!
//! One place for the API, the pages and whatever comes: who asks is an [`Actor`], what came of it is told by a
//! letter to whom it concerns and by an [`Event`] to hooks, and what was derived from the account before is
//! looked at again. Nothing here reads a request or makes an answer.

mod admin;
mod aftermath;
mod audit;
mod console;
mod fault;
mod grants;
mod invitations;
mod letters;
mod moves;
mod names;
mod onetime;
mod profile;
mod register;
mod reset;
mod rights;
mod roles;
mod sessions;
mod verify;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::task::TaskTracker;

use crate::base::id::{PublicId, UserId};
use crate::base::identity::Identity;
use crate::base::name::{Email, Username};
use crate::base::net::Origin;
use crate::base::random::Random;
use crate::base::secret::Secret;
use crate::base::time::{Clock, Timestamp};
use crate::base::token::Token;
use crate::crypto::password::{self, Context, Password};
use crate::store::roles::Excluded;
use crate::store::{Account, Store};

use super::IdentityFault;
use super::hashing::Hashing;
use super::hooks::{Event, Hooks};
use super::login::Logins;
use super::mail::Mailer;
use super::session::Sessions;
use super::settings::Register;

pub use admin::{Listed, UserDraft, UserEdit};
pub use fault::AccountFault;
pub use invitations::{Invitation, Invited, Invitee};
pub use letters::NO_LETTERS;
pub use profile::{Changed, MeChange};
pub use register::{NewAccount, Registered};
pub use rights::Right;
pub use roles::{FullRole, RoleDraft, RoleEdit};
pub use verify::Claim;

/// Everything about accounts. Clones share it.
#[derive(Clone)]
pub struct Accounts(Arc<Inner>);

/// What accounts are made of, handed over by `app`.
pub struct Parts {
    /// Where they are kept.
    pub store: Store,
    /// Their sessions.
    pub sessions: Sessions,
    /// Checks passwords.
    pub logins: Logins,
    /// Hashes passwords.
    pub hashing: Hashing,
    /// Writes to people.
    pub mailer: Mailer,
    /// Tells other programs.
    pub hooks: Hooks,
    /// The time.
    pub clock: Clock,
    /// The dice.
    pub random: Random,
}

/// What the file says of accounts; a reload replaces it.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What a password must be.
    pub password: password::Settings,
    /// Words of the site that no password may be made of.
    pub words: Context,
    /// Who may make an account.
    pub register: Register,
    /// Whom rules let in by name.
    pub named: Named,
}

/// Whom some rule of the file lets in by name, so that a name alone is worth something, and what it keeps people out by.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// The users.
    pub users: BTreeSet<Username>,
    /// The roles and permissions that rules keep people out by.
    pub excluded: Excluded,
}

struct Inner {
    parts: Parts,
    terms: ArcSwap<Terms>,
    errands: TaskTracker,
}

/// Where links in letters lead: made from `site` and `prefix`, never from a request.
#[derive(Clone, Debug)]
pub struct Links {
    /// Scheme, host and port of the main site.
    pub origin: String,
    /// Where our own pages are.
    pub prefix: String,
}

/// Whoever does something.
#[derive(Clone, Copy, Debug)]
pub struct Actor<'a> {
    /// Who it is.
    pub who: &'a Identity,
    /// In which session.
    pub sid: PublicId,
    /// When they logged in.
    pub since: Timestamp,
    /// Which password they logged in with: what they ask for is done only while it is the account's.
    pub password_version: i64,
    /// Where from.
    pub ip: IpAddr,
}

impl Accounts {
    /// Accounts over these parts.
    #[must_use]
    pub fn new(parts: Parts, terms: Terms) -> Self {
        let terms = ArcSwap::from_pointee(terms);
        Self(Arc::new(Inner {
            parts,
            terms,
            errands: TaskTracker::new(),
        }))
    }

    /// Takes new terms after a reload.
    pub fn configure(&self, terms: Terms) {
        self.0.terms.store(Arc::new(terms));
    }

    /// Who may make an account.
    #[must_use]
    pub fn register_mode(&self) -> Register {
        self.0.terms.load().register
    }

    /// Whether letters can be sent: without, links are shown to whoever made them.
    #[must_use]
    pub fn has_mail(&self) -> bool {
        self.parts().mailer.is_on()
    }

    /// Told before anything else, and to anybody alike: it is the file's, and says nothing of accounts.
    fn must_have_mail(&self) -> Result<(), AccountFault> {
        if self.has_mail() {
            return Ok(());
        }
        Err(AccountFault::Forbidden(NO_LETTERS))
    }

    /// An account and everything it holds.
    ///
    /// # Errors
    /// When there is none.
    pub async fn account(&self, id: UserId) -> Result<Account, AccountFault> {
        let found = self.parts().store.account(id).await?;
        found.ok_or(AccountFault::Missing)
    }

    fn parts(&self) -> &Parts {
        &self.0.parts
    }

    fn now(&self) -> Timestamp {
        self.parts().clock.now()
    }

    /// A new password, if its owner may choose it. Costs nothing worth counting.
    fn choosable(
        &self,
        text: &Secret<String>,
        (username, email): (&Username, Option<&Email>),
    ) -> Result<Password, AccountFault> {
        let terms = self.0.terms.load();
        let context = terms.words.clone().of_user(username, email);
        let password = Password::chosen(text.expose(), &terms.password, &context)?;
        Ok(password)
    }

    /// Hashes a new password, if its owner may choose it. Whoever asks from one place has one place's share of the queue.
    async fn hash(
        &self,
        text: &Secret<String>,
        names: (&Username, Option<&Email>),
        ip: IpAddr,
    ) -> Result<Secret<String>, AccountFault> {
        let password = self.choosable(text, names)?;
        let settings = self.0.terms.load().password;
        let random = self.parts().random.clone();
        let hashed = self
            .parts()
            .hashing
            .run(Origin::of(ip), move || password.hash(&settings, &random));
        hashed
            .await
            .map_err(AccountFault::Busy)?
            .map_err(|fault| IdentityFault::Random(fault.to_string()).into())
    }

    /// Tells hooks. What cannot be told is logged: it happened all the same.
    async fn tell(&self, event: Event) {
        if let Err(fault) = self.parts().hooks.tell(&event, self.now()).await {
            tracing::error!(%fault, topic = event.topic.as_str(), "could not leave word for the hooks");
        }
    }

    /// Does something after the answer. What fails is logged: nobody waits for it, but for a gateway that stops.
    fn later(
        &self,
        what: &'static str,
        work: impl Future<Output = Result<(), AccountFault>> + Send + 'static,
    ) {
        self.0.errands.spawn(async move {
            if let Err(fault) = work.await {
                tracing::error!(%fault, what, "something was left undone");
            }
        });
    }

    /// What is done after answers that were given.
    #[must_use]
    pub fn errands(&self) -> &TaskTracker {
        &self.0.errands
    }

    /// Looks again at everything that was derived from accounts: the next request of every session sees what
    /// was changed.
    async fn changed_user(&self, user: UserId) -> Result<(), AccountFault> {
        Ok(self.parts().sessions.reconsider(user).await?)
    }

    /// The same for everybody: where many accounts may be concerned.
    async fn changed(&self) -> Result<(), AccountFault> {
        Ok(self.parts().sessions.revalidate().await?)
    }
}

impl Links {
    /// A page of ours with a token behind it.
    #[must_use]
    pub fn with_token(&self, page: &str, token: &Token) -> String {
        format!("{}?token={}", self.to(page), token.expose())
    }

    /// A page of ours.
    #[must_use]
    pub fn to(&self, page: &str) -> String {
        format!("{}{}/{page}", self.origin, self.prefix)
    }
}

#[cfg(test)]
mod tests;
