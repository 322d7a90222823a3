//! The log: to standard error, for people or as JSON lines, filtered by `PORTCULLIS_LOG`.

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::settings::Format;

const DEFAULT: &str = "info";

/// Directives that come later, or are about less, win over these.
const QUIET: &str = "pingora=off,rustls=off,tokio_postgres=warn";

/// Starts logging. `filter` has the syntax of `tracing`'s directives, such as `info,pingora=warn`; a filter
/// that cannot be read falls back to the default and is complained about.
///
/// Pingora and rustls are silent unless asked for: most of what they complain of is what strangers send, and whatever
/// becomes of a request is in its access line. `PostgreSQL` says at each start that our tables are there already.
///
/// Lines are written by a thread of their own; those still waiting are written when the guard is dropped.
#[must_use = "dropping the guard ends the writing"]
pub fn start(format: Format, filter: Option<&str>) -> WorkerGuard {
    let parsed = filter.map(read);
    let complaint = parsed
        .as_ref()
        .and_then(|read| read.as_ref().err().cloned());
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
    if let (Ok(()), Some(complaint)) = (started, complaint) {
        tracing::warn!("PORTCULLIS_LOG: {complaint}; using '{DEFAULT}'");
    }
    guard
}

/// A filter, or what is wrong with it. A word alone must be a level: `tracing` would take a mistyped one for the name of a
/// module, and log nothing else.
fn read(filter: &str) -> Result<EnvFilter, String> {
    let words = filter.split(',');
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    if let Some(word) = words
        .filter(|word| !word.is_empty() && !word.contains(['=', '[', ':']))
        .find(|word| !is_level(word))
    {
        return Err(format!(
            "'{word}' is no level; those are off, error, warn, info, debug and trace, and a module's is MODULE=LEVEL"
        ));
    }
    EnvFilter::try_new(format!("{QUIET},{filter}")).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_that_mean_something() {
        for filter in [
            "",
            "debug",
            "WARN",
            "info,portcullis::proxy=trace",
            "off,pingora=error",
            "portcullis::proxy",
            "[request]=trace",
        ] {
            assert!(read(filter).is_ok(), "{filter}");
        }
        for (filter, said) in [
            ("inof", "'inof' is no level"),
            ("pingora=warn,verbose", "'verbose' is no level"),
            ("portcullis=loud", "expected one of"),
        ] {
            let fault = read(filter).unwrap_err();
            assert!(fault.contains(said), "{filter}: {fault}");
        }
    }
}
