//! Connecting: each host in turn, each address of its name, and each for its part of the time.
//!
//! The driver's own loop gives up on a host that takes the connection and says nothing only when all of the time is over, asks
//! of no address but the last what became of it, and knows nothing of what is asked first. So each is tried by itself here, with
//! all that has to go well on it, and what went wrong with each is kept.

use std::io;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connect::CONNECT;
use super::failed::{Failed, Try, Why};
use super::hosts::{Address, Named, Wire};
use super::url::PostgresUrl;

/// Passes over a server that has been told to take no writes: of several, another one does.
const TAKES_WRITES: &str = "DO 'BEGIN IF CAST(current_setting(''transaction_read_only'') AS BOOLEAN) THEN RAISE read_only_sql_transaction USING MESSAGE = ''this server takes no writes''; END IF; END'; ";

/// The connection's half that must be polled for anything to happen.
pub(super) type Driver = Connection<Wire, <MakeRustlsConnect as MakeTlsConnect<Wire>>::Stream>;

/// The ways to one database.
#[derive(Clone)]
pub(super) struct Route {
    config: Config,
    hosts: Vec<Named>,
    tls: MakeRustlsConnect,
}

/// A connection, where it leads, and what was answered on it.
pub(super) struct Reached {
    pub(super) client: Client,
    pub(super) driver: Driver,
    pub(super) address: Address,
    pub(super) said: Vec<SimpleQueryMessage>,
}

type Answered = (Client, Driver, Vec<SimpleQueryMessage>);

impl Route {
    pub(super) fn new(url: &PostgresUrl, tls: MakeRustlsConnect) -> Self {
        Self {
            config: url.config().clone(),
            hosts: Named::all(url.config()),
            tls,
        }
    }

    /// To another place.
    #[cfg(test)]
    pub(super) fn leading_to(&self, url: &PostgresUrl) -> Self {
        Self::new(url, self.tls.clone())
    }

    /// Connects to the first that takes it and answers `told` without fault, within [`CONNECT`].
    pub(super) async fn reach(&self, told: &str) -> Result<Reached, Failed> {
        let by = Instant::now() + CONNECT;
        let (mut under_way, mut tries) = (FuturesUnordered::new(), Vec::new());
        for (at, host) in self.hosts.iter().enumerate() {
            under_way.push(self.host(host, told, by));
            let left = self.hosts.len() - at;
            // Who is far away, or makes us wait, goes on beside the next; and those who are left have all the time there is.
            let turn = share(by, left).min(Instant::now() + self.patience());
            loop {
                let ended = match timeout_at(turn, under_way.next()).await {
                    Err(_) if left > 1 => break,
                    Err(_) => under_way.next().await,
                    Ok(ended) => ended,
                };
                match ended {
                    Some(Ok(reached)) => return Ok(reached),
                    Some(Err(failed)) => tries.extend(failed),
                    None => break,
                }
            }
        }
        Err(Failed(tries))
    }

    /// As [`Route::reach`], of one host.
    async fn host(&self, host: &Named, told: &str, by: Instant) -> Result<Reached, Vec<Try>> {
        let failed = |address, why| Try {
            host: host.to_string(),
            address,
            why,
        };
        let addresses = match timeout_at(by, host.addresses()).await {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(error)) => return Err(vec![failed(None, Why::Unreached(error))]),
            Err(_) => return Err(vec![failed(None, Why::Unreached(late()))]),
        };
        let mut tries = Vec::new();
        let count = addresses.len();
        for (at, address) in addresses.into_iter().enumerate() {
            let its = share(by, count - at);
            match self.at(host.name(), &address, told, its).await {
                Ok((client, driver, said)) => {
                    return Ok(Reached {
                        client,
                        driver,
                        address,
                        said,
                    });
                }
                Err(why) => tries.push(failed(Some(address), why)),
            }
        }
        Err(tries)
    }

    /// How long an address may take to take a connection, and a host to let us in before the next is asked, too.
    fn patience(&self) -> Duration {
        let said = self.config.get_connect_timeout().copied();
        said.map_or(CONNECT, |said| said.min(CONNECT))
    }

    async fn at(
        &self,
        name: &str,
        address: &Address,
        told: &str,
        by: Instant,
    ) -> Result<Answered, Why> {
        let taken = by.min(Instant::now() + self.patience());
        let wire = match timeout_at(taken, address.open(&self.config)).await {
            Ok(wire) => wire.map_err(Why::Unreached)?,
            Err(_) => return Err(Why::Unreached(late())),
        };
        // Where that is cut short, the driver goes with it, and the connection with the driver.
        let talk = timeout_at(by, self.talk(wire, name, told)).await;
        talk.unwrap_or(Err(Why::Silent))
    }

    async fn talk(&self, wire: Wire, name: &str, told: &str) -> Result<Answered, Why> {
        let mut tls = self.tls.clone();
        let Ok(tls) = MakeTlsConnect::<Wire>::make_tls_connect(&mut tls, name);
        let connected = self.config.connect_raw(wire, tls).await;
        let (client, mut driver) = connected.map_err(Why::Said)?;
        let first = if self.hosts.len() > 1 {
            TAKES_WRITES
        } else {
            ""
        };
        let told = format!("{first}{told}");
        let said = {
            let mut asked = pin!(client.simple_query(&told));
            let answered = tokio::select! {
                biased;
                said = &mut asked => Some(said),
                _ = &mut driver => None,
            };
            match answered {
                Some(said) => said.map_err(Why::Said)?,
                None => {
                    // What it said last has been received, and nothing else will be.
                    drop(driver);
                    return Err(asked.await.err().map_or(Why::Closed, Why::Said));
                }
            }
        };
        Ok((client, driver, said))
    }
}

fn late() -> io::Error {
    io::ErrorKind::TimedOut.into()
}

/// The part of the time that one of so many has that are left.
fn share(by: Instant, left: usize) -> Instant {
    let now = Instant::now();
    let parts = u32::try_from(left).unwrap_or(u32::MAX).max(1);
    now + by.saturating_duration_since(now) / parts
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::store::conformance::server::{Database, Server};

    const ASK: &str = "SELECT 1";

    fn route(url: &str) -> Route {
        let roots = rustls::RootCertStore::empty();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Route::new(
            &PostgresUrl::parse(url).unwrap(),
            MakeRustlsConnect::new(tls),
        )
    }

    async fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    /// One that has frozen takes connections still: the kernel does.
    #[tokio::test(flavor = "multi_thread")]
    async fn g_09_a_host_that_says_nothing_keeps_nobody_from_the_next() {
        let database = Database::new();
        let (_silent, port) = listener().await;
        let url = database.url();
        let here = format!("127.0.0.1:{}", Server::shared().port());
        for others in [1, 2] {
            let first = format!("127.0.0.1:{port},").repeat(others);
            let url = url.replacen(&here, &format!("{first}{here}"), 1);
            let began = Instant::now();
            let reached = route(&url).reach(ASK).await.unwrap();
            assert_eq!(reached.address.to_string(), here);
            assert!(began.elapsed() < CONNECT, "{:?}", began.elapsed());
        }
    }

    /// Far away, or behind a pooler that makes us wait.
    #[tokio::test(flavor = "multi_thread")]
    async fn g_09_a_host_that_is_slow_is_waited_for_beside_the_next() {
        let database = Database::new();
        let (slow, port) = listener().await;
        let (gone, nobody) = listener().await;
        drop(gone);
        let here = format!("127.0.0.1:{}", Server::shared().port());
        let there = here.clone();
        tokio::spawn(async move {
            let (mut client, _) = slow.accept().await.unwrap();
            tokio::time::sleep(CONNECT / 5 * 3).await;
            let mut server = tokio::net::TcpStream::connect(there).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
        let listed = format!("127.0.0.1:{port},127.0.0.1:{nobody}");
        let url = database.url().replacen(&here, &listed, 1);
        let reached = route(&url).reach(ASK).await.unwrap();
        assert_eq!(reached.address.to_string(), format!("127.0.0.1:{port}"));
    }

    /// What is written there is lost to nobody, but nothing is to be: of several, another one takes writes.
    #[tokio::test(flavor = "multi_thread")]
    async fn g_09_of_several_the_first_that_takes_writes_is_the_one_and_each_says_why_not() {
        let database = Database::new();
        let (gone, port) = listener().await;
        drop(gone);
        let here = format!("127.0.0.1:{}", Server::shared().port());
        let url = database.url();
        let listed = url.replacen(&here, &format!("{here},127.0.0.1:{port}"), 1);
        assert!(route(&listed).reach(ASK).await.is_ok());
        let name = database.sql("SELECT current_database()");
        database.sql(&format!(
            "ALTER DATABASE {name} SET default_transaction_read_only = on"
        ));
        let Err(failed) = route(&listed).reach(ASK).await else {
            panic!("it takes no writes");
        };
        let said = failed.to_string();
        for part in [
            &*format!("{here}: this server takes no writes (SQLSTATE 25006)"),
            &*format!("127.0.0.1:{port}: error connecting to server"),
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(failed.taken().count(), 0);
        // Alone, it is told to.
        assert!(route(&url).reach(ASK).await.is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn g_09_a_certificate_that_is_not_trusted_is_somebodys() {
        let database = Database::new();
        let url = database.url() + "?sslmode=require";
        let Err(failed) = route(&url).reach(ASK).await else {
            panic!("it is trusted");
        };
        assert_eq!(failed.taken().count(), 1, "{failed}");
        // One that has no TLS at all is none that we could be led to.
        let url = database.socket_url() + "?sslmode=require";
        let Err(failed) = route(&url).reach(ASK).await else {
            panic!("it is not encrypted");
        };
        assert_eq!(failed.taken().count(), 0, "{failed}");
    }

    /// Each takes a place at a pooler.
    #[tokio::test]
    async fn g_09_a_connection_that_is_given_up_is_closed() {
        let (listener, port) = listener().await;
        let route = route(&format!("postgres://u@127.0.0.1:{port}/g"));
        let server = async {
            let (mut wire, _) = listener.accept().await.unwrap();
            assert_ne!(wire.read(&mut [0; 512]).await.unwrap(), 0, "the startup");
            // Authenticated, and ready.
            wire.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I")
                .await
                .unwrap();
            assert_eq!(wire.read_u8().await.unwrap(), b'Q');
            wire
        };
        let mut wire = tokio::select! {
            wire = server => wire,
            _ = route.reach(ASK) => panic!("nothing was answered"),
        };
        let closed = tokio::time::timeout(CONNECT, wire.read_to_end(&mut Vec::new())).await;
        assert!(closed.is_ok(), "it is still there");
    }
}
