//! The log: to standard error, for people or as JSON lines, filtered by `PORTCULLIS_LOG`.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::settings::Format;

const DEFAULT: &str = "info";

/// Directives that come later, or are about less, win over these.
const QUIET: &str = "pingora=off,rustls=off,tokio_postgres=warn";

/// How many lines may wait to be written: seconds of requests, in some 30 MB.
const WAITING: usize = 100_000;

/// How long lines that wait are written when the log ends, as long as whoever reads them goes on reading.
const LAST_LINES: Duration = Duration::from_secs(5);
/// How long that may take in between.
const PAUSE: Duration = Duration::from_millis(500);

/// The log while it is written.
#[derive(Debug)]
pub struct Log {
    lost: Lost,
    lines: Lines,
    writer: Option<WorkerGuard>,
}

/// Lines on their way.
#[derive(Clone, Debug, Default)]
struct Lines {
    given: Arc<AtomicU64>,
    written: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

/// Counts the lines that it is given, and those of them that could not be passed on. The first of two; the thread that writes
/// has the other.
#[derive(Clone, Debug)]
struct Counted<W> {
    to: W,
    lines: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.to.write(bytes)
    }

    /// A line is written by one call.
    fn write_all(&mut self, line: &[u8]) -> std::io::Result<()> {
        let written = self.to.write_all(line);
        let count = match &written {
            Ok(()) => &self.lines,
            // A disk that is full, a pipe that nobody reads any more.
            Err(_) => &self.failed,
        };
        count.fetch_add(1, Ordering::Release);
        written
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

impl<'a, W: Write + Clone + 'a> MakeWriter<'a> for Counted<W> {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// How many lines have been lost because nobody read the log fast enough, or because they could not be written. Clones count the
/// same.
#[derive(Clone, Debug)]
pub struct Lost {
    unread: ErrorCounter,
    failed: Arc<AtomicU64>,
}

impl Log {
    /// What was lost of it, from here on, too.
    #[must_use]
    pub fn lost(&self) -> Lost {
        self.lost.clone()
    }
}

impl Drop for Log {
    /// Waits for lines that are on their way while somebody reads them, and for nobody else: the crate's own end waits for
    /// a second, however many there are, and then for ever for somebody to read standard output.
    fn drop(&mut self) {
        let (began, mut moved) = (Instant::now(), Instant::now());
        let mut written = 0;
        while self.waiting() > 0 && began.elapsed() < LAST_LINES && moved.elapsed() < PAUSE {
            let now = self.lines.written.load(Ordering::Acquire);
            if now > written {
                (written, moved) = (now, Instant::now());
            }
            thread::sleep(Duration::from_millis(5));
        }
        let (writer, is_stuck) = (self.writer.take(), self.waiting() > 0);
        let ending = thread::Builder::new().spawn(move || drop(writer));
        // Of what cannot be written, nothing more can be said.
        if let (Ok(ending), false) = (ending, is_stuck) {
            let _ = ending.join();
        }
    }
}

impl Log {
    /// A log, and what its lines are given to.
    fn to(to: impl Write + Send + 'static, waiting: usize) -> (Counted<NonBlocking>, Self) {
        let lines = Lines::default();
        let written = Counted {
            to,
            lines: Arc::clone(&lines.written),
            failed: Arc::clone(&lines.failed),
        };
        let (writer, guard) = written_to(written, waiting);
        let log = Self {
            lost: Lost {
                unread: writer.error_counter(),
                failed: Arc::clone(&lines.failed),
            },
            lines: lines.clone(),
            writer: Some(guard),
        };
        let given = Counted {
            to: writer,
            lines: lines.given,
            // Giving them never fails.
            failed: Arc::default(),
        };
        (given, log)
    }

    /// How many lines have been given and neither written nor lost.
    fn waiting(&self) -> u64 {
        let given = self.lines.given.load(Ordering::Acquire);
        let written = self.lines.written.load(Ordering::Acquire);
        given.saturating_sub(written + self.lost.lines())
    }
}

impl Lost {
    /// Lines since the start.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.unread.dropped_lines() as u64 + self.failed.load(Ordering::Acquire)
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
    let (writer, log) = Log::to(std::io::stderr(), WAITING);
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
    log
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
    // An empty word would be one, too.
    let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
    if let Some(word) = words
        .filter(|word| !word.is_empty() && !word.contains(['=', '[', ':']))
        .find(|word| !is_level(word))
    {
        return Err(format!(
            "'{word}' is no level; those are off, error, warn, info, debug and trace, and a module's is MODULE=LEVEL"
        ));
    }
    // What is said of modules alone leaves the rest as it is.
    let rest = if filter.split(',').any(is_level) {
        ""
    } else {
        DEFAULT
    };
    EnvFilter::try_new(format!("{rest},{QUIET},{filter}")).map_err(|error| error.to_string())
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
        let most = |filter| read(filter).unwrap().max_level_hint().unwrap();
        for filter in [
            "",
            "pingora=warn",
            "pingora=warn,",
            "pingora=warn,,h2=error",
        ] {
            assert_eq!(most(filter), LevelFilter::INFO, "{filter}");
        }
        assert_eq!(most("warn,pingora=error"), LevelFilter::WARN);
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

    /// Takes its time.
    struct Slow(Arc<AtomicU64>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            thread::sleep(Duration::from_millis(10));
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_end_of_the_log_waits_for_who_reads_it_and_for_nobody_else() {
        let read = Arc::new(AtomicU64::new(0));
        let (mut writer, log) = Log::to(Slow(Arc::clone(&read)), 1_000);
        for _ in 0..150 {
            writer.write_all(b"line\n").unwrap();
        }
        drop(log);
        assert_eq!(read.load(Ordering::Relaxed), 150);
        let (_go_on, stuck) = std::sync::mpsc::channel();
        let (mut writer, log) = Log::to(Stuck(stuck), 8);
        for _ in 0..100 {
            writer.write_all(b"line\n").unwrap();
        }
        // Else this test does not end.
        drop(log);
    }

    #[test]
    fn a_log_that_nobody_reads_stops_nobody() {
        let (go_on, stuck) = std::sync::mpsc::channel();
        let (mut writer, guard) = written_to(Stuck(stuck), 8);
        let lost = writer.error_counter();
        for _ in 0..100 {
            writer.write_all(b"line\n").unwrap();
        }
        // Eight wait, and one may be at the reader.
        assert!((91..=92).contains(&lost.dropped_lines()), "{lost:?}");
        drop(go_on);
        drop(guard);
    }

    #[test]
    fn what_cannot_be_written_is_lost_and_counted() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let (mut writer, log) = Log::to(full.unwrap(), 1_000);
        let lost = log.lost();
        for _ in 0..150 {
            writer.write_all(b"line\n").unwrap();
        }
        drop(log);
        assert_eq!(lost.lines(), 150);
        let (mut writer, log) = Log::to(std::io::sink(), 1_000);
        let lost = log.lost();
        writer.write_all(b"line\n").unwrap();
        drop(log);
        assert_eq!(lost.lines(), 0, "written");
    }
}
