//! Tokens for programs: a short-lived access token (RFC 9068) and a refresh token that is rotated.
//!
//! Both stand for a session, which is looked up on every use: what ends the session (logging out, disabling the
//! account, another password) ends them at once. A refresh token is 256 random bits, and says whose family it is of;
//! the bits of its successor are computed from its own under the gateway key, so that two requests that refresh at the
//! same moment are given the same one. A used one that comes back later than [`GRACE`] was stolen, or its successor was:
//! the family ends (RFC 9700 section 4.14.2), however long ago that was and whatever is still stored of it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};

use crate::base::id::PublicId;
use crate::base::random::Random;
use crate::base::secret::Secret;
use crate::base::time::{Clock, Timestamp};
use crate::base::token::{Token, TokenHash};
use crate::crypto::access::{AccessClaims, AccessKey};
use crate::crypto::key::{GatewayKey, Purpose};
use crate::store::volatile::{Entry, Key, Kind, NewEntry, Volatile};

use super::IdentityFault;
use super::session::{Live, Opening, Sessions};

mod family;
mod refresh;

pub use refresh::RefreshToken;

/// For how long a used refresh token still gives its successor.
pub const GRACE: Duration = Duration::from_secs(10);

/// Who asks for tokens at our own door (RFC 9068 wants to know).
const CLIENT: &str = "portcullis";

/// Refresh tokens of one user that can still be used; the oldest give way. Twice as many as sessions: while one is renewed
/// there are two of it, and those of sessions that have ended lie about for a while.
const MOST_OF_A_USER: u32 = 2_000;

/// Used ones, kept apart: who refreshes often must not push out what other programs of theirs have not used yet.
const MOST_SPENT: u32 = 2_000;

/// Tokens whose signature was found good; at some 100 bytes each.
const VERIFIED: usize = 50_000;

/// How long tokens live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenSettings {
    /// An access token.
    pub access: Duration,
    /// A refresh token that is not used; `session.max` ends its family in any case.
    pub refresh: Duration,
}

/// Makes, renews and reads tokens. Clones share it.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    sessions: Sessions,
    volatile: Arc<dyn Volatile>,
    key: AccessKey,
    successors: hmac::Key,
    clock: Clock,
    random: Random,
    terms: ArcSwap<Terms>,
    /// Signatures that were checked. Everything else about a token is looked at every time.
    verified: Cache<TokenHash, Verified>,
}

struct Terms {
    issuer: String,
    settings: TokenSettings,
    /// Another one after each reload.
    turn: u64,
}

#[derive(Clone)]
struct Verified {
    sid: PublicId,
    /// In seconds.
    good: Range<i64>,
    /// Whose issuer it was found to be of.
    turn: u64,
}

/// What a program is given.
#[derive(Debug)]
pub struct Pair {
    /// Opens our API, and rules that say `auth: [jwt]`.
    pub access: Secret<String>,
    /// Gives the next pair, once.
    pub refresh: RefreshToken,
    /// How long the access token lives.
    pub expires_in: Duration,
}

/// Why there is no next pair.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RefreshRefusal {
    /// Not a refresh token of a live session.
    #[error("not a refresh token of a live session")]
    Invalid,
    /// Used before, and not just now: its family has been ended.
    #[error("a used refresh token came back")]
    Reused,
    /// Its user must choose another password first; the token stays good.
    #[error("another password must be chosen first")]
    MustChangePassword,
    /// Something failed.
    #[error(transparent)]
    Fault(#[from] IdentityFault),
}

/// What is stored of a refresh token.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Record {
    sid: PublicId,
    spent_at: Option<i64>,
}

impl TokenSettings {
    /// The settings where the file says nothing.
    pub const DEFAULT: Self = Self {
        access: Duration::from_mins(30),
        refresh: Duration::from_hours(7 * 24),
    };
}

impl Tokens {
    /// Tokens for these sessions, signed as `issuer`.
    #[must_use]
    pub fn new(
        (sessions, volatile): (Sessions, Arc<dyn Volatile>),
        (access, gateway): (AccessKey, &GatewayKey),
        (clock, random): (Clock, Random),
        issuer: String,
        settings: TokenSettings,
    ) -> Self {
        Self(Arc::new(Inner {
            sessions,
            volatile,
            key: access,
            successors: gateway.mac(Purpose::Refresh),
            clock,
            random,
            terms: ArcSwap::from_pointee(Terms {
                issuer,
                settings,
                turn: 0,
            }),
            verified: Cache::new(VERIFIED),
        }))
    }

    /// Takes new settings after a reload.
    pub fn configure(&self, issuer: String, settings: TokenSettings) {
        let turn = self.0.terms.load().turn.wrapping_add(1);
        self.0.terms.store(Arc::new(Terms {
            issuer,
            settings,
            turn,
        }));
        self.0.verified.clear();
    }

    /// The key, for the key set.
    #[must_use]
    pub fn key(&self) -> &AccessKey {
        &self.0.key
    }

    /// Begins a session and hands out the first pair.
    ///
    /// # Errors
    /// When the store does not answer, or nothing can be signed.
    pub async fn issue(&self, opening: &Opening<'_>) -> Result<Pair, IdentityFault> {
        let inner = &self.0;
        let settings = inner.terms.load().settings;
        let sid = inner
            .sessions
            .begin_for_tokens(opening, settings.refresh)
            .await?;
        let refresh = Token::generate(&inner.random)?;
        let until = inner.clock.now().plus(settings.refresh);
        self.keep(&refresh, sid, opening.user.id.0, until).await?;
        let access = self.sign(sid, opening.user.subject)?;
        Ok(self.pair(access, refresh, sid))
    }

    /// The next pair.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn refresh(&self, text: &str) -> Result<Pair, RefreshRefusal> {
        let inner = &self.0;
        let token = RefreshToken::read(text, &inner.successors);
        let RefreshToken { secret, sid, .. } = token.ok_or(RefreshRefusal::Invalid)?;
        let key = Key::from(secret.hash());
        // Whoever loses the race below finds the token spent just now on the second round.
        for _ in 0..2 {
            let now = inner.clock.now();
            let entry = self.entry(&key, now).await?;
            let live = inner.sessions.find_sid(sid).await?;
            let live = live.ok_or(RefreshRefusal::Invalid)?;
            // One of ours, of a family that goes on, of which nothing is stored any more: used so long ago, or so often
            // ago, that it was forgotten.
            let Some(entry) = entry else {
                return Err(self.end_family(sid, &live).await?);
            };
            let record = Record::decode(&entry).ok_or(RefreshRefusal::Invalid)?;
            if live.must_change_password {
                return Err(RefreshRefusal::MustChangePassword);
            }
            match record.spent_at.map(Timestamp::from_millis) {
                // By today's settings as well, so that a shorter life bites at once.
                None if entry.created_at.plus(inner.terms.load().settings.refresh) <= now => {
                    return Err(RefreshRefusal::Invalid);
                }
                None if self.spend(&secret, &entry, record, now).await? => {}
                None => continue,
                // Not where the clock was ahead at that time: there is no telling how long ago it was.
                Some(at) if now.since(at) <= GRACE && !at.is_ahead_of(now) => {}
                Some(_) => return Err(self.end_family(sid, &live).await?),
            }
            let access = self.sign(sid, live.identity.subject)?;
            return Ok(self.pair(access, self.successor(&secret)?, sid));
        }
        Err(RefreshRefusal::Invalid)
    }

    /// The live session that an access token stands for; none when it is not good, or no more.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn find(&self, token: &str) -> Result<Option<Arc<Live>>, IdentityFault> {
        match self.verify(token) {
            Some(sid) => self.0.sessions.find_sid(sid).await,
            None => Ok(None),
        }
    }

    /// Whether a text is a token of ours, an access token or one to refresh it with, whatever became of it.
    #[must_use]
    pub fn made(&self, text: &str) -> bool {
        let (inner, terms) = (&self.0, self.0.terms.load());
        let refresh = || RefreshToken::read(text, &inner.successors).is_some();
        inner.key.read(text, &terms.issuer).is_ok() || refresh()
    }

    fn verify(&self, token: &str) -> Option<PublicId> {
        let inner = &self.0;
        let (hash, now) = (TokenHash::of(token.as_bytes()), inner.clock.now());
        let terms = inner.terms.load();
        let known = inner.verified.get(&hash);
        if let Some(known) = known.filter(|known| known.turn == terms.turn) {
            return known.good.contains(&now.seconds()).then_some(known.sid);
        }
        let claims = inner.key.verify(token, &terms.issuer, now).ok()?;
        let sid = claims.sid.parse().ok()?;
        let (good, turn) = (claims.good(), terms.turn);
        inner.verified.insert(hash, Verified { sid, good, turn });
        Some(sid)
    }

    /// A used token, or one that can be used. Asked for in this order: one that is marked while both are read is found in
    /// one place or the other.
    async fn entry(&self, key: &Key, now: Timestamp) -> Result<Option<Entry>, IdentityFault> {
        let volatile = &self.0.volatile;
        let usable = volatile.get(Kind::Refresh, key, now).await?;
        let spent = volatile.get(Kind::Spent, key, now).await?;
        if usable.is_some() && spent.is_some() {
            // Left by whoever fell over in between. What is used may be forgotten one day, and this would be usable again.
            volatile.delete(Kind::Refresh, key).await?;
        }
        Ok(spent.or(usable))
    }

    /// Makes sure that a token's successor is there and marks it as used; whether nobody else was quicker. In
    /// this order, so that a death in between leaves a token that can be used again.
    async fn spend(
        &self,
        token: &Token,
        entry: &Entry,
        record: Record,
        now: Timestamp,
    ) -> Result<bool, IdentityFault> {
        let inner = &self.0;
        let until = now.plus(inner.terms.load().settings.refresh);
        let (owner, successor) = (entry.owner.unwrap_or_default(), self.successor(token)?);
        self.keep(&successor, record.sid, owner, until).await?;
        // Before the mark: who comes again after it is given the successor and nothing else.
        inner.sessions.extend(record.sid, until).await?;
        let spent = Record {
            spent_at: Some(now.millis()),
            ..record
        };
        let mark = NewEntry {
            key: entry.key,
            value: spent.encode()?,
            owner: entry.owner,
            // Whoever comes a moment after its own time is no thief either.
            expires_at: entry.expires_at.max(now.plus(GRACE)),
        };
        let marked = inner
            .volatile
            .create_capped(Kind::Spent, mark, MOST_SPENT, now)
            .await?;
        // Only now: whoever does not find it here any more finds it among the used ones.
        inner.volatile.delete(Kind::Refresh, &entry.key).await?;
        if marked.is_none() {
            // Somebody was quicker, perhaps by so much that the successor is used as well: it must not have come back.
            self.entry(&Key::from(successor.hash()), now).await?;
        }
        Ok(marked.is_some())
    }

    async fn keep(
        &self,
        token: &Token,
        sid: PublicId,
        owner: i64,
        until: Timestamp,
    ) -> Result<(), IdentityFault> {
        let record = Record {
            sid,
            spent_at: None,
        };
        let entry = NewEntry {
            key: Key::from(token.hash()),
            value: record.encode()?,
            owner: Some(owner),
            expires_at: until,
        };
        let now = self.0.clock.now();
        // It may be there already: made by somebody who refreshes at the same moment.
        self.0
            .volatile
            .create_capped(Kind::Refresh, entry, MOST_OF_A_USER, now)
            .await
            .map(drop)
            .map_err(Into::into)
    }

    fn successor(&self, token: &Token) -> Result<Token, IdentityFault> {
        let tag = hmac::sign(&self.0.successors, token.expose().as_bytes());
        Token::parse(&URL_SAFE_NO_PAD.encode(tag))
            .map_err(|error| IdentityFault::Signing(error.to_string()))
    }

    fn sign(&self, sid: PublicId, subject: PublicId) -> Result<Secret<String>, IdentityFault> {
        let inner = &self.0;
        let (terms, now) = (inner.terms.load(), inner.clock.now().seconds());
        let life = i64::try_from(terms.settings.access.as_secs()).unwrap_or(i64::MAX);
        let claims = AccessClaims {
            iss: terms.issuer.clone(),
            aud: terms.issuer.clone(),
            sub: subject.to_string(),
            client_id: CLIENT.to_owned(),
            sid: sid.to_string(),
            jti: PublicId::generate(&inner.random).to_string(),
            iat: now,
            exp: now.saturating_add(life),
        };
        inner
            .key
            .sign(&claims)
            .map_err(|fault| IdentityFault::Signing(fault.to_string()))
    }

    fn pair(&self, access: Secret<String>, refresh: Token, sid: PublicId) -> Pair {
        Pair {
            access,
            refresh: RefreshToken::new(refresh, sid, &self.0.successors),
            expires_in: self.0.terms.load().settings.access,
        }
    }
}

impl Record {
    fn encode(self) -> Result<Vec<u8>, IdentityFault> {
        serde_json::to_vec(&self).map_err(|error| IdentityFault::Store(error.to_string()))
    }

    fn decode(entry: &Entry) -> Option<Self> {
        serde_json::from_slice(&entry.value)
            .inspect_err(|error| tracing::error!(%error, "unreadable refresh token in the store"))
            .ok()
    }
}

#[cfg(test)]
mod tests;
