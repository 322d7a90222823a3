//! Certificates that clients show: whose they are, and until when.
//!
//! Apart from [`super::certificate`], which is about our own. Whether anybody vouches for one is asked of
//! [`super::client_roots`]; whether its name is somebody's, of the identity floor. What it refuses: to guess. A
//! name counts when the certificate holds exactly one of the kind, written exactly as an account's is kept; an
//! authority that tells `Alice` from `alice` has two people in mind, and we know one.

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::base::name::{Email, Username};
use crate::base::time::Timestamp;
use crate::base::token::TokenHash;

/// A certificate that was shown in a handshake, with whatever was sent along to explain it.
#[derive(Debug)]
pub struct ClientCertificate {
    /// The certificate first.
    chain: Vec<CertificateDer<'static>>,
    hash: TokenHash,
    /// When each of the chain is no longer valid.
    ends: Vec<Timestamp>,
}

/// Which name of a certificate says whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// The subject's common name is a username.
    CommonName,
    /// The e-mail address among the alternative names is an account's, which has proved it.
    Email,
    /// The DNS name among the alternative names is a username.
    DnsName,
    /// The URI among the alternative names is a username.
    Uri,
}

/// What a certificate calls its holder.
#[derive(Clone, Debug, PartialEq)]
pub enum Named {
    /// By the name of an account.
    Username(Username),
    /// By the address of an account.
    Email(Email),
}

/// Why nobody can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// None of the kind.
    #[error("holds no name of the kind that is asked for")]
    None,
    /// More than one, of which no one knows which counts.
    #[error("holds more than one name of the kind that is asked for")]
    Several,
    /// The names cannot be read.
    #[error("its names cannot be read")]
    Unreadable,
    /// Not written as names are kept: in another case or form, with a dot or a byte too many.
    #[error("its name is not written as names of accounts are kept")]
    Spelling,
}

/// Not a certificate that is looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShownFault {
    /// More came along than any authority needs.
    #[error("more is shown than a certificate and what stands between it and its authority")]
    TooMuch,
    /// One of them is none.
    #[error("the certificate cannot be read: {0}")]
    Unreadable(String),
}

/// How many may come along with a certificate. Every order of them is a path that is tried, and who shows them
/// chooses them.
const MOST_OTHERS: usize = 4;

/// How many bytes all of them may have.
const MOST_BYTES: usize = 16 * 1024;

impl NamedBy {
    /// Every kind and the word for it in the file.
    pub const ALL: [(&'static str, Self); 4] = [
        ("subject.cn", Self::CommonName),
        ("san.email", Self::Email),
        ("san.dns", Self::DnsName),
        ("san.uri", Self::Uri),
    ];
}

impl ClientCertificate {
    /// A certificate and what came with it.
    ///
    /// # Errors
    /// When there are too many of them, which is found out before anything is read, or one cannot be read.
    pub fn new(
        end_entity: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Result<Self, ShownFault> {
        let all = || std::iter::once(end_entity).chain(others);
        let bytes: usize = all().map(|one| one.len()).sum();
        if others.len() > MOST_OTHERS || bytes > MOST_BYTES {
            return Err(ShownFault::TooMuch);
        }
        // The text has a colon, which no cookie's has; each length keeps two chains apart.
        let mut named = b"certificate:".to_vec();
        for one in all() {
            named.extend_from_slice(&one.len().to_be_bytes());
            named.extend_from_slice(one);
        }
        Ok(Self {
            ends: all().map(|one| end_of(one)).collect::<Result<_, _>>()?,
            chain: all().map(|one| one.clone().into_owned()).collect(),
            hash: TokenHash::of(&named),
        })
    }

    /// The certificate, and what came with it.
    #[must_use]
    pub fn chain(&self) -> Option<(&CertificateDer<'static>, &[CertificateDer<'static>])> {
        self.chain.split_first()
    }

    /// Tells it, with all that came with it, from every other.
    #[must_use]
    pub const fn hash(&self) -> TokenHash {
        self.hash
    }

    /// Until when what is known of it now may hold: the next end of a life in its chain. None when its own is over.
    #[must_use]
    pub fn good_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.ends.first().filter(|own| **own > now)?;
        self.ends.iter().filter(|end| **end > now).min().copied()
    }

    /// Whose it says it is.
    ///
    /// # Errors
    /// When it says nothing of the kind, or nothing that leaves no doubt.
    pub fn named(&self, by: NamedBy) -> Result<Named, NameFault> {
        let leaf = self.chain.first().ok_or(NameFault::Unreadable)?;
        let (_, leaf) = X509Certificate::from_der(leaf).map_err(|_| NameFault::Unreadable)?;
        match by {
            NamedBy::CommonName => username(common_name(&leaf)?),
            NamedBy::Email => email(alternative(&leaf, |name| match name {
                GeneralName::RFC822Name(text) => Some(text),
                _ => None,
            })?),
            // A pattern is nobody's name.
            NamedBy::DnsName => username(alternative(&leaf, |name| match name {
                GeneralName::DNSName(text) => Some(text),
                _ => None,
            })?)
            .and_then(|named| match &named {
                Named::Username(name) if name.as_str().contains('*') => Err(NameFault::Spelling),
                _ => Ok(named),
            }),
            NamedBy::Uri => username(alternative(&leaf, |name| match name {
                GeneralName::URI(text) => Some(text),
                _ => None,
            })?),
        }
    }
}

fn end_of(one: &CertificateDer<'_>) -> Result<Timestamp, ShownFault> {
    let (rest, read) = X509Certificate::from_der(one)
        .map_err(|error| ShownFault::Unreadable(error.to_string()))?;
    if !rest.is_empty() {
        let why = "something stands behind it".to_owned();
        return Err(ShownFault::Unreadable(why));
    }
    let seconds = read.validity().not_after.timestamp();
    Ok(Timestamp::from_millis(seconds.saturating_mul(1000)))
}

fn common_name<'a>(leaf: &'a X509Certificate<'_>) -> Result<&'a str, NameFault> {
    let name = only(leaf.subject().iter_common_name())?;
    name.as_str().map_err(|_| NameFault::Unreadable)
}

fn alternative<'a>(
    leaf: &'a X509Certificate<'_>,
    of_kind: impl Fn(&'a GeneralName<'a>) -> Option<&'a &'a str>,
) -> Result<&'a str, NameFault> {
    let names = leaf.subject_alternative_name();
    let names = names.map_err(|_| NameFault::Unreadable)?;
    let names = names.ok_or(NameFault::None)?;
    only(names.value.general_names.iter().filter_map(of_kind)).copied()
}

fn only<T>(mut all: impl Iterator<Item = T>) -> Result<T, NameFault> {
    match (all.next(), all.next()) {
        (None, _) => Err(NameFault::None),
        (Some(one), None) => Ok(one),
        _ => Err(NameFault::Several),
    }
}

fn username(text: &str) -> Result<Named, NameFault> {
    let name: Username = text.parse().map_err(|_| NameFault::Spelling)?;
    let same = name.as_str() == text;
    same.then_some(Named::Username(name))
        .ok_or(NameFault::Spelling)
}

fn email(text: &str) -> Result<Named, NameFault> {
    let email: Email = text.parse().map_err(|_| NameFault::Spelling)?;
    let same = email.folded() == text;
    same.then_some(Named::Email(email))
        .ok_or(NameFault::Spelling)
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
