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
    watch: Watch,
}

/// What is known of some files from outside.
#[derive(Debug)]
pub(in crate::proxy) struct Watch {
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

/// How some files look from outside; follows links, so that a link to another file is a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct Stamp(Vec<Option<[i128; 4]>>);

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
        let stamp = Stamp::of([&*files.chain, &*files.key]);
        Ok(Self {
            files: files.clone(),
            identity: load(files)?,
            watch: Watch::new(stamp),
        })
    }

    fn look(&mut self, now: Timestamp) -> Option<Result<PathBuf, TlsFault>> {
        let stamp = Stamp::of([&*self.files.chain, &*self.files.key]);
        let changed = self.watch.changed(stamp)?;
        let swapped = self.swap(now);
        self.watch.note(changed, &swapped).then_some(swapped)
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

impl TlsFault {
    /// Whether the same files may be good later: some, because their time comes; and those that could not be read,
    /// because nothing of them has changed when a disk answers again or a descriptor is free.
    const fn may_pass(&self) -> bool {
        matches!(self, Self::File(..) | Self::Early(..) | Self::Narrower(..))
    }
}

impl Watch {
    /// Over files that look like this and are about to be read.
    pub(in crate::proxy) fn new(stamp: Stamp) -> Self {
        Self {
            read: stamp.clone(),
            seen: stamp,
            told: None,
        }
    }

    /// How the files look, if that is another way than when they were read, and the same as a look ago.
    pub(in crate::proxy) fn changed(&mut self, stamp: Stamp) -> Option<Stamp> {
        let settled = stamp == self.seen;
        self.seen = stamp.clone();
        if stamp == self.read {
            // What could not be read is there again; should that happen once more, it is news.
            self.told = None;
        }
        (settled && stamp != self.read).then_some(stamp)
    }

    /// Notes what came of reading them; what may pass is looked at again. Whether that is to be told: what stays the
    /// same is told once.
    pub(in crate::proxy) fn note<T>(
        &mut self,
        stamp: Stamp,
        outcome: &Result<T, TlsFault>,
    ) -> bool {
        if outcome.as_ref().is_err_and(TlsFault::may_pass) {
            return self.told.replace(stamp.clone()) != Some(stamp);
        }
        (self.told, self.read) = (None, stamp);
        true
    }
}

impl Stamp {
    pub(in crate::proxy) fn of<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let look = |path: &Path| {
            let found = fs::metadata(path).ok()?;
            let changed =
                i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
            let touched =
                i128::from(found.ctime()) * 1_000_000_000 + i128::from(found.ctime_nsec());
            Some([changed, touched, found.size().into(), found.ino().into()])
        };
        Self(paths.into_iter().map(look).collect())
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

pub(in crate::proxy) fn in_time(
    identity: &Identity,
    files: &Certificate,
    now: Timestamp,
) -> Result<(), TlsFault> {
    if identity.is_expired(now) {
        Err(TlsFault::Expired(files.chain.clone(), identity.until()))
    } else if identity.from() > now {
        Err(TlsFault::Early(files.chain.clone(), identity.from()))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(number: i128) -> Stamp {
        Stamp(vec![Some([number; 4]), None])
    }

    fn unread(kind: io::ErrorKind) -> Result<(), TlsFault> {
        Err(TlsFault::File(PathBuf::from("chain.pem"), kind.into()))
    }

    #[test]
    fn what_could_not_be_read_is_looked_at_again_and_told_once() {
        let mut watch = Watch::new(stamp(0));
        assert!(watch.changed(stamp(0)).is_none());
        assert!(watch.changed(stamp(1)).is_none(), "still being written");
        for told in [true, false, false] {
            let changed = watch.changed(stamp(1)).unwrap();
            let said = watch.note(changed, &unread(io::ErrorKind::StaleNetworkFileHandle));
            assert_eq!(said, told);
        }
        let changed = watch.changed(stamp(1)).unwrap();
        assert!(watch.note(changed, &Ok(())));
        assert!(watch.changed(stamp(1)).is_none(), "read");
    }

    #[test]
    fn what_is_no_good_is_looked_at_once() {
        let mut watch = Watch::new(stamp(0));
        assert!(watch.changed(stamp(1)).is_none());
        let changed = watch.changed(stamp(1)).unwrap();
        let fault = TlsFault::Unusable(PathBuf::new(), CertificateFault::Damaged);
        assert!(watch.note(changed, &Err::<(), _>(fault)));
        assert!(watch.changed(stamp(1)).is_none());
    }
}
