//! `role`: what users may do. Roles of the file are changed in the file.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use crate::base::name::RoleName;
use crate::store::roles::{Role, RoleError, RoleOrigin};

use super::output::Format;
use super::permission;
use super::stored::{Stored, with_store};
use super::text::count;

/// What to do about roles.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List roles.
    List(Format),
    /// Add a role.
    Add {
        /// Its name.
        name: String,
        /// Permissions such as orders:read, separated by commas.
        #[arg(long, value_delimiter = ',')]
        permissions: Vec<String>,
        /// What it is for.
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Replace the permissions that a role gives; whoever has it is affected at once.
    SetPermissions {
        /// Its name.
        name: String,
        /// Permissions such as orders:read, separated by commas; an empty text takes all away.
        #[arg(value_delimiter = ',', required = true)]
        permissions: Vec<String>,
    },
    /// Delete a role; whoever has it loses it.
    Delete {
        /// Its name.
        name: String,
    },
}

/// Runs the command.
///
/// # Errors
/// When the answer is no.
pub fn run(command: &Command, path: &Path) -> anyhow::Result<ExitCode> {
    with_store(path, async |stored| {
        match command {
            Command::List(format) => list(&stored, *format).await,
            Command::Add {
                name,
                permissions,
                description,
            } => add(&stored, name, permissions, description).await,
            Command::SetPermissions { name, permissions } => {
                set_permissions(&stored, name, permissions).await
            }
            Command::Delete { name } => delete(&stored, name).await,
        }?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn list(stored: &Stored, format: Format) -> anyhow::Result<()> {
    let roles = listed(stored).await?;
    let json = |(role, origin): &(Role, &str)| json!({ "name": role.name.as_str(), "description": role.description, "origin": origin, "grants": gives(role), "users": role.assigned });
    format.print(
        &roles.iter().map(json).collect::<Vec<_>>(),
        ["NAME", "FROM", "USERS", "GIVES"],
        roles.iter().map(|(role, origin)| {
            [
                role.name.to_string(),
                (*origin).to_owned(),
                role.assigned.to_string(),
                gives(role).join(" "),
            ]
        }),
    )
}

/// The roles that are in force, and those that are written in the file only: they can be given as well.
async fn listed(stored: &Stored) -> anyhow::Result<Vec<(Role, &'static str)>> {
    let in_force = stored.store.roles.list().await?;
    let written = stored.config.roles.iter();
    let new = written.filter(|(name, _)| in_force.iter().all(|role| role.name != **name));
    let new = new.map(|(name, role)| Role {
        id: 0,
        name: name.clone(),
        description: String::new(),
        origin: RoleOrigin::Config,
        includes: role.includes.clone(),
        permissions: role.permissions.clone(),
        assigned: 0,
    });
    let new: Vec<_> = new.map(|role| (role, "file, not in force yet")).collect();
    let known = in_force.into_iter().map(|role| {
        let origin = origin(&role);
        (role, origin)
    });
    Ok(known.chain(new).collect())
}

async fn add(
    stored: &Stored,
    name: &str,
    permissions: &[String],
    description: &str,
) -> anyhow::Result<()> {
    let (name, permissions) = (changeable(stored, name)?, permission::parse(permissions)?);
    let now = stored.clock.now();
    let roles = &stored.store.roles;
    let added = roles.add(&name, description, &permissions, now).await;
    added.map_err(told)?;
    outln!("added role {name}");
    Ok(())
}

async fn set_permissions(
    stored: &Stored,
    name: &str,
    permissions: &[String],
) -> anyhow::Result<()> {
    let (name, permissions) = (changeable(stored, name)?, permission::parse(permissions)?);
    let (number, now) = (permissions.len(), stored.clock.now());
    let permissions = permissions.into_iter().collect();
    let roles = &stored.store.roles;
    let changed = roles.set_permissions(&name, &permissions, now).await;
    changed.map_err(told)?;
    outln!("role {name} gives {}", count(number, "permission"));
    Ok(())
}

async fn delete(stored: &Stored, name: &str) -> anyhow::Result<()> {
    let (name, excluded) = (changeable(stored, name)?, stored.config.excluded());
    let deleted = stored.store.roles.delete(&name, &excluded).await;
    let users = deleted.map_err(told)?;
    outln!("role {name} is deleted; {users} user(s) had it");
    Ok(())
}

/// A role that is not the file's, whether or not a gateway has taken that over.
fn changeable(stored: &Stored, name: &str) -> anyhow::Result<RoleName> {
    let role: RoleName = name
        .parse()
        .map_err(|fault| anyhow::anyhow!("'{name}': {fault}"))?;
    if stored.config.roles.contains_key(&role) {
        return Err(RoleError::FromConfig(role).into());
    }
    Ok(role)
}

/// What the store says of a role that is no longer the file's.
fn told(error: RoleError) -> anyhow::Error {
    match error {
        RoleError::FromConfig(role) => anyhow::anyhow!(
            "the role '{role}' is gone from the configuration file, and from here once a gateway has read that"
        ),
        error => error.into(),
    }
}

/// The roles and permissions that a role is made of.
fn gives(role: &Role) -> Vec<String> {
    let includes = role.includes.iter().map(ToString::to_string);
    includes
        .chain(role.permissions.iter().map(ToString::to_string))
        .collect()
}

fn origin(role: &Role) -> &'static str {
    match role.origin {
        RoleOrigin::Config => "file",
        RoleOrigin::Local => "store",
        RoleOrigin::Retired => "retired",
    }
}
