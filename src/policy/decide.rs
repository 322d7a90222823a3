//! The decision: pure, total, and the only maker of a [`Permit`].

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::base::identity::{Identity, Method};

use super::beside;
use super::cors::Cors;
use super::index::Selection;
use super::rule::Rule;

/// What a request proved about itself.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The client's address, after trusted proxies were taken off; none where they name nobody, who is in no network.
    pub ip: Option<IpAddr>,
    /// The identity that was proved, and how.
    pub proof: Option<(Method, Arc<Identity>)>,
}

/// The right to forward one request under one rule. Nothing but [`decide`] makes one.
#[derive(Clone, Debug)]
pub struct Permit {
    rule: Arc<Rule>,
    beside: Option<Arc<Rule>>,
    proof: Option<(Method, Arc<Identity>)>,
}

/// What is to be done with a request.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Forward it.
    Allow(Permit),
    /// Who is asking must sign in first.
    SignIn,
    /// No.
    Forbid,
}

/// Why a request was denied. A closed set, fit for metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No rule speaks for it.
    NoRule,
    /// The rule does not admit its address.
    From,
    /// The rule wants somebody to be signed in.
    Anonymous,
    /// Whoever is signed in lacks the rights.
    Rights,
}

/// A verdict and how it came about.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What is to be done.
    pub verdict: Verdict,
    /// Why not, on a denial.
    pub reason: Option<Reason>,
    /// The rule that decided.
    pub rule: Option<Arc<Rule>>,
    /// Which pages of other origins may see the answer, whatever it is.
    pub cors: Option<Arc<Cors>>,
    /// What the reporting rules above it would have said.
    pub reports: Vec<(Arc<Rule>, Verdict)>,
}

impl Permit {
    /// The rule that granted it.
    #[must_use]
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Every rule that had to: what one of them does not give is not given.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        [Some(&self.rule), self.beside.as_ref()]
            .into_iter()
            .flatten()
            .map(|rule| &**rule)
    }

    /// Which pages of other origins may use what it is good for.
    #[must_use]
    pub fn cors(&self) -> Option<&Arc<Cors>> {
        beside::cors(&self.rule, self.beside.as_ref())
    }

    /// How long an answer or a tunnel may be silent, where that differs from what the upstream allows.
    #[must_use]
    pub fn idle(&self) -> Option<Duration> {
        let all: Option<Vec<Duration>> = self.rules().map(|rule| rule.idle).collect();
        all?.into_iter().min()
    }

    /// How large a body may be in bytes, where `common` is what holds for rules that say nothing of it; none for any size.
    #[must_use]
    pub fn body_limit(&self, common: Option<u64>) -> Option<u64> {
        self.rules()
            .filter_map(|rule| rule.body_limit.or(common))
            .min()
    }

    /// The upstream it is good for, and no other.
    #[must_use]
    pub fn upstream(&self) -> &Arc<str> {
        &self.rule.upstream
    }

    /// The identity that the upstream is to be told, and how it was proved.
    #[must_use]
    pub fn proof(&self) -> Option<(Method, &Arc<Identity>)> {
        self.proof
            .as_ref()
            .map(|(method, identity)| (*method, identity))
    }
}

impl Verdict {
    /// The word used in logs, metrics and policy tests.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Allow(_) => "allow",
            Self::SignIn => "login",
            Self::Forbid => "deny",
        }
    }
}

impl Reason {
    /// The word used in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoRule => "no_rule",
            Self::From => "from",
            Self::Anonymous => "anonymous",
            Self::Rights => "rights",
        }
    }
}

/// Judges what the selected rules say of the evidence. No rule means no.
#[must_use]
pub fn decide(selection: &Selection, who: &Evidence) -> Decision {
    let reports = selection
        .reporting
        .iter()
        .map(|rule| (Arc::clone(rule), judge(rule, who).0))
        .collect();
    let (mut rule, mut judged) = match &selection.rule {
        None => (None, (Verdict::Forbid, Some(Reason::NoRule))),
        Some(rule) => (Some(rule), judge(rule, who)),
    };
    if let (Verdict::Allow(permit), Some(beside)) = (&mut judged.0, &selection.beside) {
        match judge(beside, who) {
            (Verdict::Allow(too), _) => {
                permit.beside = Some(too.rule);
                // Whoever reads a name there is to be told whose it is, and what was proved by a browser counts as that.
                permit.proof = permit.proof.take().or(too.proof);
            }
            no => (rule, judged) = (Some(beside), no),
        }
    }
    let (verdict, reason) = judged;
    Decision {
        verdict,
        reason,
        cors: selection.cors().cloned(),
        rule: rule.cloned(),
        reports,
    }
}

/// One rule's judgement, in the order `from`, `auth`, rights.
pub(super) fn judge(rule: &Arc<Rule>, who: &Evidence) -> (Verdict, Option<Reason>) {
    if rule
        .from
        .as_ref()
        .is_some_and(|networks| !who.ip.is_some_and(|ip| networks.contains(ip)))
    {
        return (Verdict::Forbid, Some(Reason::From));
    }
    let proof = who
        .proof
        .as_ref()
        .filter(|(method, _)| rule.auth.contains(method));
    let identity = proof.map(|(_, identity)| &**identity);
    match identity {
        _ if rule.allow.holds(identity) => (
            Verdict::Allow(Permit {
                rule: Arc::clone(rule),
                beside: None,
                proof: proof.cloned(),
            }),
            None,
        ),
        None if rule.allow.attainable() => (Verdict::SignIn, Some(Reason::Anonymous)),
        _ => (Verdict::Forbid, Some(Reason::Rights)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::base::identity::fixture::identity;
    use crate::policy::condition::Condition;
    use crate::policy::index::Policy;
    use crate::policy::pattern::Pattern;
    use crate::policy::rule::Mode;
    use crate::policy::target::{Target, Verbs};

    /// An enforcing rule for every host, method and address.
    pub(crate) fn rule(path: &str, allow: Condition) -> Rule {
        Rule {
            label: path.into(),
            line: 1,
            host: None,
            path: Pattern::parse(path).unwrap(),
            methods: Verbs::ALL,
            upstream: "web".into(),
            from: None,
            auth: vec![Method::Session],
            allow,
            mode: Mode::Enforce,
            body_limit: None,
            cors: None,
            headers: None,
            idle: None,
            origins: Vec::new(),
            compress: Vec::new(),
        }
    }

    /// A request to `app.test`.
    pub(crate) fn target(method: &str, path: &str) -> Target {
        Target::parse(method, "app.test".parse().unwrap(), path.as_bytes()).unwrap()
    }

    #[test]
    fn the_order_of_judgement() {
        let admin = || Condition::Role("admin".parse().unwrap());
        let from = |rule: Rule| Rule {
            from: Some(["10.0.0.0/8".parse().unwrap()].into_iter().collect()),
            ..rule
        };
        let policy = Policy::new(vec![
            rule("/public/**", Condition::Anyone),
            from(rule("/admin/**", admin())),
            rule("/closed", Condition::Nobody),
            Rule {
                auth: vec![],
                ..rule("/no-method", Condition::SignedIn)
            },
            rule("/app/**", Condition::SignedIn),
        ]);
        let (stranger, alice, root) = (
            None,
            Some(identity("alice", &["user"], &[])),
            Some(identity("root", &["admin"], &[])),
        );
        let cases = [
            ("/public/x", "8.8.8.8", &stranger, "allow", None),
            (
                "/public/../admin",
                "10.1.1.1",
                &stranger,
                "login",
                Some(Reason::Anonymous),
            ),
            ("/admin", "8.8.8.8", &stranger, "deny", Some(Reason::From)),
            ("/admin", "8.8.8.8", &root, "deny", Some(Reason::From)),
            ("/admin", "10.1.1.1", &alice, "deny", Some(Reason::Rights)),
            ("/admin/x", "10.1.1.1", &root, "allow", None),
            (
                "/closed",
                "10.1.1.1",
                &stranger,
                "deny",
                Some(Reason::Rights),
            ),
            ("/closed", "10.1.1.1", &root, "deny", Some(Reason::Rights)),
            (
                "/no-method",
                "10.1.1.1",
                &alice,
                "login",
                Some(Reason::Anonymous),
            ),
            ("/app", "10.1.1.1", &alice, "allow", None),
            ("/else", "10.1.1.1", &root, "deny", Some(Reason::NoRule)),
        ];
        for (path, ip, who, verdict, reason) in cases {
            let proof = who
                .clone()
                .map(|identity| (Method::Session, Arc::new(identity)));
            let who = Evidence {
                ip: Some(ip.parse().unwrap()),
                proof,
            };
            let decision = decide(&policy.select(&target("GET", path)), &who);
            assert_eq!(
                (decision.verdict.as_str(), decision.reason),
                (verdict, reason),
                "{path} from {ip}"
            );
        }
    }

    #[test]
    fn nobody_in_particular_is_in_no_network() {
        // from, the address, whether it is let in
        let all = ["0.0.0.0/0", "::/0"].as_slice();
        let cases = [
            (Some(all), Some("8.8.8.8"), true),
            (Some(all), Some("2001:db8::1"), true),
            (Some(all), None, false),
            (Some(&["::/0"]), None, false),
            (Some(&["10.0.0.0/8"]), None, false),
            (Some(&[]), None, false),
            (None, None, true),
            (None, Some("8.8.8.8"), true),
        ];
        for (from, ip, allowed) in cases {
            let networks = |from: &[&str]| from.iter().map(|net| net.parse().unwrap()).collect();
            let policy = Policy::new(vec![Rule {
                from: from.map(networks),
                ..rule("/**", Condition::Anyone)
            }]);
            let who = Evidence {
                ip: ip.map(|ip| ip.parse().unwrap()),
                proof: None,
            };
            let decision = decide(&policy.select(&target("GET", "/")), &who);
            let expected = (!allowed).then_some(Reason::From);
            assert_eq!(decision.reason, expected, "{ip:?} from {from:?}");
        }
    }

    #[test]
    fn a_permit_carries_only_a_proof_that_counts() {
        let who = Evidence {
            ip: Some("10.1.1.1".parse().unwrap()),
            proof: Some((Method::Session, Arc::new(identity("alice", &[], &[])))),
        };
        let unproved = Policy::new(vec![Rule {
            auth: vec![],
            ..rule("/**", Condition::Anyone)
        }]);
        let proved = Policy::new(vec![rule("/**", Condition::Anyone)]);
        let permit =
            |policy: &Policy| match decide(&policy.select(&target("GET", "/")), &who).verdict {
                Verdict::Allow(permit) => permit,
                other => panic!("{other:?}"),
            };
        assert!(permit(&unproved).proof().is_none());
        assert!(permit(&proved).proof().is_some());
    }

    #[test]
    fn reporting_rules_are_heard_and_do_not_decide() {
        let strict = Rule {
            mode: Mode::Report,
            ..rule("/**", Condition::Nobody)
        };
        let policy = Policy::new(vec![strict, rule("/**", Condition::Anyone)]);
        let who = Evidence {
            ip: Some("10.1.1.1".parse().unwrap()),
            proof: None,
        };
        let decision = decide(&policy.select(&target("GET", "/")), &who);
        assert_eq!(decision.verdict.as_str(), "allow");
        assert_eq!(decision.reports.len(), 1);
        assert_eq!(decision.reports[0].1.as_str(), "deny");
    }
}
