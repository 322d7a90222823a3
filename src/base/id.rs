//! Public identifiers: they name things in logs, pages and APIs and open nothing.

use std::fmt;
use std::str::FromStr;

use super::random::Random;

/// A user's number. Never reused, so that a log line of last year still names the same person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub i64);

/// 128 random bits in hex: a request, a decision, a session's public name, a user's `sub`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicId([u8; 16]);

/// The text is not 32 lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an id (32 lower-case hex digits)")]
pub struct NotAnId(String);

impl PublicId {
    /// A new id.
    #[must_use]
    pub fn generate(random: &Random) -> Self {
        Self(random.quick())
    }

    /// An id that these bytes say.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 32 digits.
    #[must_use]
    pub fn text(self) -> [u8; 32] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        text
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
    }
}

impl serde::Serialize for PublicId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for PublicId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl FromStr for PublicId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let mut bytes = [0; 16];
        let canonical = !text.bytes().any(|b| b.is_ascii_uppercase());
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) if canonical => Ok(Self(bytes)),
            _ => Err(NotAnId(text.chars().take(64).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_and_has_one_spelling() {
        let id = PublicId::generate(&Random::seeded(3));
        let text = id.to_string();
        assert_eq!(text.len(), 32);
        assert_eq!(text.parse::<PublicId>().unwrap(), id);
        for bad in ["", "xyz", &text[1..], &text.to_uppercase()] {
            assert!(bad.parse::<PublicId>().is_err(), "{bad:?}");
        }
    }
}
