//! Every letter there is, with everything its template may say.

use std::net::IpAddr;
use std::time::Duration;

use minijinja::{Value, context};

use crate::base::device;
use crate::base::name::{Email, RoleName, Username};
use crate::base::time::Timestamp;
use crate::store::users::User;

/// A letter. Links are whole URLs, made from `site`.
#[derive(Clone, Debug)]
pub enum Letter {
    /// Asks a new user to prove that the address is theirs.
    VerifyEmail {
        /// Proves it.
        link: String,
        /// How long the link is good, in hours.
        hours: u32,
    },
    /// Somebody registered with an address that has an account: tells its owner, and nobody else.
    AlreadyRegistered {
        /// The account.
        name: Salutation,
        /// Where to log in.
        login_link: String,
        /// Where to ask for a new password.
        reset_link: String,
    },
    /// Lets a user who forgot the password choose another.
    ResetPassword {
        /// The account.
        name: Salutation,
        /// Where to choose it.
        link: String,
        /// How long the link is good, in minutes.
        minutes: u32,
    },
    /// Asks a user to prove that their new address is theirs; to the new address.
    ConfirmNewEmail {
        /// Proves it.
        link: String,
        /// How long the link is good, in hours.
        hours: u32,
    },
    /// Somebody who is signed in asks for another address; to the old one.
    NewEmailAsked {
        /// The account.
        name: Salutation,
    },
    /// The address was changed; to the old one.
    EmailChanged {
        /// The account.
        name: Salutation,
        /// The old address.
        old: Email,
        /// The new one, where the old one is proved.
        new: Option<Email>,
    },
    /// The password was changed.
    PasswordChanged {
        /// The account.
        name: Salutation,
        /// From where.
        ip: IpAddr,
        /// When.
        at: Timestamp,
    },
    /// An administrator set the password.
    PasswordSetByAdministrator {
        /// The account.
        name: Salutation,
        /// When.
        at: Timestamp,
    },
    /// Somebody signed in from a place that was not seen before.
    NewSignIn {
        /// The account.
        name: Salutation,
        /// From where.
        ip: IpAddr,
        /// What the browser calls itself.
        user_agent: String,
        /// When.
        at: Timestamp,
    },
    /// Invites somebody to make an account.
    Invitation {
        /// Who invites.
        by: Username,
        /// The roles the account will have.
        roles: Vec<RoleName>,
        /// Where to make it.
        link: String,
        /// How long the link is good, in hours.
        hours: u32,
    },
    /// The account was deleted.
    AccountDeleted {
        /// The account.
        name: Salutation,
    },
    /// Nothing but a test.
    Test,
}

/// What a letter calls its reader. The name was chosen by whoever made the account: an address that nobody has proved may
/// be a stranger's, who is told nothing in words of theirs.
#[derive(Clone, Debug)]
pub struct Salutation(Option<Username>);

impl Salutation {
    /// Of a letter to the address that this account has.
    #[must_use]
    pub fn of(user: &User) -> Self {
        Self(user.is_verified.then(|| user.username.clone()))
    }

    /// Of a letter to an address that is proved to be the account's.
    #[must_use]
    pub const fn proved(name: Username) -> Self {
        Self(Some(name))
    }

    /// The name, unless a mail program might make a link of it.
    fn as_str(&self) -> &str {
        self.0.as_ref().map_or("", harmless)
    }
}

impl Letter {
    /// The name of its templates, without the ending.
    #[must_use]
    pub const fn template(&self) -> &'static str {
        match self {
            Self::VerifyEmail { .. } => "verify_email",
            Self::AlreadyRegistered { .. } => "already_registered",
            Self::ResetPassword { .. } => "reset_password",
            Self::ConfirmNewEmail { .. } => "confirm_new_email",
            Self::NewEmailAsked { .. } => "new_email_asked",
            Self::EmailChanged { .. } => "email_changed",
            Self::PasswordChanged { .. } => "password_changed",
            Self::PasswordSetByAdministrator { .. } => "password_set",
            Self::NewSignIn { .. } => "new_sign_in",
            Self::Invitation { .. } => "invitation",
            Self::AccountDeleted { .. } => "account_deleted",
            Self::Test => "test",
        }
    }

    /// How long the link in it is good, if there is one that ends.
    #[must_use]
    pub fn life(&self) -> Option<Duration> {
        match self {
            Self::VerifyEmail { hours, .. }
            | Self::ConfirmNewEmail { hours, .. }
            | Self::Invitation { hours, .. } => Some(Duration::from_hours((*hours).into())),
            Self::ResetPassword { minutes, .. } => Some(Duration::from_mins((*minutes).into())),
            _ => None,
        }
    }

    /// What its templates may say.
    pub(super) fn values(&self) -> Value {
        match self {
            // Nobody has proved these addresses yet. Templates of one's own may ask for a name all the same.
            Self::VerifyEmail { link, hours } | Self::ConfirmNewEmail { link, hours } => {
                context! { name => "", link => link.as_str(), hours => *hours }
            }
            Self::AlreadyRegistered {
                name,
                login_link,
                reset_link,
            } => {
                context! { name => name.as_str(), login_link => login_link.as_str(), reset_link => reset_link.as_str() }
            }
            Self::ResetPassword {
                name,
                link,
                minutes,
            } => context! { name => name.as_str(), link => link.as_str(), minutes => *minutes },
            Self::EmailChanged { name, old, new } => {
                context! { name => name.as_str(), old => old.as_str(), new => new.as_ref().map_or("", Email::as_str) }
            }
            Self::PasswordChanged { name, ip, at } => {
                context! { name => name.as_str(), ip => ip.to_string(), at => time(*at) }
            }
            Self::PasswordSetByAdministrator { name, at } => {
                context! { name => name.as_str(), at => time(*at) }
            }
            Self::NewSignIn {
                name,
                ip,
                user_agent,
                at,
            } => {
                context! { name => name.as_str(), ip => ip.to_string(), device => device::known(user_agent).unwrap_or_default(), at => time(*at) }
            }
            Self::Invitation {
                by,
                roles,
                link,
                hours,
            } => {
                let roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
                context! { by => harmless(by), roles => roles.join(", "), link => link.as_str(), hours => *hours }
            }
            Self::NewEmailAsked { name } | Self::AccountDeleted { name } => {
                context! { name => name.as_str() }
            }
            Self::Test => context! {},
        }
    }
}

/// The name, unless a mail program might make a link of it: that could carry a message to anybody.
fn harmless(name: &Username) -> &str {
    let name = name.as_str();
    if name.contains(['.', '/', ':']) {
        ""
    } else {
        name
    }
}

fn time(at: Timestamp) -> String {
    at.to_string().replace('T', " ").replace('Z', " UTC")
}
