//! `user`: the people who may log in.

mod active;
mod add;
mod delete;
mod import;
mod list;
mod sessions;
mod set_password;
mod set_roles;
mod set_superuser;
mod show;
mod unlock;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use crate::base::name::{Email, RoleName};
use crate::identity::account::Demands;
use crate::store::VolatileKind;
use crate::store::users::User;

use super::stored::{Stored, with_store};

/// What to do about users.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a user; the password is asked for.
    Add(add::Args),
    /// List users.
    List(list::Args),
    /// Show one user.
    Show(show::Args),
    /// Set a password; every session of the user ends.
    SetPassword(set_password::Args),
    /// Replace a user's roles.
    SetRoles(set_roles::Args),
    /// Say whether a user may do everything.
    SetSuperuser(set_superuser::Args),
    /// Lock a user out; every session of theirs ends.
    Disable(Named),
    /// Let a user in again who was disabled.
    Enable(Named),
    /// Forget the failed logins that keep a user waiting.
    Unlock(Named),
    /// Delete a user with all that is theirs.
    Delete(Named),
    /// List a user's live sessions.
    Sessions(sessions::Args),
    /// Import users and their password hashes from a file.
    Import(import::Args),
}

/// Which user.
#[derive(Debug, clap::Args)]
pub struct Named {
    /// Username or e-mail address.
    name: String,
}

/// Where a new password comes from, and for how long it is good.
#[derive(Debug, clap::Args)]
struct PasswordArgs {
    /// Read the password from standard input.
    #[arg(long)]
    password_stdin: bool,
    /// The user must choose another at the next login.
    #[arg(long)]
    must_change: bool,
}

/// Runs the command.
///
/// # Errors
/// When the answer is no.
pub fn run(command: &Command, path: &Path) -> anyhow::Result<ExitCode> {
    with_store(path, async |stored| {
        match command {
            Command::Add(args) => add::run(args, &stored).await,
            Command::List(args) => list::run(args, &stored).await,
            Command::Show(args) => show::run(args, &stored).await,
            Command::SetPassword(args) => set_password::run(args, &stored).await,
            Command::SetRoles(args) => set_roles::run(args, &stored).await,
            Command::SetSuperuser(args) => set_superuser::run(args, &stored).await,
            Command::Disable(named) => active::run(named, false, &stored).await,
            Command::Enable(named) => active::run(named, true, &stored).await,
            Command::Unlock(named) => unlock::run(named, &stored).await,
            Command::Delete(named) => delete::run(named, &stored).await,
            Command::Sessions(args) => sessions::run(args, &stored).await,
            Command::Import(args) => return import::run(args, &stored).await,
        }?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Role names that exist; a misspelt one would silently give nothing.
async fn parse_roles(stored: &Stored, names: &[String]) -> anyhow::Result<BTreeSet<RoleName>> {
    let mut roles = BTreeSet::new();
    for text in names.iter().filter(|text| !text.is_empty()) {
        let name = text.parse::<RoleName>();
        roles.insert(name.map_err(|fault| anyhow::anyhow!("'{text}': {fault}"))?);
    }
    stored.lacks(&roles).await?;
    Ok(roles)
}

/// The roles a user was given, less those that these include.
async fn direct_roles(stored: &Stored, user: &User) -> anyhow::Result<Vec<String>> {
    let roles = stored.store.roles.of_user(user.id).await?;
    Ok(roles.iter().map(ToString::to_string).collect())
}

/// What became of a user's sessions. Those in the gateway's own memory cannot be reached from here.
const fn ended(stored: &Stored) -> &'static str {
    match stored.config.store.volatile {
        VolatileKind::Store => "; their sessions have ended",
        VolatileKind::Memory => {
            "; with `volatile: memory` their sessions are in the gateway's memory, and end when they are used next"
        }
    }
}

fn email_of(user: &User) -> String {
    user.email
        .as_ref()
        .map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// What there is to know of an account before anybody signs in to it, where these are asked for.
fn state_of(user: &User, demands: Demands) -> String {
    let words = [
        (!user.is_active, "disabled"),
        (
            demands.verified_email && !user.is_verified,
            "address not confirmed",
        ),
        (user.is_superuser, "superuser"),
        (user.must_change_password, "must change password"),
        (user.password_hash.is_none(), "no password"),
    ];
    let words: Vec<&str> = words
        .iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, word)| *word)
        .collect();
    if words.is_empty() {
        "active".to_owned()
    } else {
        words.join(", ")
    }
}

fn as_json(user: &User, roles: &[String]) -> serde_json::Value {
    json!({
        "id": user.id.0,
        "subject": user.subject.to_string(),
        "username": user.username.as_str(),
        "email": user.email.as_ref().map(Email::as_str),
        "is_active": user.is_active,
        "is_superuser": user.is_superuser,
        "is_verified": user.is_verified,
        "has_password": user.password_hash.is_some(),
        "must_change_password": user.must_change_password,
        "roles": roles,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    })
}
