//! `upstreams:`: where requests go once they may.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::base::net::Host;
use crate::proxy::settings::{Destination, Readings, Scheme, Server, Upstream, Upstreams};

use super::raw::{At, Entry, Object};

/// The page that shows what a service receives.
const ECHO: &str = "builtin:echo";

/// How long an upstream may take where the file says nothing.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(24);

const NOTATION: &str =
    "write it like http://web:8080, https://web.internal, h2c://api:9000 or builtin:echo";

/// Every upstream that is sound, and the names of all, sound or not.
pub fn upstreams(file: &Object<'_>) -> (Upstreams, Vec<String>) {
    let entries = file
        .get("upstreams")
        .and_then(|at| at.entries())
        .unwrap_or_default();
    let names = entries.iter().map(|entry| entry.name.to_owned()).collect();
    let sound = entries
        .iter()
        .filter_map(upstream)
        .map(|upstream| (Arc::clone(&upstream.name), upstream));
    (sound.collect(), names)
}

fn upstream(entry: &Entry<'_>) -> Option<Upstream> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if !(1..=64).contains(&entry.name.len()) || !entry.name.bytes().all(word) {
        entry
            .at
            .refuse::<()>("names of upstreams are 1 to 64 letters, digits, '_', '-' and '.'");
    }
    let object = entry.at.object("upstream")?;
    let to = object.require("to").and_then(|at| destination(&at));
    let timeout = object
        .get("timeout")
        .and_then(|at| super::values::duration(&at, TIMEOUT));
    let paths = object
        .section("paths", "readings")
        .map(|paths| readings(&paths));
    Some(Upstream {
        name: entry.name.into(),
        to: to?,
        timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
        paths: paths.unwrap_or_default(),
    })
}

fn destination(at: &At<'_>) -> Option<Destination> {
    let items = at.list_or_one()?;
    if let [only] = items.as_slice()
        && only.text()? == ECHO
    {
        return Some(Destination::Echo);
    }
    if items.is_empty() {
        return at.refuse_with("an upstream needs a server", NOTATION);
    }
    let servers: Vec<_> = items.iter().map(server).collect();
    servers
        .into_iter()
        .collect::<Option<_>>()
        .map(Destination::Servers)
}

fn server(at: &At<'_>) -> Option<Server> {
    let text = at.text()?;
    if text == ECHO {
        return at.refuse("builtin:echo stands alone, not in a list");
    }
    let (scheme, rest) = match text.split_once("://") {
        Some(("http", rest)) => (Scheme::Http, rest),
        Some(("https", rest)) => (Scheme::Https, rest),
        Some(("h2c", rest)) => (Scheme::H2c, rest),
        _ => return at.refuse_with("not an upstream", NOTATION),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return at.refuse_with(
            "has a path",
            "name the server alone; paths are forwarded as they are",
        );
    }
    if authority.contains('@') {
        return at.refuse_with(
            "has a username or password",
            "services are told who asks by the identity headers",
        );
    }
    let Ok((_, port)) = Host::parse_authority(authority) else {
        return at.refuse_with("not a host", NOTATION);
    };
    let host = port
        .and_then(|_| authority.rsplit_once(':'))
        .map_or(authority, |(host, _)| host);
    let port = port.unwrap_or(if scheme == Scheme::Https { 443 } else { 80 });
    Some(Server {
        host: host.to_owned(),
        port,
        scheme,
    })
}

fn readings(object: &Object<'_>) -> Readings {
    let said = |key, word| {
        object
            .get(key)
            .and_then(|at| at.choice("value", &[(word, true)]))
            .unwrap_or(false)
    };
    Readings {
        encoded_slashes: said("encoded_slashes", "allow"),
        matrix_params: said("matrix_params", "allow"),
        fold_case: said("case", "fold"),
    }
}
