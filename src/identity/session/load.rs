//! What is known of a session when nobody remembers it: read from its row, or from the certificate that stands for
//! it, and from the account, every time by the one account check.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::ends::{End, News, Source};
use super::record::Record;
use super::{CACHE_TTL, Live, Sessions};
use crate::base::id::{PublicId, UserId};
use crate::base::identity::Identity;
use crate::base::time::Timestamp;
use crate::base::token::TokenHash;
use crate::crypto::client::{ClientCertificate, Named};
use crate::identity::account::Admitted;
use crate::identity::{IdentityFault, account};
use crate::store::Store;
use crate::store::volatile::{Key, Kind};

/// How often somebody is read who changes meanwhile. Each change may cost two: one that is overtaken, and one that ends what was
/// open with more rights. Files that are reloaded one upon the other change several times while a busy database answers.
const MOST_READINGS: usize = 10;

/// A reading that has begun: what is learned counts for this end, and is kept if nothing has happened since.
struct Reading {
    epoch: u64,
    end: Arc<End>,
    now: Timestamp,
}

/// What a reading has found, beside the account.
struct Found {
    sid: PublicId,
    began_at: Timestamp,
    tokens: bool,
}

impl Sessions {
    pub(super) async fn load(
        &self,
        source: &Source,
        now: Timestamp,
    ) -> Result<Option<Arc<Live>>, IdentityFault> {
        self.load_from(&self.0.store, source, now).await
    }

    /// As [`Sessions::load`], by way of this store.
    pub(super) async fn load_from(
        &self,
        store: &Store,
        source: &Source,
        now: Timestamp,
    ) -> Result<Option<Arc<Live>>, IdentityFault> {
        // What is told to end while it is read may go on with fewer rights: it is read again.
        for _ in 0..MOST_READINGS {
            let reading = Reading {
                epoch: self.0.epoch.load(Ordering::Acquire),
                // Before anything is read: an end that comes from here on is heard.
                end: self.0.ends.of(source),
                now,
            };
            let (first, epoch) = (reading.end.is_unknown(), reading.epoch);
            let found = match source {
                Source::Row(hash) => self.read_row(store, *hash, reading).await,
                Source::Certificate(shown) => self.read_certificate(store, shown, reading).await,
            };
            // Whoever a certificate stands for, it is not found by them before it was read for the first time: what
            // has ended meanwhile may have been meant for it.
            let unheard = first && matches!(source, Source::Certificate(_));
            match found {
                Err(IdentityFault::Unsettled) => {}
                Ok(Some(live)) if live.ended().is_cancelled() => {}
                Ok(Some(_)) if unheard && self.0.epoch.load(Ordering::Acquire) != epoch => {}
                Ok(None) => {
                    // What is open of it ends, whoever was to look has not.
                    self.0.ends.announce(&source.hash());
                    return Ok(None);
                }
                found => return found,
            }
        }
        Err(IdentityFault::Unsettled)
    }

    /// One reading of the row. The session may have ended meanwhile.
    async fn read_row(
        &self,
        store: &Store,
        hash: TokenHash,
        reading: Reading,
    ) -> Result<Option<Arc<Live>>, IdentityFault> {
        let inner = &self.0;
        let key = Key::from(hash);
        let Some(entry) = store.volatile.get(Kind::Session, &key, reading.now).await? else {
            return Ok(None);
        };
        let (Some(owner), Some(record)) = (entry.owner, Record::decode(&entry)) else {
            return Ok(None);
        };
        // Checked against today's settings as well, so that a shorter life bites at once. How long a session that tokens
        // carry may lie idle is for the refresh token to say.
        let born = Timestamp::from_millis(record.created_at);
        let Ok(sid) = record.sid.parse() else {
            return Ok(None);
        };
        let settings = inner.settings.load();
        let seen = Timestamp::from_millis(record.seen_at);
        let mut over = entry.expires_at.min(born.plus(settings.max));
        if !record.tokens {
            over = over.min(seen.plus(settings.idle));
        }
        let wrong = [born, seen].iter().any(|at| at.is_ahead_of(reading.now));
        if over <= reading.now || wrong {
            return Ok(None);
        }
        let end = &reading.end;
        inner.ends.expires(end, over);
        end.touched(record.seen_at);
        let admitted = account::check(store, UserId(owner), self.demands()).await?;
        let of_today = |admitted: &Admitted| admitted.password_version == record.password_version;
        let found = Found {
            sid,
            began_at: born,
            tokens: record.tokens,
        };
        let admitted = admitted.filter(of_today);
        admitted
            .map(|admitted| self.keep(reading, &found, admitted))
            .transpose()
    }

    /// One judgement of a certificate. Why it is no good is for whoever runs the gateway to know, and nobody else.
    async fn read_certificate(
        &self,
        store: &Store,
        shown: &ClientCertificate,
        reading: Reading,
    ) -> Result<Option<Arc<Live>>, IdentityFault> {
        let inner = &self.0;
        let refused = |why: &dyn std::fmt::Display| {
            tracing::info!(certificate = ?shown.hash(), "a client certificate does not count: {why}");
            Ok(None)
        };
        let Some(roots) = inner.roots.load_full() else {
            return refused(&"nobody is asked for one");
        };
        if let Err(fault) = roots.verify(shown, reading.now) {
            return refused(&fault);
        }
        let named = match shown.named(roots.named_by()) {
            Ok(named) => named,
            Err(fault) => return refused(&fault),
        };
        let user = match &named {
            Named::Username(name) => store.users.by_username(name).await?,
            Named::Email(email) => store.users.by_email(email).await?,
        };
        let Some(user) = user else {
            return refused(&"nobody has this name");
        };
        let admitted = account::check(store, user.id, self.demands()).await?;
        // Between the two looks it may have become somebody else's.
        let Some(admitted) = admitted.filter(|admitted| is_named(&named, &admitted.identity))
        else {
            return refused(&"the account may not be used, or its address was not proved");
        };
        if admitted.must_change_password {
            return refused(&"its user must choose another password first");
        }
        let Some(until) = shown.good_until(reading.now) else {
            return refused(&"its time is over");
        };
        let until = until.min(roots.until_turn(reading.now));
        inner.ends.expires(&reading.end, until);
        let found = Found {
            sid: sid_of(shown.hash()),
            began_at: reading.now,
            tokens: false,
        };
        self.keep(reading, &found, admitted).map(Some)
    }

    /// What was read is right now; it is remembered unless something has happened meanwhile.
    fn keep(
        &self,
        reading: Reading,
        found: &Found,
        admitted: Admitted,
    ) -> Result<Arc<Live>, IdentityFault> {
        let inner = &self.0;
        let Reading { epoch, end, now } = reading;
        let hash = end.source().hash();
        let identity = Arc::new(admitted.identity);
        match end.note(epoch, &identity, inner.ends.gains_count()) {
            News::None => {}
            News::Lost => inner.ends.announce(&hash),
            News::Stale => return Err(IdentityFault::Unsettled),
        }
        let live = Arc::new(Live {
            sid: found.sid,
            identity,
            password_version: admitted.password_version,
            must_change_password: admitted.must_change_password,
            began_at: found.began_at,
            tokens: found.tokens,
            cached_until: now.plus(CACHE_TTL),
            end,
        });
        let cache = inner.cache_of(live.end.source());
        if inner.epoch.load(Ordering::Acquire) != epoch {
            return Ok(live);
        }
        cache.insert(hash, Arc::clone(&live));
        if inner.epoch.load(Ordering::Acquire) != epoch {
            // Something ended meanwhile, perhaps this one. The answer was right when it was read; it is not
            // kept.
            cache.remove(&hash);
        }
        Ok(live)
    }
}

/// Whether an account is the one that a certificate names. An address counts once it was proved.
fn is_named(named: &Named, who: &Identity) -> bool {
    match named {
        Named::Username(name) => who.name == *name,
        Named::Email(email) => who.verified && who.email.as_ref() == Some(email),
    }
}

/// What a certificate's session is called: a part of what it is found by, which opens nothing.
fn sid_of(hash: TokenHash) -> PublicId {
    PublicId::from_bytes(hash.as_bytes().first_chunk().copied().unwrap_or_default())
}
