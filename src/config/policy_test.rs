//! `tests:`: what the rules must answer. Run by `portcullis test`, and before every reload.

use std::fmt;
use std::sync::Arc;

use crate::base::name::RoleName;
use crate::base::net::Host;
use crate::policy::decide::Verdict;
use crate::policy::rule::Rule;
use crate::policy::target::Verb;

use super::Config;
use super::ask::{Asker, Who};
use super::later;
use super::raw::{At, Object};
use super::rules::{self, Scope};
use super::tree::Value;
use super::unheld::Given;
use crate::gate::question::Answer;

/// One line of `tests:`.
#[derive(Clone, Debug)]
pub struct PolicyTest {
    /// The line of the file it begins on.
    pub line: u64,
    /// The method.
    pub method: Verb,
    /// The target, as a client would send it.
    pub target: String,
    /// The host asked for; the main site's when absent.
    pub host: Option<Host>,
    /// Who asks.
    pub who: Who,
    /// The answer that must come.
    pub expect: Expected,
    /// The upstream that the request must go to.
    pub to: Option<Arc<str>>,
    /// The label of the rule that must decide.
    pub rule: Option<Arc<str>>,
}

/// The answers that tests can expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Forwarded.
    Allow,
    /// Asked to sign in.
    Login,
    /// Denied.
    Deny,
    /// Refused before any rule is read.
    BadRequest,
}

/// How a test went.
#[derive(Clone, Debug)]
pub struct TestOutcome {
    /// The test.
    pub test: PolicyTest,
    /// The answer that came.
    pub answer: &'static str,
    /// The rule that decided.
    pub rule: Option<Arc<Rule>>,
    /// The rules that only reported on the way.
    pub reported: Vec<Arc<Rule>>,
    /// What is not as expected; empty when the test passed.
    pub failures: Vec<String>,
}

impl Expected {
    const WORDS: [(&'static str, Self); 4] = [
        ("allow", Self::Allow),
        ("login", Self::Login),
        ("deny", Self::Deny),
        ("bad_request", Self::BadRequest),
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Login => "login",
            Self::Deny => "deny",
            Self::BadRequest => "bad_request",
        }
    }
}

impl TestOutcome {
    /// Whether everything was as expected.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

impl fmt::Display for TestOutcome {
    /// `line 9: GET /admin as viewer: expected allow, got deny`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { test, failures, .. } = self;
        write!(f, "line {}: {test}", test.line)?;
        if failures.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", failures.join(", "))
    }
}

impl fmt::Display for PolicyTest {
    /// `GET /admin as viewer from 10.1.2.3`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.method)?;
        if let Some(host) = &self.host {
            write!(f, "{host}")?;
        }
        f.write_str(&self.target)?;
        self.who.fmt(f)
    }
}

impl fmt::Display for Who {
    /// ` as alice, editor from 10.1.2.3`; nothing for a stranger from nowhere.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.iter().map(ToString::to_string);
        // A role of that name is another thing than being one.
        let role = |name: &RoleName| match name.as_str() {
            "superuser" => "role superuser".to_owned(),
            name => name.to_owned(),
        };
        let roles = self.roles.iter().map(role);
        let permissions = self.permissions.iter().map(ToString::to_string);
        let marks = [(self.superuser, "superuser"), (self.verified, "verified")];
        let marks = marks
            .into_iter()
            .filter(|(holds, _)| *holds)
            .map(|(_, word)| word.to_owned());
        let words: Vec<String> = user.chain(roles).chain(permissions).chain(marks).collect();
        match (self.known, words.is_empty()) {
            (true, true) => f.write_str(" as somebody")?,
            (true, false) => write!(f, " as {}", words.join(", "))?,
            (false, _) => {}
        }
        if self.ip == Self::stranger().ip {
            Ok(())
        } else {
            write!(f, " from {}", self.ip)
        }
    }
}

/// Runs every test of a file.
#[must_use]
pub fn run(config: &Config) -> Vec<TestOutcome> {
    let asker = Asker::new(config);
    config
        .tests
        .iter()
        .map(|test| run_one(&asker, test))
        .collect()
}

/// What tests say that did not pass, one after the other in the order of the file.
#[must_use]
pub fn complaints(config: &Config) -> Vec<String> {
    let outcomes = run(config).into_iter();
    let failed = outcomes.filter(|outcome| !outcome.passed());
    failed.map(|outcome| outcome.to_string()).collect()
}

/// The rules that no test reached.
#[must_use]
pub fn unreached<'a>(config: &'a Config, outcomes: &[TestOutcome]) -> Vec<&'a Rule> {
    let reached = |rule: &&Rule| {
        let mut seen = outcomes
            .iter()
            .flat_map(|outcome| outcome.rule.iter().chain(&outcome.reported));
        !seen.any(|other| other.label == rule.label)
    };
    config.rules.iter().filter(reached).collect()
}

fn run_one(asker: &Asker<'_>, test: &PolicyTest) -> TestOutcome {
    let target = asker.target(test.method.as_str(), test.host.as_ref(), &test.target);
    let answer = target.map_or_else(Answer::Refused, |target| asker.answer(&target, &test.who));
    let mut failures = Vec::new();
    if answer.as_str() != test.expect.as_str() {
        let why = why(&answer)
            .map(|why| format!(" ({why})"))
            .unwrap_or_default();
        failures.push(format!(
            "expected {}, got {}{why}",
            test.expect.as_str(),
            answer.as_str()
        ));
    }
    let decision = match &answer {
        Answer::Judged(decision) => Some(decision),
        Answer::Refused(_) | Answer::OwnPage => None,
    };
    let rule = decision.and_then(|decision| decision.rule.clone());
    if let Some(expected) = &test.rule
        && rule.as_ref().is_none_or(|rule| rule.label != *expected)
    {
        let found = rule
            .as_ref()
            .map_or_else(|| "no rule".to_owned(), ToString::to_string);
        failures.push(format!(
            "expected the rule {expected} to decide, got {found}"
        ));
    }
    if let (Some(expected), Some(Verdict::Allow(permit))) =
        (&test.to, decision.map(|decision| &decision.verdict))
        && permit.upstream() != expected
    {
        failures.push(format!(
            "expected it to go to {expected}, but it goes to {}",
            permit.upstream()
        ));
    }
    let reported = decision
        .iter()
        .flat_map(|decision| decision.reports.iter().map(|(rule, _)| Arc::clone(rule)))
        .collect();
    TestOutcome {
        test: test.clone(),
        answer: answer.as_str(),
        rule,
        reported,
        failures,
    }
}

fn why(answer: &Answer) -> Option<String> {
    match answer {
        Answer::Refused(why) => Some(why.clone()),
        Answer::OwnPage => Some("one of the gateway's own pages; rules are not asked".to_owned()),
        Answer::Judged(decision) => decision.reason.map(|reason| reason.as_str().to_owned()),
    }
}

/// Reads one test; `labels` are those of the rules, unless some rule is unsound.
fn read(
    at: &At<'_>,
    (scope, given): (&Scope<'_>, &Given),
    labels: Option<&Vec<&str>>,
) -> Option<PolicyTest> {
    let object = at.object("test")?;
    let request = request(&object);
    let expect = object.require("expect").and_then(|at| expected(&at));
    let to = object.get("to").and_then(|at| rules::upstream(&at, scope));
    if let (Some(at), Some(_)) = (
        object.get("to"),
        expect.filter(|expect| *expect != Expected::Allow),
    ) {
        at.refuse::<()>("only an allowed request goes anywhere");
    }
    let rule = object
        .get("rule")
        .and_then(|at| match (at.text()?, labels) {
            (text, Some(labels)) if !labels.contains(&text) => {
                at.unknown("rule", text, labels.iter().copied())
            }
            (text, _) => Some(text.into()),
        });
    let host = object.get("host").and_then(|at| at.parse("a host"));
    let who = object
        .section("as", "who")
        .map_or_else(Who::stranger, |who| read_who(&who, given));
    let (method, target) = request?;
    Some(PolicyTest {
        line: at.line(),
        method,
        target,
        host,
        who,
        expect: expect?,
        to,
        rule,
    })
}

fn request(object: &Object<'_>) -> Option<(Verb, String)> {
    let found: Vec<_> = Verb::ALL
        .into_iter()
        .filter_map(|verb| Some((verb, object.get(verb.as_str())?)))
        .collect();
    match found.as_slice() {
        [(verb, at)] => Some((*verb, at.text()?.to_owned())),
        [] => object.at().refuse_with(
            "asks for nothing",
            "write a method and its path, such as GET: /admin",
        ),
        _ => object.at().refuse_with(
            "asks for several things at once",
            "write one test for each method",
        ),
    }
}

fn expected(at: &At<'_>) -> Option<Expected> {
    let text = at.text()?;
    if later::OUTCOMES.contains(&text) {
        at.not_yet(text)
    } else {
        at.choice("outcome", &Expected::WORDS)
    }
}

fn read_who(object: &Object<'_>, given: &Given) -> Who {
    let without = "no account is like that";
    let items = |key| object.get(key).and_then(|at| at.list()).unwrap_or_default();
    let boolean = |key| object.get(key).and_then(|at| at.boolean());
    let role = object.get("role");
    let roles = role.into_iter().chain(items("roles")).filter_map(|at| {
        let role = at.parse("a role")?;
        given.warn_of_role(&at, &role, without);
        Some(role)
    });
    let ip = object.get("ip").and_then(|at| at.parse("an address"));
    Who {
        known: object.keys().any(|key| key != "ip"),
        user: object.get("user").and_then(|at| at.parse("a username")),
        email: None,
        roles: roles.collect(),
        permissions: items("permissions")
            .iter()
            .filter_map(|at| {
                let permission = at.parse("a permission")?;
                given.warn_of_permission(at, &permission, without);
                Some(permission)
            })
            .collect(),
        superuser: boolean("superuser").unwrap_or(false),
        verified: boolean("verified").unwrap_or(false),
        auth: object
            .get("auth")
            .and_then(|at| rules::method(&at))
            .unwrap_or(Who::stranger().auth),
        ip: ip.unwrap_or(Who::stranger().ip),
    }
}

/// Every test of the file that is sound.
pub(super) fn read_all(file: &Object<'_>, scope: &Scope<'_>, sound: &[Rule]) -> Vec<PolicyTest> {
    let items = file
        .get("tests")
        .and_then(|at| at.objects())
        .unwrap_or_default();
    let labels: Vec<&str> = sound.iter().map(|rule| &*rule.label).collect();
    let all = file
        .get("rules")
        .is_some_and(|at| matches!(at.value(), Value::List(rules) if rules.len() == sound.len()));
    let given = Given::by(scope.roles);
    items
        .iter()
        .filter_map(|at| read(at, (scope, &given), all.then_some(&labels)))
        .collect()
}
