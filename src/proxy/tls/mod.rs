//! TLS on our own listener: versions 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN, a certificate by the name that
//! the client asks for. [`files`] holds the certificates that operators keep.
//!
//! What it refuses: a handshake for which there is no certificate, early data, and renegotiation, which rustls
//! does not have. An authority that looks for the answer to a challenge (RFC 8737) is shown that and nothing else.

pub mod files;

use std::cell::RefCell;
use std::sync::Arc;

use pingora::listeners::tls::Acceptor;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::crypto::certificate::Identity;
use crate::crypto::keyring::Keyring;

pub use files::{Files, TlsFault};

/// The protocol of an authority that looks for the answer to a challenge. No request is ever served on it.
const CHALLENGE: &[u8] = b"acme-tls/1";

tokio::task_local! {
    /// What the handshake in this task has shown.
    static SHOWN: RefCell<Shown>;
}

/// What a handshake was about.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The name that the client asked for.
    pub name: Option<Box<str>>,
    /// The certificate that it was shown.
    pub identity: Option<Arc<Identity>>,
    /// Whether it was an authority that looks for an answer.
    pub challenge: bool,
}

/// An acceptor that shows whatever certificate is in force.
#[must_use]
pub fn acceptor(keyring: Arc<Keyring>) -> Acceptor {
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Resolver(keyring)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec(), CHALLENGE.to_vec()];
    Acceptor::from_server_config(Arc::new(config))
}

/// Runs a handshake and tells what it was about. That is caught in the resolver, the one place where Pingora's
/// acceptor shows it; rustls asks it in every handshake, resumed ones included.
pub async fn with_shown<T>(handshake: impl Future<Output = T>) -> (T, Shown) {
    let run = async {
        let done = handshake.await;
        (done, SHOWN.with(RefCell::take))
    };
    SHOWN.scope(RefCell::default(), run).await
}

#[derive(Debug)]
struct Resolver(Arc<Keyring>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        let challenge = offers(&hello, CHALLENGE);
        let identity = self.0.choose(name).filter(|_| !challenge);
        let key = match &identity {
            Some(identity) => Some(Arc::clone(identity.key())),
            // Offered beside others, another protocol would be chosen, on a certificate that is for none.
            None if challenge && offered(&hello) == 1 => {
                name.and_then(|name| self.0.tls_answer(name))
            }
            None => None,
        };
        let shown = Shown {
            name: name.map(Into::into),
            identity,
            challenge,
        };
        // Outside `with_shown` nobody wants to know.
        let _ = SHOWN.try_with(|seen| seen.replace(shown));
        key
    }
}

fn offers(hello: &ClientHello<'_>, protocol: &[u8]) -> bool {
    hello
        .alpn()
        .is_some_and(|mut offered| offered.any(|one| one == protocol))
}

fn offered(hello: &ClientHello<'_>) -> usize {
    hello.alpn().map_or(0, Iterator::count)
}
