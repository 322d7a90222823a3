//! Data, as tables for people or as JSON for programs.

use std::fmt;
use std::io::{self, Write};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

/// Prints, for as long as somebody reads (`portcullis rules | head`).
macro_rules! out {
    ($($text:tt)*) => {
        $crate::cli::output::say(format_args!($($text)*))
    };
}

/// The same, and a line's end.
macro_rules! outln {
    () => {
        $crate::cli::output::say(format_args!("\n"))
    };
    ($($text:tt)*) => {
        $crate::cli::output::say(format_args!("{}\n", format_args!($($text)*)))
    };
}

/// Complains, in a line.
macro_rules! errln {
    ($($text:tt)*) => {
        $crate::cli::output::complain(format_args!("{}\n", format_args!($($text)*)))
    };
}

/// Writes to standard error. Where that cannot be done there is nobody to tell: what was begun is still brought to its end,
/// and the exit code says what came of it.
pub fn complain(text: fmt::Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(text);
}

/// Prints to standard output. A command that cannot say what it has to say has failed; one that nobody listens to any more
/// has not.
pub fn say(text: fmt::Arguments<'_>) {
    static UNHEARD: AtomicBool = AtomicBool::new(false);
    if UNHEARD.load(Ordering::Relaxed) {
        return;
    }
    let mut out = io::stdout().lock();
    let Err(error) = out.write_fmt(text).and_then(|()| out.flush()) else {
        return;
    };
    if error.kind() == io::ErrorKind::BrokenPipe {
        // What the command comes to is still its exit code.
        UNHEARD.store(true, Ordering::Relaxed);
        return;
    }
    errln!("portcullis: cannot print: {error}");
    process::exit(1);
}

/// For whom data is printed.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Format {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl Format {
    /// Prints data: as JSON, or in aligned columns under their titles.
    ///
    /// # Errors
    /// When the data cannot be written as JSON.
    pub fn print<const N: usize>(
        self,
        data: &impl Serialize,
        titles: [&str; N],
        rows: impl Iterator<Item = [String; N]>,
    ) -> anyhow::Result<()> {
        if self.json {
            outln!("{}", serde_json::to_string_pretty(data)?);
        } else {
            table(titles, &rows.collect::<Vec<_>>());
        }
        Ok(())
    }
}

/// Prints rows under titles, in columns as wide as what is in them.
fn table<const N: usize>(titles: [&str; N], rows: &[[String; N]]) {
    let mut widths = titles.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    print_row(&titles.map(str::to_owned), &widths);
    for row in rows {
        print_row(row, &widths);
    }
}

fn print_row<const N: usize>(cells: &[String; N], widths: &[usize; N]) {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:<width$}"))
        .collect();
    outln!("{}", padded.join("  ").trim_end());
}
