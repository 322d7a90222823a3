//! Sessions: server-side, named to the browser by 256 random bits, kept as a hash.
//!
//! The hot path reads a small in-process cache and does no IO. What keeps the cache honest: everything that
//! ends a session in this process takes it out and cancels its live requests; a write by another process
//! empties it within a second; and no entry outlives [`CACHE_TTL`] in any case. A session that was ended
//! between being read and being cached is not cached: readers remember the epoch they began in.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::base::id::PublicId;
use crate::base::identity::Identity;
use crate::base::random::Random;
use crate::base::time::{Clock, Timestamp};
use crate::base::token::{Token, TokenHash};
use crate::crypto::client_roots::InForce;
use crate::store::Store;
use crate::store::users::User;
use crate::store::volatile::{Key, Kind, NewEntry};

use super::IdentityFault;
use super::account::Demands;
use super::settings::SessionSettings;

mod ends;
mod list;
mod load;
mod look;
mod over;
mod record;
mod seen;
mod shown;

use ends::{End, Ends, Source};
use record::Record;
pub use record::SessionInfo;
use shown::Refusals;

/// Longest time an answer is given from the cache without asking the store again.
pub const CACHE_TTL: Duration = Duration::from_secs(30);

/// Sessions kept in the cache; at some 400 bytes each, 40 MB at most.
const CACHE_ENTRIES: usize = 100_000;

/// Certificates kept in a cache of their own; at 16 KiB each at most, 16 MB. Whoever has one good certificate can show
/// it with ever other ones beside it, each time as another to us, and must not push out everybody's sessions.
const CERTIFICATE_ENTRIES: usize = 1_000;

/// Sessions of one user, where the file names no number: nobody fills the store with logins of their own.
const MOST_OF_A_USER: u32 = 1_000;

/// Everything about sessions. Clones share the cache.
#[derive(Clone)]
pub struct Sessions(Arc<Inner>);

struct Inner {
    store: Store,
    /// The same, for looking at many at once.
    looking: Store,
    clock: Clock,
    random: Random,
    settings: arc_swap::ArcSwap<SessionSettings>,
    /// Who vouches for certificates.
    roots: Arc<InForce>,
    cache: Cache<TokenHash, Arc<Live>>,
    /// The same for certificates.
    shown: Cache<TokenHash, Arc<Live>>,
    /// Certificates that did not count a moment ago.
    refused: Refusals,
    /// Where requests in flight hear of the end of their session.
    ends: Ends,
    /// Rises with everything that may make a cached answer wrong.
    epoch: AtomicU64,
    /// Rung where that could not be looked at.
    missed: Notify,
}

/// A session that is alive, and the identity behind it.
#[derive(Debug)]
pub struct Live {
    /// Its public name.
    pub sid: PublicId,
    /// Whoever logged in.
    pub identity: Arc<Identity>,
    /// Which password the account has had last.
    pub password_version: i64,
    /// Whether it opens nothing but the way to another password.
    pub must_change_password: bool,
    /// When they logged in.
    pub began_at: Timestamp,
    /// Whether tokens carry it instead of a cookie.
    pub tokens: bool,
    end: Arc<End>,
    cached_until: Timestamp,
}

/// A session that has just begun.
#[derive(Debug)]
pub struct Begun {
    /// What goes into the cookie.
    pub token: Token,
    /// Its public name.
    pub sid: PublicId,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

/// What a session begins with.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// Who has logged in, as they were when the password was checked.
    pub user: &'a User,
    /// Where from.
    pub ip: IpAddr,
    /// What the browser or the program calls itself.
    pub user_agent: &'a str,
}

/// What names a session to us.
enum Carrier {
    Cookie(TokenHash),
    Tokens,
}

/// Where a session that tokens carry is kept. No cookie leads there: a cookie is hashed as 43 characters
/// without a colon.
fn hash_of(sid: PublicId) -> TokenHash {
    TokenHash::of(format!("sid:{sid}").as_bytes())
}

impl Sessions {
    /// Sessions kept in this store.
    #[must_use]
    pub fn new(store: Store, clock: Clock, random: Random, settings: SessionSettings) -> Self {
        Self(Arc::new(Inner {
            looking: store.sharing(),
            store,
            clock,
            random,
            settings: arc_swap::ArcSwap::from_pointee(settings),
            roots: Arc::default(),
            cache: Cache::new(CACHE_ENTRIES),
            shown: Cache::new(CERTIFICATE_ENTRIES),
            refused: Refusals::new(CERTIFICATE_ENTRIES),
            ends: Ends::default(),
            epoch: AtomicU64::new(0),
            missed: Notify::new(),
        }))
    }

    /// Takes new settings after a reload; sessions that live keep the absolute end they were given.
    pub fn configure(&self, settings: SessionSettings) {
        self.0.settings.store(Arc::new(settings));
    }

    /// Who vouches for certificates: handshakes look here, too. After a change, [`Sessions::revalidate`] ends what
    /// rests on those who do no more.
    #[must_use]
    pub fn roots(&self) -> &Arc<InForce> {
        &self.0.roots
    }

    /// What an account must be for its sessions to open anything.
    #[must_use]
    pub fn demands(&self) -> Demands {
        self.0.settings.load().demands
    }

    /// Begins a session that a cookie carries, and ends the one whose cookie came with the login, if any: a
    /// session that was planted before the login never becomes the user's (fixation).
    ///
    /// # Errors
    /// When the store does not answer or there is no randomness.
    pub async fn begin(
        &self,
        opening: &Opening<'_>,
        replaces: Option<&Token>,
    ) -> Result<Begun, IdentityFault> {
        if let Some(old) = replaces {
            self.end(old).await?;
        }
        let token = Token::generate(&self.0.random)?;
        let settings = self.0.settings.load();
        let life = settings.idle.min(settings.max);
        let (sid, now) = self
            .insert(opening, Carrier::Cookie(token.hash()), life)
            .await?;
        Ok(Begun {
            token,
            sid,
            expires_at: now.plus(settings.max),
        })
    }

    /// Begins a session that tokens carry: it is found by its public name, which opens nothing by itself, and
    /// lives for `life` unless [`Sessions::extend`] gives it more.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn begin_for_tokens(
        &self,
        opening: &Opening<'_>,
        life: Duration,
    ) -> Result<PublicId, IdentityFault> {
        let life = life.min(self.0.settings.load().max);
        Ok(self.insert(opening, Carrier::Tokens, life).await?.0)
    }

    async fn insert(
        &self,
        opening: &Opening<'_>,
        carrier: Carrier,
        life: Duration,
    ) -> Result<(PublicId, Timestamp), IdentityFault> {
        let inner = &self.0;
        let now = inner.clock.now();
        let sid = PublicId::generate(&inner.random);
        let (hash, tokens) = match carrier {
            Carrier::Cookie(hash) => (hash, false),
            Carrier::Tokens => (hash_of(sid), true),
        };
        let entry = NewEntry {
            key: Key::from(hash),
            value: Record::new(sid, opening, tokens, now).encode()?,
            owner: Some(opening.user.id.0),
            expires_at: now.plus(life),
        };
        let cap = inner.settings.load().per_user.unwrap_or(MOST_OF_A_USER);
        let evicted = inner
            .store
            .volatile
            .create_capped(Kind::Session, entry, cap, now)
            .await?;
        let evicted =
            evicted.ok_or_else(|| IdentityFault::Random("a session id came up twice".into()))?;
        self.forget(&evicted);
        Ok((sid, now))
    }

    /// The live session behind a cookie. A dead or unknown one is none.
    ///
    /// # Errors
    /// When the store does not answer: that is never "nobody".
    pub async fn find(&self, token: &Token) -> Result<Option<Arc<Live>>, IdentityFault> {
        self.find_hash(token.hash()).await
    }

    /// The live session that tokens with this public name stand for.
    ///
    /// # Errors
    /// As [`Sessions::find`].
    pub async fn find_sid(&self, sid: PublicId) -> Result<Option<Arc<Live>>, IdentityFault> {
        self.find_hash(hash_of(sid)).await
    }

    /// As [`Sessions::find`], for whoever knows no more than the hash of what the cookie held.
    ///
    /// # Errors
    /// As [`Sessions::find`].
    pub async fn find_hash(&self, hash: TokenHash) -> Result<Option<Arc<Live>>, IdentityFault> {
        if let Some(live) = self.find_at_hand(hash) {
            return Ok(Some(live));
        }
        let now = self.0.clock.now();
        let live = Box::pin(self.load(&Source::Row(hash), now)).await?;
        if let Some(live) = &live {
            self.touch(hash, live, now);
        }
        Ok(live)
    }

    /// As [`Sessions::find_hash`], of what is remembered and still holds; none says nothing.
    #[must_use]
    pub fn find_at_hand(&self, hash: TokenHash) -> Option<Arc<Live>> {
        let now = self.0.clock.now();
        let live = self.0.cache.get(&hash).filter(|live| live.is_fresh(now))?;
        self.touch(hash, &live, now);
        Some(live)
    }

    /// How many sessions are alive.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn count(&self) -> Result<u64, IdentityFault> {
        Ok(self
            .0
            .store
            .volatile
            .live(Kind::Session, self.0.clock.now())
            .await?)
    }

    fn forget(&self, keys: &[Key]) {
        if keys.is_empty() {
            return;
        }
        self.0.epoch.fetch_add(1, Ordering::AcqRel);
        for key in keys {
            let hash = TokenHash::from_bytes(*key.as_bytes());
            self.0.cache.remove(&hash);
            self.0.ends.announce(&hash);
        }
    }
}

impl Inner {
    fn cache_of(&self, source: &Source) -> &Cache<TokenHash, Arc<Live>> {
        match source {
            Source::Row(_) => &self.cache,
            Source::Certificate(_) => &self.shown,
        }
    }

    fn forget_all(&self) {
        self.cache.clear();
        self.shown.clear();
    }
}

impl Live {
    /// Cancelled when the session ends; live requests end with it.
    #[must_use]
    pub fn ended(&self) -> &CancellationToken {
        self.end.token()
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        // A clock that was set back must not make it last.
        let cached = now < self.cached_until && self.cached_until.since(now) <= CACHE_TTL;
        cached && now < self.end.expires_at() && !self.ended().is_cancelled()
    }
}

#[cfg(test)]
mod tests;
