//! `upstreams:`: where requests go once they may.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::gate::settings::IdentityHeaders;
use crate::proxy::settings::{
    Balance, Destination, HostSent, Listen, Timeouts, Upstream, Upstreams,
};

use super::raw::{Entry, Object};
use super::tree::Value;
use super::values::duration;

mod care;
mod headers;
mod paths;
mod servers;
mod trust;

pub use headers::{look_at_shared, of_rule as headers_of_rule, under_rules as headers_under_rules};
pub use paths::refuse_unfit;

/// How long an upstream may take where the file says nothing.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// What lies on the way forgets idle connections without a word, after a few minutes at the earliest.
const DEFAULT_KEEP_ALIVE: Duration = Duration::from_mins(1);

const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(24);

/// Name servers are not asked more often than this.
const RESOLVE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(24);

const DEFAULT_RESOLVE: Duration = Duration::from_secs(30);

const BALANCES: [(&str, Balance); 4] = [
    ("round_robin", Balance::RoundRobin),
    ("least_connections", Balance::LeastConnections),
    ("by_user", Balance::ByUser),
    ("by_address", Balance::ByAddress),
];

/// What is said of servers.
const OF_SERVERS: [&str; 9] = [
    "health",
    "retry",
    "timeout",
    "balance",
    "eject",
    "keep_alive",
    "resolve",
    "host",
    "maintenance",
];

const HOSTS: [(&str, HostSent); 2] = [("keep", HostSent::Keep), ("upstream", HostSent::Upstream)];

/// Every upstream that is sound, and the names of all, sound or not.
/// `identity` names the headers that nobody else may set.
pub fn upstreams(
    file: &Object<'_>,
    identity: &IdentityHeaders,
    listen: &Listen,
) -> (Upstreams, Vec<String>) {
    let entries = file
        .get("upstreams")
        .and_then(|at| at.entries())
        .unwrap_or_default();
    let names = entries.iter().map(|entry| entry.name.to_owned()).collect();
    let sound = entries
        .iter()
        .filter_map(|entry| upstream(entry, identity, listen))
        .map(|upstream| (Arc::clone(&upstream.name), upstream));
    (sound.collect(), names)
}

fn upstream(entry: &Entry<'_>, identity: &IdentityHeaders, listen: &Listen) -> Option<Upstream> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if !(1..=64).contains(&entry.name.len()) || !entry.name.bytes().all(word) {
        entry
            .at
            .refuse::<()>("names of upstreams are 1 to 64 letters, digits, '_', '-' and '.'");
    }
    let object = entry.at.object("upstream")?;
    let to = object
        .require("to")
        .and_then(|at| servers::destination(&at, listen));
    if let Some(Destination::Echo) = &to {
        warn_of_idle_keys(&object);
    }
    let span = |key, bounds| object.get(key).and_then(|at| duration(&at, bounds));
    Some(Upstream {
        name: entry.name.into(),
        balance: object
            .get("balance")
            .and_then(|at| at.choice("way to balance", &BALANCES))
            .unwrap_or_default(),
        timeouts: timeouts(&object),
        keep_alive: keep_alive(&object).unwrap_or(DEFAULT_KEEP_ALIVE),
        resolve: span("resolve", RESOLVE).unwrap_or(DEFAULT_RESOLVE),
        host: object
            .get("host")
            .and_then(|at| at.choice("host", &HOSTS))
            .unwrap_or_default(),
        health: care::health(&object),
        eject: care::eject(&object),
        retry: care::retry(&object),
        trust: trust::trust(&object, to.as_ref()),
        rewrite: paths::rewrite(&object),
        headers: headers::headers(&object, identity),
        maintenance: care::maintenance(&object),
        paths: paths::readings(&object),
        to: to?,
    })
}

/// For how long, unless never.
fn keep_alive(upstream: &Object<'_>) -> Option<Duration> {
    let at = upstream.get("keep_alive")?;
    match at.value() {
        Value::Text(word) if word == "never" => Some(Duration::ZERO),
        _ => duration(&at, TIMEOUT),
    }
}

/// The built-in page is no server that one could connect to, wait for or leave alone. What services are sent it shows.
fn warn_of_idle_keys(upstream: &Object<'_>) {
    let mut idle: Vec<&str> = upstream
        .keys()
        .filter(|key| OF_SERVERS.contains(key))
        .collect();
    idle.extend(headers::response(upstream.at()).map(|_| "headers.response"));
    if !idle.is_empty() {
        upstream.at().warn_around(
            format!("builtin:echo has no use for {}", idle.join(", ")),
            "leave them out until a service takes its place",
        );
    }
}

/// One span for every step, or one for each.
fn timeouts(upstream: &Object<'_>) -> Timeouts {
    let default = Timeouts::each(DEFAULT_TIMEOUT);
    match upstream.get("timeout") {
        None => default,
        Some(at) if matches!(at.value(), Value::Object(_)) => at
            .object("timeouts")
            .map_or(default, |object| each_timeout(&object)),
        Some(at) => duration(&at, TIMEOUT).map_or(default, Timeouts::each),
    }
}

fn each_timeout(object: &Object<'_>) -> Timeouts {
    let span = |key| object.get(key).and_then(|at| duration(&at, TIMEOUT));
    Timeouts {
        connect: span("connect").unwrap_or(DEFAULT_TIMEOUT),
        read: span("read").unwrap_or(DEFAULT_TIMEOUT),
        write: span("write").unwrap_or(DEFAULT_TIMEOUT),
        total: span("total"),
    }
}

#[cfg(test)]
mod joined_tests;
#[cfg(test)]
mod tests;
