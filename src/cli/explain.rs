//! `portcullis explain`: why a request would be answered as it would be.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::base::identity::{Identity, Method};
use crate::base::net::Host;
use crate::config::Config;
use crate::config::ask::{Asker, Who};
use crate::gate::attributes;
use crate::gate::question::Answer;
use crate::gate::settings::Attribute;
use crate::policy::decide::{Decision, Reason, Verdict};
use crate::policy::explain::{BESIDE, Outcome, Step, because};
use crate::policy::rule::Rule;
use crate::policy::target::{Target, Verb};

use super::check::load;
use super::claims::{self, Claim, parse_claim};
use super::rules;
use super::stored::with_store;
use super::text::{Ink, Table};

/// Tells which rule decides a request, and why
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The method: GET, POST, ...
    method: String,
    /// The path, as a client would send it
    path: String,
    /// Who asks, made up: role=NAME, permission=NAME, user=NAME, email=ADDRESS, superuser, verified or
    /// auth=session|jwt|mtls; as often as needed. A name brings no roles along: see --account
    #[arg(long = "as", value_name = "KEY=VALUE", value_parser = parse_claim)]
    claims: Vec<Claim>,
    /// Somebody who has an account here, as it is in the store; --as adds to that
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// The address they come from
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<IpAddr>,
    /// The host asked for, where it is not the main site's
    #[arg(long, value_name = "HOST", value_parser = parse_host)]
    host: Option<Host>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Everything there is to tell.
struct Story {
    steps: Vec<Step>,
    answer: Answer,
    upstream: Option<String>,
    /// What the upstream is sent, where that is not what was judged.
    sent: Option<String>,
    headers: Vec<(String, String)>,
    /// What the file has the service's answer say, and not say.
    said: serde_json::Map<String, Value>,
    /// Whose pages may see the answer, where the rule says so.
    cors: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// When the account asked for cannot be had; a file that cannot be used is its answer.
pub fn run(args: &Args, config_path: &Path) -> anyhow::Result<ExitCode> {
    let Some(config) = load(config_path) else {
        return Ok(ExitCode::FAILURE);
    };
    let who = who(args, config_path)?;
    let asker = Asker::new(&config);
    for warning in asker.warnings(args.claims.iter().flat_map(Claim::roles)) {
        errln!("warning: {warning}");
    }
    let target = target(&asker, args);
    let story = tell(&config, &asker, target.as_ref(), &who);
    if args.json {
        outln!("{}", as_json(&story, target.as_ref().ok()));
    } else {
        let asked = format!(
            "{} {}{}{who}",
            args.method,
            args.host
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            args.path
        );
        out!(
            "{}",
            as_text(&story, &asked, target.as_ref().ok(), args, Ink::of_stdout())
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn who(args: &Args, config_path: &Path) -> anyhow::Result<Who> {
    let somebody = match &args.account {
        Some(name) => with_store(config_path, async |stored| {
            claims::account(&stored, name).await
        })?,
        None => Who::stranger(),
    };
    let start = Who {
        ip: args.ip.unwrap_or(somebody.ip),
        ..somebody
    };
    Ok(claims::added(start, &args.claims))
}

fn target(asker: &Asker<'_>, args: &Args) -> Result<Target, String> {
    let target = asker.target(&args.method, args.host.as_ref(), &args.path);
    target.map_err(|why| match rather(args) {
        Some(rather) => format!("{why}; {rather}"),
        None => why,
    })
}

/// How what cannot be asked was perhaps meant.
fn rather(args: &Args) -> Option<String> {
    let method = args.method.to_ascii_uppercase();
    if method != args.method && Verb::parse(&method).is_ok() {
        return Some(format!("write {method}"));
    }
    let is_url = !args.path.starts_with('/') && args.path.contains("://");
    is_url.then(|| "give the path alone, and its host with --host".to_owned())
}

fn parse_host(text: &str) -> Result<Host, String> {
    Host::parse_authority(text)
        .map(|(host, _)| host)
        .map_err(|error| format!("'{text}' {error}"))
}

fn tell(config: &Config, asker: &Asker<'_>, target: Result<&Target, &String>, who: &Who) -> Story {
    let target = match target {
        Ok(target) => target,
        Err(why) => {
            return Story {
                steps: Vec::new(),
                answer: Answer::Refused(why.clone()),
                upstream: None,
                sent: None,
                headers: Vec::new(),
                said: serde_json::Map::new(),
                cors: None,
            };
        }
    };
    let answer = asker.answer(target, who);
    let steps = if let Answer::Judged(_) = answer {
        asker.steps(target, who)
    } else {
        Vec::new()
    };
    let permit = match &answer {
        Answer::Judged(Decision {
            verdict: Verdict::Allow(permit),
            ..
        }) => Some(permit),
        _ => None,
    };
    let upstream = permit.map(|permit| permit.upstream().to_string());
    let sent = upstream
        .as_deref()
        .and_then(|upstream| sent(config, upstream, target));
    let proof = permit.and_then(|permit| permit.proof());
    let headers = proof
        .map(|(method, identity)| told(config, (method, &**identity), upstream.as_deref()))
        .unwrap_or_default();
    let rule = rule_of(&answer).filter(|_| upstream.is_some());
    Story {
        said: rule.map(|rule| said(config, rule)).unwrap_or_default(),
        cors: permit.and_then(|permit| Some(permit.cors()?.told())),
        steps,
        upstream,
        sent,
        headers,
        answer,
    }
}

/// The headers by which the upstream learns who asks.
fn told(
    config: &Config,
    (method, identity): (Method, &Identity),
    upstream: Option<&str>,
) -> Vec<(String, String)> {
    let headers = config.headers.headers.iter();
    let values = headers.filter_map(|(name, attribute)| {
        let value = match attribute {
            // These belong to an account, and nobody's account was asked for.
            Attribute::Id | Attribute::Subject => "(the account's)".to_owned(),
            _ => attributes::value(*attribute, identity, method)?,
        };
        Some((name.to_string(), value))
    });
    let assertion = config.headers.assertion.iter().map(|name| {
        let token = format!("(a signed token for {})", upstream.unwrap_or_default());
        (name.to_string(), token)
    });
    values.chain(assertion).collect()
}

fn rule_of(answer: &Answer) -> Option<&Rule> {
    match answer {
        Answer::Judged(decision) => decision.rule.as_deref(),
        Answer::Refused(_) | Answer::OwnPage => None,
    }
}

/// What the upstream and then the rule have answers say: the later word counts.
fn said(config: &Config, rule: &Rule) -> serde_json::Map<String, Value> {
    let upstream = config.upstreams.get(&rule.upstream);
    let first = upstream.map(|upstream| &upstream.headers.response[..]);
    let then = rule.headers.iter().flat_map(|said| said.iter());
    rules::said(first.unwrap_or_default().iter().chain(then))
}

/// The path and query that an upstream with `strip` or `add` is sent.
fn sent(config: &Config, upstream: &str, target: &Target) -> Option<String> {
    let upstream = config.upstreams.get(upstream)?;
    let rewrite = Some(&upstream.rewrite).filter(|rewrite| !rewrite.is_none())?;
    let path = rewrite.apply(target.path(), upstream.paths.fold_case)?;
    Some(target.with_path(path).origin_form())
}

fn as_text(story: &Story, asked: &str, target: Option<&Target>, args: &Args, ink: Ink) -> String {
    let mut text = format!("{}\n", ink.bold(asked));
    if let Some(target) = target.filter(|target| target.origin_form() != args.path) {
        let _ = writeln!(text, "judged and sent as {}", target.origin_form());
    }
    if !story.steps.is_empty() {
        text.push('\n');
        text.push_str(&walk(&story.steps, ink));
    }
    let word = story.answer.as_str();
    let verdict = if word == "allow" {
        ink.green(word)
    } else {
        ink.red(word)
    };
    let _ = writeln!(text, "\n{verdict}: {}", ending(story));
    if !story.headers.is_empty() {
        let mut table = Table::indented(2);
        story
            .headers
            .iter()
            .for_each(|(name, value)| table.row([format!("{name}:"), value.clone()]));
        text.push_str(&table.render(|_, _, cell| cell.to_owned()));
    }
    text.push_str(&answers(story));
    text
}

/// What is done to the answer, if anything is.
fn answers(story: &Story) -> String {
    let mut table = Table::indented(2);
    for (name, value) in &story.said {
        let value = value.as_str().unwrap_or("(removed)");
        table.row([format!("{name}:"), value.to_owned()]);
    }
    if let Some(origins) = &story.cors {
        table.row(["shown to pages of".to_owned(), origins.clone()]);
    }
    match table.render(|_, _, cell| cell.to_owned()) {
        none if none.is_empty() => none,
        some => format!("its answer:\n{some}"),
    }
}

fn walk(steps: &[Step], ink: Ink) -> String {
    let mut table = Table::indented(2);
    for step in steps {
        let place = format!("line {}", step.rule.line);
        let (word, why) = match &step.outcome {
            Outcome::Skipped(mismatch) => ("-", mismatch.to_string()),
            Outcome::Reported(verdict, reason) => (
                *verdict,
                format!("{} (only reported)", because(&step.rule, *reason)),
            ),
            Outcome::Decided(verdict, reason) => (*verdict, because(&step.rule, *reason)),
            Outcome::Beside(verdict, reason) => {
                let why = because(&step.rule, *reason);
                (*verdict, format!("{why} ({BESIDE})"))
            }
        };
        table.row([place.as_str(), &step.rule.label, word, &why]);
    }
    let skipped = |row: usize| {
        steps
            .get(row)
            .is_some_and(|step| matches!(step.outcome, Outcome::Skipped(_)))
    };
    table.render(|row, _, cell| {
        if skipped(row) {
            ink.dim(cell)
        } else {
            cell.to_owned()
        }
    })
}

fn ending(story: &Story) -> String {
    match &story.answer {
        Answer::Refused(why) => format!("refused before any rule is read: {why}"),
        Answer::OwnPage => "one of the gateway's own pages; rules are not asked".to_owned(),
        Answer::Judged(decision) => match (&decision.rule, &story.upstream) {
            (None, _) => "no rule speaks for it".to_owned(),
            (Some(rule), Some(upstream)) => {
                let sent = story.sent.as_ref().map(|sent| format!(" as {sent}"));
                let sent = sent.unwrap_or_default();
                let with = if story.headers.is_empty() {
                    "without identity headers"
                } else {
                    "with"
                };
                format!("by {rule}, forwarded to {upstream}{sent} {with}")
            }
            (Some(rule), None) => format!("by {rule}"),
        },
    }
}

fn as_json(story: &Story, target: Option<&Target>) -> Value {
    let steps = story.steps.iter().map(|step| {
        let (outcome, why) = match &step.outcome {
            Outcome::Skipped(mismatch) => ("skipped", mismatch.to_string()),
            Outcome::Reported(verdict, reason) => (
                "reported",
                format!("{verdict}: {}", because(&step.rule, *reason)),
            ),
            Outcome::Decided(verdict, reason) => (
                "decided",
                format!("{verdict}: {}", because(&step.rule, *reason)),
            ),
            Outcome::Beside(verdict, reason) => (
                "decided",
                format!("{verdict}: {} ({BESIDE})", because(&step.rule, *reason)),
            ),
        };
        json!({ "rule": &*step.rule.label, "line": step.rule.line, "outcome": outcome, "why": why })
    });
    let decision = match &story.answer {
        Answer::Judged(decision) => Some(decision),
        Answer::Refused(_) | Answer::OwnPage => None,
    };
    let headers: serde_json::Map<String, Value> = story
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    json!({
        "target": target.map(Target::origin_form),
        "verdict": story.answer.as_str(),
        "reason": match &story.answer {
            Answer::Refused(why) => Some(why.as_str()),
            _ => decision.and_then(|decision| decision.reason).map(Reason::as_str),
        },
        "rule": decision.and_then(|decision| decision.rule.as_ref()).map(|rule| &*rule.label),
        "upstream": story.upstream,
        "sent": story.sent,
        "headers": headers,
        "response": story.said,
        "cors": story.cors,
        "steps": steps.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
