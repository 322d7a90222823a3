//! `user sessions`: where a user is logged in.

use crate::cli::output::Format;
use crate::cli::session;

use super::Stored;

/// Options of `user sessions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Username or e-mail address.
    name: String,
    #[command(flatten)]
    format: Format,
}

pub async fn run(args: &Args, stored: &Stored) -> anyhow::Result<()> {
    let user = stored.user(&args.name).await?;
    let mut theirs = session::all(stored).await?;
    theirs.retain(|session| session.user_id == user.id.0);
    session::print(&theirs, args.format)
}
