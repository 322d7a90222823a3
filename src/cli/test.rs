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
    let Some(config) = load(config_path) else {
        return Ok(ExitCode::FAILURE);
    };
    let outcomes = run_tests(&config);
    if let Some(file) = &args.junit {
        std::fs::write(file, junit(&outcomes, config_path))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if args.json {
        outln!("{}", as_json(&outcomes, &config));
    } else {
        out!(
            "{}",
            lines(&outcomes, &unreached(&config, &outcomes), Ink::of_stdout())
        );
    }
    let passed = outcomes.iter().all(TestOutcome::passed);
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn lines(outcomes: &[TestOutcome], unreached: &[&Rule], ink: Ink) -> String {
    let mut table = Table::default();
    for outcome in outcomes {
        let rule = outcome
            .rule
            .as_ref()
            .map_or_else(|| "-".to_owned(), ToString::to_string);
        let mark = if outcome.passed() { "ok" } else { "FAIL" };
        let place = format!("line {}", outcome.test.line);
        table.row([
            mark,
            &place,
            &outcome.test.to_string(),
            outcome.answer,
            &rule,
        ]);
        outcome
            .failures
            .iter()
            .for_each(|failure| table.note(ink.red(failure)));
    }
    let passed = |row: usize| outcomes.get(row).is_some_and(TestOutcome::passed);
    let mut text = table.render(|row, column, cell| match (column, passed(row)) {
        (0, true) => ink.green(cell),
        (0, false) => ink.red(cell),
        (1, _) => ink.dim(cell),
        _ => cell.to_owned(),
    });
    if !unreached.is_empty() {
        let _ = writeln!(
            text,
            "\nNo test reaches {}:",
            if unreached.len() == 1 {
                "this rule"
            } else {
                "these rules"
            }
        );
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
    let unreached: Vec<_> = unreached(config, outcomes)
        .into_iter()
        .map(|rule| json!({ "rule": &*rule.label, "line": rule.line }))
        .collect();
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
    let _ = writeln!(
        text,
        "<testsuite name=\"{file}\" tests=\"{}\" failures=\"{failed}\">",
        outcomes.len()
    );
    for outcome in outcomes {
        let name = xml(&outcome.test.to_string());
        let _ = write!(
            text,
            "  <testcase classname=\"{file}\" name=\"{name}\" line=\"{}\"",
            outcome.test.line
        );
        let _ = match outcome.failures.as_slice() {
            [] => writeln!(text, "/>"),
            failures => writeln!(
                text,
                "><failure message=\"{}\"/></testcase>",
                xml(&failures.join("; "))
            ),
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

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "upstreams: { web: { to: http://web }, api: { to: http://api } }
rules:
  - { path: /public/**, to: web, allow: anyone }
  - { path: /api/**, to: api, allow: { role: admin }, from: [10.0.0.0/8] }
  - { path: /**, to: web, allow: signed_in }
tests:
  - { GET: /public/x, expect: allow }
  - { GET: /public/../api, as: { ip: 10.1.2.3 }, expect: login, rule: /api/** }
  - { GET: /api, as: { role: admin }, expect: allow }
  - { POST: \"/api?<&>\", as: { superuser: true, ip: 10.1.2.3 }, expect: allow, to: web, rule: /public/** }
  - { GET: /auth/login, expect: login }
";

    fn outcomes() -> (Config, Vec<TestOutcome>) {
        let config = Config::from_text(FILE, Path::new("/nonexistent"), &|_| None).unwrap();
        let outcomes = run_tests(&config);
        (config, outcomes)
    }

    #[test]
    fn a_line_for_each_test_and_the_rules_that_none_reaches() {
        let (config, outcomes) = outcomes();
        let text = lines(&outcomes, &unreached(&config, &outcomes), Ink::of_stdout());
        insta::assert_snapshot!(text, @"
        ok    line 7   GET /public/x                             allow        /public/** (line 3)
        ok    line 8   GET /public/../api from 10.1.2.3          login        /api/** (line 4)
        FAIL  line 9   GET /api as admin                         deny         /api/** (line 4)
              expected allow, got deny (from)
        FAIL  line 10  POST /api?<&> as superuser from 10.1.2.3  bad_request  -
              expected allow, got bad_request (the query holds a character that must be percent-encoded)
              expected the rule /public/** to decide, got no rule
        FAIL  line 11  GET /auth/login                           own_page     -
              expected login, got own_page (one of the gateway's own pages; rules are not asked)

        No test reaches this rule:
          /** (line 5)

        5 tests, 3 not as expected
        ");
    }

    #[test]
    fn build_servers_read_it() {
        let (_, outcomes) = outcomes();
        insta::assert_snapshot!(junit(&outcomes, Path::new("gateway.yaml")), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuite name="gateway.yaml" tests="5" failures="3">
          <testcase classname="gateway.yaml" name="GET /public/x" line="7"/>
          <testcase classname="gateway.yaml" name="GET /public/../api from 10.1.2.3" line="8"/>
          <testcase classname="gateway.yaml" name="GET /api as admin" line="9"><failure message="expected allow, got deny (from)"/></testcase>
          <testcase classname="gateway.yaml" name="POST /api?&lt;&amp;&gt; as superuser from 10.1.2.3" line="10"><failure message="expected allow, got bad_request (the query holds a character that must be percent-encoded); expected the rule /public/** to decide, got no rule"/></testcase>
          <testcase classname="gateway.yaml" name="GET /auth/login" line="11"><failure message="expected login, got own_page (one of the gateway's own pages; rules are not asked)"/></testcase>
        </testsuite>
        "#);
    }

    #[test]
    fn programs_read_it() {
        let (config, outcomes) = outcomes();
        let json = as_json(&outcomes, &config);
        assert_eq!(json["passed"], false);
        assert_eq!(json["tests"][1]["rule"], "/api/**");
        assert_eq!(
            json["tests"][2]["failures"],
            json!(["expected allow, got deny (from)"])
        );
        assert_eq!(json["unreached"], json!([{ "rule": "/**", "line": 5 }]));
    }
}
