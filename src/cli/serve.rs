//! `serve`: runs the gateway.

use std::path::Path;
use std::process::ExitCode;

use crate::app::{self, early::Early, watch::Watch};
use crate::config::Config;
use crate::config::policy_test;
use crate::telemetry::log;

use super::output::complain;

/// Options of `serve`.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Reload whenever the file changes, as SIGHUP does.
    #[arg(long)]
    watch: bool,
}

/// Runs until it is told to stop. A file with faults, or whose policy tests fail, is not served.
///
/// # Errors
/// When the gateway cannot start.
pub fn run(args: &Args, path: &Path) -> anyhow::Result<ExitCode> {
    let early = Early::take()?;
    let file = Watch::begin(path);
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(report) => {
            complain(format_args!("{report}"));
            return Ok(ExitCode::FAILURE);
        }
    };
    let log = log::start(config.log, filter().as_deref());
    let complaints = policy_test::complaints(&config);
    if !complaints.is_empty() {
        errln!(
            "The policy tests of {} fail; the gateway does not start:",
            path.display()
        );
        for told in complaints {
            errln!("  {told}");
        }
        return Ok(ExitCode::FAILURE);
    }
    app::serve::serve(early, config, (path, file, args.watch), log.lost())?;
    Ok(ExitCode::SUCCESS)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the log's filter is for whoever debugs a process, not for the file"
)]
fn filter() -> Option<String> {
    let filter = std::env::var("PORTCULLIS_LOG").ok()?;
    (!filter.trim().is_empty()).then_some(filter)
}
