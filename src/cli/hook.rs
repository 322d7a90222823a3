//! `hook`: whether those who are to be told what happens here can be told.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::json;

use crate::base::random::Random;
use crate::base::time::Clock;
use crate::config::Config;
use crate::identity::hooks::{self, Event, Hook, Topic};
use crate::outbound::{Limits, Outbound};

use super::check;
use super::output::Format;
use super::stored::{Stored, with_store};

/// Options of `hook`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the hooks of the file.
    List(Format),
    /// Send a hook the event `hook.test` at once, and say what it answered.
    Test {
        /// Its name in the file.
        name: String,
        /// Leave it to the running gateway to send, as it does with every other event.
        #[arg(long)]
        queue: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// When the hook did not take the event.
pub fn run(args: &Args, path: &Path) -> anyhow::Result<ExitCode> {
    let Some(config) = check::load(path) else {
        return Ok(ExitCode::FAILURE);
    };
    match &args.command {
        Command::List(format) => list(&config, *format)?,
        Command::Test { name, queue: true } => {
            with_store(path, async |stored| leave(&stored, name).await)?;
        }
        Command::Test { name, queue: false } => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(test(&config, name))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(config: &Config, format: Format) -> anyhow::Result<()> {
    // The host alone: the rest of an address may be a secret.
    let host = |hook: &Hook| hook.url.host_str().unwrap_or_default().to_owned();
    let events = |hook: &Hook| -> Vec<_> { hook.topics.iter().map(|it| it.as_str()).collect() };
    let json =
        |hook: &Hook| json!({ "name": hook.name, "host": host(hook), "events": events(hook) });
    let row = |hook: &Hook| [hook.name.clone(), host(hook), events(hook).join(" ")];
    format.print(
        &config.hooks.iter().map(json).collect::<Vec<_>>(),
        ["NAME", "HOST", "EVENTS"],
        config.hooks.iter().map(row),
    )
}

async fn test(config: &Config, name: &str) -> anyhow::Result<()> {
    let hook = config.hooks.iter().find(|hook| hook.name == name);
    let hook = hook.with_context(|| format!("the file has no hook '{name}'"))?;
    let outbound = Outbound::new(Limits::DEFAULT);
    let event = Event::new(Topic::HookTest);
    let now = Clock::System.now();
    let status = hooks::tell_now(&outbound, hook, &event, &Random::System, now).await?;
    outln!("hook '{name}' answered {status}");
    Ok(())
}

async fn leave(stored: &Stored, name: &str) -> anyhow::Result<()> {
    let hooks = stored.post().await?.hooks;
    let event = Event::new(Topic::HookTest);
    if !hooks.tell_one(name, &event, stored.clock.now()).await? {
        anyhow::bail!("the file has no hook '{name}'");
    }
    outln!("left for the gateway to tell '{name}'");
    Ok(())
}
