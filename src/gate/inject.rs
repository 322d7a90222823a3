//! The headers that tell a service who asks, made once for an identity and an upstream and reused.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use quick_cache::sync::Cache;

use crate::base::id::PublicId;
use crate::base::identity::{Identity, Method};
use crate::base::time::Timestamp;
use crate::crypto::jwt::{ASSERTION_SECONDS, SigningFault, SigningKey};

use super::attributes;
use super::settings::IdentityHeaders;

/// Makes identity headers and remembers them for half an assertion's life.
#[derive(Debug)]
pub struct Injector {
    headers: IdentityHeaders,
    issuer: String,
    key: Arc<SigningKey>,
    made: Cache<Recipient, Arc<Injected>>,
}

/// Whom the headers speak of and to. The generation rises when the account changes, so that headers made
/// for an earlier state are never found again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Recipient {
    subject: PublicId,
    generation: i64,
    method: Method,
    upstream: Arc<str>,
}

/// Headers ready to be sent.
#[derive(Debug)]
pub struct Injected {
    /// Names and values; a header that has nothing to say is absent.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    stale_at: Timestamp,
}

/// For how long one is.
const HALF: Duration = Duration::from_secs(ASSERTION_SECONDS.unsigned_abs() / 2);

/// How many are remembered.
const REMEMBERED: usize = 50_000;

/// Why headers could not be made.
#[derive(Debug, thiserror::Error)]
pub enum InjectFault {
    /// The assertion could not be signed.
    #[error(transparent)]
    Signing(#[from] SigningFault),
    /// A value is no header value.
    #[error("a value cannot be sent as a header: {0}")]
    Value(#[from] http::header::InvalidHeaderValue),
}

impl Injector {
    /// An injector for these headers, signing as `issuer`.
    #[must_use]
    pub fn new(headers: IdentityHeaders, issuer: String, key: Arc<SigningKey>) -> Self {
        Self {
            headers,
            issuer,
            key,
            made: Cache::new(REMEMBERED),
        }
    }

    /// The names it sets.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.headers
            .headers
            .iter()
            .map(|(name, _)| name)
            .chain(&self.headers.assertion)
    }

    /// The key that signs, for the key set.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The headers for an identity and an upstream.
    ///
    /// # Errors
    /// When they cannot be made; the request must then not be forwarded.
    pub fn headers_for(
        &self,
        (method, who): (Method, &Identity),
        upstream: &Arc<str>,
        now: Timestamp,
    ) -> Result<Arc<Injected>, InjectFault> {
        let recipient = Recipient {
            subject: who.subject,
            generation: who.generation,
            method,
            upstream: Arc::clone(upstream),
        };
        if let Some(made) = self.made.get(&recipient).filter(|made| made.is_fresh(now)) {
            return Ok(made);
        }
        let made = Arc::new(self.make((method, who), upstream, now)?);
        self.made.insert(recipient, Arc::clone(&made));
        Ok(made)
    }

    fn make(
        &self,
        who: (Method, &Identity),
        upstream: &str,
        now: Timestamp,
    ) -> Result<Injected, InjectFault> {
        let mut headers = Vec::with_capacity(self.headers.headers.len() + 1);
        for (name, attribute) in &self.headers.headers {
            if let Some(value) = attributes::value(*attribute, who.1, who.0) {
                headers.push((name.clone(), HeaderValue::from_str(&value)?));
            }
        }
        if let Some(name) = &self.headers.assertion {
            let assertion = self.key.assertion(&self.issuer, upstream, who, now)?;
            headers.push((name.clone(), HeaderValue::from_str(&assertion)?));
        }
        Ok(Injected {
            headers,
            stale_at: now.plus(HALF),
        })
    }
}

impl Injected {
    fn is_fresh(&self, now: Timestamp) -> bool {
        // A clock that was set back must not make it last: what it signed while it was ahead is good for longer than
        // anybody was told.
        now < self.stale_at && self.stale_at.since(now) <= HALF
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::identity::fixture::identity;

    #[test]
    fn signed_once_and_reused_for_half_its_life() {
        let key = SigningKey::from_pkcs8(&SigningKey::generate_pkcs8().unwrap()).unwrap();
        let injector = Injector::new(
            IdentityHeaders::default(),
            "https://app.test".into(),
            Arc::new(key),
        );
        let (alice, web, now) = (
            identity("alice", &["user"], &[]),
            Arc::from("web"),
            Timestamp::from_millis(1_000_000),
        );
        let at = |who: &Identity, upstream: &Arc<str>, now| {
            injector
                .headers_for((Method::Session, who), upstream, now)
                .unwrap()
        };
        let first = at(&alice, &web, now);
        assert!(Arc::ptr_eq(
            &first,
            &at(&alice, &web, now.plus(Duration::from_secs(29)))
        ));
        assert!(!Arc::ptr_eq(
            &first,
            &at(&alice, &web, now.plus(Duration::from_secs(30)))
        ));
        // By a clock that was ahead, and is put right.
        let ahead = at(&alice, &web, now.plus(Duration::from_hours(24)));
        let right = at(&alice, &web, now);
        assert!(!Arc::ptr_eq(&ahead, &right) && Arc::ptr_eq(&right, &at(&alice, &web, now)));
        assert!(!Arc::ptr_eq(
            &at(&alice, &web, now),
            &at(&alice, &Arc::from("api"), now)
        ));
        let demoted = Identity {
            generation: 2,
            ..identity("alice", &[], &[])
        };
        let roles = |made: &Injected| made.headers.iter().any(|(name, _)| name == "x-auth-roles");
        assert!(roles(&first) && !roles(&at(&demoted, &web, now)));
    }
}
