//! `migrate`: the store's schema.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use crate::base::time::Clock;
use crate::store::migrate::{self, Migration};
use crate::store::{Db, DbUrl};

use super::output::Format;
use super::stored::{close, with_config};

/// What to do about the schema.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Apply what is missing (the gateway does so at start).
    Apply,
    /// List every migration and when it was applied.
    Status(Format),
}

/// Runs the command.
///
/// # Errors
/// When the store cannot be opened or not be brought up to date.
pub fn run(command: &Command, path: &Path) -> anyhow::Result<ExitCode> {
    with_config(path, async |config| {
        let url = match (command, &config.store.url) {
            // What there is not has nothing in it either, and is not made by looking.
            (Command::Status(_), DbUrl::SqliteFile(path)) if !path.exists() => DbUrl::SqliteMemory,
            (_, url) => url.clone(),
        };
        let db = Db::open(&url, None).await?;
        let done = match command {
            Command::Apply => apply(&db).await,
            Command::Status(format) => status(&db, *format).await,
        };
        close(&db);
        done
    })
}

async fn apply(db: &Db) -> anyhow::Result<ExitCode> {
    for migration in migrate::apply(db, Clock::System.now()).await? {
        outln!("applied {} {}", migration.version, migration.name);
    }
    outln!("the store is up to date");
    Ok(ExitCode::SUCCESS)
}

/// The answer is no while something is missing.
async fn status(db: &Db, format: Format) -> anyhow::Result<ExitCode> {
    let all = migrate::status(db).await?;
    let json = |one: &Migration| json!({ "version": one.version, "name": one.name, "applied_at": one.applied_at });
    format.print(
        &all.iter().map(json).collect::<Vec<_>>(),
        ["VERSION", "NAME", "APPLIED"],
        all.iter().map(|one| {
            let applied = one.applied_at.map(|at| at.to_string());
            [
                one.version.to_string(),
                one.name.to_owned(),
                applied.unwrap_or_else(|| "missing".to_owned()),
            ]
        }),
    )?;
    let missing = all.iter().any(|migration| migration.applied_at.is_none());
    Ok(if missing {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
