//! Access tokens: JWTs of RFC 9068, signed by us and read by us.
//!
//! A token of ours has one header only, the one we write. What does not begin with exactly that header is none
//! of ours and is refused before anything in it is read: so no `alg`, `kid`, `jku`, `crit` or `typ` of a
//! stranger's is ever acted on (RFC 8725 sections 3.1 to 3.11).

use std::ops::Range;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::base::random::Random;
use crate::base::secret::Secret;
use crate::base::time::{SKEW, Timestamp};

/// `typ` of access tokens (RFC 9068 section 2.1).
pub const ACCESS_TYPE: &str = "at+jwt";

/// Longer than any token of ours; what is longer is not looked at.
const MAX_BYTES: usize = 8 * 1024;

/// How access tokens are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    #[default]
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSA PKCS #1 v1.5 with SHA-256, for verifiers that know nothing else.
    Rs256,
    /// HMAC with SHA-256: nobody but the gateway can verify these.
    Hs256,
}

impl AccessClaims {
    /// The seconds in which they are good. What was signed while the clock was ahead is not, for it has its end too late as
    /// well.
    #[must_use]
    pub const fn good(&self) -> Range<i64> {
        self.iat.saturating_sub(SKEW.as_secs().cast_signed())..self.exp
    }
}

/// A key that signs access tokens and verifies them.
pub struct AccessKey {
    algorithm: Algorithm,
    header: Header,
    /// The first part of every token of this key, as it is written.
    first: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
    public: Option<Jwk>,
}

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// Who made it: the main site.
    pub iss: String,
    /// Whom it is for: this gateway.
    pub aud: String,
    /// The user's public name.
    pub sub: String,
    /// The client that asked for it.
    pub client_id: String,
    /// The session it stands for.
    pub sid: String,
    /// Its own name.
    pub jti: String,
    /// When it was made, in seconds.
    pub iat: i64,
    /// When it ends, in seconds.
    pub exp: i64,
}

/// A key could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum AccessFault {
    /// The stored key is not one of its algorithm.
    #[error("not a key for {0}")]
    Key(&'static str),
    /// The library refused.
    #[error("signing failed: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
    /// There is no randomness.
    #[error(transparent)]
    Random(#[from] crate::base::random::NoRandomness),
}

/// The text is not an access token of ours that is good now. Why, nobody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an access token of ours")]
pub struct NotAccess;

impl Algorithm {
    /// Every algorithm and the word for it in the file (RFC 7518 section 3.1, RFC 8037).
    pub const ALL: [(&'static str, Self); 4] = [
        ("ES256", Self::Es256),
        ("EdDSA", Self::EdDsa),
        ("RS256", Self::Rs256),
        ("HS256", Self::Hs256),
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Hs256 => "HS256",
        }
    }

    const fn jose(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
        }
    }

    /// Makes a key: PKCS #8, or 32 random bytes for HMAC. All but those come from the crypto library, which
    /// accepts no other source of randomness for keys.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate(self, random: &Random) -> Result<Secret<Vec<u8>>, AccessFault> {
        let fault = |_| AccessFault::Key(self.as_str());
        let document = match self {
            Self::Hs256 => return Ok(Secret::new(random.bytes::<32>()?.to_vec())),
            Self::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .and_then(|key| key.to_pkcs8v1())
                .map_err(fault)?
                .as_ref()
                .to_vec(),
            Self::EdDsa => Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new())
                .map_err(fault)?
                .as_ref()
                .to_vec(),
            Self::Rs256 => {
                use aws_lc_rs::encoding::AsDer as _;
                let key = RsaKeyPair::generate(KeySize::Rsa2048).map_err(fault)?;
                key.as_der().map_err(fault)?.as_ref().to_vec()
            }
        };
        Ok(Secret::new(document))
    }

    fn encoding(self, key: &[u8]) -> Result<EncodingKey, AccessFault> {
        Ok(match self {
            Self::Es256 => EncodingKey::from_ec_der(key),
            Self::EdDsa => EncodingKey::from_ed_der(key),
            Self::Hs256 => EncodingKey::from_secret(key),
            // The library takes RSA keys out of their PKCS #8 wrapping only when they come as PEM.
            Self::Rs256 => EncodingKey::from_rsa_pem(pem(key).as_bytes())?,
        })
    }
}

impl AccessKey {
    /// Reads what [`Algorithm::generate`] made.
    ///
    /// # Errors
    /// When it is no key of this algorithm.
    pub fn new(algorithm: Algorithm, key: &Secret<Vec<u8>>) -> Result<Self, AccessFault> {
        if algorithm == Algorithm::Hs256 && key.expose().len() < 32 {
            return Err(AccessFault::Key(algorithm.as_str()));
        }
        let encoding = algorithm.encoding(key.expose())?;
        let mut jwk = Jwk::from_encoding_key(&encoding, algorithm.jose())?;
        let kid = thumbprint(&jwk)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let header = Header {
            typ: Some(ACCESS_TYPE.to_owned()),
            kid: (algorithm != Algorithm::Hs256).then_some(kid),
            ..Header::new(algorithm.jose())
        };
        let first = serde_json::to_vec(&header).map_err(jsonwebtoken::errors::Error::from)?;
        Ok(Self {
            algorithm,
            header,
            first: URL_SAFE_NO_PAD.encode(first),
            decoding: DecodingKey::from_jwk(&jwk)?,
            encoding,
            public: (algorithm != Algorithm::Hs256).then_some(jwk),
        })
    }

    /// The public half, for the key set; a symmetric key has none.
    #[must_use]
    pub const fn public(&self) -> Option<&Jwk> {
        self.public.as_ref()
    }

    /// Signs.
    ///
    /// # Errors
    /// When the library refuses to.
    pub fn sign(&self, claims: &AccessClaims) -> Result<Secret<String>, AccessFault> {
        let token = jsonwebtoken::encode(&self.header, claims, &self.encoding)?;
        Ok(Secret::new(token))
    }

    /// Reads a token that `issuer` made for itself.
    ///
    /// # Errors
    /// When it is anything else, or its time is over.
    pub fn verify(
        &self,
        token: &str,
        issuer: &str,
        now: Timestamp,
    ) -> Result<AccessClaims, NotAccess> {
        let claims = self.read(token, issuer)?;
        if claims.good().contains(&now.seconds()) {
            Ok(claims)
        } else {
            Err(NotAccess)
        }
    }

    /// The same, whatever its time is.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn read(&self, token: &str, issuer: &str) -> Result<AccessClaims, NotAccess> {
        if token.len() > MAX_BYTES || !self.begins(token) {
            return Err(NotAccess);
        }
        let mut validation = Validation::new(self.algorithm.jose());
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[issuer]);
        // With our own clock, by whoever asks for that.
        validation.validate_exp = false;
        let read = jsonwebtoken::decode::<AccessClaims>(token, &self.decoding, &validation);
        Ok(read.map_err(|_| NotAccess)?.claims)
    }

    /// Whether a text begins as every token of this key does; others may begin so, too.
    fn begins(&self, token: &str) -> bool {
        let first = token.split_once('.').map(|(first, _)| first);
        first.is_some_and(|first| first == self.first)
    }
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AccessKey({})", self.algorithm.as_str())
    }
}

/// The key's name: its thumbprint (RFC 7638).
fn thumbprint(jwk: &Jwk) -> Result<String, AccessFault> {
    Ok(jwk.thumbprint(ThumbprintHash::SHA256)?)
}

fn pem(pkcs8: &[u8]) -> String {
    let text = STANDARD.encode(pkcs8);
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|&byte| char::from(byte)));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    pem
}

#[cfg(test)]
mod tests;
