//! What is wrong with a file: every fault with its place, the value seen and a hint, for people and programs.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// One thing that is wrong, or probably not meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The YAML path: `rules[3].allow.role`, counted from 0; empty when the file as a whole is meant.
    pub path: String,
    /// The line, counted from 1; 0 when no line is to blame.
    pub line: u64,
    /// What is wrong, without the value.
    pub message: String,
    /// The value, where showing it helps and gives nothing away.
    pub seen: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Everything that is wrong with one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The file.
    pub file: PathBuf,
    /// What keeps it from being used.
    pub faults: Vec<Fault>,
    /// What does not.
    pub warnings: Vec<Fault>,
}

impl Fault {
    /// A fault of the file as a whole.
    #[must_use]
    pub fn of_file(message: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            line: 0,
            message: message.into(),
            seen: None,
            hint: None,
        }
    }

    /// The same fault, with a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// The same fault, blamed on a line.
    #[must_use]
    pub fn at_line(self, line: u64) -> Self {
        Self { line, ..self }
    }

    /// As a block of text: where, what, and indented below it the hint.
    #[must_use]
    pub fn in_file<'a>(&'a self, file: &'a Path) -> impl fmt::Display + 'a {
        Block { fault: self, file }
    }
}

/// The sentence without its place, as one log line has it.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.seen {
            Some(seen) => write!(f, ": '{seen}'"),
            None => Ok(()),
        }
    }
}

impl Report {
    /// A report with one fault.
    #[must_use]
    pub fn of_fault(fault: Fault) -> Self {
        Self::new(vec![fault], Vec::new())
    }

    /// A report about a file that is not named yet, in the order of its lines.
    #[must_use]
    pub fn new(mut faults: Vec<Fault>, mut warnings: Vec<Fault>) -> Self {
        faults.sort_by_key(|fault| fault.line);
        warnings.sort_by_key(|fault| fault.line);
        Self {
            file: PathBuf::from("gateway.yaml"),
            faults,
            warnings,
        }
    }

    /// The same report about a named file.
    #[must_use]
    pub fn of_file(self, file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            ..self
        }
    }
}

impl Report {
    /// What keeps the file from being used, in one line, as a log has it.
    #[must_use]
    pub fn in_one_line(&self) -> String {
        let blocks = self.faults.iter().map(|fault| {
            let block = fault.in_file(&self.file).to_string();
            let mut lines = block.lines().map(str::trim);
            let first = lines.next().unwrap_or_default().to_owned();
            lines.fold(first, |text, hint| format!("{text} ({hint})"))
        });
        blocks.collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            writeln!(f, "{}", fault.in_file(&self.file))?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {}", warning.in_file(&self.file))?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

struct Block<'a> {
    fault: &'a Fault,
    file: &'a Path,
}

impl fmt::Display for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.fault.line > 0 {
            write!(f, "{}:", self.fault.line)?;
        }
        if !self.fault.path.is_empty() {
            write!(f, " {}:", self.fault.path)?;
        }
        write!(f, " {}", self.fault)?;
        match &self.fault.hint {
            Some(hint) => write!(f, "\n    {hint}"),
            None => Ok(()),
        }
    }
}

/// The known word that is nearest to what was written, if any is near enough to be meant.
#[must_use]
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase();
    let distance = |word: &str| strsim::damerau_levenshtein(&written, &word.to_lowercase());
    let allowed = |word: &str| (word.chars().count().max(3) / 3).max(1);
    known
        .into_iter()
        .map(|word| (distance(word), word))
        .filter(|(far, word)| *far <= allowed(word))
        .min()
        .map(|(_, word)| word)
}

/// `did you mean 'role'?`, or else the words there are.
#[must_use]
pub fn suggest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<String> {
    if let Some(word) = nearest(written, known.clone()) {
        return Some(format!("did you mean '{word}'?"));
    }
    let words: Vec<&str> = known.into_iter().collect();
    (!words.is_empty() && words.len() <= 24).then(|| format!("known here: {}", words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_says_where_what_and_what_to_do() {
        let fault = Fault {
            path: "rules[3].allow".into(),
            line: 31,
            message: "unknown key".into(),
            seen: Some("rol".into()),
            hint: suggest("rol", ["roles", "role", "user"]),
        };
        let report = Report::new(vec![fault, Fault::of_file("is empty")], vec![]);
        insta::assert_snapshot!(report, @"
        gateway.yaml: is empty
        gateway.yaml:31: rules[3].allow: unknown key: 'rol'
            did you mean 'role'?
        ");
        assert_eq!(
            report.in_one_line(),
            "gateway.yaml: is empty; \
             gateway.yaml:31: rules[3].allow: unknown key: 'rol' (did you mean 'role'?)"
        );
    }

    #[test]
    fn far_words_are_not_suggested() {
        assert_eq!(
            nearest("upstreems", ["upstreams", "rules"]),
            Some("upstreams")
        );
        assert_eq!(nearest("Path", ["path", "to"]), Some("path"));
        assert_eq!(nearest("zzz", ["path", "to"]), None);
        assert_eq!(nearest("x", ["to", "http"]), None);
        assert_eq!(
            suggest("zzz", ["path", "to"]).unwrap(),
            "known here: path, to"
        );
    }
}
