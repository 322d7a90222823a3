//! TLS from certificate files: versions 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora::listeners::tls::Acceptor;
use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::running::Running;
use super::settings::Certificate;

tokio::task_local! {
    /// The name that the client of the handshake in this task asked for.
    static ASKED: RefCell<Option<Box<str>>>;
}

/// A certificate with its key, ready to be served.
#[derive(Debug)]
pub struct Identity {
    key: Arc<CertifiedKey>,
}

/// A certificate could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// A file could not be read.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// No certificate in the chain file.
    #[error("{0}: holds no certificate")]
    NoCertificate(PathBuf),
    /// No private key in the key file.
    #[error("{0}: holds no private key")]
    NoKey(PathBuf),
    /// Key and certificate do not belong together, or are of a kind that is not supported.
    #[error("{0}: {1}")]
    Unusable(PathBuf, rustls::Error),
}

impl Identity {
    /// Reads a chain and its key.
    ///
    /// # Errors
    /// When they cannot be read or do not belong together.
    pub fn load(files: &Certificate) -> Result<Arc<Self>, TlsFault> {
        let chain = certificates(&files.chain)?;
        let key = private_key(&files.key)?;
        let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
        let key = key.map_err(|error| TlsFault::Unusable(files.key.clone(), error))?;
        Ok(Arc::new(Self { key: Arc::new(key) }))
    }

    /// Whether the certificate is good for a host. A client that was shown it may speak to any host it
    /// covers on one connection (RFC 9110 section 7.4).
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        let leaf = self
            .key
            .end_entity_cert()
            .and_then(ParsedCertificate::try_from);
        let name = ServerName::try_from(
            host.trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
        );
        matches!((leaf, name), (Ok(leaf), Ok(name)) if verify_server_name(&leaf, &name).is_ok())
    }
}

/// An acceptor that serves whatever certificate is in force.
#[must_use]
pub fn acceptor(running: Arc<ArcSwap<Running>>) -> Acceptor {
    let resolver = Arc::new(Resolver(running));
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Acceptor::from_server_config(Arc::new(config))
}

/// Runs a handshake and tells which name the client asked for. The name is caught in the resolver, the one
/// place where Pingora's acceptor shows it.
pub async fn with_server_name<T>(handshake: impl Future<Output = T>) -> (T, Option<Box<str>>) {
    let run = async {
        let done = handshake.await;
        (done, ASKED.with(RefCell::take))
    };
    ASKED.scope(RefCell::default(), run).await
}

#[derive(Debug)]
struct Resolver(Arc<ArcSwap<Running>>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(Into::into);
        // Outside `with_server_name` nobody wants to know.
        let _ = ASKED.try_with(|asked| asked.replace(name));
        self.0
            .load()
            .certificate
            .as_ref()
            .map(|identity| Arc::clone(&identity.key))
    }
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let found: Result<Vec<_>, _> = rustls_pemfile::certs(&mut open(path)?).collect();
    let found = found.map_err(|error| TlsFault::File(path.clone(), error))?;
    if found.is_empty() {
        Err(TlsFault::NoCertificate(path.clone()))
    } else {
        Ok(found)
    }
}

fn private_key(path: &PathBuf) -> Result<PrivateKeyDer<'static>, TlsFault> {
    let found = rustls_pemfile::private_key(&mut open(path)?)
        .map_err(|error| TlsFault::File(path.clone(), error))?;
    found.ok_or_else(|| TlsFault::NoKey(path.clone()))
}

fn open(path: &PathBuf) -> Result<BufReader<File>, TlsFault> {
    File::open(path)
        .map(BufReader::new)
        .map_err(|error| TlsFault::File(path.clone(), error))
}
