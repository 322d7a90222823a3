//! `portcullis rules`: the rules as they are meant, with every default filled in.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::base::identity::Method;
use crate::base::net::Networks;
use crate::config::Config;
use crate::policy::rule::{Mode, Rule};
use crate::policy::target::Verb;

use super::check::load;
use super::text::{Ink, Table};

/// Prints the rules with every default filled in
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A heading, and what stands below it for a rule.
type Column = (&'static str, fn(&Rule) -> String);

/// Columns that every table has, in this order but for those that no rule has anything to say in.
const COLUMNS: [Column; 9] = [
    ("LINE", |rule| rule.line.to_string()),
    ("NAME", |rule| {
        if is_named(rule) {
            rule.label.to_string()
        } else {
            String::new()
        }
    }),
    ("METHODS", |rule| rule.methods.to_string()),
    ("HOST", |rule| {
        rule.host
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default()
    }),
    ("PATH", |rule| rule.path.to_string()),
    ("TO", |rule| {
        if rule.upstream.is_empty() {
            "-".to_owned()
        } else {
            rule.upstream.to_string()
        }
    }),
    ("AUTH", |rule| words(&rule.auth)),
    ("FROM", |rule| {
        rule.from.as_ref().map(networks).unwrap_or_default()
    }),
    ("BODY", |rule| rule.body_limit.map(body).unwrap_or_default()),
];

/// Runs the command.
///
/// # Errors
/// Never; a file that cannot be used is its answer.
pub fn run(args: &Args, config_path: &Path) -> anyhow::Result<ExitCode> {
    let Some(config) = load(config_path) else {
        return Ok(ExitCode::FAILURE);
    };
    if args.json {
        let rules: Vec<Value> = config
            .rules
            .iter()
            .map(|rule| as_json(rule, &config))
            .collect();
        println!("{}", Value::Array(rules));
    } else {
        print!("{}", table(&config.rules, Ink::of_stdout()));
    }
    Ok(ExitCode::SUCCESS)
}

fn table(rules: &[Rule], ink: Ink) -> String {
    let speaks = |(_, cell): &&Column| rules.iter().any(|rule| !cell(rule).is_empty());
    let columns: Vec<&Column> = COLUMNS.iter().filter(speaks).collect();
    let mut table = Table::default();
    table.row(columns.iter().map(|(heading, _)| *heading).chain(["ALLOW"]));
    for rule in rules {
        table.row(
            columns
                .iter()
                .map(|(_, cell)| cell(rule))
                .chain([allow(rule)]),
        );
    }
    let everything_else = ink.dim("What no rule fits is denied.");
    let text = table.render(|row, _, cell| {
        if row == 0 {
            ink.dim(cell)
        } else {
            cell.to_owned()
        }
    });
    format!("{text}{everything_else}\n")
}

fn allow(rule: &Rule) -> String {
    match rule.mode {
        Mode::Enforce => rule.allow.to_string(),
        Mode::Report => format!("{} (only reported)", rule.allow),
    }
}

/// Whether its label says more than its columns do.
fn is_named(rule: &Rule) -> bool {
    !rule.label.contains(rule.path.as_str())
}

fn words(methods: &[Method]) -> String {
    if methods.is_empty() {
        "-".to_owned()
    } else {
        methods
            .iter()
            .map(|m| m.as_str())
            .collect::<Vec<_>>()
            .join(",")
    }
}

fn networks(networks: &Networks) -> String {
    networks
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

fn body(bytes: u64) -> String {
    match bytes {
        u64::MAX => "none".to_owned(),
        bytes => bytesize::ByteSize::b(bytes).display().iec().to_string(),
    }
}

fn as_json(rule: &Rule, config: &Config) -> Value {
    let methods = Verb::ALL
        .into_iter()
        .filter(|&verb| rule.methods.contains(verb));
    json!({
        "line": rule.line,
        "label": &*rule.label,
        "methods": methods.map(Verb::as_str).collect::<Vec<_>>(),
        "host": rule.host.as_ref().map(ToString::to_string),
        "path": rule.path.as_str(),
        "to": (!rule.upstream.is_empty()).then_some(&*rule.upstream),
        "from": rule.from.as_ref().map(|networks| networks.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "auth": rule.auth.iter().map(|method| method.as_str()).collect::<Vec<_>>(),
        "allow": rule.allow.to_string(),
        "mode": match rule.mode { Mode::Enforce => "enforce", Mode::Report => "report" },
        "body": rule.body_limit.or(config.limits.body).filter(|&bytes| bytes != u64::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::from_text(text, Path::new("/nonexistent"), &|_| None)
            .unwrap_or_else(|report| panic!("{report}"))
    }

    #[test]
    fn columns_that_say_nothing_are_left_out() {
        let plain = config(
            "upstreams: { web: { to: http://web } }\ndefaults: { to: web }\nrules: [{ path: /**, allow: signed_in }]\n",
        );
        insta::assert_snapshot!(table(&plain.rules, Ink::of_stdout()), @"
        LINE  METHODS  PATH  TO   AUTH     ALLOW
        3     *        /**   web  session  signed_in
        What no rule fits is denied.
        ");
        let full = config(include_str!("../config/testdata/rules.yaml"));
        insta::assert_snapshot!(table(&full.rules, Ink::of_stdout()), @"
        LINE  NAME      METHODS  HOST           PATH       TO   AUTH     FROM          BODY     ALLOW
        7     the hook  POST                    /hook      web  -        3.18.12.0/24  1.0 MiB  anyone
        8               *                       /watch/**  -    session                         nobody (only reported)
        9               *        app.localhost  /api/**    api  session                         all: [any: [role: editor,
                                                                                                role: admin],
                                                                                                all: [permission: orders:write,
                                                                                                permission: orders:delete],
                                                                                                verified: true]
        10              *                       /**        web  session                         signed_in
        What no rule fits is denied.
        ");
    }

    #[test]
    fn programs_read_it() {
        let config = config(
            "upstreams: { web: { to: http://web } }\nrules: [{ path: /a, to: web, methods: [GET], allow: { role: admin }, body: none }]\n",
        );
        let rule = as_json(&config.rules[0], &config);
        assert_eq!(rule["methods"], json!(["GET", "HEAD"]));
        assert_eq!(
            (&rule["allow"], &rule["body"], &rule["to"]),
            (&json!("role: admin"), &Value::Null, &json!("web"))
        );
    }
}
