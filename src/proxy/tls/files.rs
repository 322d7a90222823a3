//! Certificates that operators keep in PEM files: read at the start and at a reload, looked at again while the
//! gateway runs, and swapped when what is new is sound. What is not leaves the old one in force, and is told once.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::base::time::Timestamp;
use crate::crypto::certificate::{CertificateFault, Identity};
use crate::crypto::client_roots::RootsFault;
use crate::crypto::keyring::Keyring;
use crate::proxy::settings::Certificate;

/// The files, and the keyring that they fill.
#[derive(Debug)]
pub struct Files {
    keyring: Arc<Keyring>,
    kept: Mutex<Vec<Kept>>,
}

/// A certificate that was read, and what its files looked like then.
#[derive(Debug)]
pub struct Kept {
    files: Certificate,
    identity: Arc<Identity>,
    /// Of the files as they were last read, for better or worse.
    read: Stamp,
    /// Of the files as they were last looked at: what is still being written is left alone.
    seen: Stamp,
    /// What was told to be no good as yet.
    told: Option<Stamp>,
}

/// A certificate could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// A file could not be read.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// What is in the files is no certificate and its key.
    #[error("{0}: {1}")]
    Unusable(PathBuf, CertificateFault),
    /// What is in the files are no authorities for clients' certificates, or not what they have revoked.
    #[error("{0}: {1}")]
    Authorities(PathBuf, RootsFault),
    /// It would take the place of another, and nobody would accept it.
    #[error("{0}: expired on {1}")]
    Expired(PathBuf, Timestamp),
    /// The same, as yet.
    #[error("{0}: not valid before {1}")]
    Early(PathBuf, Timestamp),
    /// It would take the place of one that is for this name, and is not.
    #[error("{0}: is not for {1}, as the one in force is; a reload puts it in force nevertheless")]
    Narrower(PathBuf, String),
}

/// How two files look from outside; follows links, so that a link to another file is a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp([Option<[i128; 4]>; 2]);

/// How long before its end a certificate gives way to whatever is valid.
const ENDING: Duration = Duration::from_hours(48);

impl Files {
    /// No files yet.
    #[must_use]
    pub fn new(keyring: Arc<Keyring>) -> Self {
        Self {
            keyring,
            kept: Mutex::default(),
        }
    }

    /// Reads the files of a configuration; nothing is in force yet.
    ///
    /// # Errors
    /// When a certificate cannot be used, or one that has expired would take the place of what is in force.
    /// What was in force already, and expired in the meantime, stands in nobody's way, and neither does one that
    /// the gateway starts with.
    pub fn read(&self, files: &[Certificate], now: Timestamp) -> Result<Vec<Kept>, TlsFault> {
        let before = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |files: &Certificate| {
            let kept = Kept::read(files)?;
            let known = |one: &Kept| one.identity.is_same(&kept.identity);
            if before.is_empty() || before.iter().any(known) {
                return Ok(kept);
            }
            in_time(&kept.identity, files, now)?;
            Ok(kept)
        };
        files.iter().map(read).collect()
    }

    /// Puts what was read in force.
    pub fn install(&self, kept: Vec<Kept>) {
        let mut own = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        *own = kept;
        self.show(&own);
    }

    /// Looks at the files and puts what has changed in force, one result for each change. A change counts once
    /// two looks in a row have found the files alike.
    pub fn look(&self, now: Timestamp) -> Vec<Result<PathBuf, TlsFault>> {
        let mut own = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let news: Vec<_> = own.iter_mut().filter_map(|kept| kept.look(now)).collect();
        if news.iter().any(Result::is_ok) {
            self.show(&own);
        }
        news
    }

    fn show(&self, kept: &[Kept]) {
        let all = kept.iter().map(|kept| Arc::clone(&kept.identity));
        self.keyring.set_files(all.collect());
    }
}

impl Kept {
    fn read(files: &Certificate) -> Result<Self, TlsFault> {
        // Before the files are: what is written meanwhile is then a change.
        let stamp = Stamp::of([&files.chain, &files.key]);
        Ok(Self {
            files: files.clone(),
            identity: load(files)?,
            read: stamp.clone(),
            seen: stamp,
            told: None,
        })
    }

    fn look(&mut self, now: Timestamp) -> Option<Result<PathBuf, TlsFault>> {
        let stamp = Stamp::of([&self.files.chain, &self.files.key]);
        let settled = stamp == self.seen;
        self.seen = stamp.clone();
        if !settled || stamp == self.read {
            return None;
        }
        let swapped = self.swap(now);
        if let Err(TlsFault::Early(..) | TlsFault::Narrower(..)) = swapped {
            // It may be good later, and is looked at again; told once.
            let is_told = self
                .told
                .replace(stamp.clone())
                .is_some_and(|told| told == stamp);
            return (!is_told).then_some(swapped);
        }
        self.read = stamp;
        Some(swapped)
    }

    fn swap(&mut self, now: Timestamp) -> Result<PathBuf, TlsFault> {
        let identity = load(&self.files)?;
        in_time(&identity, &self.files, now)?;
        let is_lost = |name: &&str| !identity.is_for(name);
        // Better for fewer names than for none.
        let is_ending = self.identity.is_expired(now.plus(ENDING));
        if let Some(lost) = self.identity.names().find(is_lost).filter(|_| !is_ending) {
            return Err(TlsFault::Narrower(
                self.files.chain.clone(),
                lost.to_owned(),
            ));
        }
        self.identity = identity;
        Ok(self.files.chain.clone())
    }
}

impl Stamp {
    pub(super) fn of([one, other]: [&Path; 2]) -> Self {
        let look = |path: &Path| {
            let found = fs::metadata(path).ok()?;
            let changed =
                i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
            let touched =
                i128::from(found.ctime()) * 1_000_000_000 + i128::from(found.ctime_nsec());
            Some([changed, touched, found.size().into(), found.ino().into()])
        };
        Self([look(one), look(other)])
    }
}

fn load(files: &Certificate) -> Result<Arc<Identity>, TlsFault> {
    let read = |path: &PathBuf| fs::read(path).map_err(|error| TlsFault::File(path.clone(), error));
    let (chain, key) = (read(&files.chain)?, read(&files.key)?);
    Identity::from_pem(&chain, &key).map_err(|fault| {
        let path = if fault.is_of_key() {
            &files.key
        } else {
            &files.chain
        };
        TlsFault::Unusable(path.clone(), fault)
    })
}

fn in_time(identity: &Identity, files: &Certificate, now: Timestamp) -> Result<(), TlsFault> {
    if identity.is_expired(now) {
        Err(TlsFault::Expired(files.chain.clone(), identity.until()))
    } else if identity.from() > now {
        Err(TlsFault::Early(files.chain.clone(), identity.from()))
    } else {
        Ok(())
    }
}
