//! Asking rules about a request that nobody sent: for policy tests, `explain` and the console.
//!
//! The functions that answer are those that judge real requests; only who asks is told by the caller.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::policy::decide::{Decision, Evidence, decide};
use crate::policy::explain::{Outcome, Step, beside, explain, said_of};
use crate::policy::index::Policy;
use crate::policy::readings::{Paths, TwoReadings, settle};
use crate::policy::target::Target;

use super::snapshot::{Owner, owner};

/// An address that is nobody's (RFC 5737), so that `from:` never fits it by accident: for questions that name none.
pub const NOBODYS_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// What a question is put to.
#[derive(Clone, Copy)]
pub struct Rules<'a, F> {
    /// The rules.
    pub policy: &'a Policy,
    /// Own pages live below this path.
    pub prefix: &'a str,
    /// What an upstream makes of paths.
    pub paths: F,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Refused before any rule is read, and why.
    Refused(String),
    /// Answered by our own pages; no rule is asked.
    OwnPage,
    /// Judged.
    Judged(Decision),
}

impl Answer {
    /// The word that policy tests expect.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Refused(_) => "bad_request",
            Self::OwnPage => "own_page",
            Self::Judged(decision) => decision.verdict.as_str(),
        }
    }
}

impl<'a, F: Fn(&str) -> Paths<'a>> Rules<'a, F> {
    /// What becomes of a request.
    pub fn answer(&self, target: &Target, who: &Evidence) -> Answer {
        match owner(self.prefix, target.path()) {
            Owner::Gateway => return Answer::OwnPage,
            Owner::Nobody => return Answer::Refused(TwoReadings.to_string()),
            Owner::Upstream => {}
        }
        match settle(self.policy, target, &self.paths) {
            Err(fault) => Answer::Refused(fault.to_string()),
            Ok(selection) => Answer::Judged(decide(&selection, who)),
        }
    }

    /// Every rule down to the one that decides, and the one that does as well.
    pub fn steps(&self, target: &Target, who: &Evidence) -> Vec<Step> {
        let mut steps = self.walk(target, who);
        let Ok(selection) = settle(self.policy, target, &self.paths) else {
            return steps;
        };
        for rule in &selection.reporting {
            let outcome = said_of(rule, who);
            match steps.iter_mut().find(|it| Arc::ptr_eq(&it.rule, rule)) {
                Some(step) => step.outcome = outcome,
                None => steps.push(Step {
                    rule: Arc::clone(rule),
                    outcome,
                }),
            }
        }
        steps.extend(selection.beside.iter().map(|rule| beside(rule, who)));
        steps
    }

    fn walk(&self, target: &Target, who: &Evidence) -> Vec<Step> {
        let steps = explain(self.policy, target, who);
        // An upstream that ignores case is judged by the folded path, so that is the walk to tell; but where no rule decides,
        // there is no upstream.
        let folds = steps.last().is_some_and(|step| {
            matches!(step.outcome, Outcome::Decided(..))
                && (self.paths)(&step.rule.upstream).readings.fold_case
        });
        match target.path().folded() {
            Ok(folded) if folds => explain(self.policy, &target.with_path(folded), who),
            _ => steps,
        }
    }
}
