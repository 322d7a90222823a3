//! `mail`: whether letters arrive.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use crate::app::post;
use crate::base::id::PublicId;
use crate::base::name::Email;
use crate::base::random::Random;
use crate::base::time::Clock;
use crate::config::Config;
use crate::identity::mail::Letter;

use super::check;
use super::stored::{Stored, with_store};

/// Options of `mail`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send a test letter at once, and say what the mail server said.
    Test {
        /// To whom.
        address: String,
        /// Leave it to the running gateway to send, as it does with every other letter.
        #[arg(long)]
        queue: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// When the letter was not sent.
pub fn run(args: &Args, path: &Path) -> anyhow::Result<ExitCode> {
    let Command::Test { address, queue } = &args.command;
    let to: Email = address
        .parse()
        .map_err(|fault| anyhow::anyhow!("'{address}' {fault}"))?;
    if *queue {
        with_store(path, async |stored| leave(&stored, &to).await)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(config) = check::load(path) else {
        return Ok(ExitCode::FAILURE);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let said = runtime.block_on(test(&config, &to))?;
    outln!("sent to {to}: {said}");
    Ok(ExitCode::SUCCESS)
}

async fn test(config: &Config, to: &Email) -> anyhow::Result<String> {
    let office = post::office(config)?;
    let office = office.ok_or_else(|| anyhow::anyhow!("the file has no `mail:`"))?;
    let id = PublicId::generate(&Random::System);
    let message = office.write(to, &Letter::Test, id, Clock::System.now())?;
    Ok(office.send(&message).await?)
}

async fn leave(stored: &Stored, to: &Email) -> anyhow::Result<()> {
    let mailer = stored.post().await?.mailer;
    mailer.post(to, &Letter::Test, stored.clock.now()).await?;
    outln!("left for the gateway to send to {to}");
    Ok(())
}
