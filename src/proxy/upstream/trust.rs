//! TLS to servers, as Pingora wants it: whom to believe, and who we are.
//!
//! Certificates are verified unless the file says by name that they are not. Pingora verifies nothing when no
//! server name is given, so one always is.

use std::sync::Arc;

use pingora::protocols::tls::CaType;
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::settings::Trust;

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
        Self {
            authorities: trust
                .authorities
                .as_ref()
                .map(|all| all.iter().map(wrapped).collect::<Vec<_>>().into()),
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
