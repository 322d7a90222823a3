//! `identity:`: what a service is told about who asks, and by which headers.

use std::collections::HashMap;

use http::HeaderName;

use crate::gate::settings::{Attribute, IdentityHeaders};
use crate::policy::header::fold;

use super::raw::{At, Entry, Object};
use super::tree::Value;
use super::values;

/// The headers that carry an identity.
pub fn headers(file: &Object<'_>) -> IdentityHeaders {
    let mut settings = IdentityHeaders::default();
    let Some(object) = file.section("identity", "identity") else {
        return settings;
    };
    let mut taken = HashMap::new();
    if let Some(entries) = object.get("headers").and_then(|at| at.entries()) {
        settings.headers = entries
            .iter()
            .filter_map(|entry| header(entry, &mut taken))
            .collect();
    } else {
        for (name, _) in &settings.headers {
            claim(object.at(), name.as_str(), &mut taken);
        }
    }
    if let Some(at) = object.get("assertion") {
        settings.assertion = assertion(&at);
    }
    if let Some(name) = &settings.assertion {
        let at = object
            .get("assertion")
            .unwrap_or_else(|| object.at().clone());
        claim(&at, name.as_str(), &mut taken);
    }
    settings
}

fn header(
    entry: &Entry<'_>,
    taken: &mut HashMap<String, String>,
) -> Option<(HeaderName, Attribute)> {
    let name = values::header(&entry.at, entry.name);
    let attribute = attribute(&entry.at);
    claim(&entry.at, entry.name, taken)?;
    if name.is_some() {
        warn_of_lost(&entry.at, entry.name);
    }
    Some((name?, attribute?))
}

/// Servers drop such names unseen (nginx and Werkzeug do), because to a CGI program `_` and `-` are one.
fn warn_of_lost(at: &At<'_>, name: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !name.chars().all(plain) {
        let right: String = name
            .chars()
            .map(|c| if plain(c) { c } else { '-' })
            .collect();
        at.warn_around(
            format!("many services never see a header called {name}"),
            format!("{right} reaches all of them"),
        );
    }
}

/// Services fold names, so two that fold to one would be one to them.
fn claim(at: &At<'_>, name: &str, taken: &mut HashMap<String, String>) -> Option<()> {
    match taken.insert(fold(name).into_owned(), name.to_owned()) {
        None => Some(()),
        Some(other) => at.refuse_around(
            format!("{name} and {other} are one header to a service"),
            None,
        ),
    }
}

fn attribute(at: &At<'_>) -> Option<Attribute> {
    let text = at.text()?;
    let later = ["user.attributes.", "claims.", "claim."]
        .iter()
        .any(|family| text.starts_with(family));
    if later {
        at.not_yet(text)
    } else {
        at.choice("attribute", &Attribute::ALL)
    }
}

fn assertion(at: &At<'_>) -> Option<HeaderName> {
    match at.value() {
        Value::Bool(false) => None,
        Value::Bool(true) => at.refuse_with(
            "expected the name of a header, or false",
            "assertion: X-Auth-Assertion",
        ),
        _ => {
            let text = at.text()?;
            let name = values::header(at, text);
            if name.is_some() {
                warn_of_lost(at, text);
            }
            name
        }
    }
}
