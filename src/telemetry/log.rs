//! The log: to standard error, for people or as JSON lines, filtered by `PORTCULLIS_LOG`.

use std::io::Write;

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::settings::Format;

const DEFAULT: &str = "info";

/// Directives that come later, or are about less, win over these.
const QUIET: &str = "pingora=off,rustls=off,tokio_postgres=warn";

/// How many lines may wait to be written: seconds of requests, in some 30 MB.
const WAITING: usize = 100_000;

/// The log while it is written.
#[derive(Debug)]
pub struct Log {
    lost: Lost,
    _writer: WorkerGuard,
}

/// How many lines have been lost because nobody read the log fast enough. Clones count the same.
#[derive(Clone, Debug)]
pub struct Lost(ErrorCounter);

impl Log {
    /// What was lost of it, from here on, too.
    #[must_use]
    pub fn lost(&self) -> Lost {
        self.lost.clone()
    }
}

impl Lost {
    /// Lines since the start.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.0.dropped_lines() as u64
    }
}

/// Starts logging. `filter` has the syntax of `tracing`'s directives, such as `info,pingora=warn`; a filter
/// that cannot be read falls back to the default and is complained about.
///
/// Pingora and rustls are silent unless asked for: most of what they complain of is what strangers send, and whatever
/// becomes of a request is in its access line. `PostgreSQL` says at each start that our tables are there already.
///
/// Lines are written by a thread of their own; those still waiting are written when the log is dropped.
#[must_use = "dropping it ends the writing"]
pub fn start(format: Format, filter: Option<&str>) -> Log {
    let parsed = filter.map(read);
    let complaint = parsed
        .as_ref()
        .and_then(|read| read.as_ref().err().cloned());
    let filter = parsed
        .and_then(Result::ok)
        .unwrap_or_else(|| EnvFilter::new(format!("{QUIET},{DEFAULT}")));
    let (writer, guard) = written_to(std::io::stderr(), WAITING);
    let lost = Lost(writer.error_counter());
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
    Log {
        lost,
        _writer: guard,
    }
}

/// Lines that find no room are lost, and counted. Whoever reads the log may stop reading, and be a program that nobody
/// thinks of: the gateway must go on without it, and above all be able to stop.
fn written_to(to: impl Write + Send + 'static, waiting: usize) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(waiting)
        .finish(to)
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

    /// Takes nothing until it may.
    struct Stuck(std::sync::mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            // Gone is a permission for everything that is left.
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_nobody_reads_stops_nobody() {
        let (go_on, stuck) = std::sync::mpsc::channel();
        let (mut writer, guard) = written_to(Stuck(stuck), 8);
        let lost = Lost(writer.error_counter());
        for _ in 0..100 {
            writer.write_all(b"line\n").unwrap();
        }
        // Eight wait, and one may be at the reader.
        assert!((91..=92).contains(&lost.lines()), "{lost:?}");
        drop(go_on);
        drop(guard);
    }
}
