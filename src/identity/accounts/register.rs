//! Making an account for oneself.
//!
//! Where addresses must be proved, nobody learns by registering whether an address is known: both get the same
//! answer, and the owner of the address the letter that fits. A username is another matter: it is public, and
//! is told to be taken.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::onetime::{open, value_of};
use super::rights::DEFAULT;
use super::verify::{Claim, HOURS};
use super::{AccountFault, Accounts, Links};
use crate::base::id::PublicId;
use crate::base::name::{Email, RoleName, Username};
use crate::base::secret::Secret;
use crate::identity::hooks::{Event, Topic};
use crate::identity::mail::{Letter, Salutation};
use crate::identity::settings::Register;
use crate::store::Account;
use crate::store::roles::RoleOrigin;
use crate::store::users::{NewUser, User};
use crate::store::volatile::{Key, Kind, NewEntry};

/// An account that somebody wants.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Their address.
    pub email: Email,
    /// The name they chose.
    pub username: Username,
    /// The password they chose.
    pub password: Secret<String>,
}

/// What is kept of a registration until the address is proved.
#[derive(Serialize, Deserialize)]
struct Pending {
    username: String,
    email: String,
    password_hash: String,
}

/// What came of a registration.
#[derive(Debug)]
pub enum Registered {
    /// The account is there.
    Created(Box<Account>),
    /// A letter is on its way to the address, if it is one.
    Sent,
}

/// How long what somebody wants is kept for another letter: the links in letters end before.
const KEPT: Duration = Duration::from_hours(72);

/// What is kept under an address. No link leads there: its key is a hash of a token.
fn wanted_at(email: &Email) -> Key {
    Key::of(&[b"wanted", email.folded().as_bytes()])
}

impl Accounts {
    /// Makes an account, if everybody may.
    ///
    /// # Errors
    /// When registration is not open, a name is taken, or the password may not be chosen.
    pub async fn register(
        &self,
        new: NewAccount,
        ip: IpAddr,
        links: &Links,
    ) -> Result<Registered, AccountFault> {
        self.is_open()?;
        self.admit_stranger(ip).await?;
        let NewAccount {
            email,
            username,
            password,
        } = new;
        if self.wants_proof() {
            self.register_silently((username, email), (&password, ip), links)
                .await?;
            return Ok(Registered::Sent);
        }
        self.refuse_taken(&username, Some(&email)).await?;
        let hash = self.hash(&password, (&username, Some(&email)), ip).await?;
        let account = self
            .insert(username, Some(email), Some(hash), false)
            .await?;
        Ok(Registered::Created(Box::new(account)))
    }

    /// Goes on where everybody may make an account.
    ///
    /// # Errors
    /// Who makes them, where not.
    pub fn is_open(&self) -> Result<(), AccountFault> {
        match self.register_mode() {
            Register::Open => Ok(()),
            Register::Invite => Err(AccountFault::Closed),
            Register::Closed => Err(AccountFault::NoInvitations),
        }
    }

    /// Whether addresses must be proved before an account opens.
    #[must_use]
    pub fn wants_proof(&self) -> bool {
        self.parts().sessions.demands().verified_email
    }

    async fn register_silently(
        &self,
        (username, email): (Username, Email),
        (password, ip): (&Secret<String>, IpAddr),
        links: &Links,
    ) -> Result<(), AccountFault> {
        self.refuse_taken(&username, None).await?;
        // Hashed in any case: the time it takes must not tell whether the address is known.
        let hash = self.hash(password, (&username, Some(&email)), ip).await?;
        let (this, links) = (self.clone(), links.clone());
        self.later(
            "register",
            this.wait_for_proof(username, email, hash, links),
        );
        Ok(())
    }

    /// Keeps what was asked for until the address is proved. There is no account before, so that neither its name
    /// nor its password tells anybody whether the address was known.
    pub(super) async fn wait_for_proof(
        self,
        username: Username,
        email: Email,
        hash: Secret<String>,
        links: Links,
    ) -> Result<(), AccountFault> {
        if let Some(owner) = self.parts().store.users.by_email(&email).await? {
            return self.tell_owner(owner, &links).await;
        }
        let pending = Pending {
            username: username.to_string(),
            email: email.to_string(),
            password_hash: hash.expose().clone(),
        };
        self.write_to_prove(&email, &pending, &links, true).await
    }

    /// Sends the letter, if there is room for one more. What is `new` is kept before: whoever asks for another letter
    /// when this one has come is not sent that of whoever was first.
    async fn write_to_prove(
        &self,
        email: &Email,
        pending: &Pending,
        links: &Links,
        new: bool,
    ) -> Result<(), AccountFault> {
        if !self.admit_letter("register", email).await {
            return Ok(());
        }
        let life = Duration::from_hours(HOURS.into());
        let token = self
            .make_link(Kind::Registration, None, pending, life)
            .await?;
        if new {
            self.keep_wanted(email, pending).await?;
        }
        let letter = Letter::VerifyEmail {
            link: links.with_token("verify", &token),
            hours: HOURS,
        };
        self.send(email, &letter).await;
        Ok(())
    }

    /// Keeps what was asked for under its address, too, so that another letter can be sent. Where it was asked for twice,
    /// nobody knows which of the two is theirs whose address it is, and neither is sent again.
    async fn keep_wanted(&self, email: &Email, pending: &Pending) -> Result<(), AccountFault> {
        let (key, now) = (wanted_at(email), self.now());
        let entry = NewEntry {
            key,
            value: value_of(&Some(pending))?,
            owner: None,
            expires_at: now.plus(KEPT),
        };
        let volatile = &self.parts().store.volatile;
        if volatile.create(Kind::Registration, entry, now).await? {
            return Ok(());
        }
        if let Some(found) = volatile.get(Kind::Registration, &key, now).await? {
            let (version, none) = (found.version, value_of(&None::<Pending>)?);
            let until = now.plus(KEPT);
            volatile
                .replace(Kind::Registration, &key, version, none, until, now)
                .await?;
        }
        Ok(())
    }

    /// Sends another letter to whoever wants an account and has not proved this address yet, if one does.
    pub(super) async fn send_wanted(
        &self,
        email: &Email,
        links: Links,
    ) -> Result<(), AccountFault> {
        let (key, volatile) = (wanted_at(email), &self.parts().store.volatile);
        let found = volatile.get(Kind::Registration, &key, self.now()).await?;
        let Some(found) = found.filter(|_| self.register_mode() == Register::Open) else {
            return Ok(());
        };
        let Some(pending) = open::<Option<Pending>>(&found)?.what else {
            return Ok(());
        };
        let (Ok(username), Ok(email)) = (pending.username.parse(), pending.email.parse()) else {
            return Ok(());
        };
        // A link that would come to nothing is not sent.
        match self.refuse_taken(&username, None).await {
            Ok(()) => self.write_to_prove(&email, &pending, &links, false).await,
            Err(AccountFault::UsernameTaken(_)) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// The account that a link would make.
    pub(super) async fn wanted(&self, token: &str) -> Result<Claim, AccountFault> {
        let pending = self.look::<Pending>(Kind::Registration, token).await?.what;
        Ok(Claim {
            username: pending.username.parse().map_err(|_| AccountFault::Link)?,
            email: self.unowned(&pending).await?,
        })
    }

    /// The address that is to be proved, unless it is somebody's by now: that of who confirms, mostly, by another letter.
    async fn unowned(&self, pending: &Pending) -> Result<Email, AccountFault> {
        let email: Email = pending.email.parse().map_err(|_| AccountFault::Link)?;
        match self.parts().store.users.by_email(&email).await? {
            None => Ok(email),
            Some(_) => Err(AccountFault::EmailTaken(email)),
        }
    }

    /// Makes the account whose address has been proved.
    pub(super) async fn finish_registration(&self, token: &str) -> Result<User, AccountFault> {
        let seen = self.look::<Pending>(Kind::Registration, token).await?.what;
        // After that: most links that are no good here never made an account.
        self.is_open()?;
        let username: Username = seen.username.parse().map_err(|_| AccountFault::Link)?;
        self.unowned(&seen).await?;
        self.refuse_taken(&username, None).await?;
        let pending = self.spend::<Pending>(Kind::Registration, token).await?.what;
        let email: Email = pending.email.parse().map_err(|_| AccountFault::Link)?;
        let volatile = &self.parts().store.volatile;
        volatile
            .delete(Kind::Registration, &wanted_at(&email))
            .await?;
        let hash = Secret::new(pending.password_hash);
        let account = self.insert(username, Some(email), Some(hash), true).await?;
        self.tell(Event::of(Topic::UserVerified, &account)).await;
        Ok(account.user)
    }

    /// Tells before anything is hashed, and again by the insertion, which alone is sure.
    pub(super) async fn refuse_taken(
        &self,
        username: &Username,
        email: Option<&Email>,
    ) -> Result<(), AccountFault> {
        let users = &self.parts().store.users;
        self.may_be_named(Some(username), false)?;
        if let Some(email) = email
            && users.by_email(email).await?.is_some()
        {
            return Err(AccountFault::EmailTaken(email.clone()));
        }
        if users.by_username(username).await?.is_some()
            || users.whose_was(username).await?.is_some()
        {
            return Err(AccountFault::UsernameTaken(username.clone()));
        }
        Ok(())
    }

    /// Makes the row, with the role of new accounts, and tells hooks.
    pub(super) async fn insert(
        &self,
        username: Username,
        email: Option<Email>,
        password_hash: Option<Secret<String>>,
        is_verified: bool,
    ) -> Result<Account, AccountFault> {
        let roles = self.default_roles().await?;
        self.insert_with(username, email, password_hash, is_verified, roles)
            .await
    }

    pub(super) async fn insert_with(
        &self,
        username: Username,
        email: Option<Email>,
        password_hash: Option<Secret<String>>,
        is_verified: bool,
        roles: BTreeSet<RoleName>,
    ) -> Result<Account, AccountFault> {
        let new = NewUser {
            subject: PublicId::generate(&self.parts().random),
            username,
            may_reuse_name: false,
            email,
            password_hash,
            is_active: true,
            is_superuser: false,
            is_verified,
            must_change_password: false,
            roles,
        };
        let user = self.parts().store.users.insert(&new, self.now()).await?;
        let account = self.account(user.id).await?;
        self.tell(Event::of(Topic::UserRegistered, &account)).await;
        Ok(account)
    }

    /// The roles that new accounts begin with.
    pub(super) async fn default_roles(&self) -> Result<BTreeSet<RoleName>, AccountFault> {
        let graph = self.parts().store.roles.graph().await?;
        let default = graph
            .nodes
            .into_iter()
            .find(|(name, node)| name.as_str() == DEFAULT && node.origin != RoleOrigin::Retired);
        Ok(default.map(|(name, _)| name).into_iter().collect())
    }

    /// Somebody registered with an address that is known: only its owner is told.
    async fn tell_owner(&self, owner: User, links: &Links) -> Result<(), AccountFault> {
        let Some(email) = owner.email.clone() else {
            return Ok(());
        };
        let letter = Letter::AlreadyRegistered {
            name: Salutation::of(&owner),
            login_link: links.to("login"),
            reset_link: links.to("forgot-password"),
        };
        if self.admit_letter("registered", &email).await {
            self.send(&email, &letter).await;
        }
        Ok(())
    }
}
