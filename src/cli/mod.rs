//! The command line: one command, one file.

// First: the others print by its macros.
#[macro_use]
pub mod output;

pub mod check;
mod claims;
pub mod explain;
pub mod hook;
pub mod mail;
pub mod migrate;
pub mod permission;
pub mod progress;
pub mod role;
pub mod rules;
pub mod schema;
pub mod serve;
pub mod session;
pub mod stored;
pub mod test;
pub mod text;
pub mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app::between;

/// A reverse proxy that is its own login.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, about, arg_required_else_help = false)]
pub struct Cli {
    /// The file that says what the gateway does.
    #[arg(
        short,
        long,
        global = true,
        default_value = "gateway.yaml",
        value_name = "FILE"
    )]
    config: PathBuf,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway (what happens without a command).
    Serve(serve::Args),
    /// Check the file; every fault at once.
    Check(check::Args),
    /// Run the policy tests of the file.
    Test(test::Args),
    /// Show how a request would be judged, rule by rule.
    Explain(explain::Args),
    /// Show the effective rules, defaults filled in.
    Rules(rules::Args),
    /// Print the JSON Schema of the file, for editors.
    Schema(schema::Args),
    /// Manage users.
    #[command(subcommand)]
    User(user::Command),
    /// Manage roles.
    #[command(subcommand)]
    Role(role::Command),
    /// List and declare permissions.
    #[command(subcommand)]
    Permission(permission::Command),
    /// List and end sessions.
    #[command(subcommand)]
    Session(session::Command),
    /// See whether mail is sent.
    Mail(mail::Args),
    /// See whether webhooks are taken.
    Hook(hook::Args),
    /// Bring the store up to date, or show whether it is.
    #[command(subcommand)]
    Migrate(migrate::Command),
}

/// Parses the arguments and runs the command. 0: fine; 1: the answer is no; 2: misuse.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(code) = between::stand() {
        return code;
    }
    let cli = Cli::parse();
    let path = cli.config.as_path();
    let outcome = match cli
        .command
        .unwrap_or(Command::Serve(serve::Args::default()))
    {
        Command::Serve(args) => serve::run(&args, path),
        Command::Check(args) => check::run(&args, path),
        Command::Test(args) => test::run(&args, path),
        Command::Explain(args) => explain::run(&args, path),
        Command::Rules(args) => rules::run(&args, path),
        Command::Schema(args) => schema::run(&args, path),
        Command::User(command) => user::run(&command, path),
        Command::Role(command) => role::run(&command, path),
        Command::Permission(command) => permission::run(&command, path),
        Command::Session(command) => session::run(&command, path),
        Command::Mail(args) => mail::run(&args, path),
        Command::Hook(args) => hook::run(&args, path),
        Command::Migrate(command) => migrate::run(&command, path),
    };
    outcome.unwrap_or_else(|error| {
        errln!("portcullis: {error:#}");
        ExitCode::FAILURE
    })
}
