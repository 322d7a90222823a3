//! Password hashes: argon2id in PHC form, with OWASP's parameters unless the file weakens them by name.
//!
//! Hashing takes tens of milliseconds and megabytes; whoever calls this runs it on
//! [`crate::identity::hashing`]'s pool, never on a thread that serves requests.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

use unicode_normalization::UnicodeNormalization;

use crate::base::random::{NoRandomness, Random};
use crate::base::secret::Secret;

/// How passwords are hashed and which are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
    /// Fewest characters a new password may have.
    pub min_length: usize,
}

impl Settings {
    /// OWASP's recommendation for argon2id, and the length that NIST SP 800-63B-4 asks for beside a second factor.
    pub const DEFAULT: Self = Self {
        memory_kib: 19 * 1024,
        passes: 2,
        lanes: 1,
        min_length: 8,
    };

    /// Whether hashes are cheaper to guess than OWASP advises.
    #[must_use]
    pub const fn is_weak(&self) -> bool {
        (self.memory_kib as u64) * (self.passes as u64) < 19 * 1024 * 2
    }
}

/// Why a password is refused before it is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFault {
    /// Fewer characters than asked.
    #[error("must have at least {0} characters")]
    TooShort(usize),
    /// More than 1,024 bytes, which nobody types and which costs time to hash.
    #[error("must have at most 1024 bytes")]
    TooLong,
}

/// Hashing itself failed.
#[derive(Debug, thiserror::Error)]
pub enum HashFault {
    /// The parameters are outside what argon2 allows, or memory ran out.
    #[error("argon2: {0}")]
    Argon2(String),
    /// No salt could be drawn.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// Most bytes that are ever hashed.
const MAX_BYTES: usize = 1024;

/// A password as it is hashed: NFC, once and for ever (RFC 8265 section 4.2 and NIST SP 800-63B-4 3.1.1.2).
#[derive(Debug)]
pub struct Password(Secret<String>);

impl Password {
    /// Normalises what was typed at a login. Only the upper bound is checked: a password that today's rules
    /// would refuse must still open the account it was set for.
    ///
    /// # Errors
    /// When it is longer than anything that is hashed.
    pub fn typed(text: &str) -> Result<Self, PasswordFault> {
        if text.len() > MAX_BYTES {
            return Err(PasswordFault::TooLong);
        }
        let normal: String = text.nfc().collect();
        if normal.len() > MAX_BYTES {
            return Err(PasswordFault::TooLong);
        }
        Ok(Self(Secret::new(normal)))
    }

    /// Checks a new password against the rules.
    ///
    /// # Errors
    /// When it is too short or too long.
    pub fn chosen(text: &str, settings: &Settings) -> Result<Self, PasswordFault> {
        let password = Self::typed(text)?;
        if password.0.expose().chars().count() < settings.min_length {
            return Err(PasswordFault::TooShort(settings.min_length));
        }
        Ok(password)
    }

    /// Hashes it with a fresh salt into a PHC string.
    ///
    /// # Errors
    /// When there is no randomness, or the parameters are impossible.
    pub fn hash(&self, settings: &Settings, random: &Random) -> Result<Secret<String>, HashFault> {
        let salt: [u8; 16] = random.bytes()?;
        let hashed = hasher(settings)?.hash_password_with_salt(self.bytes(), &salt);
        hashed
            .map(|phc| Secret::new(phc.to_string()))
            .map_err(|error| HashFault::Argon2(error.to_string()))
    }

    /// Whether it is the password behind a stored hash. An unreadable hash matches nothing.
    #[must_use]
    pub fn matches(&self, stored: &Secret<String>) -> bool {
        match PasswordHash::new(stored.expose()) {
            // The parameters are those of the stored hash, not of the settings.
            Ok(phc) => Argon2::default()
                .verify_password(self.bytes(), &phc)
                .is_ok(),
            Err(_) => false,
        }
    }

    fn bytes(&self) -> &[u8] {
        self.0.expose().as_bytes()
    }
}

/// Whether a stored hash was made with other parameters than those of today, and should be made anew.
#[must_use]
pub fn is_outdated(stored: &Secret<String>, settings: &Settings) -> bool {
    let wanted = params(settings).ok();
    let found = PasswordHash::new(stored.expose()).ok().and_then(|phc| {
        let argon2id = phc.algorithm.as_str() == Algorithm::Argon2id.as_str();
        Params::try_from(&phc).ok().filter(|_| argon2id)
    });
    let cost = |p: Params| (p.m_cost(), p.t_cost(), p.p_cost());
    found.map(cost) != wanted.map(cost)
}

fn params(settings: &Settings) -> Result<Params, HashFault> {
    Params::new(settings.memory_kib, settings.passes, settings.lanes, None)
        .map_err(|error| HashFault::Argon2(error.to_string()))
}

fn hasher(settings: &Settings) -> Result<Argon2<'static>, HashFault> {
    Ok(Argon2::new(
        Algorithm::Argon2id,
        Version::V0x13,
        params(settings)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Settings = Settings {
        memory_kib: 64,
        passes: 1,
        lanes: 1,
        min_length: 8,
    };

    #[test]
    fn a_hash_opens_for_its_password_only() {
        let random = Random::seeded(1);
        let stored = Password::chosen("correct horse", &CHEAP)
            .unwrap()
            .hash(&CHEAP, &random)
            .unwrap();
        assert!(stored.expose().starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        let matches = |text: &str| Password::typed(text).unwrap().matches(&stored);
        assert!(matches("correct horse"));
        for wrong in ["correct horsE", "correct horse ", "", "correct horse\0"] {
            assert!(!matches(wrong), "{wrong:?}");
        }
        assert!(
            !Password::typed("x")
                .unwrap()
                .matches(&Secret::new("not a hash".into()))
        );
    }

    #[test]
    fn a_11_lengths_and_normal_forms() {
        let chosen = |text: &str| Password::chosen(text, &CHEAP).map(|_| ());
        assert_eq!(chosen("seven77"), Err(PasswordFault::TooShort(8)));
        assert_eq!(chosen("😀😀😀😀😀😀😀😀"), Ok(()));
        assert_eq!(chosen(&"x".repeat(1024)), Ok(()));
        assert_eq!(chosen(&"x".repeat(1025)), Err(PasswordFault::TooLong));
        let stored = Password::typed("zo\u{eb} zo\u{eb}")
            .unwrap()
            .hash(&CHEAP, &Random::seeded(1))
            .unwrap();
        assert!(
            Password::typed("zoe\u{308} zoe\u{308}")
                .unwrap()
                .matches(&stored)
        );
        let long = Password::typed(&"x".repeat(1024))
            .unwrap()
            .hash(&CHEAP, &Random::seeded(1))
            .unwrap();
        assert!(
            !Password::typed(&"x".repeat(1023)).unwrap().matches(&long),
            "no truncation"
        );
    }

    #[test]
    fn hashes_of_other_strength_are_outdated() {
        let stored = Password::typed("password")
            .unwrap()
            .hash(&CHEAP, &Random::seeded(1))
            .unwrap();
        assert!(!is_outdated(&stored, &CHEAP));
        assert!(is_outdated(&stored, &Settings::DEFAULT));
        assert!(is_outdated(&Secret::new("$2b$12$x".into()), &CHEAP));
        assert!(CHEAP.is_weak() && !Settings::DEFAULT.is_weak());
    }
}
