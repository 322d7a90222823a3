//! What an authority is to find while it checks whether a name is ours: kept in the store, so that it finds it on
//! whichever node it comes to.

use std::sync::Arc;

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

use crate::crypto::keyring::Pending;
use crate::store::acme::{Answer, Kind};

/// An answer could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AnswerFault {
    /// Not a certificate that can be made.
    #[error("the answer to a challenge cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// Not one that can be shown.
    #[error("the answer to a challenge cannot be shown: {0}")]
    Tls(#[from] rustls::Error),
}

/// The answer to a challenge of this token for this name.
pub(super) fn answer(kind: Kind, name: &str, token: &str, authorization: &str) -> Answer {
    let (key, answer) = match kind {
        Kind::Http => (token.to_owned(), authorization.to_owned()),
        Kind::Tls => (
            name.to_owned(),
            hex::encode(Sha256::digest(authorization.as_bytes())),
        ),
    };
    Answer { kind, key, answer }
}

/// What requests and handshakes are answered from.
///
/// # Errors
/// When a certificate that answers cannot be made.
pub(super) fn pending(answers: &[Answer]) -> Result<Pending, AnswerFault> {
    let mut pending = Pending::default();
    for Answer { kind, key, answer } in answers {
        match kind {
            Kind::Http => {
                pending
                    .http
                    .insert(key.as_str().into(), answer.as_str().into());
            }
            Kind::Tls => {
                let shown = Arc::new(certificate(key, answer)?);
                pending.tls.insert(key.as_str().into(), shown);
            }
        }
    }
    Ok(pending)
}

/// A certificate for the name alone that holds the digest (RFC 8737 section 3). Made anew on every node: only
/// what is in it is looked at.
fn certificate(name: &str, digest: &str) -> Result<CertifiedKey, AnswerFault> {
    let mut bytes = [0; 32];
    if hex::decode_to_slice(digest, &mut bytes).is_err() {
        return Err(rustls::Error::General("not a digest".to_owned()).into());
    }
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(&bytes)];
    let key = KeyPair::generate()?;
    let made = params.self_signed(&key)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = aws_lc_rs::default_provider();
    let key = provider.key_provider.load_private_key(key.into())?;
    // Not checked against each other: webpki reads no certificate with a critical extension that it does not know.
    Ok(CertifiedKey::new(vec![made.der().clone()], key))
}

/// Whether a token is one that RFC 8555 section 8.1 allows: base64url, and so no path of several segments.
pub(super) fn is_token(token: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (16..=256).contains(&token.len()) && token.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_found_where_they_are_looked_for() {
        let http = answer(Kind::Http, "a.test", "token", "token.thumb");
        let tls = answer(Kind::Tls, "a.test", "token", "token.thumb");
        assert_eq!(
            (http.key.as_str(), http.answer.as_str()),
            ("token", "token.thumb")
        );
        assert_eq!((tls.key.as_str(), tls.answer.len()), ("a.test", 64));
        let pending = pending(&[http, tls]).unwrap();
        assert_eq!(pending.http["token"].as_ref(), "token.thumb");
        assert_eq!(pending.tls["a.test"].cert.len(), 1);
        assert!(certificate("a.test", "junk").is_err());
    }

    #[test]
    fn f_07_tokens_that_are_none() {
        assert!(is_token("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"));
        for bad in [
            "",
            "short",
            "../../../../../admin",
            "aaaaaaaaaaaaaaaa/b",
            "aaaaaaaaaaaaaaaaaa\r\n",
        ] {
            assert!(!is_token(bad), "{bad:?}");
        }
    }
}
