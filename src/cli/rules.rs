//! `portcullis rules`: the rules as they are meant, with every default filled in.

use std::path::Path;
use std::process::ExitCode;

use http::HeaderValue;
use serde_json::{Value, json};

use crate::config::Config;
use crate::policy::header::Said;
use crate::policy::rewrite::Prefix;
use crate::policy::rule::{Mode, Rule};
use crate::policy::table;
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
        outln!("{}", Value::Array(rules));
    } else {
        out!("{}", table(&config, Ink::of_stdout()));
    }
    Ok(ExitCode::SUCCESS)
}

fn table(config: &Config, ink: Ink) -> String {
    let (headings, rows) = table::rows(&config.rules.iter());
    let mut text = Table::default();
    text.row(headings.iter().map(|heading| heading.to_uppercase()));
    for (row, rule) in rows.into_iter().zip(&config.rules) {
        let cells = headings.iter().zip(row);
        text.row(cells.map(|(heading, cell)| match *heading {
            "To" => cell + &rewritten(rule, config),
            _ => cell,
        }));
    }
    let everything_else = ink.dim("What no rule fits is denied.");
    let text = text.render(|row, _, cell| {
        if row == 0 {
            ink.dim(cell)
        } else {
            cell.to_owned()
        }
    });
    format!("{text}{everything_else}\n")
}

/// What the upstream makes of paths, behind its name.
fn rewritten(rule: &Rule, config: &Config) -> String {
    let (strip, add) = rewrite(rule, config);
    let strip = strip.map(|prefix| format!(", strip {prefix}"));
    let add = add.map(|prefix| format!(", add {prefix}"));
    strip.unwrap_or_default() + &add.unwrap_or_default()
}

/// What the upstream cuts off in front of paths, and puts there.
fn rewrite<'a>(rule: &Rule, config: &'a Config) -> (Option<&'a str>, Option<&'a str>) {
    let upstream = config.upstreams.get(&rule.upstream);
    let rewrite = upstream.map(|upstream| &upstream.rewrite);
    let strip = rewrite.and_then(|rewrite| rewrite.strip.as_ref());
    let add = rewrite.and_then(|rewrite| rewrite.add.as_ref());
    (strip.map(Prefix::as_str), add.map(Prefix::as_str))
}

/// Headers as the file has them: text, or false where they are removed. What came from elsewhere is not shown.
pub fn said<'a>(all: impl IntoIterator<Item = &'a Said>) -> serde_json::Map<String, Value> {
    let one = |(name, value): &Said| (name.to_string(), value.as_ref().map_or(json!(false), shown));
    all.into_iter().map(one).collect()
}

fn shown(value: &HeaderValue) -> Value {
    match value.to_str() {
        Ok(text) if !value.is_sensitive() => json!(text),
        _ => json!("(secret)"),
    }
}

fn as_json(rule: &Rule, config: &Config) -> Value {
    let methods = Verb::ALL
        .into_iter()
        .filter(|&verb| rule.methods.contains(verb));
    let (strip, add) = rewrite(rule, config);
    json!({
        "line": rule.line,
        "label": &*rule.label,
        "methods": methods.map(Verb::as_str).collect::<Vec<_>>(),
        "host": rule.host.as_ref().map(ToString::to_string),
        "path": rule.path.as_str(),
        "to": (!rule.upstream.is_empty()).then_some(&*rule.upstream),
        "strip": strip,
        "add": add,
        "from": rule.from.as_ref().map(|networks| networks.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "auth": rule.auth.iter().map(|method| method.as_str()).collect::<Vec<_>>(),
        "allow": rule.allow.to_string(),
        "mode": match rule.mode { Mode::Enforce => "enforce", Mode::Report => "report" },
        "body": rule.body_limit.or(config.limits.body).filter(|&bytes| bytes != u64::MAX),
        "idle": rule.idle.map(|limit| humantime::format_duration(limit).to_string()),
        "origins": rule.origins.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "compress": rule.compress.iter().map(|coding| coding.as_str()).collect::<Vec<_>>(),
        "cors": rule.cors.as_ref().map(|cors| cors.told()),
        "headers": said(rule.headers.iter().flat_map(|said| said.iter())),
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
        insta::assert_snapshot!(table(&plain, Ink::of_stdout()), @"
        LINE  METHODS  PATH  TO   AUTH     ALLOW
        3     *        /**   web  session  signed_in
        What no rule fits is denied.
        ");
        let full = config(include_str!("../config/testdata/rules.yaml"));
        insta::assert_snapshot!(table(&full, Ink::of_stdout()), @"
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
    fn what_becomes_of_paths_and_answers_is_shown() {
        let config = config(
            "upstreams: { web: { to: http://web, strip: /api, add: /v1 } }
rules:
  - { path: /api/**, to: web, allow: anyone, cors: { origins: [https://app.test], credentials: true }, headers: { response: { X-Frame-Options: DENY, Server: false } } }
",
        );
        insta::assert_snapshot!(table(&config, Ink::of_stdout()), @"
        LINE  METHODS  PATH     TO                        AUTH     CORS                           HEADERS                   ALLOW
        3     *        /api/**  web, strip /api, add /v1  session  https://app.test, credentials  x-frame-options, -server  anyone
        What no rule fits is denied.
        ");
        let rule = as_json(&config.rules[0], &config);
        assert_eq!(
            (&rule["strip"], &rule["add"]),
            (&json!("/api"), &json!("/v1"))
        );
        assert_eq!(rule["cors"], json!("https://app.test, credentials"));
        assert_eq!(
            rule["headers"],
            json!({ "x-frame-options": "DENY", "server": false })
        );
    }

    #[test]
    fn programs_read_it() {
        let config = config(
            "upstreams: { web: { to: http://web } }\nrules: [{ path: /a, to: web, methods: [GET], allow: { role: admin }, body: none, compress: true }]\n",
        );
        let rule = as_json(&config.rules[0], &config);
        assert_eq!(rule["methods"], json!(["GET", "HEAD"]));
        assert_eq!(
            (&rule["allow"], &rule["body"], &rule["to"]),
            (&json!("role: admin"), &Value::Null, &json!("web"))
        );
        assert_eq!(rule["compress"], json!(["zstd", "brotli", "gzip"]));
    }
}
