//! Who is asking, once that is settled: what policy judges by and services are told.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::id::{PublicId, UserId};
use super::name::{Email, Permission, RoleName, Username};

/// A person (or later a service account) whose account check has passed.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The account's number.
    pub id: UserId,
    /// The account's random, immutable public name: what tokens call `sub`.
    pub subject: PublicId,
    /// The username.
    pub name: Username,
    /// The e-mail address, if the account has one.
    pub email: Option<Email>,
    /// Whether the address was proved to be theirs.
    pub verified: bool,
    /// Every role they hold, inherited ones included.
    pub roles: BTreeSet<RoleName>,
    /// Every permission those roles give.
    pub permissions: BTreeSet<Permission>,
    /// Satisfies every role and permission.
    pub superuser: bool,
    /// Rises with every change of the account, so that what was derived from it can be told stale.
    pub generation: i64,
}

/// How a request proves who sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// A session cookie of ours.
    Session,
    /// An access token of ours, in `Authorization: Bearer`.
    Jwt,
    /// A certificate that was shown in the TLS handshake.
    Mtls,
}

impl Identity {
    /// Whether `other` may do everything that this one may, by rules that ask for what somebody has or who they are.
    #[must_use]
    pub fn rights_are_within(&self, other: &Self) -> bool {
        let held = self.roles.is_subset(&other.roles)
            && self.permissions.is_subset(&other.permissions)
            && (other.verified || !self.verified);
        held && self.name == other.name && (other.superuser || !self.superuser)
    }
}

impl Method {
    /// Every method there is, in the order in which they are listed to people.
    pub const ALL: [Self; 3] = [Self::Session, Self::Jwt, Self::Mtls];

    /// The word used in `gateway.yaml`, headers, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Jwt => "jwt",
            Self::Mtls => "mtls",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Method {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|method| method.as_str() == text)
            .ok_or(())
    }
}

/// Identities for the tests of every floor.
#[cfg(test)]
pub(crate) mod fixture {
    use super::*;
    use crate::base::random::Random;

    /// An enabled account without e-mail.
    pub(crate) fn identity(name: &str, roles: &[&str], permissions: &[&str]) -> Identity {
        Identity {
            id: UserId(1),
            subject: PublicId::generate(&Random::seeded(1)),
            name: name.parse().unwrap(),
            email: None,
            verified: false,
            roles: roles.iter().map(|role| role.parse().unwrap()).collect(),
            permissions: permissions.iter().map(|p| p.parse().unwrap()).collect(),
            superuser: false,
            generation: 1,
        }
    }
}
