//! What a person sees at start: where the gateway listens, what it keeps where, how many rules.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::base::name::Username;
use crate::base::secret::Secret;
use crate::config::Config;

/// The addresses that were really bound.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Plain.
    pub http: Option<SocketAddr>,
    /// TLS.
    pub https: Option<SocketAddr>,
    /// Admin.
    pub admin: SocketAddr,
}

/// The superuser that was made at the first start, with the password that is shown once.
#[derive(Debug)]
pub struct FirstUser {
    /// The name.
    pub name: Username,
    /// The password, unless the operator knows it already.
    pub password: Option<Secret<String>>,
}

/// The banner.
#[must_use]
pub fn banner(config: &Config, bound: &Bound, first: Option<&FirstUser>) -> String {
    let mut text = format!("portcullis {}\n", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<8}{value}");
    };
    for site in config.sites.iter() {
        line("site", &site.origin);
    }
    if let Some(address) = bound.http {
        line("http", &format!("http://{address}"));
    }
    if let Some(address) = bound.https {
        line("https", &format!("https://{address}"));
    }
    line("admin", &format!("http://{}", bound.admin));
    line("store", &config.store.url.to_string());
    let counts = [
        (config.rules.len(), "rule"),
        (config.roles.len(), "role"),
        (config.upstreams.len(), "upstream"),
    ];
    let counts =
        counts.map(|(count, noun)| format!("{count} {noun}{}", if count == 1 { "" } else { "s" }));
    line("rules", &counts.join(", "));
    if let Some(FirstUser { name, password }) = first {
        match password {
            Some(password) => line("user", &format!("{name}  password: {}", password.expose())),
            None => line(
                "user",
                &format!("{name}  password: as configured in bootstrap"),
            ),
        }
    }
    text.push_str("ready\n");
    text
}
