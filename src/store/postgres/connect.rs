//! Opening a connection: TLS, and what every session is told first.

use std::future::pending;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Connect;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, Connection, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::leader::{Leader, Place, WHO};
use super::url::PostgresUrl;
use crate::store::error::DbError;

/// How long a transaction may be left without a statement before it is rolled back by us; the server does so
/// after twice that, should this process hang.
pub(super) const IDLE: Duration = Duration::from_secs(5);
/// How long to wait for an answer. The server gives up on the statement before, and on its lock before that,
/// which is longer than a transaction left idle can hold it.
pub(super) const ANSWER: Duration = Duration::from_secs(12);
/// How long all of a read may take, the wait for a connection included: somebody waits for a page. The server gives up before.
pub(super) const READ: Duration = Duration::from_secs(5);
/// How long all of connecting may take: every host, TLS, the password.
pub(super) const CONNECT: Duration = Duration::from_secs(5);

/// A server that follows another one may be far behind, and a session that has ended would still be there.
/// `synchronous_commit`: what was acknowledged, such as the end of a session, is not undone by a crash.
const SETTINGS: &str = "
    SET statement_timeout = '10s';
    SET lock_timeout = '8s';
    SET idle_in_transaction_session_timeout = '10s';
    SET default_transaction_isolation = 'read committed';
    SET synchronous_commit = on;
    SET client_min_messages = 'warning';
    DO 'BEGIN IF pg_is_in_recovery() THEN RAISE read_only_sql_transaction USING MESSAGE = ''this server only follows another one''; END IF; END';
";

/// The connection's half that must be polled for anything to happen.
pub(super) type Driver =
    Connection<Socket, <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<Socket>>::Stream>;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    /// It is read-only, and the server sees to it.
    Reads,
    /// It may write.
    Writes,
}

/// Makes connections to one database.
#[derive(Clone)]
pub(super) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
    leader: Arc<Leader>,
}

/// Makes connections of one kind, for a pool.
pub(super) struct Pooled(pub(super) Connector, pub(super) Session);

impl Connector {
    /// Reads the certificates to trust, if TLS is to be used.
    pub(super) fn new(url: &PostgresUrl, leader: Leader) -> Result<Self, DbError> {
        let roots = match (url.config().get_ssl_mode(), url.root()) {
            (SslMode::Disable, _) => RootCertStore::empty(),
            (_, Some(path)) => given(path)?,
            (_, None) => machines()?,
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| DbError::unavailable(e.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            config: url.config().clone(),
            tls: MakeRustlsConnect::new(tls),
            leader: Arc::new(leader),
        })
    }

    /// Connects, and leaves the driving to the caller.
    pub(super) async fn bare(&self) -> Result<(Client, Driver), Error> {
        self.config.connect(self.tls.clone()).await
    }

    /// The server that all of them should lead to.
    pub(super) fn leader(&self) -> &Leader {
        &self.leader
    }

    /// Connects and sets up the session, which ends once its server is not the one that leads any more.
    pub(super) async fn session(
        &self,
        session: Session,
    ) -> Result<(Client, JoinHandle<()>), Error> {
        let attempt = self.leader.attempt();
        let (client, driver) = self.bare().await?;
        let (reached, place) = oneshot::channel();
        let driving = tokio::spawn(drive(driver, place));
        let only = match session {
            Session::Reads => {
                "SET default_transaction_read_only = on; SET statement_timeout = '4s'"
            }
            Session::Writes => "SET default_transaction_read_only = off",
        };
        let told = format!("{SETTINGS}{only}; {WHO}");
        let said = client.simple_query(&told).await?;
        drop(reached.send(self.leader.reached(attempt, &said)));
        Ok((client, driving))
    }
}

/// Drives a connection while its place is the one that leads. How it ends is told to whoever waits for an answer.
async fn drive(driver: Driver, place: oneshot::Receiver<Place>) {
    let lost = async {
        match place.await {
            Ok(mut place) => place.lost().await,
            // It came to nothing, and the driver ends with its client.
            Err(_) => pending().await,
        }
    };
    tokio::select! {
        // First, so that nothing more is heard of a server that has been left.
        biased;
        () = lost => {}
        _ = driver => {}
    }
}

type Connecting<'a> =
    Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + 'a>>;

impl Connect for Pooled {
    fn connect(&self, _: &Config) -> Connecting<'_> {
        Box::pin(self.0.session(self.1))
    }
}

fn given(path: &Path) -> Result<RootCertStore, DbError> {
    let wrong =
        |fault: String| DbError::unavailable(format!("sslrootcert {}: {fault}", path.display()));
    let pem = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in rustls_pemfile::certs(&mut pem.as_slice()) {
        let certificate = certificate.map_err(|e| wrong(e.to_string()))?;
        roots.add(certificate).map_err(|e| wrong(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("holds no PEM certificate".to_owned()));
    }
    Ok(roots)
}

fn machines() -> Result<RootCertStore, DbError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(DbError::unavailable(
            "this machine trusts no certificates; name some with sslrootcert=",
        ));
    }
    Ok(roots)
}
