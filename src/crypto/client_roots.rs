//! Who vouches for clients' certificates: authorities, what they have revoked, and how a certificate names its
//! holder. Read from PEM once; asked in every handshake, and again by whoever remembers an answer.
//!
//! What it refuses: an authority that is none (a certificate put in its place would vouch for whatever its holder
//! signs), one whose time is over, and, where revocations are given, every certificate of which they say nothing and
//! every list that is older than it says it may be.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{DistinguishedName, RootCertStore};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::base::net::Host;
use crate::base::time::Timestamp;

use super::certificate::chain_of;
use super::client::{ClientCertificate, NamedBy};

/// The authorities in force; none where nobody is asked for a certificate.
pub type InForce = ArcSwapOption<ClientRoots>;

/// Who vouches for clients.
#[derive(Debug)]
pub struct ClientRoots {
    roots: Vec<Root>,
    subjects: Vec<DistinguishedName>,
    named_by: NamedBy,
    hosts: Option<Vec<Host>>,
    /// When the first list of revocations is too old.
    lists_until: Option<Timestamp>,
}

/// One authority.
#[derive(Debug)]
struct Root {
    from: Timestamp,
    until: Timestamp,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// Authorities could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootsFault {
    /// Nothing of the kind in the file.
    #[error("holds no PEM certificate")]
    NoCertificate,
    /// A certificate is not one, or not one that authorities have.
    #[error("an authority's certificate cannot be read: {0}")]
    Unreadable(String),
    /// Somebody's certificate, who may not issue any.
    #[error("'{0}' is no authority: it may not issue certificates")]
    NoAuthority(String),
    /// Nothing of the kind in the other file.
    #[error("holds no PEM list of revoked certificates")]
    NoList,
    /// The lists are none.
    #[error("a list of revoked certificates cannot be read: {0}")]
    UnreadableList(String),
}

/// Why nobody vouches for a certificate.
#[derive(Debug, thiserror::Error)]
pub enum Unvouched {
    /// Its time, or that of every authority, is over or has not come.
    #[error("it is not valid at this time")]
    Time,
    /// It is not what an authority of ours issued, for this use, and not revoked.
    #[error(transparent)]
    Refused(#[from] rustls::Error),
}

impl ClientRoots {
    /// Reads authorities, and what they have revoked, from PEM.
    ///
    /// # Errors
    /// When they cannot be read, or are none.
    pub fn from_pem(
        authorities: &[u8],
        revoked: Option<&[u8]>,
        named_by: NamedBy,
        hosts: Option<Vec<Host>>,
    ) -> Result<Self, RootsFault> {
        let found = chain_of(authorities).map_err(|_| RootsFault::NoCertificate)?;
        let lists = revoked.map_or_else(|| Ok(Vec::new()), lists_of)?;
        let ends = lists.iter().map(|list| end_of_list(list));
        let lists_until = ends.collect::<Result<Vec<_>, _>>()?.into_iter().min();
        let roots = found.iter().map(|one| Root::new(one, &lists));
        let roots = roots.collect::<Result<Vec<_>, _>>()?;
        let subjects = roots.iter().flat_map(|root| {
            let hints = root.verifier.root_hint_subjects();
            hints.iter().cloned()
        });
        Ok(Self {
            subjects: subjects.collect(),
            roots,
            named_by,
            hosts,
            lists_until: lists_until.flatten(),
        })
    }

    /// Whether a client that asks for this name is asked for a certificate. One that names nobody is: browsers
    /// always do, and a program is not disturbed.
    #[must_use]
    pub fn asks(&self, name: Option<&str>) -> bool {
        let named = name.and_then(|name| name.parse::<Host>().ok());
        name.is_none() || self.asks_at(named.as_ref())
    }

    /// Whether clients of this host are asked for a certificate.
    #[must_use]
    pub fn asks_at(&self, host: Option<&Host>) -> bool {
        let among = |hosts: &Vec<Host>| host.is_some_and(|host| hosts.contains(host));
        self.hosts.as_ref().is_none_or(among)
    }

    /// Whose certificates are asked for, told to clients so that they can choose.
    #[must_use]
    pub fn subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    /// Which name of a certificate says whose it is.
    #[must_use]
    pub const fn named_by(&self) -> NamedBy {
        self.named_by
    }

    /// When the last authority's time is over.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.roots.iter().map(|root| root.until).max()
    }

    /// When the first list of revocations is too old, from when on it vouches for nobody.
    #[must_use]
    pub const fn lists_until(&self) -> Option<Timestamp> {
        self.lists_until
    }

    /// Whether one of the authorities vouches for a certificate.
    ///
    /// # Errors
    /// Why none does.
    pub fn verify(&self, shown: &ClientCertificate, now: Timestamp) -> Result<(), Unvouched> {
        let (own, others) = shown.chain().ok_or(Unvouched::Time)?;
        if shown.good_until(now).is_none() {
            return Err(Unvouched::Time);
        }
        let seconds = u64::try_from(now.seconds()).unwrap_or_default();
        let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let mut fault = Unvouched::Time;
        for root in self.roots.iter().filter(|root| root.is_valid(now)) {
            match root.verifier.verify_client_cert(own, others, at) {
                Ok(_) => return Ok(()),
                Err(error) => fault = error.into(),
            }
        }
        Err(fault)
    }
}

impl Root {
    fn new(
        der: &CertificateDer<'static>,
        lists: &[CertificateRevocationListDer<'static>],
    ) -> Result<Self, RootsFault> {
        let unreadable = |error: &dyn std::fmt::Display| RootsFault::Unreadable(error.to_string());
        let (_, read) = X509Certificate::from_der(der).map_err(|error| unreadable(&error))?;
        if !read.is_ca() {
            return Err(RootsFault::NoAuthority(read.subject().to_string()));
        }
        let at = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000));
        let (from, until) = (read.validity().not_before, read.validity().not_after);
        let mut store = RootCertStore::empty();
        store.add(der.clone()).map_err(|error| unreadable(&error))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider)
            .with_crls(lists.iter().cloned())
            .enforce_revocation_expiration()
            .build()
            .map_err(|error| RootsFault::UnreadableList(error.to_string()))?;
        Ok(Self {
            from: at(from.timestamp()),
            until: at(until.timestamp()),
            verifier,
        })
    }

    fn is_valid(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }
}

fn lists_of(pem: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, RootsFault> {
    let found: Result<Vec<_>, _> = rustls_pemfile::crls(&mut &*pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(RootsFault::NoList),
    }
}

fn end_of_list(list: &CertificateRevocationListDer<'_>) -> Result<Option<Timestamp>, RootsFault> {
    let (_, read) = CertificateRevocationList::from_der(list)
        .map_err(|error| RootsFault::UnreadableList(error.to_string()))?;
    let next = read.next_update().map(|at| at.timestamp());
    Ok(next.map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1000))))
}

#[cfg(test)]
#[path = "client_roots_tests.rs"]
pub(crate) mod tests;
