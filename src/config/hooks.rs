//! Who is told what happens here: `hooks:`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use url::{Host, Url};

use crate::identity::hooks::{Hook, HookSecret, Topic};
use crate::outbound::Reach;

use super::raw::{At, Entry, Object};
use super::secrets;

const MAKE_ONE: &str = "make one with: echo \"whsec_$(openssl rand -base64 32)\"";

const NAME_IT: &str = "if the receiver is on your own network, say so with: private: allow";

/// Every hook that is sound.
pub fn hooks(file: &Object<'_>) -> Vec<Hook> {
    let entries = file.get("hooks").and_then(|at| at.entries());
    entries
        .unwrap_or_default()
        .iter()
        .filter_map(hook)
        .collect()
}

fn hook(entry: &Entry<'_>) -> Option<Hook> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if !(1..=64).contains(&entry.name.len()) || !entry.name.bytes().all(word) {
        entry
            .at
            .refuse::<()>("names of hooks are 1 to 64 letters, digits, '_', '-' and '.'");
    }
    let object = entry.at.object("hook")?;
    let private = object.get("private");
    let private = private.and_then(|at| at.choice("value", &[("allow", Reach::Private)]));
    let reach = private.unwrap_or(Reach::Public);
    let url = object.require("url").and_then(|at| url(&at, reach));
    let secret = object.require("secret").and_then(|at| secret(&at));
    let topics = match object.get("events") {
        None => Some(Topic::offered().collect()),
        Some(at) => topics(&at),
    };
    Some(Hook {
        name: entry.name.to_owned(),
        url: url?,
        secret: secret?,
        topics: topics?,
        reach,
    })
}

/// A URL may be a secret itself, so it is not shown.
fn url(at: &At<'_>, reach: Reach) -> Option<Url> {
    let parsed = Url::parse(at.text()?).ok().filter(Url::has_host);
    let Some(url) = parsed.filter(|url| matches!(url.scheme(), "http" | "https")) else {
        return at.refuse_around(
            "not a URL",
            Some("write it like https://crm.example.com/hook"),
        );
    };
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return at.refuse_around(
            "has a username, password or fragment",
            Some("receivers know us by the signature"),
        );
    }
    if url.scheme() == "http" && reach == Reach::Public {
        return at.refuse_around(
            "plain http would tell everybody on the way",
            Some(&format!("write https://; {NAME_IT}")),
        );
    }
    match literal(&url) {
        Some(ip) if !reach.covers(ip) && Reach::Private.covers(ip) => {
            at.refuse_around(format!("{ip} is a private address"), Some(NAME_IT))
        }
        Some(ip) if !reach.covers(ip) => {
            at.refuse_around(format!("{ip} is not an address to tell anything"), None)
        }
        _ => Some(url),
    }
}

fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(v4) => Some(IpAddr::V4(v4)),
        Host::Ipv6(v6) => Some(IpAddr::V6(v6)),
        Host::Domain(_) => None,
    }
}

fn secret(at: &At<'_>) -> Option<HookSecret> {
    match secrets::text(at)?.expose().parse::<HookSecret>() {
        Ok(secret) => Some(secret),
        Err(error) => at.refuse_around(error.to_string(), Some(MAKE_ONE)),
    }
}

fn topics(at: &At<'_>) -> Option<BTreeSet<Topic>> {
    let items = at.list()?;
    if items.is_empty() {
        return at.refuse_with(
            "asks for nothing",
            "leave events out to be told everything, or leave the hook out",
        );
    }
    let found: Vec<_> = items.iter().map(topic).collect();
    found.into_iter().collect()
}

fn topic(at: &At<'_>) -> Option<Topic> {
    let text = at.text()?;
    match text.parse() {
        Ok(topic) => Some(topic),
        Err(()) => at.unknown("event", text, Topic::offered().map(Topic::as_str)),
    }
}
