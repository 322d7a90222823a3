//! Opening a connection: TLS, and what every session is told first.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use deadpool_postgres::ClientWrapper;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failed::Failed;
use super::leader::{Leader, Place, WHO};
use super::route::{Driver, Route};
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
/// How long all of connecting may take: every host, TLS, the password, the settings.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// How long to take one's leave.
const LEAVE: Duration = Duration::from_secs(1);

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
    route: Route,
    leader: Arc<Leader>,
}

/// Makes connections of one kind, for a pool. They end with what the pool has of them, whatever is under way.
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
            route: Route::new(url, MakeRustlsConnect::new(tls)),
            leader: Arc::new(leader),
        })
    }

    /// The server that all of them should lead to.
    pub(super) fn leader(&self) -> &Leader {
        &self.leader
    }

    /// The same way of connecting to another place.
    #[cfg(test)]
    pub(super) fn leading_to(&self, url: &PostgresUrl) -> Self {
        Self {
            route: self.route.leading_to(url),
            ..self.clone()
        }
    }

    /// Connects, asks `told`, which ends with [`WHO`], and leaves the driving to the caller.
    pub(super) async fn reach(&self, told: &str) -> Result<(Client, Driver, Place), Failed> {
        let attempt = self.leader.attempt();
        let reached = self.route.reach(told).await?;
        let place = self.leader.reached(attempt, reached.address, &reached.said);
        Ok((reached.client, reached.driver, place))
    }

    /// Connects as for a session, for nothing but to see who is there.
    pub(super) async fn look(&self) -> Result<(), Failed> {
        let (client, driver, _) = self.reach(&told(Session::Reads)).await?;
        // The driver says good-bye once nobody can ask for anything any more.
        drop(client);
        drop(timeout(LEAVE, driver).await);
        Ok(())
    }
}

/// What a session is told first.
fn told(session: Session) -> String {
    let only = match session {
        Session::Reads => "SET default_transaction_read_only = on; SET statement_timeout = '4s'",
        Session::Writes => "SET default_transaction_read_only = off",
    };
    format!("{SETTINGS}{only}; {WHO}")
}

/// Drives a connection while its place is the one that leads. How it ends is told to whoever waits for an answer.
async fn drive(driver: Driver, mut place: Place) {
    tokio::select! {
        // First, so that nothing more is heard of a server that has been left.
        biased;
        () = place.lost() => {}
        _ = driver => {}
    }
}

impl Manager for Pooled {
    type Type = ClientWrapper;
    type Error = Failed;

    /// Connects and sets up the session, which ends once its server is not the one that leads any more.
    async fn create(&self) -> Result<ClientWrapper, Failed> {
        let Self(connector, session) = self;
        let (client, driver, place) = connector.reach(&told(*session)).await?;
        Ok(ClientWrapper::new(
            client,
            tokio::spawn(drive(driver, place)),
        ))
    }

    async fn recycle(&self, client: &mut ClientWrapper, _: &Metrics) -> RecycleResult<Failed> {
        if client.is_closed() {
            return Err(RecycleError::message("it is closed"));
        }
        Ok(())
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
