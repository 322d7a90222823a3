//! Finding the rules for a request without reading them all.
//!
//! Rules are kept in a tree by host and by the segments that their paths begin with, up to a `**`; only what a
//! request's own path leads to is looked at, and the lowest position wins, as reading downwards would.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::net::Host;

use super::pattern::Rest;
use super::rule::{HostPattern, Mode, Rule};
use super::target::Target;

/// All rules, in the order of the file, ready to be asked.
#[derive(Debug, Default)]
pub struct Policy {
    rules: Vec<Arc<Rule>>,
    any_host: Node,
    exact: HashMap<Host, Node>,
    below: HashMap<Box<str>, Node>,
}

/// Which rules speak for a request.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The first rule that decides; none means that the request is denied.
    pub rule: Option<Arc<Rule>>,
    /// The one that decides for services which read something into the path that others do not: it has to let the request
    /// in as well.
    pub beside: Option<Arc<Rule>>,
    /// Rules above it that only report.
    pub reporting: Vec<Arc<Rule>>,
}

/// One segment of the tree. The lists hold positions of rules, ascending.
#[derive(Debug, Default)]
struct Node {
    children: HashMap<Box<str>, Node>,
    /// What follows `*` or `:name`.
    one: Option<Box<Node>>,
    /// Patterns that end here.
    end: Vec<usize>,
    /// Patterns that go on with `**`, and perhaps with more behind it.
    below: Vec<usize>,
}

impl Policy {
    /// Builds the tree.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        let mut policy = Self {
            rules: rules.into_iter().map(Arc::new).collect(),
            ..Self::default()
        };
        for (at, rule) in policy.rules.iter().enumerate() {
            let root = match &rule.host {
                None => &mut policy.any_host,
                Some(HostPattern::Exact(host)) => policy.exact.entry(host.clone()).or_default(),
                Some(HostPattern::Below(parent)) => {
                    policy.below.entry(parent.as_str().into()).or_default()
                }
            };
            root.insert(at, rule);
        }
        policy
    }

    /// The rules in the order of the file.
    #[must_use]
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The first deciding rule for a request, and the reporting ones above it.
    #[must_use]
    pub fn select(&self, target: &Target) -> Selection {
        let mut found = Vec::with_capacity(16);
        self.any_host.collect(target, &mut found);
        if !self.exact.is_empty()
            && let Some(node) = self.exact.get(target.host())
        {
            node.collect(target, &mut found);
        }
        if !self.below.is_empty()
            && let Some(node) = target.host().parent().and_then(|p| self.below.get(p))
        {
            node.collect(target, &mut found);
        }
        found.sort_unstable();
        self.first(target, &found)
    }

    fn first(&self, target: &Target, candidates: &[usize]) -> Selection {
        let mut reporting = Vec::new();
        for rule in candidates.iter().filter_map(|&at| self.rules.get(at)) {
            if rule.speaks_for(target).is_err() {
                continue;
            }
            match rule.mode {
                Mode::Report => reporting.push(Arc::clone(rule)),
                Mode::Enforce => {
                    return Selection {
                        rule: Some(Arc::clone(rule)),
                        beside: None,
                        reporting,
                    };
                }
            }
        }
        Selection {
            rule: None,
            beside: None,
            reporting,
        }
    }
}

impl Node {
    fn insert(&mut self, at: usize, rule: &Rule) {
        let (prefix, rest) = rule.path.prefix();
        let mut node = self;
        for segment in prefix {
            node = match segment {
                Some(literal) => node.children.entry(literal.into()).or_default(),
                None => node.one.get_or_insert_default(),
            };
        }
        match rest {
            Rest::End => node.end.push(at),
            Rest::More => node.below.push(at),
        }
    }

    fn collect(&self, target: &Target, found: &mut Vec<usize>) {
        self.walk(target.path().segments(), found);
    }

    /// Follows the path, and where a pattern says `*` also past the name that stands there. What is visited
    /// is bounded by the rules that begin as the path does.
    fn walk<'a>(&self, mut rest: impl Iterator<Item = &'a str> + Clone, found: &mut Vec<usize>) {
        let mut node = self;
        loop {
            found.extend(&node.below);
            let Some(segment) = rest.next() else {
                found.extend(&node.end);
                return;
            };
            match (node.children.get(segment), &node.one) {
                (None, None) => return,
                (Some(child), None) => node = child,
                (None, Some(one)) => node = one,
                (Some(child), Some(one)) => {
                    one.walk(rest.clone(), found);
                    node = child;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::condition::Condition;
    use crate::policy::decide::tests::{rule, target};
    use proptest::prelude::*;

    /// Reading downwards, as a person does.
    fn downwards(rules: &[Arc<Rule>], target: &Target) -> Option<Arc<str>> {
        let found = rules
            .iter()
            .find(|r| r.mode == Mode::Enforce && r.speaks_for(target).is_ok());
        found.map(|rule| Arc::clone(&rule.label))
    }

    #[test]
    fn p_29_first_match_and_no_rules() {
        let none = Policy::new(vec![]);
        assert!(none.select(&target("GET", "/")).rule.is_none());
        let policy = Policy::new(vec![
            Rule {
                mode: Mode::Report,
                ..rule("/a/**", Condition::Nobody)
            },
            rule("/a/secret", Condition::Nobody),
            rule("/a/**", Condition::Anyone),
        ]);
        let found = policy.select(&target("GET", "/a/secret"));
        assert_eq!(found.rule.unwrap().allow, Condition::Nobody);
        assert_eq!(found.reporting.len(), 1);
        assert!(policy.select(&target("GET", "/b")).rule.is_none());
    }

    #[test]
    fn rules_by_host_are_found_among_the_rest_in_order() {
        let at = |host: &str, label: &str| Rule {
            host: Some(HostPattern::Below(host.parse().unwrap())),
            label: label.into(),
            ..rule("/**", Condition::Anyone)
        };
        let policy = Policy::new(vec![
            at("test", "below"),
            Rule {
                label: "any".into(),
                ..rule("/**", Condition::Anyone)
            },
        ]);
        assert_eq!(
            &*policy.select(&target("GET", "/")).rule.unwrap().label,
            "below"
        );
        let policy = Policy::new(vec![
            at("other", "below"),
            Rule {
                label: "any".into(),
                ..rule("/**", Condition::Anyone)
            },
        ]);
        assert_eq!(
            &*policy.select(&target("GET", "/")).rule.unwrap().label,
            "any"
        );
    }

    proptest! {
        #[test]
        fn the_tree_finds_what_reading_downwards_finds(
            patterns in prop::collection::vec("(/(a|b|\\*|\\*\\*|:x)){1,4}", 1..12),
            path in "(/(a|b|c)){0,5}/?",
        ) {
            let rules = patterns.iter().filter_map(|text| {
                let path = crate::policy::pattern::Pattern::parse(text).ok()?;
                Some(Rule { path, label: text.as_str().into(), ..rule("/", Condition::Anyone) })
            });
            let policy = Policy::new(rules.collect());
            let asked = target("GET", if path.is_empty() { "/" } else { &path });
            let found = policy.select(&asked).rule.map(|rule| Arc::clone(&rule.label));
            prop_assert_eq!(found, downwards(policy.rules(), &asked));
        }
    }
}
