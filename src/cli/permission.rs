//! `permission`: what roles are made of.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;
use serde_json::json;

use crate::base::name::Permission;
use crate::store::roles::StoredPermission;

use super::output::Format;
use super::stored::{Stored, with_store};

/// What to do about permissions.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List permissions.
    List(Format),
    /// Declare a permission, for roles to give.
    Add {
        /// Its name, such as orders:read.
        name: String,
        /// What it is for.
        #[arg(long, default_value = "")]
        description: String,
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
            Command::Add { name, description } => add(&stored, name, description).await,
        }?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Permissions that exist or may be made.
///
/// # Errors
/// Names the text that is none.
pub fn parse(texts: &[String]) -> anyhow::Result<Vec<Permission>> {
    let parse = |text: &String| {
        text.parse::<Permission>()
            .map_err(|fault| anyhow::anyhow!("'{text}': {fault}"))
    };
    texts
        .iter()
        .filter(|text| !text.is_empty())
        .map(parse)
        .collect()
}

async fn list(stored: &Stored, format: Format) -> anyhow::Result<()> {
    let all = stored.store.roles.permissions().await?;
    let json = |one: &StoredPermission| json!({ "name": one.permission.as_str(), "description": one.description, "roles": one.roles });
    format.print(
        &all.iter().map(json).collect::<Vec<_>>(),
        ["NAME", "ROLES", "DESCRIPTION"],
        all.iter().map(|one| {
            [
                one.permission.to_string(),
                one.roles.to_string(),
                one.description.clone(),
            ]
        }),
    )
}

async fn add(stored: &Stored, text: &str, description: &str) -> anyhow::Result<()> {
    let names = parse(&[text.to_owned()])?;
    let Some(name) = names.first() else {
        bail!("a permission has a name, such as orders:read");
    };
    stored.store.roles.add_permission(name, description).await?;
    outln!("added permission {name}");
    Ok(())
}
