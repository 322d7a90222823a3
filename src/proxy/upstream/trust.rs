//! TLS to servers, as Pingora wants it: whom to believe, and who we are.
//!
//! Certificates are verified unless the file says by name that they are not. Pingora verifies nothing when no
//! server name is given, so one always is.

use std::sync::{Arc, LazyLock};

use pingora::protocols::tls::CaType;
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::settings::Trust;

/// An authority whose key nobody has. Where no proof is asked for, Pingora makes what it does not ask from those that count
/// all the same, and cannot from none, which is what some machines trust.
static NOBODY: LazyLock<Option<Vec<Vec<u8>>>> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["nobody.invalid".to_owned()]).ok()?;
    Some(vec![made.cert.der().to_vec()])
});

/// The material of one upstream, ready for its connections.
#[derive(Debug, Default)]
pub struct Material {
    /// The authorities that count, in place of the machine's.
    pub authorities: Option<Arc<CaType>>,
    /// Our certificate and its key.
    pub client: Option<Arc<CertKey>>,
}

impl Material {
    /// What the file gave, which was found to be [`readable`].
    #[must_use]
    pub fn of(trust: &Trust) -> Self {
        let wrapped = |der: &Vec<u8>| WrappedX509::new(der.clone(), parse_x509);
        let authorities = if trust.accept_any {
            NOBODY.as_ref()
        } else {
            trust.authorities.as_ref()
        };
        Self {
            authorities: authorities.map(|all| all.iter().map(wrapped).collect::<Vec<_>>().into()),
            client: trust.client.as_ref().map(|client| {
                Arc::new(CertKey::new(
                    client.chain.clone(),
                    client.key.expose().clone(),
                ))
            }),
        }
    }
}

/// Whether Pingora can read a certificate, which it takes for granted.
#[must_use]
pub fn readable(der: &[u8]) -> bool {
    X509Certificate::from_der(der).is_ok()
}

/// Whether a certificate can be an authority.
#[must_use]
pub fn is_authority(der: &[u8]) -> bool {
    let added = RootCertStore::empty().add(CertificateDer::from(der.to_vec()));
    readable(der) && added.is_ok()
}
