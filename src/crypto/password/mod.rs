//! Passwords: which may be chosen (`rules`), how they are hashed (argon2id in PHC form, with OWASP's parameters
//! unless the file weakens them by name), and what they are compared with (`stored`).
//!
//! Hashing takes tens of milliseconds and megabytes; whoever calls this runs it on
//! [`crate::identity::hashing`]'s pool, never on a thread that serves requests.

mod common;
mod foreign;
mod rules;
mod stored;

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};

use unicode_normalization::UnicodeNormalization;

use crate::base::random::{NoRandomness, Random};
use crate::base::secret::Secret;

pub use rules::{Context, PasswordFault, Word};
pub use stored::{Kind, StoredHash, UnusableHash};

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
    /// Whether common passwords, and those made of the account's or the site's names, are refused.
    pub blocklist: bool,
}

impl Settings {
    /// OWASP's recommendation for argon2id, and the length that NIST SP 800-63B-4 asks for beside a second factor.
    pub const DEFAULT: Self = Self {
        memory_kib: 19 * 1024,
        passes: 2,
        lanes: 1,
        min_length: 8,
        blocklist: true,
    };

    /// The length that NIST SP 800-63B-4 section 3.1.1.2 asks for where the password is the only factor.
    pub const ALONE_MIN_LENGTH: usize = 15;

    /// Whether hashes are cheaper to guess than OWASP advises.
    #[must_use]
    pub const fn is_weak(&self) -> bool {
        (self.memory_kib as u64) * (self.passes as u64) < 19 * 1024 * 2
    }
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
pub struct Password {
    normal: Secret<String>,
    /// As it was typed, where that is something else: other programs hashed what they were sent.
    other: Option<Secret<String>>,
}

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
        // In no password that may be chosen; and refused by some kinds of hashes at once, which would tell them.
        if text.contains('\0') {
            return Err(PasswordFault::Nul);
        }
        let normal: String = text.nfc().collect();
        if normal.len() > MAX_BYTES {
            return Err(PasswordFault::TooLong);
        }
        let other = (normal != text).then(|| Secret::new(text.to_owned()));
        let normal = Secret::new(normal);
        Ok(Self { normal, other })
    }

    /// Checks a new password against the rules, in its normal form.
    ///
    /// # Errors
    /// Why nobody may choose it, or nobody of these names.
    pub fn chosen(
        text: &str,
        settings: &Settings,
        context: &Context,
    ) -> Result<Self, PasswordFault> {
        let password = Self::typed(text)?;
        rules::check(password.normal.expose(), settings, context)?;
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

    /// Whether it is the password behind a stored hash of any known kind. An unreadable hash matches nothing.
    #[must_use]
    pub fn matches(&self, stored: &Secret<String>) -> bool {
        let Ok(stored) = StoredHash::parse(stored.expose()) else {
            return false;
        };
        let other = self.other.as_ref();
        stored.verifies(self.bytes())
            || other.is_some_and(|other| stored.verifies(other.expose().as_bytes()))
    }

    fn bytes(&self) -> &[u8] {
        self.normal.expose().as_bytes()
    }
}

/// Whether a stored hash was made in another way than those of today, and should be made anew.
#[must_use]
pub fn is_outdated(stored: &Secret<String>, settings: &Settings) -> bool {
    let wanted = params(settings).ok();
    let found = PasswordHash::new(stored.expose()).ok().and_then(|phc| {
        let today = phc.algorithm.as_str() == Algorithm::Argon2id.as_str()
            && phc.version == Some(Version::V0x13.into());
        Params::try_from(&phc).ok().filter(|_| today)
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
        ..Settings::DEFAULT
    };

    #[test]
    fn a_hash_opens_for_its_password_only() {
        let random = Random::seeded(1);
        let stored = Password::chosen("correct horse", &CHEAP, &Context::default())
            .unwrap()
            .hash(&CHEAP, &random)
            .unwrap();
        assert!(stored.expose().starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        let matches =
            |text: &str| Password::typed(text).is_ok_and(|password| password.matches(&stored));
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
    fn a_11_normal_forms_and_no_truncation() {
        let hash = |text: &str| {
            Password::typed(text)
                .unwrap()
                .hash(&CHEAP, &Random::seeded(1))
        };
        let stored = hash("zo\u{eb} zo\u{eb}").unwrap();
        let matches = |text: &str, stored| Password::typed(text).unwrap().matches(stored);
        assert!(matches("zoe\u{308} zoe\u{308}", &stored));
        let long = hash(&"x".repeat(1024)).unwrap();
        assert!(matches(&"x".repeat(1024), &long));
        assert!(!matches(&"x".repeat(1023), &long), "no truncation");
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
