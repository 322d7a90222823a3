//! Everything that is kept: users and roles for good, and under [`volatile`] whatever has an expiry.
//!
//! The way down: [`users`], [`roles`] and [`volatile`] hold the statements, each next to its only caller;
//! [`db`] runs them on whichever database was opened, and is the only one to know which; [`migrate`] makes the
//! tables. Everything is async, and a future may be dropped at any time. Time comes from the caller, always.
//!
//! Nothing here hashes a password, knows what a session is, or decides anything.

pub mod acme;
pub mod db;
pub mod error;
pub mod keys;
mod lock;
pub mod migrate;
pub mod outbox;
mod ping;
mod postgres;
pub mod roles;
mod sqlite;
pub mod statement;
pub mod url;
pub mod users;
pub mod volatile;

#[cfg(test)]
mod conformance;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::id::UserId;
use crate::base::name::{Permission, RoleName};
use crate::base::random::Random;
use crate::base::time::Timestamp;

use self::acme::Acme;
pub use self::db::{Db, Observer};
pub use self::error::DbError;
use self::keys::Keys;
pub use self::migrate::MigrateError;
use self::outbox::Outbox;
pub use self::postgres::{PostgresUrl, PostgresUrlError};
use self::roles::{Closure, Filed, Roles};
pub use self::url::{DbUrl, DbUrlError};
use self::users::{User, UserError, Users};
use self::volatile::{Memory, Sql, Volatile};

/// What to open.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which database.
    pub url: DbUrl,
    /// Where sessions, codes and counters are.
    pub volatile: VolatileKind,
}

/// Where sessions, codes and counters are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VolatileKind {
    /// In the database: they survive a restart, and the command line sees them.
    #[default]
    Store,
    /// In this process: gone with it, and unseen by every other.
    Memory,
}

/// Everything that is kept. Cloning it shares it.
#[derive(Clone)]
pub struct Store {
    /// The database itself, to be asked whether it answers and whether others have written.
    pub db: Db,
    /// The users.
    pub users: Users,
    /// The roles.
    pub roles: Roles,
    /// Keys that every node shares, sealed.
    pub keys: Keys,
    /// Mails and webhooks that wait to be sent, sealed.
    pub outbox: Outbox,
    /// Certificates that an authority issues, sealed.
    pub acme: Acme,
    /// Whatever has an expiry.
    pub volatile: Arc<dyn Volatile>,
    /// The same, where it is in this process.
    memory: Option<Arc<Memory>>,
}

/// A user and what they hold.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user.
    pub user: User,
    /// Every role, inherited ones included.
    pub roles: BTreeSet<RoleName>,
    /// Every permission of those roles.
    pub permissions: BTreeSet<Permission>,
}

impl Store {
    /// Opens the database, brings its tables up to date, and readies what stands on it. The roles of the file
    /// come with [`Roles::mirror`].
    ///
    /// # Errors
    /// When the database cannot be opened, or is not one this version may change.
    pub async fn open(
        settings: &Settings,
        now: Timestamp,
        observer: Option<Observer>,
    ) -> Result<Self, MigrateError> {
        let store = Self::unmigrated(settings, observer).await?;
        store.migrate(now).await?;
        Ok(store)
    }

    /// Opens the database as it is. Its tables may be older than this program, or not there at all, until [`Store::migrate`].
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub async fn unmigrated(
        settings: &Settings,
        observer: Option<Observer>,
    ) -> Result<Self, DbError> {
        let db = Db::open(&settings.url, observer).await?;
        let memory = match settings.volatile {
            VolatileKind::Store => None,
            VolatileKind::Memory => Some(Arc::new(Memory::default())),
        };
        Ok(Self::over(db, memory, Filed::default()))
    }

    /// Brings the tables up to date.
    ///
    /// # Errors
    /// When the database is not one this version may change.
    pub async fn migrate(&self, now: Timestamp) -> Result<(), MigrateError> {
        migrate::apply(&self.db, now).await.map(drop)
    }

    fn over(db: Db, memory: Option<Arc<Memory>>, filed: Filed) -> Self {
        let volatile: Arc<dyn Volatile> = match &memory {
            None => Arc::new(Sql::new(db.clone(), Random::System)),
            Some(memory) => Arc::<Memory>::clone(memory),
        };
        Self {
            users: Users::new(db.clone(), filed.clone()),
            roles: Roles::new(db.clone(), filed),
            keys: Keys::new(db.clone()),
            outbox: Outbox::new(db.clone()),
            acme: Acme::new(db.clone()),
            db,
            volatile,
            memory,
        }
    }

    /// The same over [`Db::sharing`], for whoever reads a great deal beside everybody else.
    #[must_use]
    pub fn sharing(&self) -> Self {
        Self::over(
            self.db.sharing(),
            self.memory.clone(),
            self.roles.filed.clone(),
        )
    }

    /// A user and everything they hold.
    ///
    /// # Errors
    /// What the database said.
    pub async fn account(&self, id: UserId) -> Result<Option<Account>, DbError> {
        // In this order: roles that are newer than the generation are read again in time, whereas older ones
        // would pass for those of the newer generation.
        let Some(user) = self.users.by_id(id).await? else {
            return Ok(None);
        };
        let Closure { roles, permissions } = self.roles.closure_of(id).await?;
        Ok(Some(Account {
            user,
            roles,
            permissions,
        }))
    }

    /// Deletes a user, their role assignments, and everything volatile that was theirs.
    ///
    /// # Errors
    /// When there is no such user, or it is the last active superuser.
    pub async fn delete_user(&self, id: UserId) -> Result<User, UserError> {
        self.delete_user_if(id, None).await
    }

    /// The same, unless somebody has changed the user since they were of `generation`.
    ///
    /// # Errors
    /// As [`Store::delete_user`], and [`UserError::Stale`].
    pub async fn delete_user_if(
        &self,
        id: UserId,
        generation: Option<i64>,
    ) -> Result<User, UserError> {
        let user = self.users.delete(id, generation).await?;
        if let Err(error) = self.volatile.forget(id.0).await {
            // No reason to take the deletion for undone: nothing of somebody who is no more opens anything.
            tracing::error!(%error, user = id.0, "what was a deleted user's is left to the sweep");
        }
        Ok(user)
    }
}
