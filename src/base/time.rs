//! Time as the domain speaks of it: milliseconds since the epoch, read from a clock that is handed in.
//!
//! Deadlines inside the proxy use tokio's monotonic clock; everything that is stored or compared with
//! something stored uses [`Timestamp`].

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// How far the clocks of gateways that share a store may be apart before what one of them wrote is no good at another.
pub const SKEW: Duration = Duration::from_mins(5);

/// Where "now" comes from: the system, or a hand that tests move.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The operating system's wall clock.
    System,
    /// A clock that stands still until it is moved.
    Manual(Arc<AtomicI64>),
}

impl Timestamp {
    /// From milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, as JWT claims count them (RFC 7519 section 2).
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment and `span` more, ending at the end of time instead of wrapping.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis_of(span)))
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Whether this lies so far ahead of `now` that the clock it was read from was wrong. A life that is counted from such a
    /// moment is longer than anybody meant it to be.
    #[must_use]
    pub fn is_ahead_of(self, now: Self) -> bool {
        self.since(now) > SKEW
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with whole seconds; years past 9999 print as milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = u64::try_from(self.0).map(Duration::from_millis);
        match since.ok().and_then(|span| UNIX_EPOCH.checked_add(span)) {
            Some(at) if self.0 < 253_402_300_800_000 => {
                write!(f, "{}", humantime::format_rfc3339_seconds(at))
            }
            _ => write!(f, "{}ms", self.0),
        }
    }
}

impl serde::Serialize for Timestamp {
    /// RFC 3339, as [`Display`](fmt::Display) prints it.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Clock {
    /// A manual clock that shows `at`.
    #[must_use]
    pub fn manual(at: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(at.0)))
    }

    /// What the clock shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => system_now(),
            Self::Manual(hand) => Timestamp(hand.load(Ordering::Acquire)),
        }
    }

    /// Moves a manual clock back by `span`, as one is that was ahead.
    #[cfg(test)]
    pub fn set_back(&self, span: Duration) {
        if let Self::Manual(hand) = self {
            hand.fetch_sub(millis_of(span), Ordering::AcqRel);
        }
    }

    /// Moves a manual clock on by `span`; the system's clock is not ours to move.
    pub fn advance(&self, span: Duration) {
        if let Self::Manual(hand) = self {
            hand.fetch_add(millis_of(span), Ordering::AcqRel);
        }
    }
}

fn millis_of(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
fn system_now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(since.map_or(0, millis_of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_20_the_end_of_time_does_not_wrap() {
        let last = Timestamp::from_millis(i64::MAX);
        assert_eq!(last.plus(Duration::from_secs(1)), last);
        assert_eq!(last.plus(Duration::MAX), last);
        assert_eq!(Timestamp::from_millis(-5).since(last), Duration::ZERO);
    }

    #[test]
    fn prints_as_rfc_3339() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (1_700_000_000_999, "2023-11-14T22:13:20Z"),
        ];
        for (millis, text) in cases {
            assert_eq!(Timestamp::from_millis(millis).to_string(), text);
        }
    }

    #[test]
    fn a_manual_clock_stands_until_it_is_moved() {
        let clock = Clock::manual(Timestamp::from_millis(10));
        assert_eq!(clock.now(), clock.now());
        clock.advance(Duration::from_millis(5));
        assert_eq!(clock.now().millis(), 15);
    }
}
