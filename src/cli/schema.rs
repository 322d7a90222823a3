//! `portcullis schema`: the JSON Schema of `gateway.yaml`, for editors.

use std::path::Path;
use std::process::ExitCode;

use crate::config::schema;

/// Prints the JSON Schema of gateway.yaml
#[derive(Clone, Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
///
/// # Errors
/// Never.
pub fn run(_args: &Args, _config_path: &Path) -> anyhow::Result<ExitCode> {
    out!("{}", schema::TEXT);
    Ok(ExitCode::SUCCESS)
}
