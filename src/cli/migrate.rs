//! `migrate`: the store's schema.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use crate::base::time::Clock;
use crate::config::Config;
use crate::store::{Db, migrate};

use super::output::table;

/// Options of `migrate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Apply what is missing (the gateway does so at start).
    Apply,
    /// List every migration and when it was applied.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// When the store cannot be opened or not be brought up to date.
pub fn run(args: &Args, path: &Path) -> anyhow::Result<ExitCode> {
    let config = Config::load(path).map_err(|report| anyhow::anyhow!("{report}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let db = Db::open(&config.store.url, None).await?;
        match args.command {
            Command::Apply => {
                let applied = migrate::apply(&db, Clock::System.now()).await?;
                for migration in &applied {
                    println!("applied {} {}", migration.version, migration.name);
                }
                println!("the store is up to date");
                Ok(ExitCode::SUCCESS)
            }
            Command::Status { json } => {
                let all = migrate::status(&db).await?;
                if json {
                    let all: Vec<_> = all
                        .iter()
                        .map(|m| json!({ "version": m.version, "name": m.name, "applied_at": m.applied_at }))
                        .collect();
                    println!("{}", serde_json::to_string_pretty(&all)?);
                } else {
                let rows: Vec<[String; 3]> = all
                    .iter()
                    .map(|m| {
                        [
                            m.version.to_string(),
                            m.name.to_owned(),
                            m.applied_at
                                .map_or_else(|| "missing".to_owned(), |at| at.to_string()),
                        ]
                    })
                    .collect();
                table(["VERSION", "NAME", "APPLIED"], &rows);
                }
                let missing = all.iter().any(|migration| migration.applied_at.is_none());
                Ok(if missing {
                    ExitCode::FAILURE
                } else {
                    ExitCode::SUCCESS
                })
            }
        }
    })
}
