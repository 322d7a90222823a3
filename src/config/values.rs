//! Values with a notation of their own: durations, sizes, networks, header names.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;

use crate::base::net::Networks;

use super::raw::At;
use super::reading::printable;
use super::tree::Value;

const DURATIONS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

const SIZES: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1000),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// A duration: `90s 15m 12h 14d`.
pub fn duration(at: &At<'_>, bounds: RangeInclusive<Duration>) -> Option<Duration> {
    let Some(millis) = quantity(at, &DURATIONS)? else {
        return at.refuse_with(
            "not a duration",
            "a whole number and a unit: 500ms, 90s, 15m, 12h, 14d",
        );
    };
    let span = Duration::from_millis(millis);
    if bounds.contains(&span) {
        return Some(span);
    }
    let [least, most] =
        [bounds.start(), bounds.end()].map(|&bound| humantime::format_duration(bound));
    at.refuse(format!("must be from {least} to {most}"))
}

/// A size: `512B 32KiB 10MiB 1GiB`.
pub fn size(at: &At<'_>) -> Option<u64> {
    match quantity(at, &SIZES)? {
        Some(bytes) => Some(bytes),
        None => at.refuse_with(
            "not a size",
            "a whole number and a unit: 512B, 32KiB, 10MiB, 1GiB",
        ),
    }
}

/// A size, or `none`: more than anybody will send.
pub fn size_or_none(at: &At<'_>) -> Option<u64> {
    if *at.value() == Value::Text("none".to_owned()) {
        Some(u64::MAX)
    } else {
        size(at)
    }
}

/// A number and its unit: the outer `None` is a fault that was written down, the inner one none yet.
#[expect(
    clippy::option_option,
    reason = "two ways not to have a value, told apart by the caller"
)]
fn quantity(at: &At<'_>, units: &[(&str, u64)]) -> Option<Option<u64>> {
    let text = match at.value() {
        // A number without its unit: what is missing is the unit, not the quotes.
        Value::Integer(_) => return Some(None),
        _ => at.text()?,
    };
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = units
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, factor)| *factor);
    Some(
        number
            .parse()
            .ok()
            .zip(factor)
            .and_then(|(number, factor): (u64, u64)| number.checked_mul(factor)),
    )
}

/// A list of networks, each in CIDR notation or a single address.
pub fn networks(at: &At<'_>) -> Option<Networks> {
    let found: Vec<_> = listed_networks(at)?.iter().map(network).collect();
    found.into_iter().collect()
}

/// The items of a list of networks. A word that is none is not to be put between brackets.
pub fn listed_networks<'a>(at: &At<'a>) -> Option<Vec<At<'a>>> {
    match at.value() {
        Value::Text(text) if !text.contains(',') && parse_network(text).is_none() => {
            at.refuse_with("not a list of networks", network_notation(text))
        }
        _ => at.list(),
    }
}

fn parse_network(text: &str) -> Option<IpNet> {
    let alone = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse::<IpNet>().ok().or_else(alone)
}

/// How networks are written, those that other programs have a word for included (RFC 1918, RFC 4193).
fn network_notation(text: &str) -> &'static str {
    match text {
        "private" => "write [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, \"fc00::/7\"]",
        "loopback" | "localhost" => "write [127.0.0.0/8, \"::1\"]",
        "all" | "any" | "*" => "write [0.0.0.0/0, \"::/0\"]",
        _ => "write it like [10.0.0.0/8, \"2001:db8::/32\", 192.0.2.7]",
    }
}

/// A network in CIDR notation, or a single address.
pub fn network(at: &At<'_>) -> Option<IpNet> {
    let text = at.text()?;
    let Some(net) = parse_network(text) else {
        return at.refuse_with(
            "not a network",
            "write it like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7",
        );
    };
    if net.trunc() != net {
        return at.refuse_with(
            "has bits set behind its prefix",
            format!("did you mean {}?", net.trunc()),
        );
    }
    match net.addr() {
        // Addresses are compared after they were taken out of such clothes, so this could never match.
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => at.refuse_with(
            "is an IPv4 network in IPv6 notation",
            "write it as an IPv4 network",
        ),
        _ => Some(net),
    }
}

/// The name of a header that the gateway may set on its own.
pub fn header(at: &At<'_>, text: &str) -> Option<HeaderName> {
    let Ok(name) = text.parse::<HeaderName>() else {
        return at.refuse_around(format!("not a header name: '{}'", printable(text)), None);
    };
    let folded = crate::policy::header::fold(text);
    let taken = TAKEN.contains(&&*folded)
        || TAKEN_FAMILIES
            .iter()
            .any(|family| folded.starts_with(family));
    let taken = taken && !OF_USERS.contains(&&*folded);
    if taken {
        return at.refuse_around(
            format!("the header {name} has a meaning of its own"),
            Some("choose a name like X-Auth-User"),
        );
    }
    Some(name)
}

/// What of a taken family tells who the user is: as oauth2-proxy says it, and services expect it that stood behind that.
const OF_USERS: [&str; 4] = [
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
];

/// Families of names that mean something to clients, services or proxies on the way.
const TAKEN_FAMILIES: [&str; 9] = [
    "content-",
    "accept",
    "if-",
    "sec-",
    "proxy-",
    "x-forwarded-",
    "access-control-",
    "x-original-",
    "x-portcullis-",
];

/// Single names of that kind (RFC 9110, RFC 9112, RFC 6265), and those the gateway sets itself.
const TAKEN: [&str; 41] = [
    "host",
    "cookie",
    "set-cookie",
    "authorization",
    "www-authenticate",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "date",
    "server",
    "via",
    "forwarded",
    "x-forwarded",
    "origin",
    "referer",
    "user-agent",
    "range",
    "from",
    "max-forwards",
    "cache-control",
    "pragma",
    "location",
    "proxy",
    "x-request-id",
    "x-real-ip",
    "http2-settings",
    // What a user is called must not say where a request goes, how, or which file is sent.
    "script-name",
    "path-info",
    "x-script-name",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-sendfile-type",
    "x-accel-mapping",
    "client-cert",
    "client-cert-chain",
];
