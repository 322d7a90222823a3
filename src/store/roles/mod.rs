//! The roles: what each gives, where it comes from, and who has it.
//!
//! A role of the file is mirrored here with `origin: config`, so that people can be given it by id and name; one
//! made through the API is `local`. A role that leaves the file while people have it is `retired`: it and its
//! assignments are kept, but it counts for nothing and cannot be given, until the file has it again or somebody
//! deletes it. (Deleting it at once would turn a slip in the file into the loss of who had it; letting it count
//! would leave people with what the file no longer grants.)

mod assign;
mod edit;
mod excluded;
mod filed;
mod grant;
mod graph;
mod manage;
mod mirror;
mod permissions;
mod read;

use std::collections::BTreeSet;

use crate::base::id::UserId;
use crate::base::name::{Permission, RoleName};

use super::db::Db;
use super::error::DbError;

pub(super) use self::assign::assign;
pub use self::edit::RoleChange;
pub use self::excluded::Excluded;
pub(super) use self::filed::Filed;
pub use self::grant::Standing;
pub use self::graph::{Closure, Graph, Node};
pub(super) use self::manage::locked_graph;
pub use self::mirror::{ConfigRole, Mirrored, is_built_in};
pub use self::permissions::StoredPermission;

/// The source of what people grant, as opposed to a directory or a provider.
pub const LOCAL: &str = "local";

/// Where a role comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleOrigin {
    /// `gateway.yaml`: read-only here.
    Config,
    /// The API, the command line, or us.
    Local,
    /// Once `gateway.yaml`: counts for nothing.
    Retired,
}

/// A role, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// The number, never reused.
    pub id: i64,
    /// The name.
    pub name: RoleName,
    /// What it is for.
    pub description: String,
    /// Where it comes from.
    pub origin: RoleOrigin,
    /// The roles it includes.
    pub includes: BTreeSet<RoleName>,
    /// The permissions it gives itself, beside those of the roles it includes.
    pub permissions: BTreeSet<Permission>,
    /// How many users have it directly, where that was counted ([`Roles::list`]).
    pub assigned: u64,
}

/// Why roles were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// There is no such role, or it has left the file.
    #[error("there is no role '{0}'")]
    Unknown(RoleName),
    /// There is no role of that number, or it has left the file.
    #[error("there is no role {0}")]
    NoNumber(i64),
    /// There is one already.
    #[error("the role '{0}' exists")]
    Exists(RoleName),
    /// There is that permission already.
    #[error("the permission '{0}' exists")]
    PermissionExists(Permission),
    /// It is written in `gateway.yaml` and changed there.
    #[error("the role '{0}' is written in the configuration file and changed there")]
    FromConfig(RoleName),
    /// It is one of the three that are always there.
    #[error("the role '{0}' is built in")]
    BuiltIn(RoleName),
    /// Another role includes it.
    #[error("the role '{0}' is included by '{1}'")]
    Included(RoleName, RoleName),
    /// A rule of the file keeps out whoever has it.
    #[error(
        "the rule on line {1} of the configuration file keeps out whoever has the role '{0}': change the file first"
    )]
    Excludes(RoleName, u64),
    /// There is no such user.
    #[error("there is no user {0}")]
    Missing(UserId),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// The roles in the store.
#[derive(Clone)]
pub struct Roles {
    db: Db,
    pub(super) filed: Filed,
}

impl Roles {
    /// The roles in `db`.
    pub(super) fn new(db: Db, filed: Filed) -> Self {
        Self { db, filed }
    }
}

impl RoleOrigin {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Local => "local",
            Self::Retired => "retired",
        }
    }
}

impl std::str::FromStr for RoleOrigin {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Config, Self::Local, Self::Retired]
            .into_iter()
            .find(|origin| origin.as_str() == text)
            .ok_or(())
    }
}
