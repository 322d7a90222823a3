//! `headers:` of an upstream: what is set or removed on the way to it and back, and of a rule: what is set or removed in
//! its answers. And what nobody may set so.

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::config::raw::{At, Entry, Object};
use crate::config::reading::printable;
use crate::config::secrets;
use crate::config::tree::Value;
use crate::gate::settings::IdentityHeaders;
use crate::policy::cors;
use crate::policy::header::{Reserved, Said, fold};
use crate::policy::rule::Rule;
use crate::proxy::caches;
use crate::proxy::settings::Headers;

/// What holds for one connection or frames a message (RFC 9110 section 7.6.1, RFC 9112 section 6).
const FOR_ONE_HOP: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The other direction's names, and those that the gateway answers for.
const NOT_IN_REQUESTS: [&str; 2] = ["host", "cookie"];
const NOT_IN_ANSWERS: [&str; 3] = ["set-cookie", "content-encoding", "date"];

/// What the gateway says in answers of its own accord.
const OF_ANSWERS: [&str; 3] = ["x-auth-", "x-portcullis-", "x-request-id"];

/// What TLS ends with is said by who ends it.
const OF_TLS: [(&str, &str); 2] = [
    ("strict-transport-security", "hsts: 365d, beside site"),
    ("alt-svc", "the gateway's ports are all there is"),
];

/// Headers on the way to an upstream and back.
pub fn headers(upstream: &Object<'_>, identity: &IdentityHeaders) -> Headers {
    let Some(object) = upstream.section("headers", "headers") else {
        return Headers::default();
    };
    let reserved = reserved(identity);
    Headers {
        request: all(&object, "request", &reserved, &NOT_IN_REQUESTS),
        response: all(&object, "response", &reserved, &NOT_IN_ANSWERS),
    }
}

/// Headers of the answers under one rule.
pub fn of_rule(rule: &Object<'_>, identity: &IdentityHeaders) -> Option<Arc<[Said]>> {
    let object = rule.section("headers", "rule_headers")?;
    if rule.get("cors").is_some() {
        let entries = object.get("response").and_then(|at| at.entries());
        refuse_other_cors(&entries.unwrap_or_default());
    }
    let said = all(&object, "response", &reserved(identity), &NOT_IN_ANSWERS);
    (!said.is_empty()).then(|| said.into())
}

/// What a rule has its answers say of caches, where it does not let everybody in.
pub fn look_at_shared(at: &At<'_>, rule: &Rule) {
    if !rule.lets_everybody_in() {
        let entries = response(at).and_then(|at| at.entries());
        warn_of_shared(&entries.unwrap_or_default());
    }
}

/// Headers of an upstream's answers, which each rule that leads to it has its own say in: `cors` and `headers` of a rule
/// are the later word.
pub fn under_rules(upstream: &At<'_>, rules: &[&Rule]) {
    let entries = response(upstream)
        .and_then(|at| at.entries())
        .unwrap_or_default();
    for entry in entries
        .iter()
        .filter(|entry| *entry.at.value() != Value::Bool(false))
    {
        let silent = |rule: &&&Rule| !says(rule, entry.name);
        if is_of_cors(entry) {
            tell_of_cors(entry, rules);
        } else if rules
            .iter()
            .filter(silent)
            .any(|rule| !rule.lets_everybody_in())
        {
            warn_of_shared(std::slice::from_ref(entry));
        }
    }
}

/// What an upstream, or a rule, has answers say, as it was written.
pub(super) fn response<'a>(at: &At<'a>) -> Option<At<'a>> {
    below(&below(at, "headers")?, "response")
}

fn below<'a>(at: &At<'a>, key: &str) -> Option<At<'a>> {
    let Value::Object(_) = at.value() else {
        return None;
    };
    let found = at.entries()?.into_iter().find(|entry| entry.name == key);
    found.map(|entry| entry.at)
}

fn says(rule: &Rule, name: &str) -> bool {
    let mut said = rule.headers.iter().flat_map(|said| said.iter());
    said.any(|(other, _)| fold(other.as_str()) == fold(name))
}

/// Under none of its rules is it heard, or not under all.
fn tell_of_cors(entry: &Entry<'_>, rules: &[&Rule]) {
    let Some(rule) = rules.iter().find(|rule| rule.cors.is_some()) else {
        return;
    };
    let name = printable(entry.name);
    let message = format!("{name} is said by cors in {rule}");
    let hint = "say it in the headers of the rules without cors";
    if rules.iter().all(|rule| rule.cors.is_some()) {
        entry.at.refuse_around::<()>(message, Some("leave it out"));
    } else {
        entry.at.warn_around(message, hint);
    }
}

fn is_of_cors(entry: &Entry<'_>) -> bool {
    cors::owns(&fold(entry.name))
}

/// What `cors` says of other origins takes the place of all else that is said of them.
fn refuse_other_cors(entries: &[Entry<'_>]) {
    for entry in entries.iter().filter(|entry| is_of_cors(entry)) {
        let message = format!("{} is said by cors in this rule", printable(entry.name));
        entry
            .at
            .refuse_around::<()>(message, Some("cors: { origins: [..] }"));
    }
}

/// Whatever stands between us and the users would give the answer for one of them to the next.
fn warn_of_shared(entries: &[Entry<'_>]) {
    for entry in entries {
        let (Value::Text(said), Some((kept, hint))) = (entry.at.value(), keeping(entry.name))
        else {
            continue;
        };
        let mut words = said.split([',', '=']).map(str::trim);
        let is_kept = |word: &str| kept.iter().any(|one| word.eq_ignore_ascii_case(one));
        if !words.any(is_kept) {
            entry
                .at
                .warn("lets caches give the answer for one user to another", hint);
        }
    }
}

/// The words that keep caches which heed this header from sharing an answer, and how to say so.
fn keeping(name: &str) -> Option<(&'static [&'static str], &'static str)> {
    match &*fold(name) {
        "x-accel-expires" => Some((&["0"], "write '0'")),
        // Of those that heed them not all know of private.
        "surrogate-control" | "edge-control" => Some((&["no-store"], "add no-store")),
        folded if folded == "cache-control" || caches::is_heeded_first(folded) => {
            Some((&["private", "no-store"], "add private, or no-store"))
        }
        _ => None,
    }
}

/// The names that the gateway speaks for.
fn reserved(identity: &IdentityHeaders) -> Reserved {
    let own = identity.headers.iter().map(|(name, _)| name);
    let own = own.chain(&identity.assertion).map(HeaderName::as_str);
    Reserved::of_gateway(own)
}

fn all(object: &Object<'_>, key: &'static str, reserved: &Reserved, refused: &[&str]) -> Vec<Said> {
    let entries = object.get(key).and_then(|at| at.entries());
    let mut taken = HashMap::new();
    let one = |entry: &Entry<'_>| header(entry, reserved, refused, &mut taken);
    entries.unwrap_or_default().iter().filter_map(one).collect()
}

fn header(
    entry: &Entry<'_>,
    reserved: &Reserved,
    refused: &[&str],
    taken: &mut HashMap<String, String>,
) -> Option<Said> {
    let at = &entry.at;
    let Ok(name) = entry.name.parse::<HeaderName>() else {
        return at.refuse_around(
            format!("not a header name: '{}'", printable(entry.name)),
            None,
        );
    };
    let folded = fold(entry.name);
    let answers = refused == NOT_IN_ANSWERS;
    let of_proxies = !answers && folded.starts_with("proxy-");
    if of_proxies || FOR_ONE_HOP.contains(&&*folded) {
        return at.refuse_around(format!("{name} holds for one connection only"), None);
    }
    // A service may be kept from saying anything but what is ours to say in its place.
    let kept_back = answers && *at.value() == Value::Bool(false);
    let ours = if kept_back {
        OF_ANSWERS.iter().any(|start| folded.starts_with(start))
    } else {
        reserved.contains(name.as_str())
    };
    if ours {
        let hint = "choose a name of letters, digits and '-' that the gateway does not speak for";
        return at.refuse_around(format!("{name} is the gateway's to set"), Some(hint));
    }
    if let Some((_, hint)) = OF_TLS.iter().find(|(other, _)| answers && *other == folded) {
        return at.refuse_around(format!("{name} is the gateway's to set"), Some(hint));
    }
    if refused.contains(&&*folded) && !(kept_back && folded == "set-cookie") {
        return at.refuse_around(format!("{name} cannot be set here"), None);
    }
    if let Some(other) = taken.insert(folded.into_owned(), entry.name.to_owned()) {
        return at.refuse_around(
            format!("{name} and {other} are one header to a service"),
            None,
        );
    }
    Some((name, value(at)?))
}

/// Text, a reference to a secret, or `false` for no such header. What was written is repeated in no fault: it may be the
/// secret itself.
#[expect(
    clippy::option_option,
    reason = "nothing was meant, or nothing was read"
)]
fn value(at: &At<'_>) -> Option<Option<HeaderValue>> {
    if *at.value() == Value::Bool(false) {
        return Some(None);
    }
    let Value::Text(text) = at.value() else {
        return at.refuse_around("is not text", Some("put it in quotes"));
    };
    let secret = text.starts_with("env:") || text.starts_with("file:");
    let value = if secret {
        HeaderValue::from_str(secrets::text(at)?.expose())
    } else {
        HeaderValue::from_str(text)
    };
    match value {
        // Blanks at the ends mean nothing in HTTP/1, and make an answer malformed in HTTP/2 (RFC 9113 section 8.2.1).
        Ok(value) if value.as_bytes().trim_ascii() != value.as_bytes() => {
            at.refuse_around("begins or ends with a blank", None)
        }
        Ok(mut value) if !value.is_empty() => {
            value.set_sensitive(secret);
            Some(Some(value))
        }
        _ if secret => at.refuse_around("not the value of a header", None),
        _ => at.refuse_around(
            "not the value of a header",
            Some("write false for no such header"),
        ),
    }
}
