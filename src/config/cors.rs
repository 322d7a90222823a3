//! `cors:` of a rule: which other sites' pages may use it.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::header::{self, HeaderName, HeaderValue};
use url::Url;

use crate::policy::cors::{Cors, Origins};

use super::raw::{At, Object};
use super::tree::Value;
use super::values;

/// What browsers remember at most; some remember less.
const MAX_AGE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(24);

/// What a browser may send beside what it may always send.
const HEADERS: [HeaderName; 1] = [header::CONTENT_TYPE];

const NOTATION: &str = "write it like https://app.example.com, without a path";

/// The rule's word on pages of other origins; `tokens` says that it takes tokens, which pages send in a header.
pub fn cors(object: &Object<'_>, tokens: bool) -> Option<Cors> {
    let credentials = object.get("credentials").and_then(|at| at.boolean());
    let credentials = credentials.unwrap_or(false);
    let allowed = object
        .require("origins")
        .and_then(|at| origins(&at, credentials));
    let headers = match object.get("headers") {
        Some(at) => names(&at),
        None => {
            let token = tokens.then_some(header::AUTHORIZATION);
            Some(HEADERS.into_iter().chain(token).collect())
        }
    };
    let expose = match object.get("expose") {
        Some(at) => names(&at),
        None => Some(Vec::new()),
    };
    if credentials && headers.is_some() && expose.is_some() {
        for at in ["headers", "expose"]
            .into_iter()
            .filter_map(|key| object.get(key))
        {
            refuse_every(&at);
        }
    }
    let max_age = object
        .get("max_age")
        .and_then(|at| values::duration(&at, MAX_AGE));
    Some(Cors::new(
        allowed?,
        (&headers?, &expose?),
        credentials,
        max_age,
    ))
}

fn origins(at: &At<'_>, credentials: bool) -> Option<Origins> {
    let items = at.list_or_one()?;
    if let [only] = items.as_slice()
        && only.text()? == "*"
    {
        if credentials {
            // Fetch forbids it, and to echo every origin instead would be worse.
            return at.refuse_with("every origin, with credentials", "name the origins");
        }
        return Some(Origins::Any);
    }
    if items.is_empty() {
        return at.refuse_with("an empty list allows nobody", "leave cors: out");
    }
    let all: Vec<_> = items.iter().map(origin).collect();
    all.into_iter().collect::<Option<_>>().map(Origins::These)
}

/// An origin as browsers write it (RFC 6454 section 6.2). `null` is everybody's, so nobody's.
fn origin(at: &At<'_>) -> Option<HeaderValue> {
    let text = at.text()?;
    if text.contains('*') {
        return at.refuse_with(
            "not an origin",
            "name each origin, or write origins: '*' for all of them",
        );
    }
    let url = Url::parse(text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let written = url.map(|url| url.origin().ascii_serialization());
    match written {
        Some(origin) if origin == text => HeaderValue::from_str(text).ok(),
        Some(origin) => at.refuse_with("not an origin", format!("write {origin}")),
        None => at.refuse_with("not an origin", NOTATION),
    }
}

/// With credentials, browsers take `*` for a header of that name (Fetch standard, CORS protocol and credentials).
fn refuse_every(at: &At<'_>) {
    let all = at.list().unwrap_or_default();
    for every in all
        .iter()
        .filter(|at| matches!(at.value(), Value::Text(text) if text == "*"))
    {
        every.refuse_with::<()>("every header, with credentials", "name the headers");
    }
}

fn names(at: &At<'_>) -> Option<Vec<HeaderName>> {
    let name = |at: &At<'_>| match HeaderName::from_bytes(at.text()?.as_bytes()) {
        Ok(name) => Some(name),
        Err(_) => at.refuse("not a header name"),
    };
    let names: Vec<_> = at.list()?.iter().map(name).collect();
    names.into_iter().collect()
}
