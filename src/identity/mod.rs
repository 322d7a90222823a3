//! Who are you: logging in, staying logged in, and the account check that every door shares; and what others
//! are told of it, by [`mail`] and [`hooks`].

pub mod account;
pub mod accounts;
pub mod hashing;
pub mod hooks;
pub mod login;
pub mod mail;
pub mod outbox;
pub mod session;
pub mod settings;
pub mod throttle;
pub mod tokens;

use crate::store::error::DbError;

/// Something failed while finding out who asks. Never taken for "nobody".
#[derive(Clone, Debug, thiserror::Error)]
pub enum IdentityFault {
    /// The store did not answer.
    #[error("store: {0}")]
    Store(String),
    /// The store answered nonsense, and will again.
    #[error("store: {0}")]
    Corrupt(String),
    /// There is no randomness.
    #[error("{0}")]
    Random(String),
    /// A token could not be made.
    #[error("signing: {0}")]
    Signing(String),
    /// A letter could not be written, or no mail is set up.
    #[error("mail: {0}")]
    Mail(String),
    /// A message could not be sealed.
    #[error("outbox: {0}")]
    Outbox(String),
    /// Each time that it was read who somebody is, it had changed before the reading was over.
    #[error("who it is changes faster than it can be read")]
    Unsettled,
}

impl From<DbError> for IdentityFault {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Corrupt(_) => Self::Corrupt(error.to_string()),
            _ => Self::Store(error.to_string()),
        }
    }
}

impl From<crate::store::volatile::VolatileError> for IdentityFault {
    fn from(error: crate::store::volatile::VolatileError) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<crate::crypto::key::KeyFault> for IdentityFault {
    fn from(error: crate::crypto::key::KeyFault) -> Self {
        Self::Outbox(error.to_string())
    }
}

impl From<crate::base::random::NoRandomness> for IdentityFault {
    fn from(error: crate::base::random::NoRandomness) -> Self {
        Self::Random(error.to_string())
    }
}
