//! The walk of a decision, told step by step: every rule from the top, why it did or did not speak.

use std::sync::Arc;

use super::decide::{Evidence, Reason, judge};
use super::index::Policy;
use super::rule::{Mismatch, Mode, Rule};
use super::target::Target;

/// What became of one rule on the way down.
#[derive(Clone, Debug)]
pub struct Step {
    /// The rule.
    pub rule: Arc<Rule>,
    /// What it had to say.
    pub outcome: Outcome,
}

/// What a rule had to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: it speaks for other requests.
    Skipped(Mismatch),
    /// It only reports; this is what it would have said.
    Reported(&'static str, Option<Reason>),
    /// It decided.
    Decided(&'static str, Option<Reason>),
    /// It decided as well, for services to which the nothing behind a slash is a name.
    Beside(&'static str, Option<Reason>),
}

/// Why a rule decides as well.
pub const BESIDE: &str = "some services take the nothing behind a slash for a name";

/// Every rule down to the one that decides.
#[must_use]
pub fn explain(policy: &Policy, target: &Target, who: &Evidence) -> Vec<Step> {
    let mut steps = Vec::new();
    for rule in policy.rules() {
        let outcome = outcome(rule, target, who);
        let decided = matches!(outcome, Outcome::Decided(..));
        steps.push(Step {
            rule: Arc::clone(rule),
            outcome,
        });
        if decided {
            break;
        }
    }
    steps
}

/// What the rule has to say that decides as well.
#[must_use]
pub fn beside(rule: &Arc<Rule>, who: &Evidence) -> Step {
    let (verdict, reason) = judge(rule, who);
    Step {
        rule: Arc::clone(rule),
        outcome: Outcome::Beside(verdict.as_str(), reason),
    }
}

/// What a rule that speaks for the request has to say.
#[must_use]
pub fn because(rule: &Rule, reason: Option<Reason>) -> String {
    match reason {
        None => format!("allow: {}", rule.allow),
        Some(Reason::From) => {
            let from: Vec<String> = rule
                .from
                .iter()
                .flat_map(|nets| nets.iter().map(ToString::to_string))
                .collect();
            format!("the address is not in from: [{}]", from.join(", "))
        }
        Some(Reason::Anonymous) => format!("asks to sign in, for allow: {}", rule.allow),
        Some(Reason::Rights) => format!("does not satisfy allow: {}", rule.allow),
        Some(Reason::NoRule) => "no rule".to_owned(),
    }
}

fn outcome(rule: &Arc<Rule>, target: &Target, who: &Evidence) -> Outcome {
    match rule.speaks_for(target) {
        Err(mismatch) => Outcome::Skipped(mismatch),
        Ok(()) => said_of(rule, who),
    }
}

/// What a rule says of whoever asks.
#[must_use]
pub fn said_of(rule: &Arc<Rule>, who: &Evidence) -> Outcome {
    let (verdict, reason) = judge(rule, who);
    match rule.mode {
        Mode::Report => Outcome::Reported(verdict.as_str(), reason),
        Mode::Enforce => Outcome::Decided(verdict.as_str(), reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::condition::Condition;
    use crate::policy::decide::tests::{rule, target};

    #[test]
    fn the_walk_ends_at_the_rule_that_decides() {
        let policy = Policy::new(vec![
            rule("/other", Condition::Anyone),
            Rule {
                mode: Mode::Report,
                ..rule("/a/**", Condition::Anyone)
            },
            rule("/a/**", Condition::SignedIn),
            rule("/**", Condition::Anyone),
        ]);
        let who = Evidence {
            ip: Some("10.1.1.1".parse().unwrap()),
            proof: None,
        };
        let outcomes: Vec<_> = explain(&policy, &target("GET", "/a/b"), &who)
            .into_iter()
            .map(|s| s.outcome)
            .collect();
        let expected = [
            Outcome::Skipped(Mismatch::Path),
            Outcome::Reported("allow", None),
            Outcome::Decided("login", Some(Reason::Anonymous)),
        ];
        assert_eq!(outcomes, expected);
    }
}
