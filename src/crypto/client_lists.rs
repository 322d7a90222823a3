//! What authorities say they have revoked: lists, each known by whose key signed it and by what it speaks of, and of
//! several alike the newest alone.
//!
//! webpki asks one list of whoever issued a certificate, the first of that name. That is one too few where an
//! authority keeps several, and the wrong one where another has its name; so which list is whose is found out here,
//! once, and what any of them has revoked is looked for beside what webpki does. What it refuses: two lists of which
//! nobody can tell which one holds.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::{CertificateError, Error};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::num_bigint::BigUint;
use x509_parser::oid_registry::OID_X509_EXT_ISSUER_DISTRIBUTION_POINT;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::base::time::Timestamp;

use super::client_roots::RootsFault;

/// The lists in force, the newest first.
#[derive(Debug, Default)]
pub(super) struct Lists(Vec<List>);

/// The name and the key of an authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signer {
    /// As it stands in its certificate.
    pub name: Box<[u8]>,
    /// The bits alone, without what kind of key they are.
    pub key: Box<[u8]>,
}

#[derive(Debug)]
struct List {
    der: CertificateRevocationListDer<'static>,
    of: Of,
    edition: Edition,
    until: Option<Timestamp>,
    /// Serial numbers, without zeros in front.
    revoked: BTreeSet<Box<[u8]>>,
}

/// Lists of which this is the same take the place of each other.
#[derive(Debug, PartialEq, Eq)]
struct Of {
    issuer: Box<[u8]>,
    by: By,
    /// The extension that keeps it to some of the certificates (RFC 5280 section 5.2.5).
    scope: Option<Box<[u8]>>,
}

/// Who signed a list.
#[derive(Debug, PartialEq, Eq)]
enum By {
    /// One of those who vouch, proved by the signature.
    Known(Signer),
    /// Somebody else, such as an authority below them, whose key is seen only when a client shows it; with what the
    /// list says of that key.
    Unknown(Option<Box<[u8]>>),
}

/// What tells a list from the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Edition {
    issuer: String,
    number: Option<BigUint>,
    from: Timestamp,
}

impl Signer {
    pub(super) fn of(one: &X509Certificate<'_>) -> Self {
        Self {
            name: one.subject().as_raw().into(),
            key: one.public_key().subject_public_key.data.as_ref().into(),
        }
    }

    fn issued(&self, one: &X509Certificate<'_>) -> bool {
        *self.name == *one.issuer().as_raw()
            && self.signed(one.tbs_certificate.as_ref(), &one.signature_value.data)
    }

    fn has_signed(&self, list: &CertificateRevocationList<'_>) -> bool {
        self.signed(list.tbs_cert_list.as_ref(), &list.signature_value.data)
    }

    fn signed(&self, what: &[u8], signature: &[u8]) -> bool {
        // Of whatever kind the key is: a signature of another does not fit.
        let kinds = aws_lc_rs::default_provider().signature_verification_algorithms;
        let mut kinds = kinds.all.iter();
        kinds.any(|kind| kind.verify_signature(&self.key, what, signature).is_ok())
    }
}

impl Lists {
    /// Reads lists from PEM, of which some are by these authorities.
    pub(super) fn from_pem(pem: &[u8], known: &[&Signer]) -> Result<Self, RootsFault> {
        let found: Result<Vec<_>, _> = rustls_pemfile::crls(&mut &*pem).collect();
        let found = found.map_err(|_| RootsFault::NoList)?;
        if found.is_empty() {
            return Err(RootsFault::NoList);
        }
        let mut all: Vec<List> = Vec::new();
        for der in found {
            let list = List::new(&der, known)?;
            match all.iter_mut().find(|other| other.of.rivals(&list.of)) {
                None => all.push(list),
                Some(other) => match other.compare(&list) {
                    Some(Ordering::Less) => *other = list,
                    Some(_) => {}
                    None => return Err(other.undecided(&list)),
                },
            }
        }
        all.sort_by_key(|list| std::cmp::Reverse(list.edition.from));
        Ok(Self(all))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When each is too old.
    pub(super) fn ends(&self) -> impl Iterator<Item = Timestamp> {
        self.0.iter().filter_map(|list| list.until)
    }

    /// All of them, those of these authorities first: among lists of one name webpki takes that.
    pub(super) fn for_whom(
        &self,
        first: &[&Signer],
    ) -> impl Iterator<Item = CertificateRevocationListDer<'static>> {
        let is_first = |list: &&List| match &list.of.by {
            By::Known(signer) => first.contains(&signer),
            By::Unknown(_) => false,
        };
        let (first, others): (Vec<_>, Vec<_>) = self.0.iter().partition(is_first);
        first.into_iter().chain(others).map(|list| list.der.clone())
    }

    /// Looks for a certificate, and for those among `others` that lead from it to who vouches, in every list of who issued
    /// them. What else was sent along has nothing to do with it.
    ///
    /// # Errors
    /// When one of them was revoked, or cannot be read.
    pub(super) fn clear(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        if self.is_empty() {
            return Ok(());
        }
        let mut path = vec![read(own)?];
        let mut left = others.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let mut at = 0;
        while let Some(one) = path.get(at) {
            if self.0.iter().any(|list| list.revokes(one)) {
                return Err(CertificateError::Revoked.into());
            }
            let issued = |other: &X509Certificate<'_>| Signer::of(other).issued(one);
            let (issuers, rest) = left.into_iter().partition(issued);
            left = rest;
            path.extend::<Vec<_>>(issuers);
            at += 1;
        }
        Ok(())
    }

    /// The first of these that is older than one in force whose place it takes.
    pub(super) fn step_back(&self, before: &Self) -> Option<String> {
        let step = |list: &List| {
            let last = before.replaced_by(list);
            let last = last.into_iter().find(|last| list.is_older_than(last))?;
            Some(format!(
                "{}, and that in force is {}",
                list.edition, last.edition
            ))
        };
        self.0.iter().find_map(step)
    }

    /// Whose place this one takes: that of the same signer, and all that may be where nothing tells whose they are.
    fn replaced_by(&self, list: &List) -> Vec<&List> {
        let known = self.0.iter().find(|last| last.of == list.of);
        known.map_or_else(
            || self.0.iter().filter(|last| last.may_be(list)).collect(),
            |known| vec![known],
        )
    }
}

impl List {
    fn new(
        der: &CertificateRevocationListDer<'static>,
        known: &[&Signer],
    ) -> Result<Self, RootsFault> {
        let (_, read) = CertificateRevocationList::from_der(der)
            .map_err(|error| RootsFault::UnreadableList(error.to_string()))?;
        let at = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000));
        let revoked = read.iter_revoked_certificates();
        Ok(Self {
            of: Of::new(&read, known),
            edition: Edition {
                issuer: read.issuer().to_string(),
                number: read.crl_number().cloned(),
                from: at(read.last_update().timestamp()),
            },
            until: read.next_update().map(|next| at(next.timestamp())),
            revoked: revoked.map(|one| number(one.raw_serial())).collect(),
            der: der.clone(),
        })
    }

    /// None where nobody can tell.
    fn compare(&self, other: &Self) -> Option<Ordering> {
        if self.der == other.der {
            return Some(Ordering::Equal);
        }
        let same = self.edition == other.edition && self.until == other.until;
        if self.of == other.of && same && self.revoked == other.revoked {
            // Signed twice.
            return Some(Ordering::Equal);
        }
        // By keys that may be two, neither takes the place of the other.
        let known = self.of == other.of;
        let order = self.edition.partial_cmp(&other.edition);
        order.filter(|order| known && order.is_ne())
    }

    fn is_older_than(&self, other: &Self) -> bool {
        self.edition.partial_cmp(&other.edition) == Some(Ordering::Less)
    }

    /// Whether this list and another, read beside other authorities, may be by one signer. Who was known on one side only is
    /// asked what they have signed: others have their name.
    fn may_be(&self, other: &Self) -> bool {
        let signed =
            |signer: &Signer, list: &Self| match CertificateRevocationList::from_der(&list.der) {
                Ok((_, read)) => signer.has_signed(&read),
                Err(_) => false,
            };
        self.of.is_perhaps(&other.of)
            && match (&self.of.by, &other.of.by) {
                (By::Known(signer), By::Unknown(_)) => signed(signer, other),
                (By::Unknown(_), By::Known(signer)) => signed(signer, self),
                _ => true,
            }
    }

    fn undecided(&self, other: &Self) -> RootsFault {
        RootsFault::Undecided(self.edition.to_string(), other.edition.to_string())
    }

    fn revokes(&self, one: &X509Certificate<'_>) -> bool {
        let is_named = *self.of.issuer == *one.issuer().as_raw();
        is_named
            && self.revoked.contains(&number(one.raw_serial()))
            && match &self.of.by {
                // Authorities of one name may count alike.
                By::Known(signer) => signer.issued(one),
                By::Unknown(list) => match (list, &key_of_issuer(one.extensions())) {
                    (Some(list), Some(issuer)) => list == issuer,
                    _ => true,
                },
            }
    }
}

impl Of {
    fn new(read: &CertificateRevocationList<'_>, known: &[&Signer]) -> Self {
        let issuer = read.issuer().as_raw();
        let signed = |signer: &&&Signer| *signer.name == *issuer && signer.has_signed(read);
        let scope = read.extensions().iter();
        let mut scope = scope.filter(|one| one.oid == OID_X509_EXT_ISSUER_DISTRIBUTION_POINT);
        Self {
            issuer: issuer.into(),
            by: match known.iter().find(signed) {
                Some(signer) => By::Known((*signer).clone()),
                None => By::Unknown(key_of_issuer(read.extensions())),
            },
            scope: scope.next().map(|one| one.value.into()),
        }
    }

    /// Whether webpki would take one for the other, and nothing tells it which is right. Of authorities that vouch it
    /// is told.
    fn rivals(&self, other: &Self) -> bool {
        match (&self.by, &other.by) {
            (By::Unknown(_), By::Unknown(_)) => self.is_perhaps(other),
            _ => self == other,
        }
    }

    /// Whether both may speak of the same certificates: nothing says that they are by two keys.
    fn is_perhaps(&self, other: &Self) -> bool {
        self.issuer == other.issuer
            && self.scope == other.scope
            && match (&self.by, &other.by) {
                (By::Known(one), By::Known(other)) => one == other,
                (By::Unknown(Some(one)), By::Unknown(Some(other))) => one == other,
                _ => true,
            }
    }
}

/// Older where neither number nor day is newer, and one of them is older.
impl PartialOrd for Edition {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let by_day = self.from.cmp(&other.from);
        let by_number = match (&self.number, &other.number) {
            (Some(own), Some(other)) => own.cmp(other),
            _ => by_day,
        };
        match (by_number, by_day) {
            (one, other) if one == other => Some(one),
            (Ordering::Equal, one) | (one, Ordering::Equal) => Some(one),
            _ => None,
        }
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' of {}", self.issuer, self.from)?;
        match &self.number {
            Some(number) => write!(f, " (number {number})"),
            None => Ok(()),
        }
    }
}

fn read<'a>(one: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    let read = X509Certificate::from_der(one);
    read.map(|(_, one)| one)
        .map_err(|_| CertificateError::BadEncoding.into())
}

/// What a certificate or a list says of the key that it is signed with.
fn key_of_issuer(extensions: &[X509Extension<'_>]) -> Option<Box<[u8]>> {
    extensions.iter().find_map(|one| {
        let ParsedExtension::AuthorityKeyIdentifier(of) = one.parsed_extension() else {
            return None;
        };
        of.key_identifier.as_ref().map(|key| key.0.into())
    })
}

fn number(serial: &[u8]) -> Box<[u8]> {
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    serial.get(zeros..).unwrap_or_default().into()
}

#[cfg(test)]
#[path = "client_lists_tests.rs"]
mod tests;
