//! `role`: what users may do. Roles of the file are changed in the file.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use crate::base::name::{Permission, RoleName};
use crate::store::roles::{Role, RoleOrigin};

use super::output::table;
use super::stored::{Stored, with_store};

/// Options of `role`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List roles.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
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
pub fn run(args: &Args, path: &Path) -> anyhow::Result<ExitCode> {
    with_store(path, async |stored| match &args.command {
        Command::List { json } => list(&stored, *json).await,
        Command::Add {
            name,
            permissions,
            description,
        } => add(&stored, name, permissions, description).await,
        Command::Delete { name } => delete(&stored, name).await,
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn list(stored: &Stored, json: bool) -> anyhow::Result<()> {
    let roles = stored.store.roles.list().await?;
    let texts = |role: &Role| {
        let includes = role.includes.iter().map(ToString::to_string);
        includes
            .chain(role.permissions.iter().map(ToString::to_string))
            .collect::<Vec<_>>()
    };
    if json {
        let all: Vec<_> = roles
            .iter()
            .map(|role| json!({ "name": role.name.as_str(), "description": role.description, "origin": origin(role), "grants": texts(role), "users": role.assigned }))
            .collect();
        println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    let rows: Vec<[String; 4]> = roles
        .iter()
        .map(|role| {
            [
                role.name.to_string(),
                origin(role).to_owned(),
                role.assigned.to_string(),
                texts(role).join(" "),
            ]
        })
        .collect();
    table(["NAME", "FROM", "USERS", "GIVES"], &rows);
    Ok(())
}

async fn add(
    stored: &Stored,
    name: &str,
    permissions: &[String],
    description: &str,
) -> anyhow::Result<()> {
    let name: RoleName = name
        .parse()
        .map_err(|fault| anyhow::anyhow!("'{name}': {fault}"))?;
    let parse = |text: &String| {
        text.parse::<Permission>()
            .map_err(|fault| anyhow::anyhow!("'{text}': {fault}"))
    };
    let permissions = permissions
        .iter()
        .map(parse)
        .collect::<Result<Vec<_>, _>>()?;
    stored
        .store
        .roles
        .add(&name, description, &permissions, stored.clock.now())
        .await?;
    println!("added role {name}");
    Ok(())
}

async fn delete(stored: &Stored, name: &str) -> anyhow::Result<()> {
    let name: RoleName = name
        .parse()
        .map_err(|fault| anyhow::anyhow!("'{name}': {fault}"))?;
    let users = stored.store.roles.delete(&name).await?;
    println!("role {name} is deleted; {users} user(s) had it");
    Ok(())
}

fn origin(role: &Role) -> &'static str {
    match role.origin {
        RoleOrigin::Config => "file",
        RoleOrigin::Local => "store",
        RoleOrigin::Retired => "retired",
    }
}
