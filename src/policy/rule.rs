//! A rule: which requests it speaks for, and what it asks of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::base::identity::Method;
use crate::base::net::{Host, Networks};
use crate::base::site::PageOrigin;

use super::coding::Coding;
use super::condition::Condition;
use super::cors::Cors;
use super::header::Said;
use super::pattern::Pattern;
use super::target::{Target, Verbs};

/// One line of `rules:`, as it is meant: defaults filled in, every name resolved.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What metrics, logs and people call it: its `name:`, else methods and path. Never its position.
    pub label: Arc<str>,
    /// The line of `gateway.yaml` it begins on, counted from 1.
    pub line: u64,
    /// The hosts it speaks for; every host of `site:` when absent.
    pub host: Option<HostPattern>,
    /// The paths it speaks for.
    pub path: Pattern,
    /// The methods it speaks for.
    pub methods: Verbs,
    /// Where a permitted request goes.
    pub upstream: Arc<str>,
    /// The addresses it may come from; any when absent.
    pub from: Option<Networks>,
    /// The ways to prove an identity that count here.
    pub auth: Vec<Method>,
    /// What must hold of whoever asks.
    pub allow: Condition,
    /// Whether it decides, or only reports what it would have said.
    pub mode: Mode,
    /// The largest request body in bytes, where it differs from the gateway's.
    pub body_limit: Option<u64>,
    /// Which pages of other origins may use it; none, where it says nothing.
    pub cors: Option<Arc<Cors>>,
    /// What its answers say or do not say, beside and over what the upstream's file has them say; none, where it says
    /// nothing.
    pub headers: Option<Arc<[Said]>>,
    /// How long an answer or a tunnel may be silent, where it differs from what the upstream allows.
    pub idle: Option<Duration>,
    /// Whose pages may open a WebSocket with a session's cookie, beside those of our own sites.
    pub origins: Vec<PageOrigin>,
    /// How answers may be compressed, the coding that is used among equals first; not at all, where it is empty.
    pub compress: Vec<Coding>,
}

/// Whether a rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It decides.
    Enforce,
    /// It is counted and logged, and reading goes on below it.
    Report,
}

/// A host, or all hosts one label below another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host.
    Exact(Host),
    /// `*.` and this host.
    Below(Host),
}

/// What about a request does not fit a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Mismatch {
    Host,
    Path,
    Method,
}

impl Rule {
    /// Whether every request it speaks for gets the same leave, whoever sends it and from wherever: only then may its
    /// answers be given to others by whatever keeps them on the way.
    #[must_use]
    pub fn lets_everybody_in(&self) -> bool {
        self.from.is_none() && self.allow.holds(None)
    }

    /// Whether it speaks for this request, or the first thing that does not fit.
    ///
    /// # Errors
    /// What does not fit.
    pub fn speaks_for(&self, target: &Target) -> Result<(), Mismatch> {
        let host = self
            .host
            .as_ref()
            .is_none_or(|pattern| pattern.matches(target.host()));
        match () {
            () if !host => Err(Mismatch::Host),
            () if !self.path.matches(target.path()) => Err(Mismatch::Path),
            () if !self.methods.contains(target.method()) => Err(Mismatch::Method),
            () => Ok(()),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (line {})", self.label, self.line)
    }
}

impl HostPattern {
    /// Whether the host fits.
    #[must_use]
    pub fn matches(&self, host: &Host) -> bool {
        match self {
            Self::Exact(own) => own == host,
            Self::Below(parent) => host.parent() == Some(parent.as_str()),
        }
    }

    /// Whether every host that fits `other` fits this.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Below(_), Self::Exact(host)) => self.matches(host),
            (a, b) => a == b,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => host.fmt(f),
            Self::Below(parent) => write!(f, "*.{parent}"),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "another host",
            Self::Path => "another path",
            Self::Method => "another method",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::decide::tests::rule;

    #[test]
    fn everybody_is_strangers_from_anywhere() {
        let networks = || Some(["0.0.0.0/0".parse().unwrap()].into_iter().collect());
        let either = || Condition::Any(vec![Condition::SignedIn, Condition::Anyone]);
        for (allow, from, expected) in [
            (Condition::Anyone, None, true),
            (either(), None, true),
            (Condition::SignedIn, None, false),
            (Condition::Nobody, None, false),
            // Those of IPv6 are left.
            (Condition::Anyone, networks(), false),
            (Condition::SignedIn, networks(), false),
        ] {
            let rule = Rule {
                from,
                ..rule("/**", allow)
            };
            assert_eq!(rule.lets_everybody_in(), expected, "{rule:?}");
        }
    }

    #[test]
    fn p_18_host_patterns_do_not_leak() {
        let host = |text: &str| text.parse::<Host>().unwrap();
        let below = HostPattern::Below(host("app.test"));
        assert!(below.matches(&host("x.app.test")));
        for other in [
            "app.test",
            "x.y.app.test",
            "evil-app.test",
            "x.app.test.evil.org",
            "xapp.test",
        ] {
            assert!(!below.matches(&host(other)), "{other}");
        }
        let exact = HostPattern::Exact(host("app.test"));
        assert!(exact.matches(&host("APP.test.")) && !exact.matches(&host("evil-app.test")));
        assert!(below.covers(&HostPattern::Exact(host("x.app.test"))) && !below.covers(&exact));
    }
}
