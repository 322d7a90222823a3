//! Where the end of a session is heard: one place for each session that somebody is using just now.
//!
//! It outlives what the cache knows of the session. A stream that was opened under an earlier reading of the
//! row ends all the same.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio_util::sync::CancellationToken;

use crate::base::id::UserId;
use crate::base::identity::Identity;
use crate::base::time::Timestamp;
use crate::base::token::TokenHash;
use crate::crypto::client::ClientCertificate;

/// The ends of all sessions in use.
#[derive(Debug, Default)]
pub(super) struct Ends(Mutex<Register>);

/// What a session is read from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A row of the store, kept under the hash of what names the session.
    Row(TokenHash),
    /// A certificate, which says all there is to say but who it is.
    Certificate(Arc<ClientCertificate>),
}

/// The end of one session: cancelled when it comes. All readings of the session's row share it, so what they learn
/// of its time is here, too.
#[derive(Debug)]
pub(super) struct End {
    source: Source,
    token: CancellationToken,
    expires_at: AtomicI64,
    touched_at: AtomicI64,
    /// Whoever it was when the row was read last, and of what time that reading is.
    identity: Mutex<Option<(u64, Arc<Identity>)>>,
}

/// What a reading says beside what was noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing that ends anything.
    None,
    /// They could do something before that they cannot do any more.
    Lost,
    /// It was overtaken by a later one, which says something else: it counts for nothing.
    Stale,
}

#[derive(Debug, Default)]
struct Register {
    ends: HashMap<TokenHash, Weak<End>>,
    /// No session in use expires before.
    due: Option<Timestamp>,
    /// Whether a rule lets in whoever lacks something.
    gains_count: bool,
    /// At this many entries those that nobody uses any more are cleared away.
    sweep_at: usize,
}

const SWEEP_LEAST: usize = 1_024;

impl Source {
    /// What the session is found by.
    pub(super) fn hash(&self) -> TokenHash {
        match self {
            Self::Row(hash) => *hash,
            Self::Certificate(shown) => shown.hash(),
        }
    }
}

impl End {
    /// Cancelled when the session ends.
    pub(super) const fn token(&self) -> &CancellationToken {
        &self.token
    }

    fn new(source: Source) -> Self {
        Self {
            source,
            token: CancellationToken::new(),
            expires_at: AtomicI64::new(i64::MAX),
            touched_at: AtomicI64::new(i64::MIN),
            identity: Mutex::default(),
        }
    }

    /// What the session is read from.
    pub(super) const fn source(&self) -> &Source {
        &self.source
    }

    /// Whether nobody has found out yet whose it is.
    pub(super) fn is_unknown(&self) -> bool {
        let identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        identity.is_none()
    }

    /// Whether it was a certificate of this user's, when it was read last.
    fn is_certificate_of(&self, user: UserId) -> bool {
        let identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(self.source, Source::Certificate(_))
            && identity.as_ref().is_some_and(|(_, known)| known.id == user)
    }

    /// When the session ends, as far as is known.
    pub(super) fn expires_at(&self) -> Timestamp {
        Timestamp::from_millis(self.expires_at.load(Ordering::Acquire))
    }

    /// When it was last seen to be used, in milliseconds.
    pub(super) fn touched_at(&self) -> i64 {
        self.touched_at.load(Ordering::Acquire)
    }

    /// It was seen to be used.
    pub(super) fn touched(&self, at: i64) {
        self.touched_at.fetch_max(at, Ordering::AcqRel);
    }

    /// Whether nobody else has noted a use since `seen`; it is then noted as of `now`.
    pub(super) fn touch(&self, seen: i64, now: i64) -> bool {
        self.touched_at
            .compare_exchange(seen, now, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Notes who it is, by a reading that was begun in this epoch. Where `gains_count`, a rule lets in whoever lacks
    /// something.
    pub(super) fn note(&self, epoch: u64, now: &Arc<Identity>, gains_count: bool) -> News {
        let mut noted = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((of, before)) = noted.as_ref() else {
            *noted = Some((epoch, Arc::clone(now)));
            return News::None;
        };
        let gains = !now.rights_are_within(before);
        let loses = !before.rights_are_within(now);
        if *of > epoch && (gains || loses) {
            return News::Stale;
        }
        *noted = Some((epoch.max(*of), Arc::clone(now)));
        if loses || gains_count && gains {
            News::Lost
        } else {
            News::None
        }
    }
}

impl Ends {
    /// Says whether a rule lets in whoever lacks something.
    pub(super) fn count_gains(&self, gains_count: bool) {
        self.lock().gains_count = gains_count;
    }

    /// Whether a rule lets in whoever lacks something.
    pub(super) fn gains_count(&self) -> bool {
        self.lock().gains_count
    }

    /// The end of a session, the same one for everybody who uses it.
    pub(super) fn of(&self, source: &Source) -> Arc<End> {
        let hash = source.hash();
        let mut register = self.lock();
        if let Some(end) = register.ends.get(&hash).and_then(Weak::upgrade) {
            return end;
        }
        register.sweep();
        let end = Arc::new(End::new(source.clone()));
        register.ends.insert(hash, Arc::downgrade(&end));
        end
    }

    /// The session has ended: everybody who uses it is told.
    pub(super) fn announce(&self, hash: &TokenHash) {
        if let Some(end) = self.lock().ends.remove(hash).and_then(|end| end.upgrade()) {
            end.token.cancel();
        }
    }

    /// A session ends at this time, as its row says now.
    pub(super) fn expires(&self, end: &End, at: Timestamp) {
        end.expires_at.store(at.millis(), Ordering::Release);
        let mut register = self.lock();
        register.due = Some(register.due.map_or(at, |due| due.min(at)));
    }

    /// The sessions in use whose time is over, as far as is known. Almost always there is nothing to look for.
    pub(super) fn expired(&self, now: Timestamp) -> Vec<(Source, Timestamp)> {
        let mut register = self.lock();
        if register.due.is_none_or(|due| now < due) {
            return Vec::new();
        }
        let in_use = register.ends.values().filter_map(Weak::upgrade);
        let (over, live): (Vec<_>, Vec<_>) = in_use.partition(|end| end.expires_at() <= now);
        // What is over stays due until its row has been looked at.
        let ends = if over.is_empty() {
            live.iter()
        } else {
            over.iter()
        };
        register.due = ends.map(|end| end.expires_at()).min();
        let told = over
            .iter()
            .map(|end| (end.source.clone(), end.expires_at()));
        told.collect()
    }

    /// Whether somebody uses a session.
    pub(super) fn is_used(&self, hash: &TokenHash) -> bool {
        let register = self.lock();
        let end = register.ends.get(hash);
        end.is_some_and(|end| end.strong_count() > 0)
    }

    /// The sessions that somebody uses.
    pub(super) fn in_use(&self) -> Vec<Source> {
        self.sources(|_| true)
    }

    /// The certificates in use that stand for a user.
    pub(super) fn certificates_of(&self, user: UserId) -> Vec<Source> {
        self.sources(|end| end.is_certificate_of(user))
    }

    fn sources(&self, wanted: impl Fn(&End) -> bool) -> Vec<Source> {
        // Upgraded while the register is locked, and dropped after.
        let in_use: Vec<Arc<End>> = {
            let register = self.lock();
            register.ends.values().filter_map(Weak::upgrade).collect()
        };
        let wanted = in_use.iter().filter(|end| wanted(end));
        wanted.map(|end| end.source.clone()).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Register> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Register {
    fn sweep(&mut self) {
        if self.ends.len() >= self.sweep_at.max(SWEEP_LEAST) {
            self.ends.retain(|_, end| end.strong_count() > 0);
            self.sweep_at = self.ends.len() * 2;
        }
    }
}
