//! The users: who they are, how they are found, and what may be changed about them.
//!
//! Every change that sessions, tokens or headers could have been derived from raises the `generation`. The last
//! active superuser cannot be deleted, disabled or demoted (`change` says how). Deleting the row is half of
//! deleting a user: [`super::Store::delete_user`] ends their sessions as well.

mod change;
mod import;
mod insert;
mod names;
mod page;
mod read;
mod taken;

use std::collections::BTreeSet;

use crate::base::id::{PublicId, UserId};
use crate::base::name::{Email, RoleName, Username};
use crate::base::secret::Secret;
use crate::base::time::Timestamp;

use super::db::Db;
use super::error::DbError;
use super::roles::Filed;
use super::statement::{Row, Statement};

pub use self::import::{Import, Imported};
pub use page::{Given, Sort, SortBy};

/// A user, as stored.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four facts that are true or not, each on its own"
)]
pub struct User {
    /// The number, never reused.
    pub id: UserId,
    /// The random public name, never changed: what tokens call `sub`.
    pub subject: PublicId,
    /// The username.
    pub username: Username,
    /// The e-mail address.
    pub email: Option<Email>,
    /// The password's hash; without one, there is no password that lets them in.
    pub password_hash: Option<Secret<String>>,
    /// Whether the account may be used at all.
    pub is_active: bool,
    /// Whether it satisfies every role and permission.
    pub is_superuser: bool,
    /// Whether the e-mail address was proved to be theirs.
    pub is_verified: bool,
    /// Whether the password was set by somebody else and must be replaced.
    pub must_change_password: bool,
    /// Rises with every password that is set: what was opened with an earlier one is closed.
    pub password_version: i64,
    /// Rises with every change that matters to what was derived from the account.
    pub generation: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When somebody last changed it.
    pub updated_at: Timestamp,
}

/// A user to be. The number is the database's to give.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "five facts that are true or not, each on its own"
)]
pub struct NewUser {
    /// A fresh random public name.
    pub subject: PublicId,
    /// The username.
    pub username: Username,
    /// Whether it may be one that was somebody else's, under which services may keep what is theirs.
    pub may_reuse_name: bool,
    /// The e-mail address.
    pub email: Option<Email>,
    /// The password's hash.
    pub password_hash: Option<Secret<String>>,
    /// Whether the account may be used at all.
    pub is_active: bool,
    /// Whether it satisfies every role and permission.
    pub is_superuser: bool,
    /// Whether the e-mail address was proved to be theirs.
    pub is_verified: bool,
    /// Whether the password must be replaced at the first login.
    pub must_change_password: bool,
    /// The roles to begin with, granted in the same transaction.
    pub roles: BTreeSet<RoleName>,
}

/// What to change about a user; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// Another username.
    pub username: Option<Username>,
    /// Whether it may be one that was somebody else's.
    pub may_reuse_name: bool,
    /// Another e-mail address, or none at all.
    pub email: Option<Option<Email>>,
    /// Enabled or disabled.
    pub is_active: Option<bool>,
    /// Promoted or demoted.
    pub is_superuser: Option<bool>,
    /// Whether the e-mail address counts as theirs.
    pub is_verified: Option<bool>,
    /// Whether the password must be replaced.
    pub must_change_password: Option<bool>,
    /// Another password's hash.
    pub password_hash: Option<Secret<String>>,
}

/// Which users to list.
#[derive(Clone, Debug)]
pub struct UserQuery {
    /// How many to leave out.
    pub skip: u32,
    /// How many to list; at most [`LIST_MAX`].
    pub limit: u32,
    /// A part of the username or of the e-mail address, without regard to case.
    pub search: Option<String>,
}

/// How many users are listed at once at most.
pub const LIST_MAX: u32 = 1_000;

/// Why a user was not changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum UserError {
    /// Somebody has that name, or had it.
    #[error("the username '{0}' is taken")]
    UsernameTaken(Username),
    /// Somebody has that address.
    #[error("the e-mail address '{0}' is taken")]
    EmailTaken(Email),
    /// Nobody could administer the gateway any more.
    #[error("user {0} is the last active superuser")]
    LastSuperuser(UserId),
    /// There is no such user.
    #[error("there is no user {0}")]
    Missing(UserId),
    /// Somebody has changed the user since they were looked at.
    #[error("user {0} was changed by somebody else")]
    Stale(UserId),
    /// There is no such role.
    #[error("there is no role '{0}'")]
    UnknownRole(RoleName),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// The users in the store.
#[derive(Clone)]
pub struct Users {
    db: Db,
    filed: Filed,
}

/// The columns of a [`User`], in every statement that gives one.
macro_rules! columns {
    () => {
        "id, subject, username, email, password_hash, is_active, is_superuser, is_verified,
         must_change_password, password_version, generation, created_at, updated_at"
    };
}
use columns;

/// What was derived from a user is stale. In this module because the roles' statements need it too.
pub(super) const TOUCH: Statement = Statement::write(
    "user.touch",
    concat!(
        "UPDATE users SET generation = generation + 1 WHERE id = $1 RETURNING ",
        columns!()
    ),
);

impl Users {
    /// The users in `db`.
    pub(super) fn new(db: Db, filed: Filed) -> Self {
        Self { db, filed }
    }
}

impl User {
    pub(super) fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.get("id")?,
            subject: row.parse("subject")?,
            username: Username::stored(row.get("username")?)
                .map_err(|fault| DbError::corrupt("username", fault))?,
            email: row
                .get::<Option<String>>("email")?
                .map(|text| Email::stored(&text).map_err(|error| DbError::corrupt("email", error)))
                .transpose()?,
            password_hash: row.get("password_hash")?,
            is_active: row.get("is_active")?,
            is_superuser: row.get("is_superuser")?,
            is_verified: row.get("is_verified")?,
            must_change_password: row.get("must_change_password")?,
            password_version: row.get("password_version")?,
            generation: row.get("generation")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }
}
