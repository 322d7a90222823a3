//! `postgres://…` as it is written: the server, the account, and whether the way there is encrypted.
//!
//! TLS is verified, certificate and name both, or it is not used: `prefer`, `allow` and `verify-ca` are
//! refused, since they look like protection and are none against whoever can change what is on the wire. No
//! error repeats any part of the text, which may hold a password.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, LoadBalanceHosts, SslMode, TargetSessionAttrs};

/// Where a PostgreSQL database is. `Debug` and `Display` leave the password out, `Display` the account too.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    config: Box<Config>,
    root: Option<PathBuf>,
}

/// The text leads to no database, or not safely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostgresUrlError {
    /// Not `postgres://USER:PASSWORD@HOST:PORT/DATABASE?OPTIONS`.
    #[error(
        "write postgres://USER:PASSWORD@HOST:PORT/DATABASE; other signs than letters and digits in names and passwords are percent-encoded"
    )]
    Syntax,
    /// A part that must not be left out.
    #[error("names no {0}; write postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    Missing(&'static str),
    /// An option nobody knows.
    #[error(
        "has an unknown option; known are sslmode, sslrootcert, application_name, channel_binding, connect_timeout, dbname, host, hostaddr, load_balance_hosts, options, password, port, target_session_attrs and user"
    )]
    Option,
    /// `sslmode=` with a word that does not say that the certificate is verified.
    #[error("sslmode is 'require', which verifies certificate and name, or 'disable'")]
    Mode,
    /// `target_session_attrs=` with another word than the one that is meant anyway.
    #[error(
        "target_session_attrs is always 'read-write': a server that follows another one still has sessions that have ended"
    )]
    Follower,
    /// `load_balance_hosts=` with another word than the one that is meant anyway.
    #[error(
        "load_balance_hosts is always 'disable': every connection has to lead to the same server"
    )]
    Balance,
    /// `sslrootcert=` without TLS.
    #[error("sslrootcert means nothing with sslmode=disable")]
    Root,
}

/// What tokio-postgres reads itself, of what it knows.
const OPTIONS: [&str; 12] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "target_session_attrs",
    "user",
];

/// A server that follows another one may be far behind, and a session that has ended would still be there.
const READ_WRITE: (&str, &str) = ("target_session_attrs", "read-write");

/// How long one address may take to answer, unless the text says otherwise.
const CONNECT: Duration = Duration::from_secs(2);
/// A peer that has gone without a word is noticed after idle + 3 × interval, or when bytes stay unacknowledged.
const IDLE: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_secs(3);
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// What the text says about TLS.
#[derive(Default)]
struct Tls {
    mode: Option<SslMode>,
    root: Option<PathBuf>,
}

impl PostgresUrl {
    /// Reads `postgres://USER:PASSWORD@HOST:PORT/DATABASE?OPTIONS`.
    ///
    /// Without `sslmode=`, TLS is required, except to this very machine: there, and over a socket, it is off.
    ///
    /// # Errors
    /// [`PostgresUrlError`], which repeats nothing of the text.
    pub fn parse(text: &str) -> Result<Self, PostgresUrlError> {
        let (address, options) = text.split_once('?').unwrap_or((text, ""));
        let mut tls = Tls::default();
        let mut kept = Vec::new();
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').ok_or(PostgresUrlError::Syntax)?;
            if (name, value) != READ_WRITE && name == READ_WRITE.0 {
                return Err(PostgresUrlError::Follower);
            }
            if !tls.read(name, value)? {
                OPTIONS
                    .contains(&name)
                    .then(|| kept.push(option))
                    .ok_or(PostgresUrlError::Option)?;
            }
        }
        let text = match kept.as_slice() {
            [] => address.to_owned(),
            kept => format!("{address}?{}", kept.join("&")),
        };
        let config: Config = text.parse().map_err(|_| PostgresUrlError::Syntax)?;
        Self::of(config, tls)
    }

    /// What to connect with.
    pub(super) const fn config(&self) -> &Config {
        &self.config
    }

    /// The certificates to trust instead of the machine's, in PEM.
    #[must_use]
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// Whether what is sent can be read on the way: another machine, and no TLS.
    #[must_use]
    pub fn is_in_the_clear(&self) -> bool {
        self.config.get_ssl_mode() == SslMode::Disable && !is_here(&self.config)
    }

    /// Whether the text holds the password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// The same with a relative `sslrootcert=` taken from `folder`.
    pub(in crate::store) fn relative_to(mut self, folder: &Path) -> Self {
        self.root = self.root.map(|root| folder.join(root));
        self
    }

    fn of(mut config: Config, tls: Tls) -> Result<Self, PostgresUrlError> {
        let named = |part: Option<&str>| part.is_some_and(|part| !part.is_empty());
        if config.get_hosts().is_empty() {
            return Err(PostgresUrlError::Missing("host"));
        }
        // As many of them as hosts, or none, or one port for all.
        let hosts = config.get_hosts().len();
        let (ips, ports) = (config.get_hostaddrs().len(), config.get_ports().len());
        if ![0, hosts].contains(&ips) || ![0, 1, hosts].contains(&ports) {
            return Err(PostgresUrlError::Syntax);
        }
        // Each connection to another server than the one before would end that.
        if config.get_load_balance_hosts() != LoadBalanceHosts::Disable {
            return Err(PostgresUrlError::Balance);
        }
        // A password with an unencoded `@` would leave its end here, to be looked up and printed.
        let plain = |host: &Host| match host {
            Host::Tcp(name) => name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ".-_:".contains(c)),
            Host::Unix(_) => true,
        };
        if !config.get_hosts().iter().all(plain) {
            return Err(PostgresUrlError::Syntax);
        }
        if !named(config.get_user()) {
            return Err(PostgresUrlError::Missing("user"));
        }
        if !named(config.get_dbname()) {
            return Err(PostgresUrlError::Missing("database"));
        }
        let mode = match (tls.mode, &tls.root) {
            (Some(SslMode::Disable), Some(_)) => return Err(PostgresUrlError::Root),
            (Some(mode), _) => mode,
            (None, None) if is_here(&config) => SslMode::Disable,
            (None, _) => SslMode::Require,
        };
        config
            .ssl_mode(mode)
            .keepalives_idle(IDLE)
            .keepalives_interval(INTERVAL)
            .keepalives_retries(3)
            .tcp_user_timeout(UNACKNOWLEDGED);
        if config.get_hosts().len() > 1 {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_application_name().is_none() {
            config.application_name("portcullis");
        }
        Ok(Self {
            config: Box::new(config),
            root: tls.root,
        })
    }
}

impl Tls {
    /// Takes an option if it is about TLS, and says whether it was.
    fn read(&mut self, name: &str, value: &str) -> Result<bool, PostgresUrlError> {
        match (name, value) {
            ("sslmode", "disable") => self.mode = Some(SslMode::Disable),
            ("sslmode", "require" | "verify-full") => self.mode = Some(SslMode::Require),
            ("sslmode", _) => return Err(PostgresUrlError::Mode),
            ("sslrootcert", "") => return Err(PostgresUrlError::Syntax),
            ("sslrootcert", path) => {
                let path = percent_encoding::percent_decode_str(path).decode_utf8();
                self.root = Some(PathBuf::from(&*path.map_err(|_| PostgresUrlError::Syntax)?));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Whether every address is on this machine.
fn is_here(config: &Config) -> bool {
    let here = |host: &Host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
        Host::Unix(_) => true,
    };
    config.get_hosts().iter().all(here) && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports = self.config.get_ports();
        f.write_str("postgres://")?;
        for (at, host) in self.config.get_hosts().iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "," })?;
            match host {
                Host::Tcp(name) if name.contains(':') => write!(f, "[{name}]")?,
                Host::Tcp(name) => f.write_str(name)?,
                Host::Unix(path) => {
                    write!(f, "{}", path.display())?;
                    continue;
                }
            }
            // One port stands for all hosts.
            if let Some(port) = ports.get(at).or_else(|| ports.first()) {
                write!(f, ":{port}")?;
            }
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(text: &str) -> SslMode {
        PostgresUrl::parse(text).unwrap().config.get_ssl_mode()
    }

    #[test]
    fn prints_host_and_database_only() {
        let cases = [
            ("postgres://u:secret@db/gate", "postgres://db:5432/gate"),
            (
                "postgresql://u:secret@db:5433/gate?sslmode=require",
                "postgres://db:5433/gate",
            ),
            (
                "postgres://u:secret@a:1,b:2/gate?target_session_attrs=read-write",
                "postgres://a:1,b:2/gate",
            ),
            (
                "postgres://u:secret@[::1]:5432/g",
                "postgres://[::1]:5432/g",
            ),
            (
                "postgres://u@%2Frun%2Fpostgresql/g",
                "postgres:///run/postgresql/g",
            ),
            (
                "postgres:///g?host=/run/postgresql&user=u&password=secret",
                "postgres:///run/postgresql/g",
            ),
        ];
        for (text, shown) in cases {
            let url = PostgresUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}").contains("secret"));
        }
    }

    #[test]
    fn tls_is_required_unless_it_is_this_machine_or_disabled_by_name() {
        let cases = [
            ("postgres://u@db/g", SslMode::Require),
            ("postgres://u@10.0.0.7/g", SslMode::Require),
            ("postgres://u@localhost,db/g", SslMode::Require),
            (
                "postgres://u@localhost/g?hostaddr=10.0.0.7",
                SslMode::Require,
            ),
            (
                "postgres://u@localhost/g?sslrootcert=ca.pem",
                SslMode::Require,
            ),
            ("postgres://u@localhost/g?sslmode=require", SslMode::Require),
            (
                "postgres://u@localhost/g?sslmode=verify-full",
                SslMode::Require,
            ),
            ("postgres://u@localhost/g", SslMode::Disable),
            ("postgres://u@127.0.0.1/g", SslMode::Disable),
            ("postgres://u@[::1]/g", SslMode::Disable),
            (
                "postgres:///g?user=u&host=/run/postgresql",
                SslMode::Disable,
            ),
            ("postgres://u@db/g?sslmode=disable", SslMode::Disable),
        ];
        for (text, expected) in cases {
            assert_eq!(mode(text), expected, "{text}");
        }
        let open = |text| PostgresUrl::parse(text).unwrap().is_in_the_clear();
        assert!(open("postgres://u@db/g?sslmode=disable"));
        assert!(!open("postgres://u@localhost/g"));
        assert!(!open("postgres://u@db/g"));
    }

    #[test]
    fn refusals_say_why_and_repeat_nothing() {
        use PostgresUrlError::{Balance, Follower, Missing, Mode, Option, Root, Syntax};
        let cases = [
            ("postgres://u:secret@db/g?sslmode=prefer", Mode),
            ("postgres://u:secret@db/g?sslmode=allow", Mode),
            ("postgres://u:secret@db/g?sslmode=verify-ca", Mode),
            ("postgres://u:secret@db/g?sslmode=", Mode),
            (
                "postgres://u:secret@db/g?sslmode=disable&sslrootcert=ca.pem",
                Root,
            ),
            (
                "postgres://u:secret@a,b/g?target_session_attrs=any",
                Follower,
            ),
            (
                "postgres://u:secret@a,b/g?load_balance_hosts=random",
                Balance,
            ),
            (
                "postgres://u:secret@a,b/g?load_balance_hosts=r%61ndom",
                Balance,
            ),
            ("postgres://u:secret@db/g?secret=secret", Option),
            ("postgres://u:secret@db/g?secret", Syntax),
            ("postgres://u:se@cret@db/g", Syntax),
            ("postgres://u:secret@a,b/g?hostaddr=10.0.0.1", Syntax),
            ("postgres:///g?user=u&host=a&host=b&host=c&port=1,2", Syntax),
            ("postgres://u:secret@db:port/g", Syntax),
            ("postgres://u:secret@db", Missing("database")),
            ("postgres://db/g", Missing("user")),
            ("postgres:///g?user=secret", Missing("host")),
        ];
        for (text, fault) in cases {
            let said = PostgresUrl::parse(text).unwrap_err();
            assert_eq!(said, fault, "{text}");
            assert!(!said.to_string().contains("secret"), "{said}");
        }
    }

    #[test]
    fn what_is_meant_anyway_may_be_said() {
        let text = "postgres://u@a,b/g?target_session_attrs=read-write&load_balance_hosts=disable";
        assert!(PostgresUrl::parse(text).is_ok());
    }

    #[test]
    fn a_root_is_found_beside_the_file() {
        let url = PostgresUrl::parse("postgres://u@db/g?sslrootcert=my%20ca.pem").unwrap();
        let url = url.relative_to(Path::new("/etc/gw"));
        assert_eq!(url.root(), Some(Path::new("/etc/gw/my ca.pem")));
    }
}
