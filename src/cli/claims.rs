//! Who asks, where nobody does: somebody made up, or somebody's account.

use anyhow::{bail, ensure};

use super::stored::Stored;
use crate::app::roles;
use crate::base::identity::Method;
use crate::base::name::RoleName;
use crate::config::ask::Who;
use crate::identity::account::Bar;

/// A change to who asks.
#[derive(Clone, Debug)]
pub struct Claim(Who, Option<Method>);

impl Claim {
    /// The roles that it names.
    pub fn roles(&self) -> impl Iterator<Item = &RoleName> {
        self.0.roles.iter()
    }
}

/// Reads `KEY=VALUE`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_claim(text: &str) -> Result<Claim, String> {
    let (key, value) = text.split_once('=').unwrap_or((text, "true"));
    let mut who = Who {
        known: true,
        ..Who::stranger()
    };
    let mut auth = None;
    let flag = || {
        value
            .parse::<bool>()
            .map_err(|_| format!("'{value}' is neither true nor false"))
    };
    let wrong = |error: crate::base::name::NameError| format!("'{value}' {error}");
    match key {
        "role" => drop(who.roles.insert(value.parse().map_err(wrong)?)),
        "permission" => drop(who.permissions.insert(value.parse().map_err(wrong)?)),
        "user" => who.user = Some(value.parse().map_err(wrong)?),
        "email" => who.email = Some(value.parse().map_err(wrong)?),
        "superuser" => who.superuser = flag()?,
        "verified" => who.verified = flag()?,
        "auth" => {
            let methods = Method::ALL.map(Method::as_str).join(", ");
            let wrong = |()| format!("'{value}' is no way to sign in; write one of {methods}");
            auth = Some(value.parse().map_err(wrong)?);
        }
        _ => {
            return Err(
                "write role=NAME, permission=NAME, user=NAME, email=ADDRESS, superuser, verified or auth=METHOD"
                    .to_owned(),
            );
        }
    }
    Ok(Claim(who, auth))
}

/// Whoever it is, with these claims added.
pub fn added(start: Who, claims: &[Claim]) -> Who {
    let start = Who {
        known: start.known || !claims.is_empty(),
        ..start
    };
    claims.iter().fold(start, |mut who, Claim(more, auth)| {
        who.user = more.user.clone().or(who.user);
        who.email = more.email.clone().or(who.email);
        who.roles.extend(more.roles.iter().cloned());
        who.permissions.extend(more.permissions.iter().cloned());
        Who {
            superuser: who.superuser | more.superuser,
            verified: who.verified | more.verified,
            auth: auth.unwrap_or(who.auth),
            ..who
        }
    })
}

/// Somebody as their account is now.
///
/// # Errors
/// When there is no such account, it may not be used, or the store does not answer.
pub async fn account(stored: &Stored, name: &str) -> anyhow::Result<Who> {
    let user = stored.user(name).await?;
    let barred = match stored.config.identity.session.demands.bar(&user) {
        Some(Bar::Disabled) => Some("is disabled"),
        Some(Bar::Unverified) => Some("has not confirmed the address"),
        None => None,
    };
    if let Some(why) = barred {
        bail!("{} {why}: open is what anybody may ask", user.username);
    }
    ensure!(
        !user.must_change_password,
        "{} must choose another password first: open is what anybody may ask",
        user.username
    );
    // By the file that is asked about, which no gateway may have read yet.
    roles::judge_by(&stored.store, &stored.config.roles);
    let held = stored.store.roles.closure_of(user.id).await?;
    Ok(Who {
        known: true,
        user: Some(user.username),
        email: user.email,
        roles: held.roles,
        permissions: held.permissions,
        superuser: user.is_superuser,
        verified: user.is_verified,
        ..Who::stranger()
    })
}
