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

/// A rule that asks for less stands above one that asks for more, takes some of its requests, and is no exception to it:
/// those speak for nothing else, and could not stand below. A host of its own that leads to another service takes nothing.
fn laxly_overlaps(upper: &Rule, lower: &Rule) -> bool {
    upper.mode == Mode::Enforce
        && lower.mode == Mode::Enforce
        && asks_less(upper, lower)
        && upper.methods.overlaps(lower.methods)
        && meets_host(upper, lower)
        && upper.path.overlaps(&lower.path)
        && !covers(lower, upper)
}

fn asks_less(upper: &Rule, lower: &Rule) -> bool {
    let (less, more) = (upper.allow.laxity(), lower.allow.laxity());
    let narrows = upper.from.is_none() && lower.from.is_some();
    less > more || less == more && (narrows || lower.allow.asks_more_than(&upper.allow))
}

fn meets_host(upper: &Rule, lower: &Rule) -> bool {
    let narrower = lower.host.is_none() || covers_host(lower, upper);
    covers_host(upper, lower) || narrower && upper.upstream == lower.upstream
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
    use crate::policy::rule::HostPattern;
    use crate::policy::target::Verb;
    use ipnet::IpNet;

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

    #[test]
    fn g_04_whatever_takes_from_a_stricter_rule_is_found_but_for_exceptions_to_it() {
        let host = |name: &str, rule: Rule| Rule {
            host: Some(HostPattern::Exact(name.parse().unwrap())),
            ..rule
        };
        let to = |upstream: &str, rule: Rule| Rule {
            upstream: upstream.into(),
            ..rule
        };
        let get = |rule: Rule| Rule {
            methods: [Verb::Get].into_iter().collect(),
            ..rule
        };
        let from = |rule: Rule| Rule {
            from: Some("10.0.0.0/8".parse::<IpNet>().into_iter().collect()),
            ..rule
        };
        let (open, strict) = (
            |path| rule(path, Condition::Anyone),
            |path| rule(path, Condition::SignedIn),
        );
        let admin = || Condition::Role("admin".parse().unwrap());
        let verified = || Condition::All(vec![admin(), Condition::Verified(true)]);
        let cases = [
            (open("/*"), strict("/admin/**"), true),
            (open("/*/public"), strict("/private/**"), true),
            (open("/**/health"), strict("/a/**"), true),
            (open("/**"), strict("/a/:id"), false),
            (open("/a/public"), strict("/a/**"), false),
            (open("/a/public/**"), strict("/a/**"), false),
            (open("/b/**"), strict("/a/**"), false),
            (strict("/*"), open("/a/**"), false),
            (host("a.test", open("/**")), strict("/**"), false),
            (get(open("/a/**")), strict("/a/**"), false),
            (get(open("/*")), strict("/a/**"), true),
            (host("a.test", open("/**")), strict("/admin/**"), true),
            (
                host("a.test", to("other", open("/**"))),
                strict("/admin/**"),
                false,
            ),
            (
                host("a.test", open("/**")),
                host("b.test", strict("/x")),
                false,
            ),
            (strict("/*"), from(strict("/a/**")), true),
            (strict("/*"), rule("/a/**", Condition::Nobody), true),
            (rule("/*", admin()), rule("/a/**", Condition::Nobody), true),
            (rule("/*", admin()), rule("/a/**", verified()), true),
            (rule("/*", verified()), rule("/a/**", admin()), false),
            (from(strict("/*")), from(strict("/a/**")), false),
            (from(strict("/*")), strict("/a/**"), false),
        ];
        for (upper, lower, found) in cases {
            let said = format!("{upper:?} above {lower:?}");
            let rules = [upper, lower];
            let partial = shadows(&rules);
            assert_eq!(partial.iter().any(|one| !one.total), found, "{said}");
            // Whoever does as they are told is not told to undo it.
            let [upper, lower] = rules;
            let turned = shadows(&[lower, upper]);
            assert!(!found || turned.is_empty(), "{said}: {turned:?}");
        }
    }
}
