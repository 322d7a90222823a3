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
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, DistinguishedName, RootCertStore};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::base::net::Host;
use crate::base::time::Timestamp;

use super::certificate::chain_of;
use super::client::{ClientCertificate, NamedBy};
use super::client_lists::{Lists, Signer};

/// The authorities in force; none where nobody is asked for a certificate.
pub type InForce = ArcSwapOption<ClientRoots>;

/// Who vouches for clients.
#[derive(Debug)]
pub struct ClientRoots {
    roots: Vec<Root>,
    lists: Lists,
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
    signer: Signer,
    der: CertificateDer<'static>,
}

/// All who vouch from one time to another, asked together: however many they are, a certificate gets one search for
/// a path, with one limit to what it may cost. Only where two of one name have lists, and so are asked apart, is there
/// one for each of these, and then for nobody but who was found by a search among all.
#[derive(Debug)]
struct Current {
    from: Timestamp,
    until: Timestamp,
    /// Asked before the others, if there are several.
    all: Option<Arc<dyn ClientCertVerifier>>,
    /// None while it is nobody's time.
    apart: Vec<Arc<dyn ClientCertVerifier>>,
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
    /// Two lists say different things, and none of them that it is the newer.
    #[error(
        "nobody can tell which holds, the list {0} or the list {1}: leave the older out, or, if they are by two \
         authorities of one name, put the certificates of both among the authorities"
    )]
    Undecided(String, String),
    /// A list would take the place of a newer one.
    #[error("holds the list {0}; a reload puts it in force nevertheless")]
    OlderList(String),
}

impl RootsFault {
    /// Whether the file with the lists is at fault, and not the one with the authorities.
    #[must_use]
    pub const fn is_of_lists(&self) -> bool {
        matches!(
            self,
            Self::NoList | Self::UnreadableList(_) | Self::Undecided(..) | Self::OlderList(_)
        )
    }
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
        let roots = found.iter().map(Root::new).collect::<Result<Vec<_>, _>>()?;
        let whole: Vec<_> = roots.iter().collect();
        let subjects = store_of(&whole)?.subjects();
        let signers: Vec<_> = roots.iter().map(|root| &root.signer).collect();
        let lists = match revoked {
            Some(pem) => Lists::from_pem(pem, &signers)?,
            None => Lists::default(),
        };
        verifier_of(&whole, Some(&lists))?;
        let mut turns: Vec<_> = roots
            .iter()
            .flat_map(|root| [root.from, root.until])
            .collect();
        turns.extend(lists.ends());
        turns.sort_unstable();
        Ok(Self {
            subjects,
            roots,
            lists_until: lists.ends().min(),
            lists,
            current: ArcSwap::from_pointee(Current::NEVER),
            named_by,
            hosts,
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
        self.current(now)?.verify(own, others, at)?;
        Ok(self.lists.clear(own, others)?)
    }

    /// Whether a list of these is older than the one whose place it would take, and which.
    ///
    /// # Errors
    /// When one is: what was revoked meanwhile would count again.
    pub fn is_no_step_back(&self, before: &Self) -> Result<(), RootsFault> {
        let older = self.lists.step_back(&before.lists);
        older.map_or(Ok(()), |older| Err(RootsFault::OlderList(older)))
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
        let valid = self.roots.iter().filter(|root| root.is_valid(now));
        let valid: Vec<_> = valid.collect();
        let apart = apart(&valid, &self.lists);
        let all = (apart.len() > 1).then(|| verifier_of(&valid, None));
        let apart = apart
            .iter()
            .map(|roots| verifier_of(roots, Some(&self.lists)));
        let current = Arc::new(Current {
            from: self.turned(now),
            until: self.until_turn(now),
            all: all.transpose()?,
            apart: apart.collect::<Result<_, _>>()?,
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
        all: None,
        apart: Vec::new(),
    };

    fn verify(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        at: UnixTime,
    ) -> Result<(), Unvouched> {
        let ask = |one: &Arc<dyn ClientCertVerifier>| one.verify_client_cert(own, others, at);
        if let Some(all) = &self.all {
            ask(all)?;
        }
        let mut why = Unvouched::Time;
        for one in &self.apart {
            match ask(one) {
                Ok(_) => return Ok(()),
                // Those beside whoever issued it have less to say of it.
                Err(_) if why.is_revoked() => {}
                Err(error) => why = error.into(),
            }
        }
        Err(why)
    }
}

impl Unvouched {
    const fn is_revoked(&self) -> bool {
        use rustls::Error::InvalidCertificate;
        matches!(
            self,
            Self::Refused(InvalidCertificate(CertificateError::Revoked))
        )
    }
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
            signer: Signer::of(&read),
            der: der.clone(),
        })
    }

    fn is_valid(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }
}

/// Those who are asked together. webpki knows the lists of who issued a certificate by a name, so where there are lists
/// none stands beside another of its name who has another key.
fn apart<'a>(roots: &[&'a Root], lists: &Lists) -> Vec<Vec<&'a Root>> {
    let mut all: Vec<Vec<&Root>> = Vec::new();
    for root in roots {
        let is_other =
            |other: &&Root| other.signer.name == root.signer.name && other.signer != root.signer;
        let fits = |group: &&mut Vec<&Root>| lists.is_empty() || !group.iter().any(is_other);
        match all.iter_mut().find(fits) {
            Some(group) => group.push(root),
            None => all.push(vec![root]),
        }
    }
    all
}

fn store_of(roots: &[&Root]) -> Result<RootCertStore, RootsFault> {
    let mut store = RootCertStore::empty();
    for root in roots {
        let added = store.add(root.der.clone());
        added.map_err(|error| RootsFault::Unreadable(error.to_string()))?;
    }
    Ok(store)
}

fn verifier_of(
    roots: &[&Root],
    lists: Option<&Lists>,
) -> Result<Arc<dyn ClientCertVerifier>, RootsFault> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let signers: Vec<_> = roots.iter().map(|root| &root.signer).collect();
    // Each has them all: whoever has none of its own is known for that, and vouches for nobody.
    let lists = lists.into_iter().flat_map(|lists| lists.for_whom(&signers));
    WebPkiClientVerifier::builder_with_provider(Arc::new(store_of(roots)?), provider)
        .with_crls(lists)
        .enforce_revocation_expiration()
        .build()
        .map_err(|error| RootsFault::UnreadableList(error.to_string()))
}

#[cfg(test)]
#[path = "client_roots_tests.rs"]
pub(crate) mod tests;
