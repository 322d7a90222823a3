//! The reading of one file: what it needs beside the text, and the list of what is wrong.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use super::report::Fault;

/// What the reading of one file needs beside its text, and what it finds.
pub struct Reading<'a> {
    base: &'a Path,
    env: &'a dyn Fn(&str) -> Option<String>,
    faults: RefCell<Vec<Fault>>,
    warnings: RefCell<Vec<Fault>>,
}

/// Nobody reads more, and each costs time to describe.
const MOST_FAULTS: usize = 500;

/// Values longer than this are cut when they are shown.
const SHOWN: usize = 80;

impl<'a> Reading<'a> {
    /// A reading that found nothing yet.
    #[must_use]
    pub fn new(base: &'a Path, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            base,
            env,
            faults: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    /// Writes a fault down; of very many, only the first.
    pub fn fault(&self, fault: Fault) {
        let mut faults = self.faults.borrow_mut();
        match faults.len() {
            ..MOST_FAULTS => faults.push(fault),
            MOST_FAULTS => faults
                .push(Fault::of_file("has more faults than are worth listing").at_line(fault.line)),
            _ => {}
        }
    }

    /// Whether so many were written down that more would not be.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.faults.borrow().len() > MOST_FAULTS
    }

    /// Writes a warning down.
    pub fn warning(&self, warning: Fault) {
        self.warnings.borrow_mut().push(warning);
    }

    /// What `read` makes, if it wrote no fault down; half a rule is no rule.
    pub fn sound<T>(&self, read: impl FnOnce() -> T) -> Option<T> {
        let before = self.faults.borrow().len();
        let value = read();
        (self.faults.borrow().len() == before).then_some(value)
    }

    /// A path of the file, relative to the file's own folder.
    #[must_use]
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    /// A variable of the environment.
    #[must_use]
    pub fn env(&self, name: &str) -> Option<String> {
        (self.env)(name)
    }

    /// Everything found: faults, then warnings.
    #[must_use]
    pub fn into_findings(self) -> (Vec<Fault>, Vec<Fault>) {
        (self.faults.into_inner(), self.warnings.into_inner())
    }
}

/// Fit for a terminal: no control characters, not too long.
#[must_use]
pub fn printable(text: &str) -> String {
    // Marks of direction turn around what a terminal shows behind them.
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let plain = |c: char| {
        if c.is_control() || turns(c) {
            '\u{fffd}'
        } else {
            c
        }
    };
    let cut: String = text.chars().take(SHOWN).map(plain).collect();
    if text.chars().nth(SHOWN).is_some() {
        cut + "…"
    } else {
        cut
    }
}

/// As it can be written between brackets in YAML, in quotes where it needs them.
#[must_use]
pub fn plain(text: &str) -> String {
    let word = |c: char| c.is_alphanumeric() || "/._-:~+=*".contains(c);
    let word_of_yaml = ["true", "false", "null", "~", ""];
    let taken_for_more = text.parse::<f64>().is_ok()
        || word_of_yaml.contains(&&*text.to_lowercase())
        || text.starts_with("0x")
        || text.starts_with("0o")
        || text.starts_with(['*', '-', ':'])
        || text.ends_with(':');
    let shown = printable(text);
    if taken_for_more || !text.chars().all(word) {
        // YAML reads what JSON writes.
        serde_json::Value::from(shown).to_string()
    } else {
        shown
    }
}

/// How text could be written as the list that it was perhaps meant to be.
#[must_use]
pub fn as_list(text: &str) -> String {
    let text = without_userinfo(text);
    let items: Vec<_> = text.split(',').map(|item| plain(item.trim())).collect();
    format!("write [{}]", items.join(", "))
}

/// A URL without the password that people put into URLs.
#[must_use]
pub fn without_userinfo(text: &str) -> String {
    let parts = text
        .split_once("://")
        .and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1)));
    parts.map_or_else(
        || text.to_owned(),
        |(scheme, host)| format!("{scheme}://***@{host}"),
    )
}
