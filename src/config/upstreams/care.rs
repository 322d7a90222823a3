//! `health:`, `eject:`, `retry:` and `maintenance:`: how an upstream is seen to, and what happens in trouble.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::HeaderValue;

use crate::base::net::Host;
use crate::config::raw::{At, Object};
use crate::config::secrets;
use crate::config::tree::Value;
use crate::config::values::duration;
use crate::proxy::settings::{Eject, HealthCheck, Maintenance, Retry};

/// Often enough for anybody, and seldom enough for a service.
const SPAN: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_hours(1);

const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(2);

/// Of a hundred requests, how many are sent again where the file says nothing.
const PERCENT: u32 = 20;

/// How servers are checked: a path, or everything about it.
pub fn health(upstream: &Object<'_>) -> Option<HealthCheck> {
    let at = upstream.get("health")?;
    if let Value::Text(_) = at.value() {
        return Some(check(path(&at)?, None));
    }
    let object = at.object("health")?;
    let path = object.require("path").and_then(|at| path(&at));
    Some(check(path?, Some(&object)))
}

fn check(path: Box<str>, object: Option<&Object<'_>>) -> HealthCheck {
    let span = |key, default| {
        let written = object.and_then(|object| object.get(key));
        written
            .and_then(|at| duration(&at, SPAN))
            .unwrap_or(default)
    };
    let count = |key, default| {
        let written = object.and_then(|object| object.get(key));
        written
            .and_then(|at| at.integer(1..=100))
            .unwrap_or(default)
    };
    HealthCheck {
        path,
        host: object.and_then(|object| host(&object.get("host")?)),
        interval: span("interval", INTERVAL),
        timeout: span("timeout", TIMEOUT),
        down_after: count("down_after", 3),
        up_after: count("up_after", 2),
    }
}

fn path(at: &At<'_>) -> Option<Box<str>> {
    let text = at.text()?;
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    if text.starts_with('/') && text.bytes().all(plain) {
        Some(text.into())
    } else {
        at.refuse_with("not a path to ask for", "health: /healthz")
    }
}

fn host(at: &At<'_>) -> Option<HeaderValue> {
    let text = at.text()?;
    let value = HeaderValue::from_str(text).ok();
    match value.filter(|_| Host::parse_authority(text).is_ok()) {
        Some(value) => Some(value),
        None => at.refuse_with("not a host", "write it like app.example.com"),
    }
}

/// When a server is left alone, unless never.
pub fn eject(upstream: &Object<'_>) -> Option<Eject> {
    let Some(at) = upstream.get("eject") else {
        return Some(Eject::DEFAULT);
    };
    match at.value() {
        Value::Object(_) => {
            let object = at.object("eject")?;
            let after = object.get("after").and_then(|at| at.integer(1..=1000));
            let span = object.get("for").and_then(|at| duration(&at, SPAN));
            Some(Eject {
                after: after.unwrap_or(Eject::DEFAULT.after),
                span: span.unwrap_or(Eject::DEFAULT.span),
            })
        }
        _ => at.choice("value", &[("never", ())]).and(None),
    }
}

/// How often a request is sent again: a number, or that and a share of all requests.
pub fn retry(upstream: &Object<'_>) -> Option<Retry> {
    let at = upstream.get("retry")?;
    let (times, percent) = match at.value() {
        Value::Object(_) => {
            let object = at.object("retry")?;
            let times = object.require("times").and_then(|at| at.integer(1..=10));
            let percent = object.get("budget").map(|at| percent(&at));
            (times?, percent.unwrap_or(Some(PERCENT))?)
        }
        _ => (at.integer(0..=10)?, PERCENT),
    };
    (times > 0).then_some(Retry { times, percent })
}

fn percent(at: &At<'_>) -> Option<u32> {
    let number = match at.value() {
        // What is missing is the sign, not the quotes.
        Value::Integer(_) => None,
        _ => at.text()?.strip_suffix('%'),
    };
    match number.and_then(|number| number.parse().ok()) {
        Some(percent @ 1..=100) => Some(percent),
        _ => at.refuse_with(
            "not a share of all requests",
            "write it like 20%, from 1% to 100%",
        ),
    }
}

/// The page that is shown while no server is healthy, or none takes a connection.
pub fn maintenance(upstream: &Object<'_>) -> Option<Maintenance> {
    let at = upstream.get("maintenance")?;
    let (_, bytes) = secrets::file(&at)?;
    match std::str::from_utf8(bytes.expose()) {
        Ok(text) => Some(text.to_owned().into()),
        Err(_) => at.refuse("is not text"),
    }
}
