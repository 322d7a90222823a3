//! Password hashes as they are stored: our own argon2id, and what other programs wrote before their users came
//! here (Django, passlib, pwdlib, and whoever writes PHC strings or bcrypt's own form).
//!
//! A hash is read once, whole, with its cost known, before anything is computed: one that would stop the machine
//! or that has nothing to compare with is refused, at the import as at the login. Nothing is hashed anew here.

use std::num::NonZeroU32;

use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params};
use aws_lc_rs::{constant_time, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::foreign;

/// A stored hash that passwords can be compared with.
pub struct StoredHash {
    pub(super) kind: Kind,
    pub(super) check: Check,
}

/// The family of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// argon2id, argon2i or argon2d.
    Argon2,
    /// bcrypt, of the password or of a digest of it.
    Bcrypt,
    /// scrypt.
    Scrypt,
    /// PBKDF2 with HMAC-SHA-1, -256 or -512.
    Pbkdf2,
}

/// Why a text cannot be taken for a stored hash. The texts follow "the hash"; the hash itself is never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableHash {
    /// Of no known kind; perhaps no hash at all.
    #[error("is of no kind that is known here (argon2, bcrypt, scrypt, PBKDF2)")]
    Unknown,
    /// It begins like one.
    #[error("is not a whole {0} hash")]
    Malformed(Kind),
    /// Comparing with it once would take gigabytes or minutes.
    #[error("asks for more work than is done here for a {0} hash")]
    TooCostly(Kind),
    /// `$2x$`: made by a bcrypt that mixed up characters outside ASCII.
    #[error("was made by a bcrypt with a known fault")]
    Faulty,
}

/// What is computed and compared.
pub(super) enum Check {
    Argon2(Box<PasswordHash>),
    Bcrypt {
        before: Before,
        hash: String,
        cost: u32,
    },
    Scrypt {
        params: scrypt::Params,
        salt: Vec<u8>,
        digest: Vec<u8>,
    },
    Pbkdf2 {
        algorithm: pbkdf2::Algorithm,
        rounds: NonZeroU32,
        salt: Vec<u8>,
        digest: Vec<u8>,
    },
}

/// What is done to a password before bcrypt sees it, which looks at 72 bytes only.
pub(super) enum Before {
    /// Nothing: what follows the 72nd byte does not count, as it did not where the hash was made.
    Nothing,
    /// SHA-256 in hexadecimal digits (Django).
    HexSha256,
    /// SHA-256 in base64 (passlib's first version).
    Base64Sha256,
    /// HMAC-SHA-256 under the salt's text, in base64 (passlib's second version).
    Base64Hmac(String),
}

/// The longest text that is looked at; the longest real ones have about 250 bytes.
const TEXT_MAX: usize = 1024;

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Argon2 => "argon2",
            Self::Bcrypt => "bcrypt",
            Self::Scrypt => "scrypt",
            Self::Pbkdf2 => "PBKDF2",
        })
    }
}

impl std::fmt::Debug for StoredHash {
    /// Salt and digest are for guessers.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoredHash({})", self.kind)
    }
}

impl StoredHash {
    /// Reads a stored hash.
    ///
    /// # Errors
    /// Why no password can be compared with it.
    pub fn parse(text: &str) -> Result<Self, UnusableHash> {
        if text.len() > TEXT_MAX {
            return Err(UnusableHash::Unknown);
        }
        let (kind, read) = foreign::kind(text)?;
        let check = read(text).map_err(|fault| fault.of(kind))?;
        Ok(Self { kind, check })
    }

    /// Its family.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it is cheaper to guess than anybody advises today. It holds until its owner logs in.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        match &self.check {
            Check::Argon2(phc) => Params::try_from(&**phc)
                .is_ok_and(|p| u64::from(p.m_cost()) * u64::from(p.t_cost()) < 19 * 1024 * 2),
            Check::Bcrypt { cost, .. } => *cost < 10,
            Check::Scrypt { params, .. } => {
                params.n() * u64::from(params.r()) * u64::from(params.p()) < 1 << 17
            }
            Check::Pbkdf2 { rounds, .. } => rounds.get() < 100_000,
        }
    }

    /// Whether these are the bytes it was made of. Takes as long as its parameters say.
    ///
    /// NUL is in no password but perhaps one of argon2. HMAC, and with it PBKDF2 and scrypt, fills up its key with
    /// NULs, so that one more makes no other password; and bcrypt ends at the first, or repeats what stands before
    /// it.
    #[must_use]
    pub(super) fn verifies(&self, password: &[u8]) -> bool {
        match &self.check {
            Check::Bcrypt { .. } | Check::Scrypt { .. } | Check::Pbkdf2 { .. }
                if password.contains(&0) =>
            {
                false
            }
            // The parameters are those of the stored hash, not of the settings.
            Check::Argon2(phc) => Argon2::default().verify_password(password, &**phc).is_ok(),
            Check::Bcrypt { before, hash, .. } => {
                bcrypt::verify(before.apply(password), hash).unwrap_or(false)
            }
            Check::Scrypt {
                params,
                salt,
                digest,
            } => {
                let mut made = vec![0; digest.len()];
                scrypt::scrypt(password, salt, params, &mut made).is_ok()
                    && constant_time::verify_slices_are_equal(&made, digest).is_ok()
            }
            Check::Pbkdf2 {
                algorithm,
                rounds,
                salt,
                digest,
            } => pbkdf2::verify(*algorithm, *rounds, salt, password, digest).is_ok(),
        }
    }
}

impl Before {
    /// What bcrypt is given.
    fn apply(&self, password: &[u8]) -> Vec<u8> {
        match self {
            Self::Nothing => password.to_vec(),
            Self::HexSha256 => hex::encode(Sha256::digest(password)).into_bytes(),
            Self::Base64Sha256 => STANDARD.encode(Sha256::digest(password)).into_bytes(),
            Self::Base64Hmac(salt) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, salt.as_bytes());
                STANDARD.encode(hmac::sign(&key, password)).into_bytes()
            }
        }
    }
}

#[cfg(test)]
#[path = "stored_tests.rs"]
mod tests;
