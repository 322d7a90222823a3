//! Logging in with a password.
//!
//! Whoever guesses learns nothing: an account that does not exist, is disabled or has no password takes the
//! same time and gives the same answer as a wrong password.

use std::net::IpAddr;
use std::time::Duration;

use crate::base::name::{Email, Username};
use crate::base::net::Origin;
use crate::base::random::Random;
use crate::base::secret::Secret;
use crate::base::time::Clock;
use crate::base::token::Token;
use crate::crypto::password::{self, Password};
use crate::store::Store;
use crate::store::users::User;

use super::IdentityFault;
use super::account::Bar;
use super::hashing::{Busy, Hashing, Place};
use super::hooks::{Event, Hooks, Topic};
use super::mail::{Letter, Mailer, Salutation, ration};
use super::session::{Begun, Opening, Sessions};
use super::throttle::{Attempt, Subject, Throttle, Throttled};
use super::tokens::{Pair, Tokens};

/// Who has just made their account knows that they log in.
const NEWCOMER: Duration = Duration::from_hours(1);

/// Everything a login needs. Clones share it.
#[derive(Clone)]
pub struct Logins {
    store: Store,
    sessions: Sessions,
    tokens: Tokens,
    throttle: Throttle,
    hashing: Hashing,
    notices: Notices,
    clock: Clock,
    random: Random,
    settings: password::Settings,
    /// What is hashed against when there is no account: made with the same parameters at start.
    decoy: Secret<String>,
}

/// Who is told of logins.
#[derive(Clone)]
pub struct Notices {
    /// The user, when it was from a place that was not seen before.
    pub mailer: Mailer,
    /// Other programs.
    pub hooks: Hooks,
}

/// Somebody whose password was right.
struct Known {
    user: User,
    attempt: Attempt,
}

/// What somebody presents at the door.
#[derive(Debug)]
pub struct Credentials {
    /// A username or e-mail address, as typed.
    pub login: String,
    /// The password, as typed.
    pub password: Secret<String>,
    /// Where the request comes from.
    pub ip: IpAddr,
    /// What the browser calls itself.
    pub user_agent: String,
    /// The session cookie that came along, if any; it ends with the login.
    pub presented: Option<Token>,
}

/// A login that succeeded.
#[derive(Debug)]
pub struct Welcome {
    /// The session that was begun.
    pub session: Begun,
    /// Who logged in.
    pub user: User,
}

/// Why a login did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No such account, disabled, or the wrong password: nobody is told which.
    #[error("wrong name or password")]
    Invalid,
    /// The password is right, but the e-mail address was not proved yet.
    #[error("the e-mail address is not verified")]
    Unverified,
    /// Too many attempts.
    #[error("too many attempts")]
    Throttled(Throttled),
    /// Too many others are logging in just now.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// Something failed.
    #[error(transparent)]
    Fault(#[from] IdentityFault),
}

impl Credentials {
    fn opening<'a>(&'a self, user: &'a User) -> Opening<'a> {
        Opening {
            user,
            ip: self.ip,
            user_agent: &self.user_agent,
        }
    }
}

impl Logins {
    /// Prepares to let people in.
    ///
    /// # Errors
    /// When no decoy hash can be made: the parameters are impossible or there is no randomness.
    pub fn new(
        store: Store,
        (sessions, tokens): (Sessions, Tokens),
        (hashing, notices): (Hashing, Notices),
        (clock, random): (Clock, Random),
        settings: password::Settings,
    ) -> Result<Self, password::HashFault> {
        let decoy = Token::generate(&random)?;
        let decoy = Password::typed(decoy.expose())
            .map_err(|e| password::HashFault::Argon2(e.to_string()))?;
        let decoy = decoy.hash(&settings, &random)?;
        let throttle = Throttle::new(store.volatile.clone());
        Ok(Self {
            store,
            sessions,
            tokens,
            throttle,
            hashing,
            notices,
            clock,
            random,
            settings,
            decoy,
        })
    }

    /// Checks a name and a password and begins a session.
    ///
    /// # Errors
    /// The reason it was refused.
    pub async fn with_password(&self, credentials: Credentials) -> Result<Welcome, Refusal> {
        let known = self.check(&credentials).await?;
        let opening = credentials.opening(&known.user);
        let session = self
            .sessions
            .begin(&opening, credentials.presented.as_ref())
            .await?;
        self.tell(&known, &credentials).await;
        let user = known.user;
        Ok(Welcome { session, user })
    }

    /// Checks a name and a password and hands out tokens for a program.
    ///
    /// # Errors
    /// The reason it was refused.
    pub async fn for_tokens(&self, credentials: &Credentials) -> Result<Pair, Refusal> {
        let known = self.check(credentials).await?;
        let pair = self.tokens.issue(&credentials.opening(&known.user)).await?;
        self.tell(&known, credentials).await;
        Ok(pair)
    }

    /// Whether a password is the user's own: asked of somebody who is signed in, before something that a
    /// thief of their session must not do. Counts like a login.
    ///
    /// # Errors
    /// The reason it was refused.
    pub async fn confirm(
        &self,
        user: &User,
        password: &Secret<String>,
        ip: IpAddr,
    ) -> Result<(), Refusal> {
        let login = user.username.to_string();
        let credentials = Credentials {
            login,
            password: password.clone(),
            ip,
            user_agent: String::new(),
            presented: None,
        };
        // By name, since that is what a login counts; but names change hands while somebody waits.
        match self.check(&credentials).await? {
            known if known.user.id == user.id => Ok(()),
            _ => Err(Refusal::Invalid),
        }
    }

    /// The user whose name and password these are, if they may come in. What changes about the account from
    /// here on is seen by the session when it is first used.
    async fn check(&self, credentials: &Credentials) -> Result<Known, Refusal> {
        // Longer than anything that was ever hashed: wrong without being tried, and no guess to be counted.
        Password::typed(credentials.password.expose()).map_err(|_| Refusal::Invalid)?;
        // Before anything is counted: an attempt that is not looked at must not cost its owner one.
        let origin = Origin::of(credentials.ip);
        let place = self.hashing.enter(origin)?;
        let now = self.clock.now();
        let user = self
            .store
            .users
            .by_login(&credentials.login)
            .await
            .map_err(IdentityFault::from)?;
        let subject = subject(user.as_ref(), &credentials.login);
        let attempt = self
            .throttle
            .admit(&subject, origin, now)
            .await?
            .map_err(Refusal::Throttled)?;
        let Some(user) = self.verify(place, user, credentials).await? else {
            self.throttle.failed(&attempt, now).await?;
            return Err(Refusal::Invalid);
        };
        self.throttle.succeeded(&attempt).await?;
        self.upgrade_hash(&user, &credentials.password, origin)
            .await;
        match self.sessions.demands().bar(&user) {
            None => Ok(Known { user, attempt }),
            Some(Bar::Disabled) => Err(Refusal::Invalid),
            // Told only to who knows the password.
            Some(Bar::Unverified) => Err(Refusal::Unverified),
        }
    }

    /// Tells of a login. What cannot be told is logged: they are in all the same.
    async fn tell(&self, known: &Known, credentials: &Credentials) {
        let (user, now) = (&known.user, self.clock.now());
        let been_here = self.throttle.came_in(&known.attempt, now).await;
        let been_here = been_here.unwrap_or_else(|fault| {
            tracing::error!(%fault, "could not see whether somebody has logged in from there before");
            false
        });
        let mut event = Event::of(Topic::UserLogin, user);
        event.ip = Some(credentials.ip);
        if let Err(fault) = self.notices.hooks.tell(&event, now).await {
            tracing::error!(%fault, "could not leave word of a login for the hooks");
        }
        let newcomer = now.since(user.created_at) < NEWCOMER;
        let Some(email) = user.email.as_ref().filter(|_| !been_here && !newcomer) else {
            return;
        };
        if !self.notices.mailer.is_on() {
            return;
        }
        let letter = Letter::NewSignIn {
            name: Salutation::of(user),
            ip: credentials.ip,
            user_agent: credentials.user_agent.clone(),
            at: now,
        };
        let sent = match ration::admit(&*self.store.volatile, email, now).await {
            Ok(true) => self.notices.mailer.post(email, &letter, now).await,
            Ok(false) => Ok(()),
            Err(fault) => Err(fault),
        };
        if let Err(fault) = sent {
            tracing::error!(%fault, "could not leave a letter about a login");
        }
    }

    /// The user, if the password is theirs and they may come in. Always costs one hash.
    async fn verify(
        &self,
        place: Place,
        user: Option<User>,
        credentials: &Credentials,
    ) -> Result<Option<User>, Refusal> {
        let stored = user.as_ref().and_then(|user| user.password_hash.clone());
        let against = stored.clone().unwrap_or_else(|| self.decoy.clone());
        let Ok(typed) = Password::typed(credentials.password.expose()) else {
            return Ok(None);
        };
        let matches = place.run(move || typed.matches(&against)).await?;
        Ok(user.filter(|user| matches && stored.is_some() && user.is_active))
    }

    /// Rehashes with today's parameters while the password is at hand. A failure costs nobody the login.
    async fn upgrade_hash(&self, user: &User, password: &Secret<String>, origin: Origin) {
        let Some(old) = user
            .password_hash
            .clone()
            .filter(|hash| password::is_outdated(hash, &self.settings))
        else {
            return;
        };
        let (settings, random, password) = (self.settings, self.random.clone(), password.clone());
        let hashed = self.hashing.run(origin, move || {
            Password::typed(password.expose())
                .ok()?
                .hash(&settings, &random)
                .ok()
        });
        if let Ok(Some(new)) = hashed.await
            && let Err(error) = self.store.users.upgrade_hash(user.id, &old, &new).await
        {
            tracing::warn!(%error, user = %user.id, "could not store an upgraded password hash");
        }
    }
}

/// Every spelling of one name counts against one account, and names that nobody has are told apart by the
/// same canonical form.
fn subject(user: Option<&User>, login: &str) -> Subject {
    match user {
        Some(user) => Subject::Known(user.id),
        None => Subject::Unknown(match (login.parse::<Username>(), login.parse::<Email>()) {
            (Ok(name), _) => name.to_string(),
            (_, Ok(email)) => email.folded().to_owned(),
            _ => login.trim().to_lowercase().chars().take(256).collect(),
        }),
    }
}
