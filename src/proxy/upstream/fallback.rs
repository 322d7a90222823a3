//! What becomes of a service whose HTTP/2 failed, where TLS lets it choose between that and HTTP/1.1.
//!
//! Pingora offers such a service HTTP/1.1 alone from then on, for ever: one bad frame and a service that speaks nothing
//! else, as those of gRPC do, is gone until a restart. So what failed is told from what was asked for, and every time the
//! connections that come after are another kind to Pingora. So they are where one that it keeps is about to end, and where
//! an upstream has other servers. No kind comes back: what Pingora knows of one it knows until the process ends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pingora::{Error, ErrorType};
use tokio::time::Instant;

use super::balance::key;

/// For how long a service that asks for HTTP/1.1 is spoken to in nothing else (RFC 9113 section 7, `HTTP_1_1_REQUIRED`).
const ASKED_FOR: Duration = Duration::from_mins(1);

/// For how long one is whose HTTP/2 fails again at once.
const FAILED: Duration = Duration::from_secs(5);

/// The kind that comes next, of whatever upstream.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// How the HTTP/2 of an upstream has fared. One whose settings changed has the same.
#[derive(Debug)]
pub struct Fallback {
    began: Instant,
    generation: AtomicU64,
    /// In milliseconds since it began; no time for nought.
    changed: AtomicU64,
    old_until: AtomicU64,
}

/// How a connection is opened now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// What sets connections apart from those of before.
    pub group: u64,
    /// Whether HTTP/1.1 is all that is offered.
    pub old: bool,
}

impl Default for Fallback {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            generation: AtomicU64::new(next()),
            changed: AtomicU64::new(0),
            old_until: AtomicU64::new(0),
        }
    }
}

impl Fallback {
    /// How a connection of this group is opened.
    #[must_use]
    pub fn kind(&self, group: u64) -> Kind {
        let until = self.old_until.load(Ordering::Acquire);
        Kind {
            group: self.group(group),
            old: until != 0 && self.millis() < until,
        }
    }

    /// A request failed on a connection of the kind `failed`, whatever else set that apart from others; whether this changes
    /// how the next one is opened.
    pub fn note(&self, group: u64, failed: u64, error: &Error) -> bool {
        let asked = match error.etype() {
            ErrorType::H2Downgrade => true,
            ErrorType::InvalidH2 => false,
            _ => return false,
        };
        if self.group(group) != failed {
            // It was opened before the last failure, which has been seen to.
            return false;
        }
        let now = self.millis();
        let again = now < self.changed.swap(now, Ordering::AcqRel) + in_millis(FAILED);
        let pause = match (asked, again) {
            (true, _) => Some(ASKED_FOR),
            (false, true) => Some(FAILED),
            (false, false) => None,
        };
        let until = pause.map_or(0, |pause| now + in_millis(pause));
        self.old_until.store(until, Ordering::Release);
        self.generation.store(next(), Ordering::Release);
        true
    }

    /// Has connections opened anew: those of before belong to another group.
    pub fn forget_kept(&self) {
        self.generation.store(next(), Ordering::Release);
    }

    /// What sets connections apart from those of before, in whatever version.
    #[must_use]
    pub fn group(&self, group: u64) -> u64 {
        key((group, self.generation.load(Ordering::Acquire)))
    }

    /// Since it began; at least one, and one interval more than it is, so that the first failure is none that comes again.
    fn millis(&self) -> u64 {
        in_millis(self.began.elapsed() + FAILED) + 1
    }
}

fn next() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn in_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_tried_anew_and_what_was_asked_for_holds_for_a_while() {
        let error = |kind| *Error::new_up(kind);
        let (invalid, downgrade) = (error(ErrorType::InvalidH2), error(ErrorType::H2Downgrade));
        let fallback = Fallback::default();
        let first = fallback.kind(7);
        assert!(!first.old);
        assert!(!fallback.note(7, first.group, &error(ErrorType::ReadTimedout)));
        // A first failure costs its own connection.
        assert!(fallback.note(7, first.group, &invalid));
        let second = fallback.kind(7);
        assert!(second.group != first.group && !second.old);
        assert!(!fallback.note(7, first.group, &invalid), "of before");
        assert_eq!(fallback.kind(7), second);
        // At once again: not as often as somebody likes to ask for it.
        assert!(fallback.note(7, second.group, &invalid));
        let third = fallback.kind(7);
        assert!(third.group != second.group && third.old);
        tokio::time::advance(FAILED).await;
        assert_eq!(
            fallback.kind(7),
            Kind {
                old: false,
                ..third
            }
        );
        tokio::time::advance(FAILED).await;
        assert!(fallback.note(7, third.group, &downgrade));
        let fourth = fallback.kind(7);
        assert!(fourth.old);
        tokio::time::advance(ASKED_FOR.saturating_sub(FAILED)).await;
        assert!(fallback.kind(7).old);
        tokio::time::advance(FAILED).await;
        assert_eq!(
            fallback.kind(7),
            Kind {
                old: false,
                ..fourth
            }
        );
    }

    #[test]
    fn g_18_no_kind_of_connection_comes_back() {
        let fallback = Fallback::default();
        let invalid = *Error::new_up(ErrorType::InvalidH2);
        let mut seen = vec![fallback.group(7)];
        fallback.forget_kept();
        seen.push(fallback.group(7));
        assert!(fallback.note(7, fallback.group(7), &invalid));
        seen.push(fallback.group(7));
        // Such a reload begins anew, and may do so twice.
        for _ in 0..2 {
            let anew = Fallback::default();
            seen.push(anew.group(7));
            anew.forget_kept();
            seen.push(anew.group(7));
        }
        let before = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), before);
    }
}
