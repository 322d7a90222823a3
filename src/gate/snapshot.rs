//! Everything about judging that a reload replaces, as one value.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::net::{Host, Networks};
use crate::base::site::{Site, Sites};
use crate::policy::header::Reserved;
use crate::policy::index::Policy;
use crate::policy::readings::Readings;

use super::inject::Injector;

/// The state of the gateway's judgement between two reloads.
#[derive(Debug)]
pub struct Snapshot {
    /// The rules.
    pub policy: Policy,
    /// The public URLs.
    pub sites: Sites,
    /// The domain whose hosts share sessions, if any do.
    pub cookie_domain: Option<Arc<str>>,
    /// Own pages live below this path.
    pub prefix: Box<str>,
    /// What each upstream makes of paths with two readings.
    pub readings: BTreeMap<Arc<str>, Readings>,
    /// Headers that clients may not send.
    pub reserved: Reserved,
    /// What services are told about users.
    pub injector: Injector,
    /// Whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Networks,
}

/// Whom a path belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Our own pages and API.
    Gateway,
    /// An upstream, if a rule says so.
    Upstream,
}

impl Snapshot {
    /// Whom a canonical path belongs to.
    #[must_use]
    pub fn owner(&self, path: &str) -> Owner {
        owner(&self.prefix, path)
    }

    /// The site that a host belongs to: one of `site:`, or one that a rule names, which shares the main
    /// site's scheme.
    #[must_use]
    pub fn site_of(&self, host: &Host) -> Option<&Site> {
        let by_rule = || {
            let named = |rule: &Arc<crate::policy::rule::Rule>| {
                rule.host.as_ref().is_some_and(|h| h.matches(host))
            };
            self.policy
                .rules()
                .iter()
                .any(named)
                .then(|| self.sites.main())
        };
        self.sites.of_host(host).or_else(by_rule)
    }

    /// What an upstream makes of paths with two readings.
    #[must_use]
    pub fn readings_of(&self, upstream: &str) -> Readings {
        self.readings.get(upstream).copied().unwrap_or_default()
    }
}

/// Whom a canonical path belongs to. Everything below the prefix is ours, known or not. Letter case does
/// not matter here: a service that ignores case must not get what looks like ours.
#[must_use]
pub fn owner(prefix: &str, path: &str) -> Owner {
    let below = path
        .split_at_checked(prefix.len())
        .is_some_and(|(head, rest)| {
            head.eq_ignore_ascii_case(prefix) && (rest.is_empty() || rest.starts_with('/'))
        });
    if below {
        Owner::Gateway
    } else {
        Owner::Upstream
    }
}
