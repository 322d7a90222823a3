//! Bearer secrets that we hand out: 256 random bits, shown once, kept as a SHA-256 hash.
//!
//! A plain hash is enough because nobody can guess 256 bits; passwords are another matter and live in
//! [`crate::crypto::password`].

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::random::{NoRandomness, Random};
use super::secret::Secret;

/// A secret of 256 random bits, in base64url without padding (43 characters).
#[derive(Clone, Debug)]
pub struct Token(Secret<String>);

/// What is kept of a [`Token`]: its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

/// The text is not one of our tokens: wrong length, alphabet or trailing bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token of ours")]
pub struct NotAToken;

impl Token {
    /// A new token.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate(random: &Random) -> Result<Self, NoRandomness> {
        Ok(Self(Secret::new(
            URL_SAFE_NO_PAD.encode(random.bytes::<32>()?),
        )))
    }

    /// Reads what a client presented. Only the one canonical spelling is accepted, so that two different
    /// texts never name the same secret.
    ///
    /// # Errors
    /// When the text is not 43 characters of canonical base64url.
    pub fn parse(text: &str) -> Result<Self, NotAToken> {
        is_canonical(text)
            .then(|| Self(Secret::new(text.to_owned())))
            .ok_or(NotAToken)
    }

    /// Reads what a client presented, as [`Token::parse`] does, for whoever only looks it up: there is no copy of
    /// the secret then that would have to be wiped.
    ///
    /// # Errors
    /// As [`Token::parse`].
    pub fn parse_hash(text: &str) -> Result<TokenHash, NotAToken> {
        is_canonical(text)
            .then(|| TokenHash::of(text.as_bytes()))
            .ok_or(NotAToken)
    }

    /// The text to hand to the client.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What to store and look up.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(self.expose().as_bytes())
    }
}

/// Whether these are 43 digits of base64url and the only ones for their 32 bytes.
fn is_canonical(text: &str) -> bool {
    // 43 digits of six bits are two more than 256, which must be zero.
    let Some((last, rest)) = text.as_bytes().split_last() else {
        return false;
    };
    // Every byte is looked at, so that many are looked at at once.
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let foreign = rest
        .iter()
        .fold(0, |found, &byte| found | u8::from(!is_digit(byte)));
    rest.len() == 42 && foreign == 0 && b"AEIMQUYcgkosw048".contains(last)
}

impl TokenHash {
    /// SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A hash that was stored.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenHash {
    /// The first four bytes tell two hashes apart in a log without being of use to a thief.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.0.first_chunk::<4>().map(hex::encode);
        write!(f, "TokenHash({}…)", start.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text() {
        let token = Token::generate(&Random::seeded(1)).unwrap();
        assert_eq!(token.expose().len(), 43);
        assert_eq!(Token::parse(token.expose()).unwrap().hash(), token.hash());
        assert_eq!(Token::parse_hash(token.expose()), Ok(token.hash()));
        assert_eq!(format!("{token:?}"), "Token(***)");
    }

    #[test]
    fn j_20_only_the_canonical_spelling_is_read() {
        let token = Token::generate(&Random::seeded(1)).unwrap();
        let good = token.expose().to_owned();
        let cases = [
            String::new(),
            good[..42].to_owned(),
            format!("{good}A"),
            format!("{good}="),
            format!(" {good}"),
            format!("{}+", &good[..42]),
            // The last character carries two unused bits, which must be zero.
            format!("{}B", "A".repeat(42)),
        ];
        for case in cases {
            assert_eq!(Token::parse(&case).err(), Some(NotAToken), "{case:?}");
            assert_eq!(Token::parse_hash(&case), Err(NotAToken), "{case:?}");
        }
    }

    #[test]
    fn j_20_what_is_read_is_what_the_decoder_takes() {
        for byte in 0..=0x7f {
            for at in [0, 41, 42] {
                let mut text = [b'A'; 43];
                text[at] = byte;
                let text = str::from_utf8(&text).unwrap();
                let decodes = URL_SAFE_NO_PAD.decode(text).is_ok();
                assert_eq!(Token::parse(text).is_ok(), decodes, "{text:?}");
            }
        }
    }
}
