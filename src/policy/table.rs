//! The rules as a table: one row for each, with every default filled in. For whoever shows them.

use std::time::Duration;

use super::coding::Coding;
use super::header::Said;
use super::rule::{Mode, Rule};
use crate::base::identity::Method;
use crate::base::net::Networks;

/// A heading, and what stands below it for a rule.
type Column = (&'static str, fn(&Rule) -> String);

/// Columns that every table has, in this order but for those that no rule has anything to say in.
const COLUMNS: [Column; 15] = [
    ("Line", |rule| rule.line.to_string()),
    ("Name", |rule| {
        if is_named(rule) {
            rule.label.to_string()
        } else {
            String::new()
        }
    }),
    ("Methods", |rule| rule.methods.to_string()),
    ("Host", |rule| {
        rule.host
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default()
    }),
    ("Path", |rule| rule.path.to_string()),
    ("To", |rule| {
        if rule.upstream.is_empty() {
            "-".to_owned()
        } else {
            rule.upstream.to_string()
        }
    }),
    ("Auth", |rule| words(&rule.auth)),
    ("From", |rule| {
        rule.from.as_ref().map(networks).unwrap_or_default()
    }),
    ("Body", |rule| rule.body_limit.map(body).unwrap_or_default()),
    ("Idle", |rule| rule.idle.map(idle).unwrap_or_default()),
    ("Origins", |rule| listed(&rule.origins)),
    ("Compress", |rule| codings(&rule.compress)),
    ("CORS", |rule| {
        rule.cors
            .as_ref()
            .map(|cors| cors.told())
            .unwrap_or_default()
    }),
    ("Headers", |rule| {
        rule.headers.as_deref().map(headers).unwrap_or_default()
    }),
    ("Allow", allow),
];

/// The headings, and the cells of each rule.
#[must_use]
pub fn rows<'a>(
    rules: &(impl Iterator<Item = &'a Rule> + Clone),
) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let speaks = |(_, cell): &&Column| rules.clone().any(|rule| !cell(rule).is_empty());
    let columns: Vec<&Column> = COLUMNS.iter().filter(speaks).collect();
    let headings = columns.iter().map(|(heading, _)| *heading).collect();
    let row = |rule| columns.iter().map(|(_, cell)| cell(rule)).collect();
    (headings, rules.clone().map(row).collect())
}

/// The names of headers; those that are removed behind a minus.
fn headers(said: &[Said]) -> String {
    let name = |(name, value): &Said| match value {
        Some(_) => name.to_string(),
        None => format!("-{name}"),
    };
    said.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn idle(limit: Duration) -> String {
    humantime::format_duration(limit).to_string()
}

fn listed<T: ToString>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(T::to_string).collect();
    items.join(", ")
}

fn codings(codings: &[Coding]) -> String {
    let names: Vec<_> = codings.iter().map(|coding| coding.as_str()).collect();
    names.join(", ")
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
