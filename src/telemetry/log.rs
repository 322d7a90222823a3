//! The log: to standard error, for people or as JSON lines, filtered by `PORTCULLIS_LOG`.

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use super::settings::Format;

/// Starts logging. `filter` has the syntax of `tracing`'s directives, such as `info,pingora=warn`; a filter
/// that cannot be read falls back to the default and is complained about.
///
/// Pingora and rustls are silent unless asked for: most of what they complain of is what strangers send, and whatever
/// becomes of a request is in its access line. `PostgreSQL` says at each start that our tables are there already.
///
/// Lines are written by a thread of their own; those still waiting are written when the guard is dropped.
#[must_use = "dropping the guard ends the writing"]
pub fn start(format: Format, filter: Option<&str>) -> WorkerGuard {
    const DEFAULT: &str = "info";
    // Directives that come later, or are about less, win over these.
    const QUIET: &str = "pingora=off,rustls=off,tokio_postgres=warn";
    let parsed = filter.map(|filter| EnvFilter::try_new(format!("{QUIET},{filter}")));
    let complaint = matches!(parsed, Some(Err(_)));
    let filter = parsed
        .and_then(Result::ok)
        .unwrap_or_else(|| EnvFilter::new(format!("{QUIET},{DEFAULT}")));
    // Never lossy: a full queue makes requests wait rather than losing what happened.
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(false)
        .finish(std::io::stderr());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    let started = match format {
        Format::Text => lines.with_target(false).with_ansi(false).try_init(),
        Format::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .try_init(),
    };
    if started.is_ok() && complaint {
        tracing::warn!("PORTCULLIS_LOG cannot be read as a filter; using '{DEFAULT}'");
    }
    guard
}
