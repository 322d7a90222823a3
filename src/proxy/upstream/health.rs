//! What is known of a server's health: from checks, and from what became of requests.
//!
//! Checks decide whether a server is sent anything at all. Requests that fail only put a server out for a while,
//! and only where there is another: nothing that clients can bring about closes the last one.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use super::settings::{Eject, HealthCheck};

const UNKNOWN: u8 = 0;
const UP: u8 = 1;
const DOWN: u8 = 2;

/// The health of one server.
#[derive(Debug)]
pub struct Health {
    born: Instant,
    verdict: AtomicU8,
    /// Checks in a row that contradict the verdict.
    against: AtomicU32,
    /// Requests in a row that failed.
    failures: AtomicU32,
    /// Until when it is out, in milliseconds since it was born; 0 when it is not.
    out_until: AtomicU64,
}

impl Health {
    /// Nothing is known yet, which counts as healthy.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            born: now,
            verdict: AtomicU8::new(UNKNOWN),
            against: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            out_until: AtomicU64::new(0),
        }
    }

    /// The same without what checks have found.
    #[must_use]
    pub fn unchecked(&self) -> Self {
        Self {
            born: self.born,
            verdict: AtomicU8::new(UNKNOWN),
            against: AtomicU32::new(0),
            failures: AtomicU32::new(self.failures.load(Relaxed)),
            out_until: AtomicU64::new(self.out_until.load(Relaxed)),
        }
    }

    /// Whether checks say nothing against it.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.verdict.load(Relaxed) != DOWN
    }

    /// Notes a check; whether it is up now, when that has changed. The very first check decides at once.
    pub fn checked(&self, good: bool, check: &HealthCheck) -> Option<bool> {
        let before = self.verdict.load(Relaxed);
        let agrees = before == if good { UP } else { DOWN };
        let against = if agrees {
            0
        } else {
            self.against.load(Relaxed) + 1
        };
        let enough = match before {
            UNKNOWN => 1,
            _ if good => check.up_after,
            _ => check.down_after,
        };
        if agrees || against < enough {
            self.against.store(against, Relaxed);
            return None;
        }
        self.against.store(0, Relaxed);
        self.verdict.store(if good { UP } else { DOWN }, Relaxed);
        (before != UNKNOWN || !good).then_some(good)
    }

    /// Whether it is left alone for what became of requests. The clock is read only if it was put out.
    #[must_use]
    pub fn is_out(&self, now: impl FnOnce() -> Instant) -> bool {
        let until = self.out_until.load(Relaxed);
        until != 0 && self.since_birth(now()) < until
    }

    /// Whether a request may go there that was to. One whose time alone is over is tried by one request, and left alone for
    /// another `span` until that is answered: a server that is as it was would else keep all that come until the first
    /// has failed.
    pub fn may_try(&self, span: Duration, now: impl FnOnce() -> Instant) -> bool {
        let until = self.out_until.load(Relaxed);
        if until == 0 {
            return true;
        }
        let now = self.since_birth(now());
        let span = in_millis(span);
        let next = if span == 0 {
            0
        } else {
            now.saturating_add(span)
        };
        now < until
            || self
                .out_until
                .compare_exchange(until, next, Relaxed, Relaxed)
                .is_ok()
    }

    /// Notes a request that failed; whether it is put out by that.
    pub fn failed(&self, eject: &Eject, now: Instant) -> bool {
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        if failures < eject.after || self.out_until.load(Relaxed) != 0 {
            return false;
        }
        let until = self.since_birth(now).saturating_add(in_millis(eject.span));
        let until = until.max(1);
        self.out_until
            .compare_exchange(0, until, Relaxed, Relaxed)
            .is_ok()
    }

    /// Notes a request that was answered; whether that ends a time in which it was left alone.
    pub fn served(&self, eject: &Eject) -> bool {
        // Usually nothing failed before, and nothing is written.
        self.failures.load(Relaxed) != 0 && {
            let failures = self.failures.swap(0, Relaxed);
            self.out_until.store(0, Relaxed);
            failures >= eject.after
        }
    }

    fn since_birth(&self, now: Instant) -> u64 {
        in_millis(now.saturating_duration_since(self.born))
    }
}

fn in_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g_18_checks_need_several_in_a_row_to_change_their_mind() {
        let check = HealthCheck {
            host: None,
            path: "/healthz".into(),
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            down_after: 3,
            up_after: 2,
        };
        // The checks as they come, and after each whether it is up, and whether that is news.
        let stories: [(&str, &str); 5] = [
            ("++++", "u u u u"),
            ("-", "D"),
            ("+--+---", "u u u u u u D"),
            ("-+-++-", "D d d d U u"),
            ("+---++", "u u u D d U"),
        ];
        for (checks, expected) in stories {
            let health = Health::new(Instant::now());
            assert!(health.is_up(), "unknown is as good as up");
            let seen: Vec<&str> = checks
                .chars()
                .map(|sign| {
                    let news = health.checked(sign == '+', &check);
                    match (health.is_up(), news) {
                        (true, None) => "u",
                        (true, Some(true)) => "U",
                        (false, None) => "d",
                        (false, Some(false)) => "D",
                        other => panic!("{other:?}"),
                    }
                })
                .collect();
            assert_eq!(seen.join(" "), expected, "{checks}");
        }
    }

    #[test]
    fn g_18_failures_in_a_row_put_out_for_a_while_and_then_one_is_enough() {
        let eject = Eject {
            after: 3,
            span: Duration::from_secs(10),
        };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let health = Health::new(start);
        assert!(!health.is_out(|| panic!("no clock is needed")));
        assert!(!health.failed(&eject, at(1)) && !health.failed(&eject, at(1)));
        assert!(!health.served(&eject), "it was never out");
        assert!(!health.failed(&eject, at(2)) && !health.failed(&eject, at(2)));
        assert!(health.failed(&eject, at(2)), "three in a row");
        assert!(!health.failed(&eject, at(3)), "no news");
        assert!(health.is_out(|| at(11)));
        assert!(!health.is_out(|| at(12)));
        let tries = |seconds| health.may_try(eject.span, || at(seconds));
        assert!(
            tries(12) && health.is_out(|| at(12)),
            "one request tries it"
        );
        assert!(!health.failed(&eject, at(13)), "it is out as it was");
        assert!(health.is_out(|| at(21)) && !health.is_out(|| at(22)));
        assert!(tries(22));
        assert!(health.served(&eject), "it is back");
        assert!(!health.is_out(|| panic!("no clock is needed")));
        assert!(health.may_try(eject.span, || panic!("no clock is needed")));
        assert!(!health.failed(&eject, at(23)) && !health.is_out(|| at(23)));
    }
}
