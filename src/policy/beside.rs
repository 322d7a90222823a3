//! What rules say of the nothing behind a slash, which is a name to some services.
//!
//! Fastify and Falcon hand `/u/` to `/u/:id`, others to what `/u` is. Which of them is asked is not known here: so both
//! rules have to let a request in, and nothing is given away but what both give. Who writes a rule for `/u/` itself has said
//! what it is, and who writes `/u/**` has said that `/u` is the same as `/u/`.

use std::sync::Arc;

use crate::base::identity::Method;

use super::cors::Cors;
use super::index::{Policy, Selection};
use super::path::CanonicalPath;
use super::readings::TwoReadings;
use super::rewrite::Rewrite;
use super::rule::Rule;
use super::target::Target;

impl Selection {
    /// The rules that decide: each must let the request in.
    pub fn deciding(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.rule.iter().chain(&self.beside)
    }

    /// Whether any of them takes this for a proof.
    #[must_use]
    pub fn accepts(&self, method: Method) -> bool {
        self.deciding().any(|rule| rule.auth.contains(&method))
    }

    /// Whether all of them do.
    #[must_use]
    pub fn all_accept(&self, method: Method) -> bool {
        self.deciding().all(|rule| rule.auth.contains(&method))
    }

    /// Which pages of other origins may use what is asked for.
    #[must_use]
    pub fn cors(&self) -> Option<&Arc<Cors>> {
        cors(self.rule.as_ref()?, self.beside.as_ref())
    }
}

/// What a rule says to pages of other origins, if the one beside it says the same.
#[must_use]
pub fn cors<'a>(rule: &'a Rule, beside: Option<&Arc<Rule>>) -> Option<&'a Arc<Cors>> {
    let cors = rule.cors.as_ref()?;
    beside
        .is_none_or(|other| other.cors.as_ref().is_some_and(|it| it.is_like(cors)))
        .then_some(cors)
}

/// Adds the rule that would decide if there were a name behind the slash, for every reading of the path. `rewrite` may put
/// that slash there; `fold` says that the service ignores case.
///
/// # Errors
/// When different rules would.
pub fn with_beside(
    policy: &Policy,
    target: &Target,
    mut judged: Selection,
    read: &[CanonicalPath],
    (rewrite, fold): (Option<&Rewrite>, bool),
) -> Result<Selection, TwoReadings> {
    let Some(rule) = &judged.rule else {
        return Ok(judged);
    };
    if rule.path.is_of_a_slash() {
        return Ok(judged);
    }
    let bared = |path: &_| rewrite.is_some_and(|rewrite| rewrite.bares(path, fold));
    let named = read
        .iter()
        .filter_map(|path| path.with_empty_last(bared(path)));
    let mut beside: Option<Arc<Rule>> = None;
    for item in named {
        let other = policy.select(&target.with_path(item));
        for report in other.reporting.iter().filter(|it| it.path.ends_in_name()) {
            if !judged.reporting.iter().any(|it| Arc::ptr_eq(it, report)) {
                judged.reporting.push(Arc::clone(report));
            }
        }
        let other = other.rule.filter(|it| it.path.ends_in_name());
        let Some(other) = other.filter(|it| !Arc::ptr_eq(it, rule)) else {
            continue;
        };
        match &beside {
            Some(known) if !Arc::ptr_eq(known, &other) => return Err(TwoReadings),
            _ => beside = Some(other),
        }
    }
    judged.beside = beside;
    Ok(judged)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::policy::condition::Condition;
    use crate::policy::cors::Origins;
    use crate::policy::decide::tests::{rule, target};
    use crate::policy::decide::{Evidence, Verdict, decide};
    use crate::policy::readings::{Paths, settle};
    use crate::policy::rewrite::Prefix;
    use crate::policy::rule::Mode;

    fn label(rule: Option<&Arc<Rule>>) -> Option<&str> {
        rule.map(|it| &*it.label)
    }

    #[test]
    fn p_11_nothing_behind_a_slash_may_be_a_name() {
        let policy = Policy::new(vec![
            rule("/u/:id", Condition::SignedIn),
            rule("/v/*", Condition::SignedIn),
            rule("/v/", Condition::Anyone),
            rule("/w", Condition::Anyone),
            rule("/w/**", Condition::SignedIn),
            rule("/x/*/**", Condition::SignedIn),
            rule("/y/*/z", Condition::SignedIn),
            rule("/:any/", Condition::Anyone),
            rule("/*/*", Condition::SignedIn),
            rule("/**", Condition::Anyone),
        ]);
        let cases = [
            ("/u", "/:any/", None),
            ("/u/", "/:any/", Some("/u/:id")),
            ("/u/x/..", "/:any/", Some("/u/:id")),
            ("/u/x/", "/u/:id", None),
            ("/v", "/v/", None),
            ("/v/", "/v/", None),
            ("/v/x", "/v/*", None),
            ("/w", "/w", None),
            // The nothing is below `/w`, which `/w/**` has a say in anyway, and `/w` was taken out of that.
            ("/w/", "/w", None),
            ("/x/", "/:any/", Some("/x/*/**")),
            ("/x/a/", "/x/*/**", None),
            ("/y/", "/:any/", Some("/*/*")),
            ("/", "/**", Some("/:any/")),
            ("/a/b/c/", "/**", None),
        ];
        for (path, rule, beside) in cases {
            let found = settle(&policy, &target("GET", path), |_| Paths::default()).unwrap();
            assert_eq!(label(found.rule.as_ref()), Some(rule), "{path}");
            assert_eq!(label(found.beside.as_ref()), beside, "{path}");
        }
    }

    #[test]
    fn p_11_the_root_is_a_slash_like_others() {
        for (rules, beside) in [
            (&["/*", "/**"][..], Some("/*")),
            (&["/:page/**", "/**"], Some("/:page/**")),
            (&["/*", "/", "/**"], None),
            (&["/**"], None),
        ] {
            let policy = Policy::new(rules.iter().map(|it| rule(it, Condition::Anyone)).collect());
            let found = settle(&policy, &target("GET", "/"), |_| Paths::default()).unwrap();
            assert_eq!(label(found.beside.as_ref()), beside, "{rules:?}");
        }
    }

    #[test]
    fn p_11_p_27_a_slash_that_is_made_is_one() {
        let policy = Policy::new(vec![
            rule("/s/*", Condition::SignedIn),
            rule("/**", Condition::Anyone),
        ]);
        let prefix = |text: &str| (!text.is_empty()).then(|| Prefix::parse(text).unwrap());
        let cases = [
            ("/s", "", "/s", true),
            ("/s", "", "/s/", true),
            ("/s", "/t", "/s", false),
            ("/s", "/t", "/s/", true),
            ("/s/s", "", "/s/s", false),
            ("", "", "/s", false),
        ];
        for (strip, add, path, expected) in cases {
            let rewrite = Rewrite {
                strip: prefix(strip),
                add: prefix(add),
            };
            let paths = |_: &str| Paths {
                rewrite: Some(&rewrite),
                ..Paths::default()
            };
            let found = settle(&policy, &target("GET", path), paths).unwrap();
            assert_eq!(found.beside.is_some(), expected, "{strip} {add} {path}");
        }
    }

    #[test]
    fn both_are_asked_and_reports_are_told() {
        let policy = Policy::new(vec![
            Rule {
                mode: Mode::Report,
                ..rule("/u/:id", Condition::Nobody)
            },
            Rule {
                auth: vec![Method::Jwt],
                ..rule("/u/*", Condition::SignedIn)
            },
            rule("/**", Condition::Anyone),
        ]);
        let found = settle(&policy, &target("GET", "/u/"), |_| Paths::default()).unwrap();
        assert_eq!(label(found.reporting.first()), Some("/u/:id"));
        assert!(found.accepts(Method::Jwt) && found.accepts(Method::Session));
        assert!(!found.accepts(Method::Mtls));
    }

    #[test]
    fn p_11_what_only_one_of_them_gives_is_not_given() {
        let cors = |origins: &[&str]| {
            let origins = origins.iter().map(|it| HeaderValue::from_str(it).unwrap());
            Some(Arc::new(Cors::new(
                Origins::These(origins.collect()),
                (&[], &[]),
                true,
                None,
            )))
        };
        let partner = "https://partner.test";
        let networks = || Some(["10.0.0.0/8".parse().unwrap()].into_iter().collect());
        let plain = |path: &str| rule(path, Condition::Anyone);
        let policy = Policy::new(vec![
            Rule {
                from: networks(),
                body_limit: Some(10),
                ..plain("/a/*")
            },
            Rule {
                cors: cors(&[partner]),
                ..plain("/b/*")
            },
            Rule {
                cors: cors(&[partner]),
                body_limit: Some(100),
                ..plain("/**")
            },
        ]);
        let who = Evidence {
            ip: Some("10.1.1.1".parse().unwrap()),
            proof: None,
        };
        for (path, admits, limit, open) in [
            ("/c/", true, 100, true),
            ("/a/", false, 10, false),
            ("/a/x", false, 10, false),
            ("/b/", true, 50, true),
        ] {
            let found = settle(&policy, &target("GET", path), |_| Paths::default()).unwrap();
            let Verdict::Allow(permit) = decide(&found, &who).verdict else {
                panic!("{path}");
            };
            assert_eq!(permit.cors().is_some(), admits, "{path}");
            assert_eq!(found.cors().is_some(), admits, "{path}");
            assert_eq!(permit.body_limit(Some(50)), Some(limit), "{path}");
            assert_eq!(permit.rules().all(Rule::lets_everybody_in), open, "{path}");
        }
    }
}
