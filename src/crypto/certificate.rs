//! Certificates with their keys: read from PEM or DER, found to belong together, and asked what they are good
//! for. Whose certificate it is, and whether anybody trusts it, is the client's question and not asked here.

use std::sync::Arc;

use rustls::InconsistentKeys;
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
    /// What begins as a PEM block does not end as one, or holds something else.
    #[error("holds a PEM block that is damaged or cut off")]
    Damaged,
    /// No private key.
    #[error("holds no PEM private key")]
    NoKey,
    /// The same as [`CertificateFault::Damaged`], of the key.
    #[error("holds a PEM block of a private key that is damaged or cut off")]
    DamagedKey,
    /// A private key that a passphrase would open, which nobody types here.
    #[error("the private key is encrypted; openssl pkey -in FILE -out FILE2 takes that off")]
    EncryptedKey,
    /// A key of a kind that is not supported.
    #[error(
        "a private key of a kind that is not supported (RSA from 2048 bits on, ECDSA, Ed25519): {0}"
    )]
    UnsupportedKey(rustls::Error),
    /// The certificate is not one, or of a kind that is not supported.
    #[error("the certificate cannot be read: {0}")]
    Unreadable(String),
    /// The key is that of another certificate in the file.
    #[error(
        "begins with another certificate than the key's; its own comes first, then who issued it"
    )]
    LeafNotFirst,
    /// Key and certificate do not belong together.
    #[error("certificate and key do not go together")]
    Mismatch,
}

impl CertificateFault {
    /// Whether the file with the key is at fault, and not the one with the certificate.
    #[must_use]
    pub const fn is_of_key(&self) -> bool {
        matches!(
            self,
            Self::NoKey
                | Self::DamagedKey
                | Self::EncryptedKey
                | Self::UnsupportedKey(_)
                | Self::Mismatch
        )
    }
}

impl Identity {
    /// Reads a chain, leaf first, and its key from PEM.
    ///
    /// # Errors
    /// When they cannot be read or do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Arc<Self>, CertificateFault> {
        let chain = chain_of(chain)?;
        let found =
            rustls_pemfile::private_key(&mut &*key).map_err(|_| CertificateFault::DamagedKey);
        if is_encrypted(key) {
            return Err(CertificateFault::EncryptedKey);
        }
        match found? {
            Some(found) => Self::from_der(chain, found),
            None => Err(CertificateFault::NoKey),
        }
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
        let key = aws_lc_rs::default_provider()
            .key_provider
            .load_private_key(key)
            .map_err(CertificateFault::UnsupportedKey)?;
        let rest = chain.get(1..).unwrap_or_default().to_vec();
        let key = CertifiedKey::new(chain, key);
        match key.keys_match() {
            // Of some kinds of keys nobody can tell.
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                let fits =
                    |other| CertifiedKey::new(vec![other], Arc::clone(&key.key)).keys_match();
                let is_there = rest.into_iter().any(|other| fits(other).is_ok());
                return Err(if is_there {
                    CertificateFault::LeafNotFirst
                } else {
                    CertificateFault::Mismatch
                });
            }
            Err(other) => return Err(CertificateFault::Unreadable(other.to_string())),
        }
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

    /// Whether it is neither over nor still to come.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.from <= now && !self.is_expired(now)
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
        Ok(_) if !has(pem, b"-----BEGIN CERTIFICATE-----") => Err(CertificateFault::NoCertificate),
        _ => Err(CertificateFault::Damaged),
    }
}

/// From when to when a certificate (DER) is valid, if it can be read.
#[must_use]
pub fn life(der: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (_, from, until) = read(&CertificateDer::from(der)).ok()?;
    Some((from, until))
}

/// As PKCS #8 says it, and as OpenSSL did before.
fn is_encrypted(pem: &[u8]) -> bool {
    has(pem, b"BEGIN ENCRYPTED PRIVATE KEY") || has(pem, b"Proc-Type: 4,ENCRYPTED")
}

fn has(text: &[u8], words: &[u8]) -> bool {
    memchr::memmem::find(text, words).is_some()
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
        assert_eq!(fault(load(&chain, &other)), CertificateFault::Mismatch);
        let (issuer, _) = made(&["issuer.test"]);
        assert!(load(&(chain.clone() + &issuer), &key).is_ok());
        let turned = issuer + &chain;
        assert_eq!(fault(load(&turned, &key)), CertificateFault::LeafNotFirst);
        assert_eq!(fault(load(&turned, &other)), CertificateFault::Mismatch);
        let cut = chain.get(..chain.len() / 2).unwrap();
        assert_eq!(fault(load(cut, &key)), CertificateFault::Damaged);
        assert_eq!(fault(load("", &key)), CertificateFault::NoCertificate);
        assert_eq!(fault(load(&key, &key)), CertificateFault::NoCertificate);
        assert_eq!(fault(load(&chain, "")), CertificateFault::NoKey);
        assert_eq!(fault(load(&chain, &chain)), CertificateFault::NoKey);
        for encrypted in [
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        ] {
            let said = fault(load(&chain, encrypted));
            assert_eq!(said, CertificateFault::EncryptedKey, "{encrypted}");
        }
        let cut = key.get(..key.len() / 2).unwrap();
        assert_eq!(fault(load(&chain, cut)), CertificateFault::DamagedKey);
        assert!(CertificateFault::DamagedKey.is_of_key());
        let unknown = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(matches!(
            fault(load(&chain, unknown)),
            CertificateFault::UnsupportedKey(_)
        ));
        let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(
            fault(load(junk, &key)),
            CertificateFault::Unreadable(_)
        ));
    }
}
