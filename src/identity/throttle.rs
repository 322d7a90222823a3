//! How often somebody may try to log in.
//!
//! Four budgets, counted where the sessions are kept, so that nodes share them and restarts do not forget:
//! an account from one origin (guessing), an origin over all accounts (spraying), an account from all
//! origins (a botnet), and everybody. The two for one account are counted before the password is looked at, so
//! that parallel attempts cannot slip past the limit together. An origin that has used up its own budget does
//! not touch the account's: nobody locks the owner out from one place, and where
//! they have logged in from before they are not locked out from everywhere either: the account's budget does not count
//! there, nor everybody's.

use std::sync::Arc;
use std::time::Duration;

use crate::base::id::UserId;
use crate::base::net::Origin;
use crate::base::time::Timestamp;
use crate::store::volatile::{Key, Kind, Tally, Volatile};

use super::IdentityFault;

/// Attempts for one account from one origin.
const PAIR: Budget = Budget {
    name: b"pair",
    attempts: 20,
    window: Duration::from_mins(15),
};
/// Failures of one origin over all accounts.
const ORIGIN: Budget = Budget {
    name: b"origin",
    attempts: 200,
    window: Duration::from_mins(15),
};
/// Failures for one account from all origins. NIST SP 800-63B-4 section 3.2.2 asks for 100 or
/// fewer in a row; the window makes it a rate.
const ACCOUNT: Budget = Budget {
    name: b"account",
    attempts: 100,
    window: Duration::from_hours(1),
};
/// Failures of everybody: about what two cores can hash.
const EVERYBODY: Budget = Budget {
    name: b"everybody",
    attempts: 6_000,
    window: Duration::from_mins(1),
};

/// How often an account was unlocked of late: part of the keys of what counts against it, so that every count
/// begins anew, from wherever it came. Longer than any of them.
const UNLOCKED: Budget = Budget {
    name: b"unlocked",
    attempts: 0,
    window: Duration::from_hours(24),
};

/// How much of a friend's time may pass before another login renews it: hardly any login writes for that.
const DAY: Duration = Duration::from_hours(24);

/// Remembers that an account was logged in to from an origin.
const FRIEND: Budget = Budget {
    name: b"friend",
    attempts: 0,
    window: Duration::from_hours(30 * 24),
};

/// Counts attempts to log in.
#[derive(Clone)]
pub struct Throttle {
    volatile: Arc<dyn Volatile>,
}

/// Which account an attempt is for. Every spelling of a name leads to the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An account that exists.
    Known(UserId),
    /// A name that nobody has, folded: throttled just the same, so that nothing is learned from it.
    Unknown(String),
}

/// Too many attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// Which budget is used up; for metrics, never for the client.
    pub budget: &'static str,
    /// When it is worth trying again.
    pub until: Timestamp,
}

/// An attempt that was let through and is counted.
#[derive(Debug)]
pub struct Attempt {
    subject: Vec<u8>,
    origin: String,
    era: Vec<u8>,
}

struct Budget {
    name: &'static [u8],
    attempts: u64,
    window: Duration,
}

impl Throttle {
    /// Counts in this store.
    #[must_use]
    pub fn new(volatile: Arc<dyn Volatile>) -> Self {
        Self { volatile }
    }

    /// Counts an attempt and says whether it may go on.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn admit(
        &self,
        subject: &Subject,
        origin: Origin,
        now: Timestamp,
    ) -> Result<Result<Attempt, Throttled>, IdentityFault> {
        let attempt = Attempt {
            subject: subject.bytes(),
            origin: origin.to_string(),
            era: self.era(subject, now).await?,
        };
        // Who guesses from everywhere must not lock the owner out of where they log in from.
        let friend = self.is_friend(&attempt, now).await?;
        let spared =
            |budget: &Budget| friend && [ACCOUNT.name, EVERYBODY.name].contains(&budget.name);
        for (budget, parts) in attempt.failures() {
            if spared(budget) {
                continue;
            }
            let used = self
                .volatile
                .peek(Kind::Throttle, &budget.key(&parts), now)
                .await?;
            // What is counted shortens a window that lies too far ahead, but what is refused here is never counted.
            let used = used.filter(|tally| !tally.ends_at.is_ahead_of(now.plus(budget.window)));
            if let Some(refused) = used.and_then(|tally| budget.refuse(tally, 0)) {
                return Ok(Err(refused));
            }
        }
        // The narrow budget first: what it refuses costs the account nothing.
        for (budget, key) in attempt.guesses() {
            if spared(budget) {
                continue;
            }
            let tally = self
                .volatile
                .count(Kind::Throttle, &key, budget.window, now)
                .await?;
            if let Some(refused) = budget.refuse(tally, 1) {
                return Ok(Err(refused));
            }
        }
        Ok(Ok(attempt))
    }

    /// The password was wrong: the wider budgets pay, too.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn failed(&self, attempt: &Attempt, now: Timestamp) -> Result<(), IdentityFault> {
        for (budget, parts) in attempt.failures() {
            self.volatile
                .count(Kind::Throttle, &budget.key(&parts), budget.window, now)
                .await?;
        }
        Ok(())
    }

    /// The password was right: earlier failures for this account are forgiven, as budgets for guessing are
    /// about failures in a row (NIST SP 800-63B-4 section 3.2.2). What its origin did elsewhere is not.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn succeeded(&self, attempt: &Attempt) -> Result<(), IdentityFault> {
        for (_, key) in attempt.guesses() {
            self.volatile.reset(Kind::Throttle, &key).await?;
        }
        Ok(())
    }

    /// They have logged in, and are told of it unless they have from there before; this says whether. Whoever has but
    /// confirmed what they are signed in as was told of nothing, and is as strange there as before.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn came_in(&self, attempt: &Attempt, now: Timestamp) -> Result<bool, IdentityFault> {
        // From the last login on, and not from the first.
        let key = attempt.friend();
        let seen = self.volatile.peek(Kind::Throttle, &key, now).await?;
        let seen = seen.filter(|tally| tally.count > 0);
        let is_late = |tally: Tally| tally.ends_at <= now.plus(FRIEND.window.saturating_sub(DAY));
        if seen.is_none_or(is_late) {
            self.volatile.reset(Kind::Throttle, &key).await?;
            self.volatile
                .count(Kind::Throttle, &key, FRIEND.window, now)
                .await?;
        }
        Ok(seen.is_some())
    }

    /// Forgets what counts against an account, from every origin, and against no other.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn unlock(&self, subject: &Subject, now: Timestamp) -> Result<(), IdentityFault> {
        let key = UNLOCKED.key(&[&subject.bytes()]);
        let counted = self
            .volatile
            .count(Kind::Throttle, &key, UNLOCKED.window, now);
        Ok(counted.await.map(drop)?)
    }

    async fn era(&self, subject: &Subject, now: Timestamp) -> Result<Vec<u8>, IdentityFault> {
        let key = UNLOCKED.key(&[&subject.bytes()]);
        let seen = self.volatile.peek(Kind::Throttle, &key, now).await?;
        // With its end: the first unlocking of a day is another than the first of the day before.
        let era = |tally: Tally| format!("{}/{}", tally.count, tally.ends_at.millis());
        Ok(seen.map(era).unwrap_or_default().into_bytes())
    }

    async fn is_friend(&self, attempt: &Attempt, now: Timestamp) -> Result<bool, IdentityFault> {
        let seen = self
            .volatile
            .peek(Kind::Throttle, &attempt.friend(), now)
            .await?;
        Ok(seen.is_some_and(|tally| tally.count > 0))
    }
}

impl Attempt {
    /// The budgets for guessing at one account, counted before the password is looked at.
    fn guesses(&self) -> [(&'static Budget, Key); 2] {
        let from_here = PAIR.key(&[&self.subject, self.origin.as_bytes(), &self.era]);
        [
            (&PAIR, from_here),
            (&ACCOUNT, ACCOUNT.key(&[&self.subject, &self.era])),
        ]
    }

    fn friend(&self) -> Key {
        FRIEND.key(&[&self.subject, self.origin.as_bytes()])
    }

    /// The budgets that other people's accounts share, counted by failures only.
    fn failures(&self) -> [(&'static Budget, Vec<&[u8]>); 2] {
        [
            (&ORIGIN, vec![self.origin.as_bytes()]),
            (&EVERYBODY, vec![]),
        ]
    }
}

impl Budget {
    fn key(&self, parts: &[&[u8]]) -> Key {
        let mut all: Vec<&[u8]> = vec![b"login", self.name];
        all.extend(parts);
        Key::of(&all)
    }

    /// `counted` is 1 when the tally already holds the attempt in question.
    fn refuse(&self, tally: Tally, counted: u64) -> Option<Throttled> {
        let name = std::str::from_utf8(self.name).unwrap_or_default();
        (tally.count + 1 - counted > self.attempts).then_some(Throttled {
            budget: name,
            until: tally.ends_at,
        })
    }
}

impl Subject {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Known(id) => format!("id:{id}").into_bytes(),
            Self::Unknown(name) => format!("name:{name}").into_bytes(),
        }
    }
}

#[cfg(test)]
mod tests;
