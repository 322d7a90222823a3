//! Rules that stand in each other's way: ones that can never match, and lax ones above strict ones.

use super::rule::{Mode, Rule};

/// What one rule does to another below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// Position of the rule above.
    pub above: usize,
    /// Position of the rule below.
    pub below: usize,
    /// Whether nothing is left for the rule below; else it is only partly covered by a laxer one.
    pub total: bool,
}

/// Every shadow, at most one for each rule below.
#[must_use]
pub fn shadows(rules: &[Rule]) -> Vec<Shadow> {
    let found = rules.iter().enumerate().filter_map(|(below, rule)| {
        let above = rules.get(..below)?;
        let total = above.iter().position(|upper| covers(upper, rule));
        let partial = || above.iter().position(|upper| laxly_overlaps(upper, rule));
        match total {
            Some(above) => Some(Shadow {
                above,
                below,
                total: true,
            }),
            None => partial().map(|above| Shadow {
                above,
                below,
                total: false,
            }),
        }
    });
    found.collect()
}

/// Nothing that `lower` speaks for gets past `upper`.
fn covers(upper: &Rule, lower: &Rule) -> bool {
    upper.mode == Mode::Enforce
        && covers_host(upper, lower)
        && upper.methods.covers(lower.methods)
        && upper.path.contains(&lower.path)
}

/// A broader path that asks for less stands above a narrower one, and takes some of its requests.
fn laxly_overlaps(upper: &Rule, lower: &Rule) -> bool {
    upper.mode == Mode::Enforce
        && lower.mode == Mode::Enforce
        && upper.allow.laxity() > lower.allow.laxity()
        && covers_host(upper, lower)
        && upper.methods.overlaps(lower.methods)
        && upper.path.contains(&lower.path)
}

fn covers_host(upper: &Rule, lower: &Rule) -> bool {
    match (&upper.host, &lower.host) {
        (None, _) => true,
        (Some(a), Some(b)) => a.covers(b),
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::condition::Condition;
    use crate::policy::decide::tests::rule;
    use crate::policy::target::Verb;

    #[test]
    fn g_04_total_and_partial_shadows() {
        let get = |rule: Rule| Rule {
            methods: [Verb::Get].into_iter().collect(),
            ..rule
        };
        let rules = [
            Rule {
                mode: Mode::Report,
                ..rule("/**", Condition::Nobody)
            },
            get(rule("/a/**", Condition::Anyone)),
            rule("/a/admin", Condition::SignedIn),
            get(rule("/a/x", Condition::SignedIn)),
            rule("/**", Condition::SignedIn),
            rule("/late", Condition::Anyone),
        ];
        let expected = [
            Shadow {
                above: 1,
                below: 2,
                total: false,
            },
            Shadow {
                above: 1,
                below: 3,
                total: true,
            },
            Shadow {
                above: 4,
                below: 5,
                total: true,
            },
        ];
        assert_eq!(shadows(&rules), expected);
    }
}
