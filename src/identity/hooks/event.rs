//! What hooks can be told: a closed list of topics, and facts that hold no secret because no field is one.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Serialize;

use crate::base::name::Email;
use crate::store::Account;
use crate::store::users::User;

macro_rules! topics {
    ($($(#[$doc:meta])* $topic:ident = $word:literal,)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Topic {
            $($(#[$doc])* $topic,)*
        }

        impl Topic {
            /// Every topic there is.
            pub const ALL: &'static [Self] = &[$(Self::$topic,)*];

            /// The word in the file and in what is sent.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$topic => $word,)*
                }
            }
        }
    };
}
topics! {
    /// An account was made.
    UserRegistered = "user.registered",
    /// An address was proved to be its user's.
    UserVerified = "user.verified",
    /// Somebody logged in.
    UserLogin = "user.login",
    /// Somebody logged out.
    UserLogout = "user.logout",
    /// Somebody asked for a new password.
    UserForgotPassword = "user.forgot_password",
    /// Somebody who had forgotten it chose a new password.
    UserResetPassword = "user.reset_password",
    /// A username or address was changed.
    UserUpdated = "user.updated",
    /// Somebody changed their password, or had it set.
    UserPasswordChanged = "user.password_changed",
    /// An account was deleted.
    UserDeleted = "user.deleted",
    /// An account was disabled.
    UserDisabled = "user.disabled",
    /// An account was enabled again.
    UserEnabled = "user.enabled",
    /// Somebody's roles were changed.
    UserRolesChanged = "user.roles_changed",
    /// A session was ended by somebody else than by logging out.
    SessionRevoked = "session.revoked",
    /// Somebody was invited.
    InvitationCreated = "invitation.created",
    /// An invitation was accepted.
    InvitationAccepted = "invitation.accepted",
    /// Nothing: somebody tries the hook out. Cannot be asked for; every hook may be sent it.
    HookTest = "hook.test",
}

/// Something that happened. Facts that do not belong to its topic stay empty, and are not sent.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// What happened.
    #[serde(skip)]
    pub topic: Topic,
    /// To whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Person>,
    /// Who did it, by name, where it was somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// The session, by its public id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// Which fields of the user were changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<&'static str>,
    /// The invitation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invitation: Option<Invited>,
}

/// A user, as hooks see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    /// The number.
    pub id: i64,
    /// What tokens call `sub`.
    pub subject: String,
    /// The username.
    pub username: String,
    /// The address.
    pub email: Option<String>,
    /// Whether they may log in.
    pub is_active: bool,
    /// Whether the address was proved to be theirs.
    pub is_verified: bool,
    /// Whether they satisfy every role and permission.
    pub is_superuser: bool,
    /// Their roles, inherited ones included, where they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
}

/// An invitation, as hooks see it: without the link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Invited {
    /// Its public id.
    pub id: String,
    /// Who is invited.
    pub email: String,
    /// The roles they will have.
    pub roles: Vec<String>,
}

impl Topic {
    /// The topics that a hook can ask for.
    pub fn offered() -> impl Iterator<Item = Self> + Clone {
        Self::ALL
            .iter()
            .copied()
            .filter(|topic| *topic != Self::HookTest)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Topic {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::offered()
            .find(|topic| topic.as_str() == text)
            .ok_or(())
    }
}

impl Event {
    /// Something of this topic happened; the facts are filled in by whoever knows them.
    #[must_use]
    pub const fn new(topic: Topic) -> Self {
        Self {
            topic,
            user: None,
            by: None,
            ip: None,
            sid: None,
            changed: Vec::new(),
            invitation: None,
        }
    }

    /// Something of this topic happened to this user.
    #[must_use]
    pub fn of(topic: Topic, user: impl Into<Person>) -> Self {
        Self {
            user: Some(user.into()),
            ..Self::new(topic)
        }
    }
}

impl From<&User> for Person {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.0,
            subject: user.subject.to_string(),
            username: user.username.to_string(),
            email: user.email.as_ref().map(Email::mailbox),
            is_active: user.is_active,
            is_verified: user.is_verified,
            is_superuser: user.is_superuser,
            roles: None,
        }
    }
}

impl From<&Account> for Person {
    fn from(account: &Account) -> Self {
        let roles = account.roles.iter().map(ToString::to_string).collect();
        Self {
            roles: Some(roles),
            ..Self::from(&account.user)
        }
    }
}
