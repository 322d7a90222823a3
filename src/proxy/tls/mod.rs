//! TLS on our own listener: versions 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN, a certificate by the name that
//! the client asks for. [`files`] holds the certificates that operators keep, [`clients`] what clients show.
//!
//! What it refuses: a handshake for which there is no certificate, early data, and renegotiation, which rustls
//! does not have. An authority that looks for the answer to a challenge (RFC 8737) is shown that and nothing else.

pub mod clients;
pub mod files;
mod shake;

use std::cell::RefCell;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedCipherSuite};
use tokio_rustls::TlsAcceptor;

use crate::base::time::Clock;
use crate::crypto::certificate::Identity;
use crate::crypto::client::ClientCertificate;
use crate::crypto::client_roots::{ClientRoots, InForce};
use crate::crypto::keyring::Keyring;

use clients::{Resumable, Verifier};

pub use clients::Clients;
pub use files::{Files, TlsFault};
pub use shake::shake;

/// What is spoken, the best first. Who knows only HTTP/1.0 says so, too, and would else be sent away.
const PROTOCOLS: [&[u8]; 4] = [b"h2", b"http/1.1", b"http/1.0", CHALLENGE];

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
    /// Whether the client has said what it asks for.
    pub heard: bool,
    /// Who vouches for what the client was asked for, if it was asked for a certificate.
    pub asked: Option<Arc<ClientRoots>>,
    /// The certificate that it has shown then, for which they do.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// Whether it has shown one for which they do not.
    pub refused: bool,
}

/// Makes handshakes by what is in force when they begin.
pub struct Handshakes {
    keyring: Arc<Keyring>,
    roots: Arc<InForce>,
    clock: Clock,
    made: ArcSwap<Made>,
}

/// An acceptor, and who vouches for the certificates that it asks for.
pub struct Made {
    /// Shows whatever certificate of ours is in force.
    pub acceptor: TlsAcceptor,
    roots: Option<Arc<ClientRoots>>,
}

impl Handshakes {
    /// By these certificates of ours and, of clients', by those who vouch for them.
    #[must_use]
    pub fn new(keyring: Arc<Keyring>, roots: Arc<InForce>, clock: Clock) -> Self {
        let made = Made::new(&keyring, roots.load_full(), &clock);
        Self {
            keyring,
            roots,
            clock,
            made: ArcSwap::from_pointee(made),
        }
    }

    /// What is in force.
    #[must_use]
    pub fn current(&self) -> Arc<Made> {
        let (made, roots) = (self.made.load_full(), self.roots.load_full());
        if roots.as_ref().map(Arc::as_ptr) == made.roots.as_ref().map(Arc::as_ptr) {
            return made;
        }
        let made = Arc::new(Made::new(&self.keyring, roots, &self.clock));
        self.made.store(Arc::clone(&made));
        made
    }
}

impl Made {
    fn new(keyring: &Arc<Keyring>, roots: Option<Arc<ClientRoots>>, clock: &Clock) -> Self {
        let resolver = Resolver {
            keyring: Arc::clone(keyring),
            roots: roots.clone(),
            clock: clock.clone(),
        };
        let builder = ServerConfig::builder();
        let builder = match &roots {
            Some(roots) => {
                builder.with_client_cert_verifier(Arc::new(Verifier::new(Arc::clone(roots))))
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        // The first that both know: by our order, in which nothing is weak.
        config.ignore_client_order = true;
        config.session_storage = Arc::new(Resumable::new());
        Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            roots,
        }
    }
}

/// Runs a handshake and tells what it was about. That is caught in the resolver, which rustls asks in every handshake,
/// resumed ones included.
async fn with_shown<T>(handshake: impl Future<Output = T>) -> (T, Shown) {
    let run = async {
        let done = handshake.await;
        (done, SHOWN.with(RefCell::take))
    };
    SHOWN.scope(RefCell::default(), run).await
}

#[derive(Debug)]
struct Resolver {
    keyring: Arc<Keyring>,
    roots: Option<Arc<ClientRoots>>,
    clock: Clock,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        let challenge = offers(&hello, CHALLENGE);
        let fits = |identity: &Identity| fits(&hello, identity);
        let identity = self.keyring.choose(name, self.clock.now(), fits);
        let identity = identity.filter(|_| !challenge);
        let key = match &identity {
            Some(identity) => Some(Arc::clone(identity.key())),
            // Offered beside others, another protocol would be chosen, on a certificate that is for none.
            None if challenge && offered(&hello) == 1 => {
                name.and_then(|name| self.keyring.tls_answer(name))
            }
            None => None,
        };
        let asks = |roots: &&Arc<ClientRoots>| !challenge && roots.asks(name);
        let shown = Shown {
            name: name.map(Into::into),
            identity,
            challenge,
            heard: true,
            asked: self.roots.as_ref().filter(asks).cloned(),
            ..Shown::default()
        };
        // Outside `with_shown` nobody wants to know.
        let _ = SHOWN.try_with(|seen| seen.replace(shown));
        key
    }
}

/// Whether a client knows what this certificate's key signs with, in a suite that it offers.
fn fits(hello: &ClientHello<'_>, identity: &Identity) -> bool {
    let key = &identity.key().key;
    let suited = |suite: &SupportedCipherSuite| {
        hello.cipher_suites().contains(&suite.suite())
            && suite.usable_for_signature_algorithm(key.algorithm())
    };
    key.choose_scheme(hello.signature_schemes()).is_some() && ALL_CIPHER_SUITES.iter().any(suited)
}

fn offers(hello: &ClientHello<'_>, protocol: &[u8]) -> bool {
    hello
        .alpn()
        .is_some_and(|mut offered| offered.any(|one| one == protocol))
}

fn offered(hello: &ClientHello<'_>) -> usize {
    hello.alpn().map_or(0, Iterator::count)
}
