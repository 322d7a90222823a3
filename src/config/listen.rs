//! Where the gateway is: `site:`, `listen:`, `prefix:`, `trusted_proxies:`, `store:`, `volatile:`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;

use crate::base::net::{Host, Networks};
use crate::base::secret::Secret;
use crate::base::site::{Site, Sites};
use crate::proxy::settings::Listen;
use crate::store::{self, DbUrl, VolatileKind};

use super::raw::{At, Object};
use super::report::Fault;
use super::tree::Value;
use super::{secrets, values};

const HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);
const STORE: &str = "sqlite:data/portcullis.db";
const PREFIX: &str = "/auth";

/// Where to listen.
pub fn listen(file: &Object<'_>) -> Listen {
    let tls = file.get("tls");
    let listen = file.section("listen", "listen");
    let https = listen.as_ref().and_then(|listen| listen.get("https"));
    match (https, tls) {
        (Some(at), None) => {
            let hint = "tls: { certificate: cert.pem, key: key.pem }";
            at.refuse_with::<()>("https needs a certificate", hint);
        }
        (None, Some(tls)) => {
            let hint = "listen: { https: \":443\" }";
            tls.warn_around("no https listener uses this certificate", hint);
        }
        _ => {}
    }
    let Some(object) = listen else {
        return Listen {
            http: Some(HTTP),
            https: None,
            admin: ADMIN,
        };
    };
    let address = |key| object.get(key).and_then(|at| address(&at));
    let listen = Listen {
        http: address("http"),
        https: address("https"),
        admin: address("admin").unwrap_or(ADMIN),
    };
    if object.get("http").is_none() && object.get("https").is_none() {
        object.at().refuse_with::<()>(
            "no listener for requests",
            "http: \":8080\", or https: \":443\" and tls",
        );
    }
    refuse_shared(&object, &listen);
    guard_admin(&object, listen.admin);
    listen
}

fn address(at: &At<'_>) -> Option<SocketAddr> {
    if let Value::Integer(1..=65535) = at.value() {
        let port = at.integer(1..=65535)?;
        let hint =
            format!("write \"127.0.0.1:{port}\", or \":{port}\" for who comes from elsewhere, too");
        return at.refuse_with("a port alone is no address", hint);
    }
    let text = at.text()?;
    // Both kinds of addresses; a machine without IPv6 falls back where it binds.
    let everywhere = || text.strip_prefix(':').map(|port| format!("[::]:{port}"));
    match everywhere().as_deref().unwrap_or(text).parse() {
        Ok(address) => Some(address),
        Err(_) => at.refuse_with(
            "not an address to listen on",
            "write it like \":8080\", \"127.0.0.1:8080\" or \"[::]:8080\"",
        ),
    }
}

/// Two listeners on one port: the second could not start.
fn refuse_shared(object: &Object<'_>, listen: &Listen) {
    let all = [
        ("http", listen.http),
        ("https", listen.https),
        ("admin", Some(listen.admin)),
    ];
    let clash = |a: SocketAddr, b: SocketAddr| {
        a.port() != 0
            && a.port() == b.port()
            && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
    };
    for (at, (key, address)) in all.iter().enumerate() {
        let above = all
            .iter()
            .take(at)
            .find(|(_, other)| address.zip(*other).is_some_and(|(a, b)| clash(a, b)));
        if let Some((other, _)) = above {
            object
                .at()
                .refuse::<()>(format!("{other} and {key} are the same address"));
        }
    }
}

/// The admin listener asks nobody who they are, so it stays at home unless told by name.
fn guard_admin(object: &Object<'_>, admin: SocketAddr) {
    let public = object
        .get("admin_public")
        .and_then(|at| at.boolean())
        .unwrap_or(false);
    let at = object.get("admin").unwrap_or_else(|| object.at().clone());
    match (admin.ip().to_canonical().is_loopback(), public) {
        (false, false) => {
            at.refuse_with::<()>(
                "others could reach the admin listener, which asks nobody who they are",
                "use 127.0.0.1, or write admin_public: true if the network is guarded otherwise",
            );
        }
        (false, true) => at.warn(
            "the admin listener can be reached by others",
            "see that a firewall guards it",
        ),
        (true, _) => {}
    }
}

/// The public URLs, and whether they were derived.
pub fn sites(file: &Object<'_>, listen: &Listen) -> Option<(Sites, bool)> {
    let Some(at) = file.get("site") else {
        let Some(http) = listen.http else {
            // Without any listener, that has been said, and says enough.
            listen.https?;
            return file
                .at()
                .refuse_with("'site' is missing", "site: https://app.example.com");
        };
        let host: Host = "localhost".parse().ok()?;
        return Some((
            Sites::new(
                Site::new(false, host, Some(http.port()), "localhost"),
                Vec::new(),
            ),
            true,
        ));
    };
    let items = at.list_or_one()?;
    let mut sites: Vec<Site> = Vec::new();
    for item in &items {
        if let Some(site) = site(item) {
            refuse_twin(item, &site, &sites);
            sites.push(site);
        }
    }
    if items.is_empty() {
        return at.refuse_with(
            "a gateway has at least one site",
            "site: https://app.example.com",
        );
    }
    let others = sites.split_off(1.min(sites.len()));
    warn_of_unreachable(file, &at, &sites, listen);
    Some((Sites::new(sites.pop()?, others), false))
}

/// A public URL.
pub fn site(at: &At<'_>) -> Option<Site> {
    let text = at.text()?;
    let (https, rest) = match text.split_once("://") {
        Some(("https", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        _ => return at.refuse_with("not a URL", "write it like https://app.example.com"),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '@']) {
        return at.refuse_with(
            "a site is scheme, host and port alone",
            "the gateway owns the whole host; rules divide its paths",
        );
    }
    if authority.contains('*') {
        return at.refuse_with(
            "there are no wildcard sites",
            "name each site; rules may have host: \"*.example.com\", whose hosts are sites like the main one",
        );
    }
    let Ok((host, port)) = Host::parse_authority(authority) else {
        return at.refuse_with(
            "not a host",
            "names with letters outside ASCII are written in punycode: xn--...",
        );
    };
    if !https && !host.is_loopback() {
        return at.refuse_with(
            "plain http would send passwords and cookies in the clear",
            "write https://; http is for localhost, *.localhost, 127.0.0.0/8 and [::1]",
        );
    }
    let written = port
        .and_then(|_| authority.rsplit_once(':'))
        .map_or(authority, |(host, _)| host);
    Some(Site::new(https, host, port, written))
}

fn refuse_twin(at: &At<'_>, site: &Site, others: &[Site]) {
    if let Some(twin) = others.iter().find(|other| other.host == site.host) {
        at.refuse_with::<()>(
            format!("has the same host as {}", twin.origin),
            "localhost, 127.0.0.1 and [::1] count as one",
        );
    }
}

/// An https site whose only door is plain http answers every request with a redirect to itself.
fn warn_of_unreachable(file: &Object<'_>, at: &At<'_>, sites: &[Site], listen: &Listen) {
    let proxied = file.get("trusted_proxies").is_some();
    if sites.iter().any(|site| site.https) && listen.https.is_none() && !proxied {
        at.warn(
            "nobody can reach an https site through a plain http listener",
            "add listen: { https: ... } and tls, or name the proxy in front in trusted_proxies",
        );
    }
}

/// Where our own pages live.
pub fn prefix(file: &Object<'_>) -> String {
    let written = file.get("prefix").and_then(|at| {
        let text = at.text()?;
        let word = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        };
        let words = text
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(word));
        if words {
            Some(text.to_owned())
        } else {
            at.refuse_with(
                "not a prefix",
                "write it like /auth or /gate/auth, without a slash at the end",
            )
        }
    });
    written.unwrap_or_else(|| PREFIX.to_owned())
}

/// Who may set `X-Forwarded-*`.
pub fn trusted_proxies(file: &Object<'_>) -> Networks {
    let Some(at) = file.get("trusted_proxies") else {
        return Networks::default();
    };
    if matches!(at.value(), Value::Text(word) if ["all", "any", "*"].contains(&word.as_str())) {
        return at.refuse_with(EVERYBODY, NAME_THEM).unwrap_or_default();
    }
    let all = values::listed_networks(&at).unwrap_or_default();
    let all: Vec<IpNet> = all.iter().filter_map(trusted_proxy).collect();
    // In pieces it is no less.
    if IpNet::aggregate(&all)
        .iter()
        .any(|net| net.prefix_len() == 0)
    {
        return at.refuse_with(EVERYBODY, NAME_THEM).unwrap_or_default();
    }
    all.into_iter().collect()
}

const EVERYBODY: &str = "is everybody, who could then choose the address they seem to come from";

const NAME_THEM: &str = "name the addresses of the proxies in front";

fn trusted_proxy(at: &At<'_>) -> Option<IpNet> {
    let net = values::network(at)?;
    let wide = if net.addr().is_ipv4() { 8 } else { 16 };
    match net.prefix_len() {
        0 => at.refuse_with(EVERYBODY, NAME_THEM),
        len if len < wide => {
            at.warn("is a large part of the internet", NAME_THEM);
            Some(net)
        }
        _ => Some(net),
    }
}

/// Where everything is kept.
pub fn store(file: &Object<'_>) -> Option<store::Settings> {
    let words = [
        ("store", VolatileKind::Store),
        ("memory", VolatileKind::Memory),
    ];
    let volatile = file.get("volatile").and_then(|at| match at.text()? {
        url if url.starts_with("redis://") || url.starts_with("rediss://") => at.not_yet("redis"),
        _ => at.choice("place", &words),
    });
    let url = match file.get("store") {
        None => DbUrl::parse(STORE).ok(),
        Some(at) => database(file, &at),
    };
    if let (Some(DbUrl::Postgres(_)), Some(VolatileKind::Memory), Some(at)) =
        (&url, volatile, file.get("volatile"))
    {
        at.warn(
            "each node has sessions, links and counters of its own, which no other one sees or ends",
            "leave it out where several nodes share the database",
        );
    }
    Some(store::Settings {
        url: url?.relative_to(&file.at().reading().resolve("")),
        volatile: volatile.unwrap_or(VolatileKind::Store),
    })
}

/// The database that is named here, or in the environment or the file that is named here. What was written is
/// not repeated: it may hold a password.
fn database(file: &Object<'_>, at: &At<'_>) -> Option<DbUrl> {
    let text = at.text()?;
    let elsewhere = text.starts_with("env:") || text.starts_with("file:");
    let secret = if elsewhere {
        secrets::text(at)?
    } else {
        Secret::new(text.to_owned())
    };
    let url = match DbUrl::parse(secret.expose()) {
        Ok(url) => url,
        // Where it stands elsewhere, this says where.
        Err(error) if elsewhere => return at.refuse_with("not a store", error.to_string()),
        Err(error) => return at.refuse_around("not a store", Some(&error.to_string())),
    };
    if let DbUrl::Postgres(server) = &url {
        require_key(file);
        if let Some(root) = server.root() {
            let path = at.reading().resolve(&root.to_string_lossy());
            if let Err(error) = std::fs::read(&path) {
                let (shown, reason) = (path.display(), secrets::reason(&error));
                return at
                    .refuse_around(format!("sslrootcert: cannot read {shown}: {reason}"), None);
            }
        }
        if server.has_password() && !elsewhere {
            let hint = "write store: env:NAME or file:/path, and the address there";
            at.warn_around("the database's password stands in this file", hint);
        }
        if server.is_in_the_clear() {
            let hint = "sslmode=require";
            at.warn_around("what is stored can be read and changed on its way", hint);
        }
    }
    Some(url)
}

/// Every node of a shared database must have the same key, so none makes its own.
fn require_key(file: &Object<'_>) {
    if file.get("key").is_none() {
        file.at().reading().fault(Fault {
            path: "key".into(),
            hint: Some("openssl rand -hex 32 > gateway.key; key: file:gateway.key".into()),
            ..Fault::of_file("is required with PostgreSQL, the same on every node")
        });
    }
}
