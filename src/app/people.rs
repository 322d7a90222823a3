//! Whoever knows people, put together: sessions, tokens, the door, accounts.

use std::sync::Arc;

use crate::base::random::Random;
use crate::base::time::Clock;
use crate::config::Config;
use crate::crypto::key::GatewayKey;
use crate::gate::judge::Gate;
use crate::gate::turn::Turns;
use crate::identity::accounts::{self, Accounts};
use crate::identity::hashing::Hashing;
use crate::identity::login::{Logins, Notices};
use crate::identity::session::Sessions;
use crate::identity::tokens::Tokens;
use crate::store::Store;

use super::keys;
use super::post::Post;

/// Everything about people that the web, the gate and a reload are handed. Clones share it.
#[derive(Clone)]
pub struct People {
    /// Staying logged in.
    pub sessions: Sessions,
    /// Tokens for programs.
    pub tokens: Tokens,
    /// Logging in.
    pub logins: Logins,
    /// Everything about accounts.
    pub accounts: Accounts,
    /// Where passwords are hashed.
    pub hashing: Hashing,
    /// Whether their roles are those of the file in force.
    pub turns: Arc<Turns>,
}

impl People {
    /// Who judges what they ask for.
    #[must_use]
    pub fn gate(&self) -> Gate {
        let turns = Arc::clone(&self.turns);
        Gate::new(self.sessions.clone(), self.tokens.clone(), turns)
    }

    /// Puts them together.
    ///
    /// # Errors
    /// When a key cannot be had, or no password can be hashed.
    pub async fn assemble(
        config: &Config,
        (store, key): (&Store, &GatewayKey),
        post: &Post,
        (clock, random): (&Clock, &Random),
    ) -> anyhow::Result<Self> {
        let settings = &config.identity;
        let hashing = Hashing::new(config.threads);
        let sessions = Sessions::new(
            store.clone(),
            clock.clone(),
            random.clone(),
            settings.session,
        );
        let access = keys::access_key(settings.algorithm, store, key, random, clock.now()).await?;
        let tokens = Tokens::new(
            (sessions.clone(), Arc::clone(&store.volatile)),
            (access, key),
            (clock.clone(), random.clone()),
            config.sites.main().origin.clone(),
            settings.tokens,
        );
        let notices = Notices {
            mailer: post.mailer.clone(),
            hooks: post.hooks.clone(),
        };
        let logins = Logins::new(
            store.clone(),
            (sessions.clone(), tokens.clone()),
            (hashing.clone(), notices),
            (clock.clone(), random.clone()),
            settings.password,
        )?;
        let parts = accounts::Parts {
            store: store.clone(),
            sessions: sessions.clone(),
            logins: logins.clone(),
            hashing: hashing.clone(),
            mailer: post.mailer.clone(),
            hooks: post.hooks.clone(),
            clock: clock.clone(),
            random: random.clone(),
        };
        let people = Self {
            sessions,
            tokens,
            logins,
            accounts: Accounts::new(parts, config.account_terms()),
            hashing,
            turns: Arc::default(),
        };
        people.count_gains(config);
        Ok(people)
    }

    fn count_gains(&self, config: &Config) {
        let mut rules = config.rules.iter();
        let count = rules.any(|rule| rule.allow.asks_for_absence());
        self.sessions.count_gains(count);
    }

    /// Takes what a reload may change.
    pub fn configure(&self, config: &Config) {
        self.sessions.configure(config.identity.session);
        self.count_gains(config);
        let issuer = config.sites.main().origin.clone();
        self.tokens.configure(issuer, config.identity.tokens);
        self.accounts.configure(config.account_terms());
    }
}
