//! Everything about judging that a reload replaces, as one value.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::net::{Host, Networks};
use crate::base::site::{PageOrigin, Site, Sites};
use crate::policy::header::Reserved;
use crate::policy::index::Policy;
use crate::policy::path::{CanonicalPath, Marks};
use crate::policy::readings::{Paths, Readings};
use crate::policy::rewrite::Rewrite;
use crate::policy::rule::HostPattern;

use super::inject::Injector;
use super::question::Rules;

/// The state of the gateway's judgement between two reloads.
#[derive(Debug)]
pub struct Snapshot {
    /// Which of the files that were in force one after the other this is.
    pub turn: u64,
    /// The rules.
    pub policy: Policy,
    /// The public URLs.
    pub sites: Sites,
    /// The domain whose hosts share sessions, if any do.
    pub cookie_domain: Option<Arc<str>>,
    /// Own pages live below this path.
    pub prefix: Box<str>,
    /// What each upstream makes of paths with two readings, and what becomes of its paths.
    pub paths: BTreeMap<Arc<str>, (Readings, Rewrite)>,
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
    /// Nobody: one reading of it is ours, and our pages have no path with two.
    Nobody,
    /// An upstream, if a rule says so.
    Upstream,
}

impl Snapshot {
    /// Whom a canonical path belongs to.
    #[must_use]
    pub fn owner(&self, path: &CanonicalPath) -> Owner {
        owner(&self.prefix, path)
    }

    /// The site of a host: one of `site:`, or that of a host which a rule names, like the main one in all else.
    #[must_use]
    pub fn site_of(&self, host: &Host) -> Option<Cow<'_, Site>> {
        let by_rule = || {
            let named = |rule: &Arc<crate::policy::rule::Rule>| {
                rule.host.as_ref().is_some_and(|h| h.matches(host))
            };
            let is_named = self.policy.rules().iter().any(named);
            is_named.then(|| Cow::Owned(self.sites.main().with_host(host)))
        };
        let own = self.sites.of_host(host).map(Cow::Borrowed);
        own.or_else(by_rule)
    }

    /// Whether a page of this origin is one of the host that is asked, or of another site where these share their
    /// sessions. Where they do not, a page of one is as foreign to another as any.
    #[must_use]
    pub fn is_own_page(&self, origin: &PageOrigin, (host, port): &(Host, Option<u16>)) -> bool {
        let asked = self.site_of(host);
        asked.is_some_and(|site| site.has_page(origin, *port))
            || self.sharing_sites().any(|site| site.is_of(origin))
    }

    /// The sites that share their sessions, if any do: those of `site:`, and the hosts that rules name to the letter. Of
    /// the hosts below a wildcard, some may be served by others.
    pub fn sharing_sites(&self) -> impl Iterator<Item = Cow<'_, Site>> {
        let named = self.policy.rules().iter().filter_map(|rule| {
            let Some(HostPattern::Exact(host)) = &rule.host else {
                return None;
            };
            let is_site = self.sites.of_host(host).is_some();
            (!is_site).then(|| Cow::Owned(self.sites.main().with_host(host)))
        });
        let all = self.sites.iter().map(Cow::Borrowed).chain(named);
        all.filter(|_| self.cookie_domain.is_some())
    }

    /// The rules, to be asked about requests that nobody sent.
    pub fn rules<'a>(&'a self) -> Rules<'a, impl Fn(&str) -> Paths<'a>> {
        Rules {
            policy: &self.policy,
            prefix: &self.prefix,
            paths: |upstream: &str| self.paths_of(upstream),
        }
    }

    /// What an upstream makes of paths.
    #[must_use]
    pub fn paths_of(&self, upstream: &str) -> Paths<'_> {
        self.paths
            .get(upstream)
            .map_or_else(Paths::default, |(readings, rewrite)| Paths {
                readings: *readings,
                rewrite: Some(rewrite),
            })
    }
}

/// Whom a canonical path belongs to. Everything below the prefix is ours, known or not. Letter case does
/// not matter here: a service that ignores case must not get what looks like ours. What the upstreams allow
/// does not either: none of them is asked.
#[must_use]
pub fn owner(prefix: &str, path: &CanonicalPath) -> Owner {
    let below = path
        .as_str()
        .split_at_checked(prefix.len())
        .is_some_and(|(head, rest)| {
            head.eq_ignore_ascii_case(prefix) && (rest.is_empty() || rest.starts_with('/'))
        });
    match below {
        true if path.marks() == Marks::default() => Owner::Gateway,
        true => Owner::Nobody,
        false => Owner::Upstream,
    }
}
