//! `limits:`, `log:`, `diagnostics:` and `threads:`.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::HeaderValue;

use crate::proxy::settings::Limits;
use crate::telemetry::settings::Format;

use super::raw::{At, Object};
use super::values;

/// From a blink to ten minutes: a head that takes longer is an attack.
const HEAD_TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_mins(10);

/// A blink to an hour: whoever is waited for longer is not coming back.
const STALL: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_hours(1);

/// None at all, to an hour: what takes longer is no request.
const DRAIN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(1);

/// As many fields as Pingora reads of a head.
const FIELDS: u32 = 256;

/// As much as is forwarded, in bytes.
const TARGET: u64 = 63 << 10;

/// What one client may ask for.
pub fn limits(file: &Object<'_>) -> Limits {
    let default = Limits::DEFAULT;
    let Some(object) = file.section("limits", "limits") else {
        return default;
    };
    let number = |key, most, default| {
        let written = object.get(key).and_then(|at| at.integer(1..=most));
        written.unwrap_or(default)
    };
    let time = |key, bounds, default| {
        let written = object.get(key);
        let written = written.and_then(|at| values::duration(&at, bounds));
        written.unwrap_or(default)
    };
    let bytes = |key, most, default| {
        object
            .get(key)
            .and_then(|at| bounded_size(&at, 64..=most))
            .unwrap_or(default)
    };
    let limits = Limits {
        head: bytes("head", 1 << 20, default.head),
        fields: count(&object, "fields", FIELDS).unwrap_or(default.fields),
        hostless: false,
        target: bytes("target", TARGET, default.target),
        body: none_or(&object, "body", default.body),
        head_timeout: time("head_timeout", HEAD_TIMEOUT, default.head_timeout),
        connections_per_address: count(&object, "connections_per_address", 1_000_000)
            .unwrap_or(default.connections_per_address),
        requests_per_address: count(&object, "requests_per_address", 1_000_000)
            .unwrap_or(default.requests_per_address),
        connections: count(&object, "connections", 10_000_000),
        body_rate: none_or(&object, "body_rate", default.body_rate),
        stall: time("stall", STALL, default.stall),
        compressed: count(&object, "compressed", 1_000_000).unwrap_or(default.compressed),
        streams: number("streams", 10_000, default.streams),
        resets: number("resets", 1_000_000, default.resets),
        drain: time("drain", DRAIN, default.drain),
    };
    if limits.target > limits.head && object.get("target").is_some() {
        object.at().warn(
            "target is larger than head, which holds it",
            "raise head, or lower target",
        );
    }
    limits
}

fn count(object: &Object<'_>, key: &'static str, most: u32) -> Option<usize> {
    let written = object.get(key).and_then(|at| at.integer(1..=most));
    written.and_then(|count| usize::try_from(count).ok())
}

/// A size, or `none` for no limit.
fn none_or(object: &Object<'_>, key: &'static str, default: Option<u64>) -> Option<u64> {
    let written = object.get(key).and_then(|at| values::size_or_none(&at));
    match written {
        Some(u64::MAX) => None,
        written => written.or(default),
    }
}

/// The shape of log lines.
pub fn log(file: &Object<'_>) -> Format {
    let object = file.section("log", "log");
    let words = [("text", Format::Text), ("json", Format::Json)];
    object
        .and_then(|object| object.get("format")?.choice("format", &words))
        .unwrap_or_default()
}

/// What answers are to call the file they were judged by, if they are to say so.
pub fn snapshot_name(file: &Object<'_>) -> Option<HeaderValue> {
    let at = file
        .section("diagnostics", "diagnostics")?
        .get("snapshot")?;
    let text = at.text()?;
    let word = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if !(1..=64).contains(&text.len()) || !text.bytes().all(word) {
        return at.refuse("names of snapshots are 1 to 64 letters, digits, '_', '-' and '.'");
    }
    at.warn(
        "every answer tells which file it was judged by",
        "this is for tests; leave it out elsewhere",
    );
    HeaderValue::from_str(text).ok()
}

/// Worker threads: one for each core, unless the file says otherwise; and whether it says nothing.
pub fn threads(file: &Object<'_>) -> (usize, bool) {
    let written = file.get("threads").and_then(|at| at.integer(1..=256));
    let cores = || {
        std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(256)
    };
    let count = written.and_then(|count| usize::try_from(count).ok());
    (count.unwrap_or_else(cores), file.get("threads").is_none())
}

fn bounded_size(at: &At<'_>, bounds: RangeInclusive<u64>) -> Option<usize> {
    match values::size(at)? {
        bytes if bounds.contains(&bytes) => usize::try_from(bytes).ok(),
        _ => at.refuse(format!(
            "must be from {}B to {}KiB",
            bounds.start(),
            bounds.end() / 1024
        )),
    }
}
