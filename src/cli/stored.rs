//! What the commands on the store share: opening it as the gateway does, finding a user, reading a password.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Read};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::app::{keys, post::Post, roles};
use crate::base::name::{Email, RoleName, Username};
use crate::base::random::Random;
use crate::base::secret::Secret;
use crate::base::time::Clock;
use crate::config::{Config, policy_test};
use crate::crypto::password::Password;
use crate::policy::role::Roles;
use crate::store::users::User;
use crate::store::{Db, Store, VolatileKind};

/// The store of a configuration, and what goes with it.
pub struct Stored {
    /// The configuration.
    pub config: Config,
    /// The store, up to date.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// The dice.
    pub random: Random,
}

/// Runs a command on a configuration.
///
/// # Errors
/// When the file has faults, or the command fails.
pub fn with_config<T>(
    path: &Path,
    command: impl AsyncFnOnce(Config) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let config = Config::load(path).map_err(|report| anyhow::anyhow!("{report}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(command(config))
}

/// Runs a command on the store of a configuration.
///
/// # Errors
/// When the file has faults, the store cannot be opened, or the command fails.
pub fn with_store<T>(
    path: &Path,
    command: impl AsyncFnOnce(Stored) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    with_config(path, async |config| {
        let clock = Clock::System;
        let store = Store::open(&config.store, clock.now(), None)
            .await
            .context("cannot open the store")?;
        let db = store.db.clone();
        let stored = Stored {
            config,
            store,
            clock,
            random: Random::System,
        };
        let done = async {
            // A store that no gateway has run on does not even know the built-in roles. The file's are the running gateway's to
            // take over, at a start or reload: looking at users must not put an edited file in force.
            if stored.store.roles.list().await?.is_empty() {
                stored.mirror(&Roles::default()).await?;
            }
            command(stored).await
        };
        let done = done.await;
        close(&db);
        done
    })
}

/// Closes a database, for nobody else to do: what a gateway has open is left to that.
pub fn close(db: &Db) {
    // The command is done nevertheless, and all of it is in the files.
    if !db.close(Duration::from_secs(2)) {
        errln!("portcullis: warning: the newest of the database is in the file beside it (-wal)");
    }
}

impl Stored {
    /// The user of this name or e-mail address.
    ///
    /// # Errors
    /// When there is none.
    pub async fn user(&self, name: &str) -> anyhow::Result<User> {
        self.store.users.by_login(name).await?.with_context(|| {
            format!("there is no user '{name}'; `portcullis user list --search` finds them")
        })
    }

    /// The roles that the store can give.
    ///
    /// # Errors
    /// What the store said.
    pub async fn roles(&self) -> anyhow::Result<BTreeSet<RoleName>> {
        let graph = self.store.roles.graph().await?;
        let counts = |name: &&RoleName| graph.counting(name).is_some();
        Ok(graph.nodes.keys().filter(counts).cloned().collect())
    }

    /// Whether the file's roles have to be taken over before all of these can be given: one of them was added to it a
    /// moment ago.
    ///
    /// # Errors
    /// When the file is one that no gateway would take over, one of these exists nowhere, and what the store said.
    pub async fn lacks(&self, wanted: &BTreeSet<RoleName>) -> anyhow::Result<bool> {
        let known = self.roles().await?;
        let mut new = wanted.difference(&known);
        if let Some(name) = new.clone().find(|it| !self.config.roles.contains_key(*it)) {
            bail!("there is no role '{name}'; `portcullis role list` shows them");
        }
        let Some(name) = new.next() else {
            return Ok(false);
        };
        let complaints = policy_test::complaints(&self.config);
        anyhow::ensure!(
            complaints.is_empty(),
            "the role '{name}' cannot be taken over from this file: {}",
            complaints.join("; ")
        );
        Ok(true)
    }

    /// Puts the file's roles in force where one of these needs it. The last step but one: what is refused must have changed
    /// nothing.
    ///
    /// # Errors
    /// Those of [`Self::lacks`].
    pub async fn take_over_for(&self, wanted: &BTreeSet<RoleName>) -> anyhow::Result<()> {
        if self.lacks(wanted).await? {
            self.mirror(&self.config.roles).await?;
        }
        Ok(())
    }

    async fn mirror(&self, roles: &Roles) -> anyhow::Result<()> {
        Ok(roles::mirror(&self.store, roles, self.clock.now()).await?)
    }

    /// Whether `what`, which has an expiry, is where this process sees it.
    ///
    /// # Errors
    /// When it is in the gateway's own memory.
    pub fn must_see_volatile(&self, what: &str) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.config.store.volatile != VolatileKind::Memory,
            "with `volatile: memory` the {what} live in the gateway's own memory and cannot be seen from here"
        );
        Ok(())
    }

    /// Letters and hooks, left in the store for the gateway to send.
    ///
    /// # Errors
    /// When the gateway key cannot be had, or letters cannot be written.
    pub async fn post(&self) -> anyhow::Result<Post> {
        let key = keys::gateway_key(&self.config.key, &self.store, &self.random).await?;
        Ok(Post::new(&self.config, &self.store, &key, &self.random)?)
    }

    /// A new password for somebody of these names, from standard input or the prompt, checked and hashed.
    ///
    /// # Errors
    /// When none is given, or it is refused.
    pub fn new_password(
        &self,
        from_stdin: bool,
        username: &Username,
        email: Option<&Email>,
    ) -> anyhow::Result<Secret<String>> {
        let text = if from_stdin { read_stdin()? } else { prompt()? };
        let settings = &self.config.identity.password;
        let words = self.config.password_words().of_user(username, email);
        let password = Password::chosen(text.expose(), settings, &words)
            .map_err(|fault| anyhow::anyhow!("the password {fault}"))?;
        Ok(password.hash(settings, &self.random)?)
    }
}

fn read_stdin() -> anyhow::Result<Secret<String>> {
    let mut text = String::new();
    std::io::stdin().take(64 * 1024).read_to_string(&mut text)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    if line.trim_end_matches('\r').contains(['\r', '\n']) {
        bail!("a password is one line");
    }
    Ok(Secret::new(
        line.strip_suffix('\r').unwrap_or(line).to_owned(),
    ))
}

fn prompt() -> anyhow::Result<Secret<String>> {
    if !std::io::stdin().is_terminal() {
        bail!("no terminal to ask for the password; use --password-stdin");
    }
    let first = Secret::new(rpassword::prompt_password("Password: ")?);
    let again = Secret::new(rpassword::prompt_password("Again: ")?);
    if first.expose() != again.expose() {
        bail!("the two passwords differ");
    }
    Ok(first)
}
