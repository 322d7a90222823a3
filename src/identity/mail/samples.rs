//! One letter of each kind, to try templates on before anybody is written to.

use std::net::{IpAddr, Ipv4Addr};

use super::Letterhead;
use super::letter::{Letter, Salutation};
use crate::base::name::{NameError, Username};
use crate::base::net::{BadHost, Host};
use crate::base::site::Site;
use crate::base::time::Timestamp;

/// Letters that leave no value out.
pub(super) fn letters() -> Result<Vec<Letter>, NameError> {
    let (ip, at) = (IpAddr::V4(Ipv4Addr::LOCALHOST), Timestamp::from_millis(0));
    let link = || String::from("https://example.com/auth/verify?token=x");
    let name: Username = "alice".parse()?;
    let named = || Salutation::proved(name.clone());
    Ok(vec![
        Letter::VerifyEmail {
            link: link(),
            hours: 1,
        },
        Letter::AlreadyRegistered {
            name: named(),
            login_link: link(),
            reset_link: link(),
        },
        Letter::ResetPassword {
            name: named(),
            link: link(),
            minutes: 30,
        },
        Letter::ConfirmNewEmail {
            link: link(),
            hours: 24,
        },
        Letter::NewEmailAsked { name: named() },
        Letter::EmailChanged {
            name: named(),
            old: "a@example.com".parse()?,
            new: Some("b@example.com".parse()?),
        },
        Letter::PasswordChanged {
            name: named(),
            ip,
            at,
        },
        Letter::PasswordSetByAdministrator { name: named(), at },
        Letter::NewSignIn {
            name: named(),
            ip,
            user_agent: "Mosaic".into(),
            at,
        },
        Letter::Invitation {
            by: name.clone(),
            roles: vec!["user".parse()?],
            link: link(),
            hours: 72,
        },
        Letter::AccountDeleted { name: named() },
        Letter::Test,
    ])
}

/// A letterhead to go with them.
pub(super) fn letterhead() -> Result<Letterhead, BadHost> {
    let host: Host = "example.com".parse()?;
    Ok(Letterhead {
        brand: "Example".into(),
        color: "#2f5d8c".into(),
        site: Site::new(true, host, None, "example.com"),
        templates: None,
    })
}
