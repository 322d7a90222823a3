//! Why something was not done to an account.

use crate::base::name::{Email, RoleName, Username};
use crate::crypto::password::PasswordFault;
use crate::identity::IdentityFault;
use crate::identity::hashing::Busy;
use crate::identity::login::Refusal;
use crate::store::DbError;
use crate::store::roles::RoleError;
use crate::store::users::UserError;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum AccountFault {
    /// Somebody has that name.
    #[error("the username '{0}' is taken")]
    UsernameTaken(Username),
    /// A name that a service could take for a path.
    #[error("a username holds no '/' or '\\', and is not '.' or '..'")]
    UsernamePath,
    /// Somebody has that address.
    #[error("the e-mail address '{0}' is taken")]
    EmailTaken(Email),
    /// Nobody could administer the gateway any more.
    #[error("this is the last active superuser")]
    LastSuperuser,
    /// There is no such user, role, session or invitation.
    #[error("there is no such thing")]
    Missing,
    /// There is no such role.
    #[error("there is no role '{0}'")]
    UnknownRole(String),
    /// There is no permission of that number.
    #[error("there is no permission {0}")]
    UnknownPermission(i64),
    /// A role of that name, or a permission, is there already.
    #[error("'{0}' exists")]
    Exists(String),
    /// It is written in the file, built in, or in use: why.
    #[error("{0}")]
    Fixed(String),
    /// A rule of the file keeps people out by it: which.
    #[error("{0}")]
    Excludes(String),
    /// Whoever asks may not do this: why.
    #[error("{0}")]
    Forbidden(&'static str),
    /// Somebody else changed the same thing at the same time.
    #[error("somebody else has just changed this")]
    Conflict,
    /// The password may not be chosen: why.
    #[error("the password {0}")]
    Password(#[from] PasswordFault),
    /// The current password is asked for, or a login that is not long ago.
    #[error("the current password is needed")]
    Reauthenticate,
    /// The link has been used, has expired, or never was.
    #[error("the link is not good, or no more")]
    Link,
    /// Accounts are made by invitation and by administrators.
    #[error("registration is closed")]
    Closed,
    /// Accounts are made by administrators only.
    #[error("registration is closed, to who is invited as well")]
    NoInvitations,
    /// Too many letters or accounts from one place.
    #[error("too many requests")]
    TooMany,
    /// The current password was wrong, or tried too often.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too many passwords are waiting to be hashed.
    #[error(transparent)]
    Busy(Busy),
    /// Something failed.
    #[error(transparent)]
    Fault(#[from] IdentityFault),
}

impl From<DbError> for AccountFault {
    fn from(error: DbError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<crate::store::volatile::VolatileError> for AccountFault {
    fn from(error: crate::store::volatile::VolatileError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<crate::base::random::NoRandomness> for AccountFault {
    fn from(error: crate::base::random::NoRandomness) -> Self {
        Self::Fault(error.into())
    }
}

impl From<UserError> for AccountFault {
    fn from(error: UserError) -> Self {
        match error {
            UserError::UsernameTaken(name) => Self::UsernameTaken(name),
            UserError::EmailTaken(email) => Self::EmailTaken(email),
            UserError::LastSuperuser(_) => Self::LastSuperuser,
            UserError::Missing(_) => Self::Missing,
            UserError::Stale(_) => Self::Conflict,
            UserError::UnknownRole(role) => unknown(&role),
            UserError::Db(error) => error.into(),
        }
    }
}

impl From<RoleError> for AccountFault {
    fn from(error: RoleError) -> Self {
        match error {
            RoleError::Unknown(role) => unknown(&role),
            RoleError::Exists(role) => Self::Exists(role.to_string()),
            RoleError::PermissionExists(permission) => Self::Exists(permission.to_string()),
            RoleError::Missing(_) | RoleError::NoNumber(_) => Self::Missing,
            RoleError::FromConfig(_) | RoleError::BuiltIn(_) | RoleError::Included(..) => {
                Self::Fixed(error.to_string())
            }
            RoleError::Excludes(..) => Self::Excludes(error.to_string()),
            RoleError::Db(error) => error.into(),
        }
    }
}

fn unknown(role: &RoleName) -> AccountFault {
    AccountFault::UnknownRole(role.to_string())
}
