//! `user`: the people who may log in.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use crate::base::id::PublicId;
use crate::base::name::{Email, RoleName, Username};
use crate::store::VolatileKind;
use crate::store::roles::LOCAL;
use crate::store::users::{NewUser, User, UserQuery};

use super::output::table;
use super::stored::{Stored, with_store};

/// Options of `user`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a user; the password is asked for.
    Add {
        /// The username.
        name: String,
        /// The e-mail address.
        #[arg(long)]
        email: Option<String>,
        /// Roles, separated by commas [default: user].
        #[arg(long, value_delimiter = ',')]
        roles: Option<Vec<String>>,
        /// Satisfies every role and permission.
        #[arg(long)]
        superuser: bool,
        /// Read the password from standard input.
        #[arg(long)]
        password_stdin: bool,
    },
    /// List users.
    List {
        /// Part of the username or e-mail address.
        #[arg(long)]
        search: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one user.
    Show {
        /// Username or e-mail address.
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Set a password; every session of the user ends.
    SetPassword {
        /// Username or e-mail address.
        name: String,
        /// Read the password from standard input.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Replace a user's roles.
    SetRoles {
        /// Username or e-mail address.
        name: String,
        /// Roles, separated by commas; an empty text takes all away.
        #[arg(value_delimiter = ',')]
        roles: Vec<String>,
    },
    /// Lock a user out; every session of theirs ends.
    Disable {
        /// Username or e-mail address.
        name: String,
    },
    /// Let a user in again.
    Enable {
        /// Username or e-mail address.
        name: String,
    },
    /// Delete a user with all that is theirs.
    Delete {
        /// Username or e-mail address.
        name: String,
    },
}

/// Runs the command.
///
/// # Errors
/// When the answer is no.
pub fn run(args: &Args, path: &Path) -> anyhow::Result<ExitCode> {
    with_store(path, async |stored| match &args.command {
        Command::Add {
            name,
            email,
            roles,
            superuser,
            password_stdin,
        } => {
            let roles = roles.clone().unwrap_or_else(|| vec!["user".to_owned()]);
            add(
                &stored,
                name,
                email.as_deref(),
                &roles,
                *superuser,
                *password_stdin,
            )
            .await
        }
        Command::List { search, json } => list(&stored, search.clone(), *json).await,
        Command::Show { name, json } => show(&stored, name, *json).await,
        Command::SetPassword {
            name,
            password_stdin,
        } => set_password(&stored, name, *password_stdin).await,
        Command::SetRoles { name, roles } => set_roles(&stored, name, roles).await,
        Command::Disable { name } => set_active(&stored, name, false).await,
        Command::Enable { name } => set_active(&stored, name, true).await,
        Command::Delete { name } => delete(&stored, name).await,
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn add(
    stored: &Stored,
    name: &str,
    email: Option<&str>,
    roles: &[String],
    superuser: bool,
    stdin: bool,
) -> anyhow::Result<()> {
    let username: Username = name
        .parse()
        .map_err(|fault| anyhow::anyhow!("'{name}': {fault}"))?;
    let email: Option<Email> = email
        .map(|text| {
            text.parse()
                .map_err(|fault| anyhow::anyhow!("'{text}' {fault}"))
        })
        .transpose()?;
    let roles = parse_roles(stored, roles).await?;
    let hash = stored.new_password(stdin, &username, email.as_ref())?;
    let new = NewUser {
        subject: PublicId::generate(&stored.random),
        username,
        email,
        password_hash: Some(hash),
        is_active: true,
        is_superuser: superuser,
        // Whoever can run this command vouches for the address.
        is_verified: true,
        must_change_password: false,
        roles,
    };
    let user = stored.store.users.insert(&new, stored.clock.now()).await?;
    println!("added user {} (id {})", user.username, user.id);
    Ok(())
}

/// Role names that exist; a misspelt one would silently give nothing.
async fn parse_roles(stored: &Stored, names: &[String]) -> anyhow::Result<BTreeSet<RoleName>> {
    let known: BTreeSet<RoleName> = stored
        .store
        .roles
        .list()
        .await?
        .into_iter()
        .map(|role| role.name)
        .collect();
    let mut roles = BTreeSet::new();
    for text in names.iter().filter(|text| !text.is_empty()) {
        let name: RoleName = text
            .parse()
            .map_err(|fault| anyhow::anyhow!("'{text}': {fault}"))?;
        anyhow::ensure!(
            known.contains(&name),
            "there is no role '{name}'; `portcullis role list` shows them"
        );
        roles.insert(name);
    }
    Ok(roles)
}

async fn list(stored: &Stored, search: Option<String>, json: bool) -> anyhow::Result<()> {
    const PAGE: u32 = 1_000;
    let mut users = Vec::new();
    loop {
        let skip = u32::try_from(users.len())?;
        let page = stored
            .store
            .users
            .list(&UserQuery {
                skip,
                limit: PAGE,
                search: search.clone(),
            })
            .await?;
        let last = page.len() < PAGE as usize;
        users.extend(page);
        if last {
            break;
        }
    }
    let mut rows = Vec::new();
    for user in &users {
        rows.push((user, direct_roles(stored, user).await?));
    }
    if json {
        let all: Vec<_> = rows
            .iter()
            .map(|(user, roles)| as_json(user, roles))
            .collect();
        println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    let cells: Vec<[String; 5]> = rows
        .iter()
        .map(|(user, roles)| {
            [
                user.id.to_string(),
                user.username.to_string(),
                email_of(user),
                roles.join(","),
                state_of(user),
            ]
        })
        .collect();
    table(["ID", "NAME", "E-MAIL", "ROLES", "STATE"], &cells);
    Ok(())
}

async fn show(stored: &Stored, name: &str, json: bool) -> anyhow::Result<()> {
    let user = stored.user(name).await?;
    let roles = direct_roles(stored, &user).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&as_json(&user, &roles))?);
        return Ok(());
    }
    let held = stored.store.roles.closure_of(user.id).await?;
    let join = |items: Vec<String>| {
        if items.is_empty() {
            "-".to_owned()
        } else {
            items.join(", ")
        }
    };
    let lines = [
        ("id", user.id.to_string()),
        ("subject", user.subject.to_string()),
        ("name", user.username.to_string()),
        ("e-mail", email_of(&user)),
        ("state", state_of(&user)),
        ("roles", join(roles)),
        (
            "inherited",
            join(held.roles.iter().map(ToString::to_string).collect()),
        ),
        (
            "may",
            join(held.permissions.iter().map(ToString::to_string).collect()),
        ),
        ("created", user.created_at.to_string()),
        ("updated", user.updated_at.to_string()),
    ];
    for (name, value) in &lines {
        println!("{name:<10}{value}");
    }
    Ok(())
}

async fn set_password(stored: &Stored, name: &str, stdin: bool) -> anyhow::Result<()> {
    let user = stored.user(name).await?;
    let hash = stored.new_password(stdin, &user.username, user.email.as_ref())?;
    stored
        .store
        .users
        .set_password(user.id, &hash, false, stored.clock.now())
        .await?;
    stored.store.volatile.forget(user.id.0).await?;
    println!(
        "the password of {} is set; their sessions have ended",
        user.username
    );
    Ok(())
}

async fn set_roles(stored: &Stored, name: &str, roles: &[String]) -> anyhow::Result<()> {
    let user = stored.user(name).await?;
    let roles = parse_roles(stored, roles).await?;
    stored
        .store
        .roles
        .set_user_roles(user.id, &roles, LOCAL, stored.clock.now())
        .await?;
    println!(
        "{} has the roles: {}",
        user.username,
        direct_roles(stored, &user).await?.join(", ")
    );
    Ok(())
}

async fn set_active(stored: &Stored, name: &str, active: bool) -> anyhow::Result<()> {
    let user = stored.user(name).await?;
    stored
        .store
        .users
        .set_active(user.id, active, stored.clock.now())
        .await?;
    if !active {
        stored.store.volatile.forget(user.id.0).await?;
    }
    let news = if active {
        "enabled".to_owned()
    } else {
        format!("disabled{}", ended(stored))
    };
    println!("{} is {news}", user.username);
    Ok(())
}

/// What became of a user's sessions. Those in the gateway's own memory cannot be reached from here.
fn ended(stored: &Stored) -> &'static str {
    match stored.config.store.volatile {
        VolatileKind::Store => "; their sessions have ended",
        VolatileKind::Memory => {
            "; with `volatile: memory` their sessions are in the gateway's memory: restart it to end them"
        }
    }
}

async fn delete(stored: &Stored, name: &str) -> anyhow::Result<()> {
    let user = stored.user(name).await?;
    stored.store.delete_user(user.id).await?;
    println!("{} is deleted", user.username);
    Ok(())
}

async fn direct_roles(stored: &Stored, user: &User) -> anyhow::Result<Vec<String>> {
    Ok(stored
        .store
        .roles
        .of_user(user.id)
        .await?
        .iter()
        .map(ToString::to_string)
        .collect())
}

fn email_of(user: &User) -> String {
    user.email
        .as_ref()
        .map_or_else(|| "-".to_owned(), ToString::to_string)
}

fn state_of(user: &User) -> String {
    let words = [
        (!user.is_active, "disabled"),
        (user.is_superuser, "superuser"),
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
        "roles": roles,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    })
}
