//! Certificates that an authority issues: `acme:` of an item of `tls:`.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use url::Url;

use crate::acme::{DIRECTORY, Kind, PAUSE, Settings};
use crate::base::name::Email;
use crate::base::net::Host;
use crate::base::site::Sites;
use crate::base::time::Clock;
use crate::crypto::certificate::{Identity, chain_of};
use crate::outbound::Reach;
use crate::proxy::settings::Listen;

use super::raw::{At, Object};
use super::tree::Value;
use super::{secrets, values};

/// Orders more often than that are an attack on the authority, and it would take them for one.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_hours(24);

const OFTEN: Duration = Duration::from_mins(1);

/// What names and ways follow from.
pub struct Around<'a> {
    /// The sites, if they could be read.
    pub sites: Option<&'a Sites>,
    /// The listeners.
    pub listen: &'a Listen,
    /// The certificates in files: what they cover needs no other.
    pub files: &'a [Arc<Identity>],
}

impl Around<'_> {
    /// Whether certificates in files are for all https sites that there are.
    pub fn has_all(&self) -> bool {
        self.hosts().next().is_some() && !self.hosts().any(|host| self.is_left(host))
    }

    fn hosts(&self) -> impl Iterator<Item = &Host> {
        let sites = self.sites.into_iter().flat_map(Sites::iter);
        sites.filter(|site| site.https).map(|site| &site.host)
    }

    /// Whether a host has no certificate in a file. One that is over is none where the authority can be asked; where
    /// it cannot, what was enough until then must be no fault from then on.
    fn is_left(&self, host: &Host) -> bool {
        let now = Clock::System.now();
        let covers = |one: &&Arc<Identity>| host.spellings().any(|name| one.covers(name));
        let mut found = self.files.iter().filter(covers).peekable();
        let is_bare = found.peek().is_none();
        is_bare || can_be_looked_at(host) && found.all(|one| one.is_expired(now))
    }

    /// Whether one names it as it stands, and so is shown in place of what an authority issues.
    fn names(&self, name: &str) -> bool {
        let now = Clock::System.now();
        let names = |one: &Arc<Identity>| one.names().any(|own| own == name);
        let mut files = self.files.iter();
        files.any(|one| names(one) && !one.is_expired(now))
    }
}

/// Whom to ask for what.
pub fn acme(at: &At<'_>, around: &Around<'_>) -> Option<Settings> {
    if matches!(at.value(), Value::Text(_)) {
        return Some(Settings {
            email: email(at)?,
            directory: Url::parse(DIRECTORY).ok()?,
            roots: None,
            reach: Reach::Public,
            names: names(at, None, around)?,
            ways: ways(at, None, around.listen)?,
            pause: PAUSE,
        });
    }
    let object = at.object("acme")?;
    let private = object.get("private");
    let reach = private.and_then(|at| at.choice("value", &[("allow", Reach::Private)]));
    let reach = reach.unwrap_or(Reach::Public);
    let email = object.require("email").and_then(|at| email(&at));
    let directory = match object.get("directory") {
        Some(at) => directory(&at, reach),
        None => Url::parse(DIRECTORY).ok(),
    };
    let ca = object.get("ca");
    let roots = ca.as_ref().and_then(roots);
    let names = names(at, object.get("names").as_ref(), around);
    let ways = ways(at, object.get("challenge").as_ref(), around.listen);
    let pause = pause(&object);
    if ca.is_some() {
        // What was named and cannot be used is not the same as what was not named.
        roots.as_ref()?;
    }
    Some(Settings {
        email: email?,
        directory: directory?,
        roots,
        reach,
        names: names?,
        ways: ways?,
        pause,
    })
}

fn email(at: &At<'_>) -> Option<String> {
    at.parse::<Email>("an e-mail address")
        .map(|email| email.to_string())
}

fn directory(at: &At<'_>, reach: Reach) -> Option<Url> {
    let parsed = Url::parse(at.text()?).ok().filter(Url::has_host);
    let Some(url) = parsed.filter(|url| url.scheme() == "https") else {
        return at.refuse_with(
            "not the URL of a directory",
            "write it like https://ca.example.com/acme/directory",
        );
    };
    let literal: Option<IpAddr> = match url.host() {
        Some(url::Host::Ipv4(ip)) => Some(ip.into()),
        Some(url::Host::Ipv6(ip)) => Some(ip.into()),
        _ => None,
    };
    match literal {
        Some(ip) if !reach.covers(ip) => at.refuse_with(
            format!("{ip} is not a public address"),
            "if the authority is on your own network, say so with: private: allow",
        ),
        _ => Some(url),
    }
}

fn roots(at: &At<'_>) -> Option<Arc<[CertificateDer<'static>]>> {
    let (_, pem) = secrets::file(at)?;
    match chain_of(pem.expose()) {
        Ok(found) => Some(found.into()),
        Err(fault) => at.refuse(fault.to_string()),
    }
}

fn names(acme: &At<'_>, given: Option<&At<'_>>, around: &Around<'_>) -> Option<Vec<String>> {
    let Some(at) = given else {
        around.sites?;
        let hosts = around.hosts().filter(|host| around.is_left(host));
        let hosts: Vec<&Host> = hosts.collect();
        if around.has_all() {
            acme.warn_around(
                "there is nothing to get: certificates in files are for every site",
                "leave acme: out, or name what to get with names: [app.example.com]",
            );
            return None;
        }
        if hosts.is_empty() {
            let hint = "site: https://app.example.com, or names: [app.example.com]";
            return acme.refuse_around("there is no site to get a certificate for", Some(hint));
        }
        let found: Vec<_> = hosts.into_iter().map(|host| name(acme, host)).collect();
        return found.into_iter().collect();
    };
    let items = at.list()?;
    if items.is_empty() {
        return at.refuse("names nothing to get a certificate for");
    }
    let read = |item: &At<'_>| item.parse("a host name").and_then(|host| name(item, &host));
    let found: Vec<_> = items.iter().map(read).collect();
    let found: BTreeSet<String> = found.into_iter().collect::<Option<_>>()?;
    for hidden in found.iter().filter(|name| around.names(name)) {
        at.warn_around(
            format!(
                "a certificate in a file is for {hidden}, and is shown for as long as it is valid"
            ),
            "leave one of the two out",
        );
    }
    Some(found.into_iter().collect())
}

/// A name that an authority can look at from outside.
fn name(at: &At<'_>, host: &Host) -> Option<String> {
    if !can_be_looked_at(host) {
        return at.refuse_around(
            format!("no authority can look at {host}"),
            Some("certificates are got for public host names; others come from files"),
        );
    }
    Some(host.to_string())
}

fn can_be_looked_at(host: &Host) -> bool {
    let numeric = host.as_str().starts_with('[') || host.as_str().parse::<IpAddr>().is_ok();
    !host.is_loopback() && !numeric
}

/// In the order in which they are tried: the https port is open where there is a site at all.
fn ways(acme: &At<'_>, given: Option<&At<'_>>, listen: &Listen) -> Option<Vec<Kind>> {
    let words: [(&str, &[Kind]); 3] = [
        ("http-01", &[Kind::Http]),
        ("tls-alpn-01", &[Kind::Tls]),
        ("both", &[Kind::Tls, Kind::Http]),
    ];
    let chosen = match given {
        Some(at) => at.choice("challenge", &words)?,
        None => &[Kind::Tls, Kind::Http],
    };
    let open = |way: &Kind| match way {
        Kind::Http => listen.http.is_some(),
        Kind::Tls => listen.https.is_some(),
    };
    let ways: Vec<Kind> = chosen.iter().copied().filter(open).collect();
    let only = given.is_some() && ways.len() < chosen.len();
    if only || ways.is_empty() {
        let at = given.unwrap_or(acme);
        return at.refuse_around(
            "the authority would find no listener",
            Some("http-01 needs listen.http, on port 80 from outside; tls-alpn-01 needs listen.https, on 443"),
        );
    }
    Some(ways)
}

fn pause(object: &Object<'_>) -> Duration {
    let Some(at) = object.get("pause") else {
        return PAUSE;
    };
    let pause = values::duration(&at, SHORTEST_PAUSE..=LONGEST_PAUSE).unwrap_or(PAUSE);
    if pause < OFTEN {
        at.warn(
            "public authorities stop answering who asks this often",
            "leave it out, unless the authority is your own",
        );
    }
    pause
}
