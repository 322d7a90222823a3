//! How many requests may be sent again: a share of those that come, so that a service in trouble is not asked
//! twice as often as one that is well.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::settings::Retry;

/// What retries are paid from: each request pays in a little, each retry takes a hundred out. No clock is
/// needed, because what can be saved is limited.
#[derive(Debug)]
pub struct Budget(AtomicU32);

/// What a retry costs, when a request pays in the percentage of the file.
const COST: u32 = 100;

/// What can be saved: ten retries, which is also what there is to begin with.
const MOST: u32 = 10 * COST;

impl Budget {
    /// As much as can be saved.
    #[must_use]
    pub const fn full() -> Self {
        Self(AtomicU32::new(MOST))
    }

    /// A request has come.
    pub fn earn(&self, retry: &Retry) {
        let add = |saved: u32| (saved < MOST).then(|| (saved + retry.percent).min(MOST));
        let _ = self.0.fetch_update(Relaxed, Relaxed, add);
    }

    /// Whether one may be sent again; if so, it has been paid for.
    #[must_use]
    pub fn spend(&self) -> bool {
        let take = |saved: u32| saved.checked_sub(COST);
        self.0.fetch_update(Relaxed, Relaxed, take).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g_18_in_an_outage_retries_are_a_share_of_the_requests() {
        for (percent, share) in [(20, 200), (1, 10), (100, 1000)] {
            let (budget, retry) = (Budget::full(), Retry { times: 1, percent });
            let mut retries = 0;
            for _ in 0..1000 {
                budget.earn(&retry);
                retries += u32::from(budget.spend());
            }
            assert!(
                (share..=share + 10).contains(&retries),
                "{percent} %: {retries}"
            );
        }
    }

    #[test]
    fn what_is_saved_in_good_times_is_limited() {
        let (budget, retry) = (
            Budget::full(),
            Retry {
                times: 1,
                percent: 20,
            },
        );
        (0..100_000).for_each(|_| budget.earn(&retry));
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10);
    }
}
