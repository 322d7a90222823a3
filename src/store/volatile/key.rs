//! The key of an entry: always a hash, so that what is stored opens nothing.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::base::token::TokenHash;

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 32]);

/// The text or the bytes are not 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key is 64 hex digits")]
pub struct NotAKey;

impl Key {
    /// The first of all keys.
    pub(super) const LEAST: Self = Self([0; 32]);

    /// The key of something that has several parts. Each is hashed with its length before it, so that no two
    /// lists of parts meet.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<TokenHash> for Key {
    fn from(hash: TokenHash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl TryFrom<&[u8]> for Key {
    type Error = NotAKey;

    fn try_from(bytes: &[u8]) -> Result<Self, NotAKey> {
        bytes.try_into().map(Self).map_err(|_| NotAKey)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Key({}…)",
            hex::encode(self.0.get(..4).unwrap_or_default())
        )
    }
}

impl FromStr for Key {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let bytes = hex::decode(text).map_err(|_| NotAKey)?;
        Self::try_from(bytes.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(Key::of(&[b"ab", b"c"]), Key::of(&[b"a", b"bc"]));
        assert_ne!(Key::of(&[b"ab"]), Key::of(&[b"ab", b""]));
        assert_eq!(Key::of(&[b"ab", b"c"]), Key::of(&[b"ab", b"c"]));
    }

    #[test]
    fn a_key_survives_its_text() {
        let key = Key::of(&[b"x"]);
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!(key.to_string()[1..].parse::<Key>(), Err(NotAKey));
    }
}
