//! The hosts that the database's address names, the addresses of each, and the bare way there.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio_postgres::Config;
use tokio_postgres::config::Host;
use tokio_util::either::Either;

/// Where a server listens unless it is said.
const PORT: u16 = 5432;

/// What is said goes over this.
pub(super) type Wire = Either<TcpStream, UnixStream>;

/// A host as it is named.
#[derive(Clone, Debug)]
pub(super) struct Named {
    host: Host,
    /// Said beside the name, which is then the certificate's alone.
    ip: Option<IpAddr>,
    port: u16,
}

/// Where somebody listens, or nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// Over TCP.
    Tcp(SocketAddr),
    /// A socket of this machine, and the port it has in its name.
    Socket(PathBuf, u16),
}

impl Named {
    /// All of them, in the order in which they are tried.
    pub(super) fn all(config: &Config) -> Vec<Self> {
        let ports = config.get_ports();
        let named = |(at, host): (usize, &Host)| Self {
            host: host.clone(),
            ip: config.get_hostaddrs().get(at).copied(),
            // One port stands for all hosts.
            port: ports.get(at).or(ports.first()).copied().unwrap_or(PORT),
        };
        config.get_hosts().iter().enumerate().map(named).collect()
    }

    /// The name that its certificate has to have.
    pub(super) fn name(&self) -> &str {
        match &self.host {
            Host::Tcp(name) => name,
            // Nobody speaks TLS there.
            Host::Unix(_) => "",
        }
    }

    /// Where it is, by now.
    pub(super) async fn addresses(&self) -> io::Result<Vec<Address>> {
        let name = match (self.ip, &self.host) {
            (Some(ip), _) => return Ok(vec![Address::Tcp((ip, self.port).into())]),
            (None, Host::Unix(folder)) => {
                let socket = folder.join(format!(".s.PGSQL.{}", self.port));
                return Ok(vec![Address::Socket(socket, self.port)]);
            }
            (None, Host::Tcp(name)) => name,
        };
        let found = lookup_host((name.as_str(), self.port)).await?;
        let all: Vec<_> = found.map(Address::Tcp).collect();
        if all.is_empty() {
            return Err(io::Error::other("the name has no address"));
        }
        Ok(all)
    }
}

impl Address {
    /// The way there, on which nothing has been said yet.
    pub(super) async fn open(&self, config: &Config) -> io::Result<Wire> {
        match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                tell(&stream, config)?;
                Ok(Either::Left(stream))
            }
            Self::Socket(path, _) => Ok(Either::Right(UnixStream::connect(path).await?)),
        }
    }

    /// Whether a server is here itself that says that it listens there; or something else, which leads on to it.
    pub(super) fn is(&self, ip: Option<IpAddr>, port: u16) -> bool {
        match (self, ip) {
            (Self::Tcp(here), Some(ip)) => {
                here.ip().to_canonical() == ip.to_canonical() && here.port() == port
            }
            (Self::Socket(_, here), None) => *here == port,
            _ => false,
        }
    }
}

fn tell(stream: &TcpStream, config: &Config) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(config.get_tcp_user_timeout().copied())?;
    if config.get_keepalives() {
        let mut alive = TcpKeepalive::new().with_time(config.get_keepalives_idle());
        if let Some(interval) = config.get_keepalives_interval() {
            alive = alive.with_interval(interval);
        }
        if let Some(retries) = config.get_keepalives_retries() {
            alive = alive.with_retries(retries);
        }
        socket.set_tcp_keepalive(&alive)?;
    }
    Ok(())
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Tcp(name) => write!(f, "{name}:{}", self.port),
            Host::Unix(folder) => write!(f, "{}:{}", folder.display(), self.port),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Socket(path, _) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::postgres::PostgresUrl;

    #[tokio::test]
    async fn every_host_has_its_own_address_and_the_name_of_its_certificate() {
        let text = "postgres://u@one,[::1]:7,%2Frun%2Fpg:8/g?hostaddr=10.0.0.1,::2,127.0.0.3";
        let cases = [
            (
                text,
                vec![
                    ("one", "10.0.0.1:5432"),
                    ("::1", "[::2]:7"),
                    ("", "127.0.0.3:8"),
                ],
            ),
            (
                "postgres://u@%2Frun%2Fpg:8,127.0.0.1:9/g",
                vec![("", "/run/pg/.s.PGSQL.8"), ("127.0.0.1", "127.0.0.1:9")],
            ),
            (
                "postgres:///g?user=u&host=127.0.0.1&host=127.0.0.2&port=9",
                vec![("127.0.0.1", "127.0.0.1:9"), ("127.0.0.2", "127.0.0.2:9")],
            ),
        ];
        for (text, expected) in cases {
            let mut found = Vec::new();
            let url = PostgresUrl::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
            let all = Named::all(url.config());
            for named in &all {
                let addresses = named.addresses().await.unwrap();
                found.push((named.name(), addresses[0].to_string()));
            }
            let found: Vec<_> = found.iter().map(|(name, at)| (*name, &**at)).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_server_that_says_that_it_is_elsewhere_is_behind_something() {
        let tcp = Address::Tcp(([127, 0, 0, 1], 5432).into());
        let mapped = Address::Tcp(("::ffff:127.0.0.1".parse::<IpAddr>().unwrap(), 5432).into());
        let socket = Address::Socket("/run/.s.PGSQL.5432".into(), 5432);
        let ip = |text: &str| Some(text.parse().unwrap());
        let cases = [
            (&tcp, ip("127.0.0.1"), 5432, true),
            (&mapped, ip("127.0.0.1"), 5432, true),
            (&tcp, ip("127.0.0.1"), 5433, false),
            (&tcp, ip("10.0.0.1"), 5432, false),
            (&tcp, None, 5432, false),
            (&socket, None, 5432, true),
            (&socket, None, 5433, false),
            (&socket, ip("127.0.0.1"), 5432, false),
        ];
        for (address, ip, port, expected) in cases {
            assert_eq!(address.is(ip, port), expected, "{address} {ip:?} {port}");
        }
    }
}
