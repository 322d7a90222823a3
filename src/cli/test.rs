//! `portcullis test`: the policy tests of the file, and the rules that none of them reaches.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Value, json};

use crate::config::Config;
use crate::config::policy_test::{TestOutcome, run as run_tests, unreached};
use crate::policy::rule::Rule;

use super::check::load;
use super::text::{Ink, Table, count};

/// Runs the tests of the file
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Also write the outcome to FILE, in the XML that build servers read
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// When the report cannot be written.
pub fn run(args: &Args, config_path: &Path) -> anyhow::Result<ExitCode> {
    let Some(config) = load(config_path) else { return Ok(ExitCode::FAILURE) };
    let outcomes = run_tests(&config);
    if let Some(file) = &args.junit {
        std::fs::write(file, junit(&outcomes, config_path)).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if args.json {
        println!("{}", as_json(&outcomes, &config));
    } else {
        print!("{}", lines(&outcomes, &unreached(&config, &outcomes), Ink::of_stdout()));
    }
    let passed = outcomes.iter().all(TestOutcome::passed);
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn lines(outcomes: &[TestOutcome], unreached: &[&Rule], ink: Ink) -> String {
    let mut table = Table::default();
    for outcome in outcomes {
        let rule = outcome.rule.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let (mark, last) = if outcome.passed() { ("ok", rule) } else { ("FAIL", outcome.failures.join("; ")) };
        let place = format!("line {}", outcome.test.line);
        table.row([mark, &place, &outcome.test.to_string(), outcome.answer, &last]);
    }
    let passed = |row: usize| outcomes.get(row).is_some_and(TestOutcome::passed);
    let mut text = table.render(|row, column, cell| match (column, passed(row)) {
        (0, true) => ink.green(cell),
        (0, false) => ink.red(cell),
        (1, _) => ink.dim(cell),
        _ => cell.to_owned(),
    });
    if !unreached.is_empty() {
        let _ = writeln!(text, "\nNo test reaches {}:", if unreached.len() == 1 { "this rule" } else { "these rules" });
        for rule in unreached {
            let _ = writeln!(text, "  {rule}");
        }
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    let summary = match failed {
        0 => ink.green("all as expected"),
        some => ink.red(&format!("{some} not as expected")),
    };
    let _ = writeln!(text, "\n{}, {summary}", count(outcomes.len(), "test"));
    text
}

fn as_json(outcomes: &[TestOutcome], config: &Config) -> Value {
    let tests = outcomes.iter().map(|outcome| {
        json!({
            "test": outcome.test.to_string(),
            "line": outcome.test.line,
            "passed": outcome.passed(),
            "answer": outcome.answer,
            "rule": outcome.rule.as_ref().map(|rule| &*rule.label),
            "failures": outcome.failures,
        })
    });
    let unreached: Vec<_> =
        unreached(config, outcomes).into_iter().map(|rule| json!({ "rule": &*rule.label, "line": rule.line })).collect();
    json!({
        "passed": outcomes.iter().all(TestOutcome::passed),
        "tests": tests.collect::<Vec<_>>(),
        "unreached": unreached,
    })
}

fn junit(outcomes: &[TestOutcome], path: &Path) -> String {
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    let file = xml(&path.display().to_string());
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(text, "<testsuite name=\"{file}\" tests=\"{}\" failures=\"{failed}\">", outcomes.len());
    for outcome in outcomes {
        let name = xml(&outcome.test.to_string());
        let _ = write!(text, "  <testcase classname=\"{file}\" name=\"{name}\" line=\"{}\"", outcome.test.line);
        let _ = match outcome.failures.as_slice() {
            [] => writeln!(text, "/>"),
            failures => writeln!(text, "><failure message=\"{}\"/></testcase>", xml(&failures.join("; "))),
        };
    }
    text.push_str("</testsuite>\n");
    text
}

fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            control if control.is_control() => out.push('\u{fffd}'),
            plain => out.push(plain),
        }
    }
    out
}
