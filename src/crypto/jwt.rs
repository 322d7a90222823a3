//! Signed tokens: ES256 keys, the identity assertion, and the key set that verifies it.
//!
//! The algorithm belongs to the key, never to the token (RFC 8725 section 3.1); every kind of token has a
//! `typ` of its own (section 3.11), so that none is taken for another.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use crate::base::identity::{Identity, Method};
use crate::base::name::Email;
use crate::base::secret::Secret;
use crate::base::time::Timestamp;

/// `typ` of identity assertions.
pub const ASSERTION_TYPE: &str = "portcullis-assertion+jwt";

/// How long an assertion is good for, in seconds.
pub const ASSERTION_SECONDS: i64 = 60;

/// A P-256 key that signs, with the public half ready to be published.
#[derive(Clone)]
pub struct SigningKey {
    encoding: EncodingKey,
    public: PublicJwk,
}

/// The public half of a signing key, as RFC 7517 has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublicJwk {
    kty: &'static str,
    crv: &'static str,
    r#use: &'static str,
    alg: &'static str,
    kid: String,
    x: String,
    y: String,
}

/// A signing key could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum SigningFault {
    /// Not a P-256 key in PKCS #8.
    #[error("not a P-256 private key in PKCS #8 form")]
    Key,
    /// Signing failed.
    #[error("signing failed: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// What a service is told about a user, signed.
#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: String,
    iat: i64,
    exp: i64,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    email_verified: bool,
    roles: Vec<&'a str>,
    permissions: Vec<&'a str>,
    superuser: bool,
    method: &'static str,
}

impl SigningKey {
    /// Makes a new key in PKCS #8 form. Its randomness comes from the crypto library itself, which accepts
    /// no other source for keys.
    ///
    /// # Errors
    /// When the library has no randomness.
    pub fn generate_pkcs8() -> Result<Secret<Vec<u8>>, SigningFault> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map_err(|_| SigningFault::Key)?;
        let document = key.to_pkcs8v1().map_err(|_| SigningFault::Key)?;
        Ok(Secret::new(document.as_ref().to_vec()))
    }

    /// Reads a key in PKCS #8 form.
    ///
    /// # Errors
    /// When it is not a P-256 key.
    pub fn from_pkcs8(pkcs8: &Secret<Vec<u8>>) -> Result<Self, SigningFault> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.expose());
        let pair = pair.map_err(|_| SigningFault::Key)?;
        let public = PublicJwk::from_point(pair.public_key().as_ref()).ok_or(SigningFault::Key)?;
        Ok(Self {
            encoding: EncodingKey::from_ec_der(pkcs8.expose()),
            public,
        })
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &PublicJwk {
        &self.public
    }

    /// Signs what a service is told about a user; `audience` is the upstream's name in the file.
    ///
    /// # Errors
    /// When the library refuses to sign.
    pub fn assertion(
        &self,
        issuer: &str,
        audience: &str,
        (method, who): (Method, &Identity),
        now: Timestamp,
    ) -> Result<String, SigningFault> {
        let email = who.email.as_ref().map(Email::mailbox);
        let claims = Assertion {
            iss: issuer,
            aud: audience,
            sub: who.subject.to_string(),
            iat: now.seconds(),
            exp: now.seconds() + ASSERTION_SECONDS,
            name: who.name.as_str(),
            email: email.as_deref(),
            email_verified: who.verified,
            roles: who
                .roles
                .iter()
                .map(crate::base::name::RoleName::as_str)
                .collect(),
            permissions: who
                .permissions
                .iter()
                .map(crate::base::name::Permission::as_str)
                .collect(),
            superuser: who.superuser,
            method: method.as_str(),
        };
        let header = Header {
            typ: Some(ASSERTION_TYPE.to_owned()),
            kid: Some(self.public.kid.clone()),
            ..Header::new(Algorithm::ES256)
        };
        Ok(jsonwebtoken::encode(&header, &claims, &self.encoding)?)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.public.kid)
    }
}

impl PublicJwk {
    /// The key's name: its thumbprint (RFC 7638).
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// From an uncompressed point (SEC 1 section 2.3.3): a four, then both coordinates.
    fn from_point(point: &[u8]) -> Option<Self> {
        let coordinates = point.strip_prefix(&[4]).filter(|rest| rest.len() == 64)?;
        let (x, y) = coordinates.split_at(32);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()));
        Some(Self {
            kty: "EC",
            crv: "P-256",
            r#use: "sig",
            alg: "ES256",
            kid,
            x,
            y,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::identity::fixture::identity;
    use jsonwebtoken::jwk::Jwk;
    use jsonwebtoken::{DecodingKey, Validation, decode};

    #[test]
    fn h_18_an_assertion_verifies_with_the_published_key_and_its_audience_only() {
        let key = SigningKey::from_pkcs8(&SigningKey::generate_pkcs8().unwrap()).unwrap();
        let who = identity("alice", &["user"], &["orders:read"]);
        let now = Timestamp::from_millis(1_700_000_000_500);
        let token = key
            .assertion("https://app.test", "web", (Method::Session, &who), now)
            .unwrap();
        let published = serde_json::to_value(key.public()).unwrap();
        assert_eq!(
            published.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["alg", "crv", "kid", "kty", "use", "x", "y"]
        );
        let jwk: Jwk = serde_json::from_value(published).unwrap();
        let check = |audience: &str| {
            let mut validation = Validation::new(Algorithm::ES256);
            validation.set_audience(&[audience]);
            validation.set_issuer(&["https://app.test"]);
            validation.validate_exp = false;
            decode::<serde_json::Value>(&token, &DecodingKey::from_jwk(&jwk).unwrap(), &validation)
        };
        let data = check("web").unwrap();
        assert_eq!(data.header.typ.as_deref(), Some(ASSERTION_TYPE));
        assert_eq!(
            data.claims["exp"].as_i64().unwrap() - data.claims["iat"].as_i64().unwrap(),
            60
        );
        assert_eq!(data.claims["name"], "alice");
        assert!(check("api").is_err());
    }
}
