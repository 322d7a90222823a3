//! `cookie_domain:`: sessions that several sites share, and whether they can.
//!
//! A browser sends such a cookie to every host below the domain and takes one from each, so what is refused here is
//! what could never work, or never be meant. Whether a domain is one under which strangers register theirs, browsers
//! know from a list that changes weekly; they take no cookie for it, and nobody can then log in.

use std::sync::Arc;

use crate::base::net::Host;
use crate::base::site::Sites;
use crate::policy::rule::{HostPattern, Rule};

use super::raw::{At, Object};

/// The domain whose hosts share sessions, if the file names one.
pub fn domain(file: &Object<'_>, sites: Option<&Sites>, rules: &[Rule]) -> Option<Arc<str>> {
    let at = file.get("cookie_domain")?;
    let domain = name(&at)?;
    let sites = sites?;
    for site in sites.iter().filter(|site| !site.host.is_within(&domain)) {
        let message = format!("the site {} is not below it", site.origin);
        at.refuse_with::<()>(message, "sessions are shared by all sites or by none");
    }
    if sites.iter().any(|site| site.https) && !sites.all_https() {
        let hint = "write https:// for every site, or http:// for every one";
        at.refuse_with::<()>("some sites are https and others are not", hint);
    }
    for rule in rules {
        let Some(HostPattern::Exact(host) | HostPattern::Below(host)) = &rule.host else {
            continue;
        };
        if !host.is_within(&domain) {
            let message = format!("the host of the rule {rule} is not below it");
            at.refuse_with::<()>(message, "sessions are shared by all hosts or by none");
        }
    }
    let many = sites.iter().count() > 1 || rules.iter().any(|rule| rule.host.is_some());
    let hint = "leave it out, and no other host sees the session";
    if many {
        at.warn(
            "every host below it is sent the session, and can set one",
            "see that you trust all of them as you trust this gateway",
        );
    } else {
        at.warn("there is one site, which needs none", hint);
    }
    Some(domain.as_str().into())
}

/// A name of two labels at least.
fn name(at: &At<'_>) -> Option<Host> {
    let text = at.text()?;
    let hint = "write it like example.com";
    let Ok(host) = text.parse::<Host>() else {
        return at.refuse_with("not a domain", hint);
    };
    match host.parent() {
        Some(parent) if !parent.is_empty() && text.eq_ignore_ascii_case(host.as_str()) => {
            Some(host)
        }
        _ => at.refuse_with("no browser takes a cookie for all of it", hint),
    }
}
