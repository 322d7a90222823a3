//! `session`: who is logged in, and how to end it.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;

use crate::identity::session::{SessionInfo, Sessions};

use super::output::Format;
use super::stored::{Stored, with_store};

/// What to do about sessions.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List live sessions.
    List(Format),
    /// End a session, or all of them.
    Revoke {
        /// Its SID, as listed.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        sid: Option<String>,
        /// Everybody's. After a backup was put back, for it holds what has ended since.
        #[arg(long)]
        all: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// When the answer is no, or sessions cannot be seen from here.
pub fn run(command: &Command, path: &Path) -> anyhow::Result<ExitCode> {
    with_store(path, async |stored| {
        match command {
            Command::List(format) => print(&all(&stored).await?, *format),
            Command::Revoke { sid: Some(sid), .. } => revoke(&stored, sid).await,
            Command::Revoke { sid: None, .. } => revoke_all(&stored).await,
        }?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Every live session.
///
/// # Errors
/// When they cannot be seen from here, or the store does not answer.
pub async fn all(stored: &Stored) -> anyhow::Result<Vec<SessionInfo>> {
    let all = sessions(stored)?.all().await?;
    Ok(all.into_iter().map(|(_, info)| info).collect())
}

/// Prints sessions.
///
/// # Errors
/// When they are no JSON, which they are.
pub fn print(all: &[SessionInfo], format: Format) -> anyhow::Result<()> {
    format.print(
        &all,
        ["SID", "USER", "SEEN", "EXPIRES", "ADDRESS", "DEVICE"],
        all.iter().map(|info| {
            [
                info.sid.clone(),
                info.user_id.to_string(),
                info.seen_at.to_string(),
                info.expires_at.to_string(),
                info.ip.clone(),
                info.user_agent.clone(),
            ]
        }),
    )
}

async fn revoke(stored: &Stored, sid: &str) -> anyhow::Result<()> {
    let known = match sid.parse() {
        Ok(sid) => sessions(stored)?.end_sid(sid).await?,
        Err(_) => false,
    };
    if !known {
        bail!("there is no live session '{sid}'; `portcullis session list` shows them");
    }
    outln!("session {sid} has ended");
    Ok(())
}

async fn revoke_all(stored: &Stored) -> anyhow::Result<()> {
    let ended = sessions(stored)?.end_everybody().await?;
    outln!("{ended} sessions have ended");
    Ok(())
}

fn sessions(stored: &Stored) -> anyhow::Result<Sessions> {
    stored.must_see_volatile("sessions")?;
    Ok(Sessions::new(
        stored.store.clone(),
        stored.clock.clone(),
        stored.random.clone(),
        stored.config.identity.session,
    ))
}
