//! Asking the rules in force. Who asks is a real account, as the gate would see it now.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::base::identity::Method;
use crate::base::net::Host;
use crate::gate::question::{Answer, NOBODYS_ADDRESS};
use crate::gate::snapshot::Snapshot;
use crate::identity::accounts::AccountFault;
use crate::policy::decide::{Decision, Evidence, Verdict};
use crate::policy::explain::{BESIDE, Outcome, Step, because};
use crate::policy::target::Target;

use super::super::slips::Slips;
use super::super::visit::Member;

/// What is asked. Fields left empty are as if they were not there.
#[derive(Debug, Deserialize)]
pub struct Question {
    pub(super) method: Option<String>,
    pub(super) path: Option<String>,
    pub(super) host: Option<String>,
    #[serde(rename = "as")]
    pub(super) whom: Option<String>,
    pub(super) ip: Option<String>,
}

impl Question {
    /// What the form shows again.
    pub(super) fn values(&self) -> Value {
        let text = |field: Option<&String>| field.cloned().unwrap_or_default();
        json!({
            "method": self.method.clone().unwrap_or_else(|| "GET".to_owned()),
            "path": text(self.path.as_ref()),
            "host": text(self.host.as_ref()),
            "as": text(self.whom.as_ref()),
            "ip": text(self.ip.as_ref()),
        })
    }
}

/// What would become of it.
pub(super) async fn answer(member: &Member, question: &Question) -> Result<Value, Slips> {
    let snapshot = &member.visit.visitor.snapshot;
    let mut slips = Slips::default();
    let host = host(snapshot, filled(question.host.as_ref()), &mut slips);
    let ip = match filled(question.ip.as_ref()).map(str::parse) {
        None => NOBODYS_ADDRESS,
        Some(Ok(ip)) => ip,
        Some(Err(_)) => {
            slips.mark("ip", "is not an address");
            NOBODYS_ADDRESS
        }
    };
    let proof = proof(member, filled(question.whom.as_ref()), &mut slips).await?;
    slips.none()?;
    let whom = match &proof {
        Some((_, who)) => format!("as {}", who.name),
        None => "as somebody who is not signed in".to_owned(),
    };
    let (method, path) = (
        filled(question.method.as_ref()).unwrap_or("GET"),
        filled(question.path.as_ref()),
    );
    let path = path.unwrap_or("/");
    let told = match Target::parse(method, host, path.as_bytes()) {
        Err(fault) => told("refused", &fault.to_string(), &[]),
        Ok(target) => judged(
            snapshot,
            &target,
            &Evidence {
                ip: Some(ip),
                proof,
            },
        ),
    };
    let asked = json!({ "asked": format!("{method} {path}"), "whom": whom });
    Ok(crate::web::templates::merged(told, asked))
}

fn filled(field: Option<&String>) -> Option<&str> {
    field
        .map(String::as_str)
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

fn host(snapshot: &Snapshot, asked: Option<&str>, slips: &mut Slips) -> Host {
    let main = || snapshot.sites.main().host.clone();
    let Some(asked) = asked else { return main() };
    match Host::parse_authority(asked) {
        Ok((host, _)) if snapshot.site_of(&host).is_some() => host,
        Ok(_) => {
            slips.mark("host", "neither site: nor a rule names it");
            main()
        }
        Err(_) => {
            slips.mark("host", "is not a host");
            main()
        }
    }
}

async fn proof(
    member: &Member,
    whom: Option<&str>,
    slips: &mut Slips,
) -> Result<Option<(Method, Arc<crate::base::identity::Identity>)>, AccountFault> {
    let Some(whom) = whom else { return Ok(None) };
    let accounts = &member.visit.web.accounts;
    match accounts.identity_of(&member.actor(), whom).await {
        Ok((_, true)) => {
            slips.mark(
                "as",
                "they must choose another password before anything is open to them",
            );
            Ok(None)
        }
        Ok((identity, false)) => Ok(Some((Method::Session, Arc::new(identity)))),
        Err(AccountFault::Missing) => {
            slips.mark("as", "nobody of that name may sign in");
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

fn judged(snapshot: &Snapshot, target: &Target, who: &Evidence) -> Value {
    let rules = snapshot.rules();
    match rules.answer(target, who) {
        Answer::OwnPage => told(
            "own page",
            "one of the gateway’s own; rules are not asked",
            &[],
        ),
        Answer::Refused(why) => told("refused", &why, &[]),
        Answer::Judged(decision) => {
            let verdict = decision.verdict.as_str();
            told(verdict, &ending(&decision), &rules.steps(target, who))
        }
    }
}

fn ending(decision: &Decision) -> String {
    match (&decision.rule, &decision.verdict) {
        (None, _) => "no rule speaks for it".to_owned(),
        (Some(rule), Verdict::Allow(permit)) => {
            format!("by {rule}, forwarded to {}", permit.upstream())
        }
        (Some(rule), _) => format!("by {rule}"),
    }
}

fn told(verdict: &str, ending: &str, steps: &[Step]) -> Value {
    let steps: Vec<Value> = steps.iter().map(step).collect();
    json!({ "verdict": verdict, "ending": ending, "steps": steps })
}

fn step(step: &Step) -> Value {
    let (kind, verdict, why) = match &step.outcome {
        Outcome::Skipped(mismatch) => ("passed", "–", mismatch.to_string()),
        Outcome::Reported(verdict, reason) => {
            let why = because(&step.rule, *reason);
            ("reports", *verdict, format!("{why} (only reported)"))
        }
        Outcome::Decided(verdict, reason) => ("decides", *verdict, because(&step.rule, *reason)),
        Outcome::Beside(verdict, reason) => {
            let why = because(&step.rule, *reason);
            ("decides", *verdict, format!("{why} ({BESIDE})"))
        }
    };
    json!({ "kind": kind, "line": step.rule.line, "rule": &*step.rule.label, "verdict": verdict, "why": why })
}
