//! Certificates with their keys: read from PEM or DER, found to belong together, and asked what they are good
//! for. Whose certificate it is, and whether anybody trusts it, is the client's question and not asked here.

use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::base::time::Timestamp;

/// A certificate with its key, ready to be served.
#[derive(Debug)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    names: Vec<Box<str>>,
    from: Timestamp,
    until: Timestamp,
}

/// A certificate could not be used.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum CertificateFault {
    /// No certificate in the chain.
    #[error("holds no PEM certificate")]
    NoCertificate,
    /// No private key.
    #[error("holds no PEM private key")]
    NoKey,
    /// The certificate is not one.
    #[error("the certificate cannot be read: {0}")]
    Unreadable(String),
    /// Key and certificate do not belong together, or are of a kind that is not supported.
    #[error("certificate and key do not go together: {0}")]
    Unusable(rustls::Error),
}

impl Identity {
    /// Reads a chain, leaf first, and its key from PEM.
    ///
    /// # Errors
    /// When they cannot be read or do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Arc<Self>, CertificateFault> {
        let key = rustls_pemfile::private_key(&mut &*key).ok().flatten();
        Self::from_der(chain_of(chain)?, key.ok_or(CertificateFault::NoKey)?)
    }

    /// The same from DER.
    ///
    /// # Errors
    /// As [`Identity::from_pem`].
    pub fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Arc<Self>, CertificateFault> {
        let leaf = chain.first().ok_or(CertificateFault::NoCertificate)?;
        let (names, from, until) = read(leaf)?;
        let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
            .map_err(CertificateFault::Unusable)?;
        Ok(Arc::new(Self {
            key: Arc::new(key),
            names,
            from,
            until,
        }))
    }

    /// What a handshake is made with.
    #[must_use]
    pub const fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// The DNS names it is for, in lower case, wildcards as they stand.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    /// Whether it is for a name of another: the same, or one that is covered by it.
    #[must_use]
    pub fn is_for(&self, name: &str) -> bool {
        self.names().any(|own| own == name) || self.covers(name)
    }

    /// When it begins to be valid.
    #[must_use]
    pub const fn from(&self) -> Timestamp {
        self.from
    }

    /// When it is no longer valid.
    #[must_use]
    pub const fn until(&self) -> Timestamp {
        self.until
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.until <= now
    }

    /// Whether two are the same certificate.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.key.cert == other.key.cert
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

/// The certificates of a PEM text.
///
/// # Errors
/// When there is none, or one that is broken.
pub fn chain_of(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateFault> {
    let found: Result<Vec<_>, _> = rustls_pemfile::certs(&mut &*pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(CertificateFault::NoCertificate),
    }
}

type Facts = (Vec<Box<str>>, Timestamp, Timestamp);

fn read(leaf: &CertificateDer<'_>) -> Result<Facts, CertificateFault> {
    let fault = |error: &dyn std::fmt::Display| CertificateFault::Unreadable(error.to_string());
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|error| fault(&error))?;
    let names = leaf.subject_alternative_name();
    let names = names.map_err(|error| fault(&error))?;
    let names = names
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into()),
            _ => None,
        })
        .collect();
    let at = |time: x509_parser::time::ASN1Time| {
        Timestamp::from_millis(time.timestamp().saturating_mul(1000))
    };
    let validity = leaf.validity();
    Ok((names, at(validity.not_before), at(validity.not_after)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A self-signed certificate for these names.
    pub(crate) fn made(names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn what_a_certificate_says_of_itself() {
        let (chain, key) = made(&["One.test", "*.two.test", "192.0.2.1"]);
        let identity = Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(
            identity.names().collect::<Vec<_>>(),
            ["one.test", "*.two.test"]
        );
        let covered = ["one.test", "a.two.test", "192.0.2.1"];
        let bare = ["two.test", "a.b.two.test", "three.test", "192.0.2.2", ""];
        assert!(covered.iter().all(|host| identity.covers(host)));
        assert!(!bare.iter().any(|host| identity.covers(host)));
        assert!(identity.from() < identity.until());
        assert!(identity.is_expired(identity.until()) && !identity.is_expired(identity.from()));
    }

    #[test]
    fn g_07_what_does_not_go_together_is_refused() {
        let ((chain, key), (_, other)) = (made(&["one.test"]), made(&["one.test"]));
        let load =
            |chain: &str, key: &str| Identity::from_pem(chain.as_bytes(), key.as_bytes()).map(drop);
        assert!(load(&chain, &key).is_ok());
        let fault = |result: Result<(), _>| result.unwrap_err();
        assert!(matches!(
            fault(load(&chain, &other)),
            CertificateFault::Unusable(_)
        ));
        assert_eq!(fault(load("", &key)), CertificateFault::NoCertificate);
        assert_eq!(fault(load(&key, &key)), CertificateFault::NoCertificate);
        assert_eq!(fault(load(&chain, "")), CertificateFault::NoKey);
        assert_eq!(fault(load(&chain, &chain)), CertificateFault::NoKey);
        let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(
            fault(load(junk, &key)),
            CertificateFault::Unreadable(_)
        ));
    }
}
