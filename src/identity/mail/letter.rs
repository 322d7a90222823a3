//! Every letter there is, with everything its template may say.

use std::net::IpAddr;

use minijinja::{Value, context};

use crate::base::name::{Email, RoleName, Username};
use crate::base::time::Timestamp;

/// A letter. Links are whole URLs, made from `site`.
#[derive(Clone, Debug)]
pub enum Letter {
    /// Asks a new user to prove that the address is theirs.
    VerifyEmail {
        /// Who registered.
        name: Username,
        /// Proves it.
        link: String,
        /// How long the link is good, in hours.
        hours: u32,
    },
    /// Somebody registered with an address that has an account: tells its owner, and nobody else.
    AlreadyRegistered {
        /// The account.
        name: Username,
        /// Where to log in.
        login_link: String,
        /// Where to ask for a new password.
        reset_link: String,
    },
    /// Lets a user who forgot the password choose another.
    ResetPassword {
        /// The account.
        name: Username,
        /// Where to choose it.
        link: String,
        /// How long the link is good, in minutes.
        minutes: u32,
    },
    /// Asks a user to prove that their new address is theirs; to the new address.
    ConfirmNewEmail {
        /// The account.
        name: Username,
        /// Proves it.
        link: String,
        /// How long the link is good, in hours.
        hours: u32,
    },
    /// Somebody who is signed in asks for another address; to the old one.
    NewEmailAsked {
        /// The account.
        name: Username,
    },
    /// The address was changed; to the old one.
    EmailChanged {
        /// The account.
        name: Username,
        /// The old address.
        old: Email,
        /// The new one.
        new: Email,
    },
    /// The password was changed.
    PasswordChanged {
        /// The account.
        name: Username,
        /// From where.
        ip: IpAddr,
        /// When.
        at: Timestamp,
    },
    /// An administrator set the password.
    PasswordSetByAdministrator {
        /// The account.
        name: Username,
        /// When.
        at: Timestamp,
    },
    /// Somebody signed in from a device that was not seen before.
    NewSignIn {
        /// The account.
        name: Username,
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
        name: Username,
    },
    /// Nothing but a test.
    Test,
}

/// What a browser calls itself may be of any length.
const DEVICE_SHOWN: usize = 120;

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

    /// What its templates may say.
    pub(super) fn values(&self) -> Value {
        match self {
            // Whoever chose these names did not always prove that the address is theirs: a name that a mail program
            // would make a link of could carry a stranger's message to anybody.
            Self::VerifyEmail { name, link, hours }
            | Self::ConfirmNewEmail { name, link, hours } => {
                context! { name => harmless(name), link => link.as_str(), hours => *hours }
            }
            Self::AlreadyRegistered {
                name,
                login_link,
                reset_link,
            } => {
                context! { name => harmless(name), login_link => login_link.as_str(), reset_link => reset_link.as_str() }
            }
            Self::ResetPassword {
                name,
                link,
                minutes,
            } => context! { name => harmless(name), link => link.as_str(), minutes => *minutes },
            Self::EmailChanged { name, old, new } => {
                context! { name => harmless(name), old => old.as_str(), new => new.as_str() }
            }
            Self::PasswordChanged { name, ip, at } => {
                context! { name => harmless(name), ip => ip.to_string(), at => time(*at) }
            }
            Self::PasswordSetByAdministrator { name, at } => {
                context! { name => harmless(name), at => time(*at) }
            }
            Self::NewSignIn {
                name,
                ip,
                user_agent,
                at,
            } => {
                context! { name => harmless(name), ip => ip.to_string(), device => device(user_agent), at => time(*at) }
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
                context! { name => harmless(name) }
            }
            Self::Test => context! {},
        }
    }
}

/// The name, unless a mail program might make a link of it.
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

fn device(user_agent: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    user_agent.chars().take(DEVICE_SHOWN).map(plain).collect()
}
