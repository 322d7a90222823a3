//! What became of an import: for people in a few lines, for programs as JSON. No hash is ever in it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::base::name::Username;
use crate::cli::text::count;
use crate::crypto::password::StoredHash;
use crate::store::users::Imported;

use super::read::Records;

/// The report of one import.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How many rows the file has.
    pub rows: usize,
    /// How many users were imported, or would have been.
    pub imported: usize,
    /// Whether that many are in the store now.
    pub written: bool,
    /// Whether nothing was to be written.
    pub dry_run: bool,
    /// Whether the others are imported although some are refused.
    skip_bad: bool,
    /// The rows that were not taken.
    pub refused: Vec<Refused>,
    /// How many hashes there are of each kind.
    pub hashes: BTreeMap<String, usize>,
    /// How many of them are cheaper to guess than anybody advises.
    pub weak_hashes: usize,
    /// How many users have no password until one is set.
    pub without_password: usize,
    /// Columns that mean nothing here.
    pub ignored: BTreeSet<String>,
}

/// A row that was not taken.
#[derive(Clone, Debug, Serialize)]
pub struct Refused {
    pub line: u64,
    pub username: Option<String>,
    pub reason: String,
}

/// How many refusals people are shown.
const SHOWN: usize = 50;

impl Report {
    /// The report of an import that begins.
    pub fn of(records: &Records) -> Self {
        Self {
            rows: records.rows.len(),
            imported: 0,
            written: false,
            dry_run: false,
            skip_bad: false,
            refused: Vec::new(),
            hashes: BTreeMap::new(),
            weak_hashes: 0,
            without_password: 0,
            ignored: records.ignored.clone(),
        }
    }

    /// A row is not taken.
    pub fn refuse(&mut self, line: u64, username: Option<&Username>, reason: String) {
        self.refused.push(Refused {
            line,
            username: username.map(ToString::to_string),
            reason,
        });
    }

    /// A row is taken.
    pub fn take(&mut self, row: &Imported) {
        self.imported += 1;
        let hash = row.user.password_hash.as_ref();
        match hash.and_then(|hash| StoredHash::parse(hash.expose()).ok()) {
            Some(hash) => {
                *self.hashes.entry(hash.kind().to_string()).or_default() += 1;
                self.weak_hashes += usize::from(hash.is_weak());
            }
            None => self.without_password += 1,
        }
    }

    /// Every row is judged: says whether those that were taken are to count.
    pub fn settle(&mut self, dry_run: bool, skip_bad: bool) -> bool {
        self.refused.sort_by_key(|refused| refused.line);
        (self.dry_run, self.skip_bad) = (dry_run, skip_bad);
        self.written = !dry_run && !self.is_refused();
        self.written
    }

    /// Whether the answer is no.
    pub fn is_refused(&self) -> bool {
        !self.skip_bad && !self.refused.is_empty()
    }

    /// Prints it; refusals go to standard error.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            outln!("{}", serde_json::to_string_pretty(self)?);
        } else {
            for refused in self.refused.iter().take(SHOWN) {
                errln!("{}", refused.said());
            }
            if let Some(more @ 1..) = self.refused.len().checked_sub(SHOWN) {
                errln!("and {}; --json lists them all", count(more, "more row"));
            }
            out!("{}", self.said());
        }
        if self.is_refused() && !self.dry_run {
            errln!(
                "portcullis: nothing was imported; mend the rows, or leave them out with --skip-bad"
            );
        }
        Ok(())
    }

    fn said(&self) -> String {
        let users = count(self.imported, "user");
        let verdict = match (self.written, self.dry_run, self.is_refused()) {
            (true, ..) => format!("{users} imported"),
            (false, true, false) => format!("{users} would be imported"),
            (false, ..) => format!("{users} could be imported"),
        };
        let kinds = self
            .hashes
            .iter()
            .map(|(kind, number)| format!("{number} {kind}"));
        let bare =
            (self.without_password > 0).then(|| format!("{} without", self.without_password));
        let kinds: Vec<String> = kinds.chain(bare).collect();
        let mut lines = vec![format!("{verdict}, {} refused", self.refused.len())];
        if !kinds.is_empty() {
            lines.push(format!("password hashes: {}", kinds.join(", ")));
        }
        if self.weak_hashes > 0 {
            lines.push(format!(
                "cheap to guess, until their owners log in and they are made anew: {}",
                self.weak_hashes
            ));
        }
        if !self.ignored.is_empty() {
            let ignored: Vec<&str> = self.ignored.iter().map(String::as_str).collect();
            lines.push(format!(
                "columns that mean nothing here: {}",
                ignored.join(", ")
            ));
        }
        lines.join("\n") + "\n"
    }
}

impl Refused {
    fn said(&self) -> String {
        let name = self.username.as_ref().map(|name| format!(" ({name})"));
        format!(
            "line {}{}: {}",
            self.line,
            name.unwrap_or_default(),
            self.reason
        )
    }
}
