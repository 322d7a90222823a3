//! What an HTTP/2 client may make us do for nothing: streams that are reset, and frames that belong to no request.
//!
//! Apart from the `h2` crate's own limits, which bound what is kept and not how often something is done
//! (CVE-2023-44487, CVE-2019-9512, CVE-2019-9515): of these a client has a budget that refills. Whoever uses a
//! connection for requests does not notice, however much it is.

use tokio::time::Instant;

use crate::proxy::wire::h2::{Came, Went};
use crate::telemetry::limit::Limit;

/// The budgets of one connection.
#[derive(Debug)]
pub(super) struct Flood {
    resets: Budget,
    idle: Budget,
}

/// So many at once, refilled by so many a second.
#[derive(Debug)]
struct Budget {
    left: u32,
    most: u32,
    per_second: u32,
    since: Instant,
}

/// A connection that is used for nothing: more pings than any keep-alive sends.
const IDLE_AT_ONCE: u32 = 4_000;
const IDLE_PER_SECOND: u32 = 400;

/// How many such frames a frame of a request or of an answer pays for: clients grant room, on the stream and on the
/// connection, and measure the way (PING), by what comes and goes.
const IDLE_PER_FRAME: u32 = 4;

/// How many seconds' worth of resets may come at once: somebody leaves a page with all its pictures.
const RESETS_AT_ONCE: u32 = 10;

impl Flood {
    /// A client may cause so many resets a second.
    pub(super) fn new(resets: u32) -> Self {
        Self {
            resets: Budget::new(resets.saturating_mul(RESETS_AT_ONCE), resets),
            idle: Budget::new(IDLE_AT_ONCE, IDLE_PER_SECOND),
        }
    }

    /// Charges for what a client sent; the limit that it is over.
    pub(super) fn came(&mut self, came: Came) -> Option<Limit> {
        self.idle.earn(came.useful.saturating_mul(IDLE_PER_FRAME));
        if !self.resets.spend(came.resets) {
            return Some(Limit::Resets);
        }
        (!self.idle.spend(came.idle)).then_some(Limit::Frames)
    }

    /// Charges for what a client was sent; the limit that it is over.
    pub(super) fn went(&mut self, went: Went) -> Option<Limit> {
        self.idle.earn(went.useful.saturating_mul(IDLE_PER_FRAME));
        (!self.resets.spend(went.faults)).then_some(Limit::Resets)
    }
}

impl Budget {
    fn new(most: u32, per_second: u32) -> Self {
        Self {
            left: most,
            most,
            per_second,
            since: Instant::now(),
        }
    }

    fn earn(&mut self, amount: u32) {
        self.left = self.left.saturating_add(amount).min(self.most);
    }

    /// Whether there was so much. Most of the time nothing is asked for, and no clock is read.
    fn spend(&mut self, amount: u32) -> bool {
        if amount > self.left {
            self.refill();
        }
        match self.left.checked_sub(amount) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// By what has come together since it was last asked for.
    fn refill(&mut self) {
        let millis = self.since.elapsed().as_millis();
        let earned = millis.saturating_mul(u128::from(self.per_second)) / 1000;
        if earned > 0 {
            self.since = Instant::now();
            self.earn(u32::try_from(earned).unwrap_or(u32::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn resets(count: u32) -> Came {
        Came {
            resets: count,
            ..Came::default()
        }
    }

    fn pings(count: u32) -> Came {
        Came {
            idle: count,
            ..Came::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn b_07_resets_have_a_budget_that_refills() {
        let mut flood = Flood::new(10);
        for _ in 0..100 {
            assert_eq!(flood.came(resets(1)), None);
        }
        assert_eq!(flood.came(resets(1)), Some(Limit::Resets));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(flood.came(resets(10)), None);
        assert_eq!(flood.came(resets(1)), Some(Limit::Resets));
        tokio::time::advance(Duration::from_hours(1)).await;
        let faults = |count| Went {
            faults: count,
            ..Went::default()
        };
        assert_eq!(flood.went(faults(100)), None);
        assert_eq!(flood.went(faults(1)), Some(Limit::Resets));
    }

    #[tokio::test(start_paused = true)]
    async fn b_07_whoever_uses_a_connection_may_ping_on_it() {
        let mut flood = Flood::new(10);
        let answer = Went {
            useful: 1,
            ..Went::default()
        };
        for _ in 0..100_000 {
            assert_eq!((flood.went(answer), flood.came(pings(4))), (None, None));
        }
        // A keep-alive a second, for a day.
        for _ in 0..86_400 {
            tokio::time::advance(Duration::from_secs(1)).await;
            assert_eq!(flood.came(pings(1)), None);
        }
        let sent = (0..100_000).take_while(|_| flood.came(pings(1)).is_none());
        assert!(sent.count() <= 8_000);
    }
}
