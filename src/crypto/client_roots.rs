//! Who vouches for clients' certificates: authorities, what they have revoked, and how a certificate names its
//! holder. Read from PEM once; asked in every handshake, and again by whoever remembers an answer.
//!
//! What it refuses: an authority that is none (a certificate put in its place would vouch for whatever its holder
//! signs), one whose time is over, and, where revocations are given, every certificate of which they say nothing and
//! every list that is older than it says it may be.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
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
    lists: Vec<CertificateRevocationListDer<'static>>,
    /// Those of the roots whose time it is.
    current: ArcSwap<Current>,
    subjects: Vec<DistinguishedName>,
    named_by: NamedBy,
    hosts: Option<Vec<Host>>,
    /// When the first list of revocations is too old.
    lists_until: Option<Timestamp>,
    /// When one of the roots, or of the lists, is over or begins: in order.
    turns: Vec<Timestamp>,
}

/// Before any time that is asked for, and after.
const BEGINNING: Timestamp = Timestamp::from_millis(i64::MIN);
const END: Timestamp = Timestamp::from_millis(i64::MAX);

/// One authority.
#[derive(Debug)]
struct Root {
    from: Timestamp,
    until: Timestamp,
    der: CertificateDer<'static>,
}

/// All who vouch from one time to another, asked together: however many they are, a certificate gets one search for
/// a path, with one limit to what it may cost.
#[derive(Debug)]
struct Current {
    from: Timestamp,
    until: Timestamp,
    /// None while it is nobody's time.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
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
    /// Those who vouch could be read before, and cannot be now.
    #[error("who vouches {0}")]
    Roots(#[from] RootsFault),
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
        let ends: Vec<_> = ends
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?;
        let roots = found.iter().map(Root::new).collect::<Result<Vec<_>, _>>()?;
        let all = verifier_of(roots.iter(), &lists)?;
        let mut turns: Vec<_> = roots
            .iter()
            .flat_map(|root| [root.from, root.until])
            .collect();
        turns.extend(&ends);
        turns.sort_unstable();
        Ok(Self {
            subjects: all.root_hint_subjects().to_vec(),
            roots,
            lists,
            current: ArcSwap::from_pointee(Current::NEVER),
            named_by,
            hosts,
            lists_until: ends.iter().min().copied(),
            turns,
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

    /// From when and until when the last authority is good.
    #[must_use]
    pub fn life(&self) -> Option<(Timestamp, Timestamp)> {
        let last = self.roots.iter().max_by_key(|root| root.until);
        last.map(|root| (root.from, root.until))
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
        let current = self.current(now)?;
        let verifier = current.verifier.as_ref().ok_or(Unvouched::Time)?;
        verifier.verify_client_cert(own, others, at)?;
        Ok(())
    }

    /// Until when what they say of a certificate may hold: one of them, or of their lists, is over then.
    #[must_use]
    pub fn until_turn(&self, now: Timestamp) -> Timestamp {
        let next = self.turns.iter().find(|turn| **turn > now);
        next.copied().unwrap_or(END)
    }

    fn turned(&self, now: Timestamp) -> Timestamp {
        let last = self.turns.iter().rfind(|turn| **turn <= now);
        last.copied().unwrap_or(BEGINNING)
    }

    /// Those who vouch now. They are others when the time of one begins or ends, which is seldom.
    fn current(&self, now: Timestamp) -> Result<Arc<Current>, RootsFault> {
        let known = self.current.load();
        if known.from <= now && now < known.until {
            return Ok(Arc::clone(&known));
        }
        let valid = || self.roots.iter().filter(|root| root.is_valid(now));
        let verifier = match valid().next() {
            Some(_) => Some(verifier_of(valid(), &self.lists)?),
            None => None,
        };
        let current = Arc::new(Current {
            from: self.turned(now),
            until: self.until_turn(now),
            verifier,
        });
        self.current.store(Arc::clone(&current));
        Ok(current)
    }
}

impl Current {
    /// Before anybody has asked.
    const NEVER: Self = Self {
        from: END,
        until: BEGINNING,
        verifier: None,
    };
}

impl Root {
    fn new(der: &CertificateDer<'static>) -> Result<Self, RootsFault> {
        let (_, read) = X509Certificate::from_der(der)
            .map_err(|error| RootsFault::Unreadable(error.to_string()))?;
        if !read.is_ca() {
            return Err(RootsFault::NoAuthority(read.subject().to_string()));
        }
        let at = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000));
        let (from, until) = (read.validity().not_before, read.validity().not_after);
        Ok(Self {
            from: at(from.timestamp()),
            until: at(until.timestamp()),
            der: der.clone(),
        })
    }

    fn is_valid(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }
}

fn verifier_of<'a>(
    roots: impl Iterator<Item = &'a Root>,
    lists: &[CertificateRevocationListDer<'static>],
) -> Result<Arc<dyn ClientCertVerifier>, RootsFault> {
    let mut store = RootCertStore::empty();
    for root in roots {
        let added = store.add(root.der.clone());
        added.map_err(|error| RootsFault::Unreadable(error.to_string()))?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider)
        .with_crls(lists.iter().cloned())
        .enforce_revocation_expiration()
        .build()
        .map_err(|error| RootsFault::UnreadableList(error.to_string()))
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
