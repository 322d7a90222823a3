//! `to:`: the servers of an upstream.

use std::net::IpAddr;
use std::os::unix::net::SocketAddr;
use std::path::PathBuf;

use crate::base::net::Host;
use crate::config::raw::At;
use crate::proxy::settings::{Destination, Listen, Place, Scheme, Server};

/// The page that shows what a service receives.
const ECHO: &str = "builtin:echo";

const NOTATION: &str = "write it like http://web:8080, https://web.internal, h2c://api:9000, \
                        unix:/run/app.sock or builtin:echo";

/// The servers of an upstream, or the built-in page.
pub fn destination(at: &At<'_>, listen: &Listen) -> Option<Destination> {
    let items = at.list_or_one()?;
    if let [only] = items.as_slice()
        && only.text()? == ECHO
    {
        return Some(Destination::Echo);
    }
    if items.is_empty() {
        return at.refuse_with("an upstream needs a server", NOTATION);
    }
    let servers: Vec<_> = items.iter().map(|at| server(at, listen)).collect();
    refuse_twice(&items, &servers);
    let servers: Vec<Server> = servers.into_iter().collect::<Option<_>>()?;
    let new = |server: &Server| server.scheme == Scheme::H2c;
    if servers.iter().any(new) && !servers.iter().all(new) {
        at.warn_around(
            "no WebSocket opens here, since one of the servers speaks HTTP/2 only",
            "name servers of h2c:// in an upstream of their own",
        );
    }
    Some(Destination::Servers(servers))
}

/// A server named twice is one server, and is asked, checked and left alone as one.
fn refuse_twice(items: &[At<'_>], servers: &[Option<Server>]) {
    let mut seen = Vec::new();
    for (at, server) in items.iter().zip(servers) {
        let Some(server) = server else { continue };
        let place = match &server.place {
            Place::Network { host, port } => Place::Network {
                host: host.to_ascii_lowercase(),
                port: *port,
            },
            socket @ Place::Socket(_) => socket.clone(),
        };
        if seen.contains(&(place.clone(), server.scheme)) {
            at.refuse_with::<()>("is there twice", "name each server once");
        }
        seen.push((place, server.scheme));
    }
}

fn server(at: &At<'_>, listen: &Listen) -> Option<Server> {
    let text = at.text()?;
    if text == ECHO {
        return at.refuse("builtin:echo stands alone, not in a list");
    }
    if let Some((scheme, path)) = socket_path(text) {
        return socket(at, scheme, path);
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
    if leads_back(host, port, listen) {
        return at.refuse_with(
            "is where this gateway listens: requests would go round for ever",
            "name the port of the service",
        );
    }
    let place = Place::Network {
        host: host.to_owned(),
        port,
    };
    Some(Server { place, scheme })
}

/// Whether it is a listener of ours on this very machine.
fn leads_back(host: &str, port: u16, listen: &Listen) -> bool {
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse();
    let name = host.strip_suffix('.').unwrap_or(host);
    let mut own = [listen.http, listen.https].into_iter().flatten();
    (name.eq_ignore_ascii_case("localhost") || ip.is_ok_and(is_here))
        && own.any(|own| own.port() == port && is_here(own.ip()))
}

/// Whether an address leads to this machine: who connects to the unspecified one comes here, too.
fn is_here(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    ip.is_loopback() || ip.is_unspecified()
}

fn socket_path(text: &str) -> Option<(Scheme, &str)> {
    let plain = text.strip_prefix("unix:").map(|path| (Scheme::Http, path));
    plain.or_else(|| Some((Scheme::H2c, text.strip_prefix("h2c+unix:")?)))
}

fn socket(at: &At<'_>, scheme: Scheme, path: &str) -> Option<Server> {
    if !path.starts_with('/') || path.starts_with("//") {
        return at.refuse_with("not the absolute path of a socket", "unix:/run/app.sock");
    }
    if let Err(error) = SocketAddr::from_pathname(path) {
        return at.refuse_with("not the path of a socket", error.to_string());
    }
    let place = Place::Socket(PathBuf::from(path));
    Some(Server { place, scheme })
}
