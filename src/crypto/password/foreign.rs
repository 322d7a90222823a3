//! The texts that hashes are written as, told apart by how they begin.
//!
//! One function for each way of writing; each bounds the cost before it answers. It refuses to guess: what does
//! not have every part in its place is no hash.

use std::num::NonZeroU32;

use argon2::Params;
use argon2::password_hash::phc::PasswordHash;
use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA1, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA512};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::stored::{Before, Check, Kind, UnusableHash};

/// Reads a text that begins in a certain way.
type Reader = fn(&str) -> Result<Check, Fault>;

/// What is wrong with a hash whose kind is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Malformed,
    TooCostly,
}

/// How a hash begins, what it is then, and who reads it. The longer beginning stands above the shorter.
const WRITTEN: &[(&str, Kind, Reader)] = &[
    ("$argon2", Kind::Argon2, argon2),
    ("argon2$", Kind::Argon2, django_argon2),
    ("$2a$", Kind::Bcrypt, plain_bcrypt),
    ("$2b$", Kind::Bcrypt, plain_bcrypt),
    ("$2y$", Kind::Bcrypt, plain_bcrypt),
    ("bcrypt$", Kind::Bcrypt, django_bcrypt),
    ("bcrypt_sha256$", Kind::Bcrypt, django_bcrypt_sha256),
    ("$bcrypt-sha256$", Kind::Bcrypt, passlib_bcrypt_sha256),
    ("$scrypt$", Kind::Scrypt, phc_scrypt),
    ("scrypt$", Kind::Scrypt, django_scrypt),
    ("$pbkdf2$", Kind::Pbkdf2, |text| {
        phc_pbkdf2(PBKDF2_HMAC_SHA1, text)
    }),
    ("$pbkdf2-sha1$", Kind::Pbkdf2, |text| {
        phc_pbkdf2(PBKDF2_HMAC_SHA1, text)
    }),
    ("$pbkdf2-sha256$", Kind::Pbkdf2, |text| {
        phc_pbkdf2(PBKDF2_HMAC_SHA256, text)
    }),
    ("$pbkdf2-sha512$", Kind::Pbkdf2, |text| {
        phc_pbkdf2(PBKDF2_HMAC_SHA512, text)
    }),
    ("pbkdf2_sha1$", Kind::Pbkdf2, |text| {
        django_pbkdf2(PBKDF2_HMAC_SHA1, text)
    }),
    ("pbkdf2_sha256$", Kind::Pbkdf2, |text| {
        django_pbkdf2(PBKDF2_HMAC_SHA256, text)
    }),
];

/// Memory of one computation, in KiB.
const MEMORY_MAX_KIB: u64 = 1024 * 1024;
/// Memory times passes, in KiB: seconds.
const WORK_MAX_KIB: u64 = 4 * MEMORY_MAX_KIB;
const LANES_MAX: u32 = 64;
/// Four seconds on a machine of today.
const BCRYPT_COST_MAX: u32 = 16;
const PBKDF2_ROUNDS_MAX: u32 = 10_000_000;
/// A shorter digest could be met by chance (the PHC format has the same bound), a longer one nobody makes.
const DIGEST: std::ops::RangeInclusive<usize> = 10..=64;

impl Fault {
    pub(super) const fn of(self, kind: Kind) -> UnusableHash {
        match self {
            Self::Malformed => UnusableHash::Malformed(kind),
            Self::TooCostly => UnusableHash::TooCostly(kind),
        }
    }
}

/// Who reads this text.
pub(super) fn kind(text: &str) -> Result<(Kind, Reader), UnusableHash> {
    if text.starts_with("$2x$") {
        return Err(UnusableHash::Faulty);
    }
    WRITTEN
        .iter()
        .find(|(start, ..)| text.starts_with(start))
        .map(|(_, kind, read)| (*kind, *read))
        .ok_or(UnusableHash::Unknown)
}

fn argon2(text: &str) -> Result<Check, Fault> {
    let phc = PasswordHash::new(text).map_err(|_| Fault::Malformed)?;
    let params = Params::try_from(&phc).map_err(|_| Fault::Malformed)?;
    argon2::Algorithm::try_from(phc.algorithm.as_str()).map_err(|_| Fault::Malformed)?;
    if phc.salt.is_none() || phc.hash.is_none() {
        return Err(Fault::Malformed);
    }
    let memory = u64::from(params.m_cost());
    let work = memory.saturating_mul(params.t_cost().into());
    if memory > MEMORY_MAX_KIB || work > WORK_MAX_KIB || params.p_cost() > LANES_MAX {
        return Err(Fault::TooCostly);
    }
    Ok(Check::Argon2(Box::new(phc)))
}

/// `argon2$argon2id$v=19$…`
fn django_argon2(text: &str) -> Result<Check, Fault> {
    argon2(text.strip_prefix("argon2").unwrap_or_default())
}

/// `$2b$12$` and 53 characters of salt and digest.
fn plain_bcrypt(text: &str) -> Result<Check, Fault> {
    bcrypt(text, Before::Nothing)
}

/// `bcrypt$$2b$12$…`
fn django_bcrypt(text: &str) -> Result<Check, Fault> {
    plain_bcrypt(text.strip_prefix("bcrypt$").unwrap_or_default())
}

/// `bcrypt_sha256$$2b$12$…`
fn django_bcrypt_sha256(text: &str) -> Result<Check, Fault> {
    let hash = text.strip_prefix("bcrypt_sha256$").unwrap_or_default();
    bcrypt(hash, Before::HexSha256)
}

/// `$bcrypt-sha256$2b,12$salt$digest`, or since its second version `$bcrypt-sha256$v=2,t=2b,r=12$salt$digest`
fn passlib_bcrypt_sha256(text: &str) -> Result<Check, Fault> {
    let [_, _, settings, salt, digest] = parts(text)?;
    let settings: Vec<&str> = settings.split(',').collect();
    let (ident, cost, before) = match settings.as_slice() {
        [ident, cost] => (*ident, *cost, Before::Base64Sha256),
        ["v=2", ident, cost] => (
            after(ident, "t=")?,
            after(cost, "r=")?,
            Before::Base64Hmac(salt.to_owned()),
        ),
        _ => return Err(Fault::Malformed),
    };
    let cost: u32 = number(cost)?;
    bcrypt(&format!("${ident}${cost:02}${salt}{digest}"), before)
}

fn bcrypt(hash: &str, before: Before) -> Result<Check, Fault> {
    if !["$2a$", "$2b$", "$2y$"]
        .iter()
        .any(|start| hash.starts_with(start))
    {
        return Err(Fault::Malformed);
    }
    let parts: bcrypt::HashParts = hash.parse().map_err(|_| Fault::Malformed)?;
    match parts.get_cost() {
        cost @ 4..=BCRYPT_COST_MAX => Ok(Check::Bcrypt {
            before,
            hash: hash.to_owned(),
            cost,
        }),
        0..4 => Err(Fault::Malformed),
        _ => Err(Fault::TooCostly),
    }
}

/// `$scrypt$ln=16,r=8,p=1$salt$digest`, as passlib writes it too.
fn phc_scrypt(text: &str) -> Result<Check, Fault> {
    let [_, _, settings, salt, digest] = parts(text)?;
    let mut settings = settings.split(',');
    let mut next = |name| after(settings.next().ok_or(Fault::Malformed)?, name);
    let (log_n, r, p) = (next("ln=")?, next("r=")?, next("p=")?);
    if settings.next().is_some() {
        return Err(Fault::Malformed);
    }
    let salt = bytes(&STANDARD_NO_PAD, salt)?;
    scrypt(
        number(log_n)?,
        number(r)?,
        number(p)?,
        salt,
        bytes(&STANDARD_NO_PAD, digest)?,
    )
}

/// `scrypt$16384$salt$8$5$digest`
fn django_scrypt(text: &str) -> Result<Check, Fault> {
    let [_, n, salt, r, p, digest] = parts(text)?;
    let n: u64 = number(n)?;
    if !n.is_power_of_two() {
        return Err(Fault::Malformed);
    }
    let salt = salt.as_bytes().to_vec();
    scrypt(
        n.trailing_zeros(),
        number(r)?,
        number(p)?,
        salt,
        bytes(&STANDARD, digest)?,
    )
}

fn scrypt(log_n: u32, r: u32, p: u32, salt: Vec<u8>, digest: Vec<u8>) -> Result<Check, Fault> {
    let memory = 128_u64
        .checked_shl(log_n)
        .map(|bytes| bytes.saturating_mul(r.into()) / 1024);
    match memory {
        Some(kib) if log_n < 32 && kib <= MEMORY_MAX_KIB => {
            if kib.max(1).saturating_mul(p.into()) > WORK_MAX_KIB {
                return Err(Fault::TooCostly);
            }
        }
        _ => return Err(Fault::TooCostly),
    }
    let log_n = u8::try_from(log_n).map_err(|_| Fault::TooCostly)?;
    let params = scrypt::Params::new(log_n, r, p).map_err(|_| Fault::Malformed)?;
    if log_n == 0 {
        return Err(Fault::Malformed);
    }
    Ok(Check::Scrypt {
        params,
        salt,
        digest: sized(digest)?,
    })
}

/// `$pbkdf2-sha256$29000$salt$digest` as passlib writes it, `$pbkdf2-sha256$i=600000,l=32$salt$digest` by PHC.
fn phc_pbkdf2(algorithm: pbkdf2::Algorithm, text: &str) -> Result<Check, Fault> {
    let [_, _, settings, salt, digest] = parts(text)?;
    let rounds = match settings.strip_prefix("i=") {
        Some(rest) => rest.split(',').next().unwrap_or_default(),
        None => settings,
    };
    // passlib writes `.` where base64 has `+`.
    let read = |text: &str| bytes(&STANDARD_NO_PAD, &text.replace('.', "+"));
    pbkdf2(algorithm, rounds, read(salt)?, read(digest)?)
}

/// `pbkdf2_sha256$600000$salt$digest`
fn django_pbkdf2(algorithm: pbkdf2::Algorithm, text: &str) -> Result<Check, Fault> {
    let [_, rounds, salt, digest] = parts(text)?;
    let salt = salt.as_bytes().to_vec();
    pbkdf2(algorithm, rounds, salt, bytes(&STANDARD, digest)?)
}

fn pbkdf2(
    algorithm: pbkdf2::Algorithm,
    rounds: &str,
    salt: Vec<u8>,
    digest: Vec<u8>,
) -> Result<Check, Fault> {
    let rounds: NonZeroU32 = number(rounds)?;
    if rounds.get() > PBKDF2_ROUNDS_MAX {
        return Err(Fault::TooCostly);
    }
    Ok(Check::Pbkdf2 {
        algorithm,
        rounds,
        salt,
        digest: sized(digest)?,
    })
}

fn parts<const N: usize>(text: &str) -> Result<[&str; N], Fault> {
    let parts: Vec<&str> = text.split('$').collect();
    parts.try_into().map_err(|_| Fault::Malformed)
}

fn after<'a>(text: &'a str, name: &str) -> Result<&'a str, Fault> {
    text.strip_prefix(name).ok_or(Fault::Malformed)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Fault> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    // A number that is none for its size is a price, not a slip of the pen.
    number.ok_or(if digits && text.len() > 4 {
        Fault::TooCostly
    } else {
        Fault::Malformed
    })
}

fn bytes(engine: &impl Engine, text: &str) -> Result<Vec<u8>, Fault> {
    engine.decode(text).map_err(|_| Fault::Malformed)
}

fn sized(digest: Vec<u8>) -> Result<Vec<u8>, Fault> {
    if DIGEST.contains(&digest.len()) {
        Ok(digest)
    } else {
        Err(Fault::Malformed)
    }
}
