//! `session`: who is logged in, and how to end it.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;

use crate::identity::session::Sessions;
use crate::store::VolatileKind;

use super::output::table;
use super::stored::{Stored, with_store};

/// Options of `session`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List live sessions.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// End a session.
    Revoke {
        /// Its SID, as listed.
        sid: String,
    },
}

/// Runs the command.
///
/// # Errors
/// When the answer is no, or sessions cannot be seen from here.
pub fn run(args: &Args, path: &Path) -> anyhow::Result<ExitCode> {
    with_store(path, async |stored| {
        if stored.config.store.volatile == VolatileKind::Memory {
            bail!(
                "with `volatile: memory` the sessions live in the gateway's own memory and cannot be seen from here"
            );
        }
        match &args.command {
            Command::List { json } => list(&stored, *json).await,
            Command::Revoke { sid } => revoke(&stored, sid).await,
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn sessions(stored: &Stored) -> Sessions {
    Sessions::new(
        stored.store.clone(),
        stored.clock.clone(),
        stored.random.clone(),
        stored.config.identity.session,
    )
}

async fn list(stored: &Stored, json: bool) -> anyhow::Result<()> {
    let all: Vec<_> = sessions(stored)
        .all()
        .await?
        .into_iter()
        .map(|(_, info)| info)
        .collect();
    if json {
        println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    let rows: Vec<[String; 6]> = all
        .into_iter()
        .map(|info| {
            [
                info.sid,
                info.user_id.to_string(),
                info.seen_at.to_string(),
                info.expires_at.to_string(),
                info.ip,
                info.user_agent,
            ]
        })
        .collect();
    table(
        ["SID", "USER", "SEEN", "EXPIRES", "ADDRESS", "DEVICE"],
        &rows,
    );
    Ok(())
}

async fn revoke(stored: &Stored, sid: &str) -> anyhow::Result<()> {
    let known = match sid.parse() {
        Ok(sid) => sessions(stored).end_sid(sid).await?,
        Err(_) => false,
    };
    if !known {
        bail!("there is no live session '{sid}'");
    }
    println!("session {sid} has ended");
    Ok(())
}
