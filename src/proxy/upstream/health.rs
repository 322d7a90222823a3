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

/// Whether a server is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is not.
    In,
    /// It is.
    Out,
    /// It was for long enough, and has waited for so long to be tried.
    Due(Duration),
}

/// A request that finds out for others how a server is.
#[derive(Debug, PartialEq, Eq)]
pub struct Trial {
    due: u64,
    until: u64,
}

/// Another request finds it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elsewhere;

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
    pub fn standing(&self, now: impl FnOnce() -> Instant) -> Standing {
        match self.out_until.load(Relaxed) {
            0 => Standing::In,
            until => match self.since_birth(now()).checked_sub(until) {
                None => Standing::Out,
                Some(since) => Standing::Due(Duration::from_millis(since)),
            },
        }
    }

    /// A request is about to go there. One whose time alone is over is tried by one request, and left alone for another
    /// `span` unless that is answered: a server that is as it was would else keep all that come until the first has
    /// failed.
    ///
    /// # Errors
    /// When another request is quicker.
    pub fn begin(
        &self,
        span: Duration,
        now: impl FnOnce() -> Instant,
    ) -> Result<Option<Trial>, Elsewhere> {
        let due = self.out_until.load(Relaxed);
        if due == 0 {
            return Ok(None);
        }
        let now = self.since_birth(now());
        if now < due {
            return Err(Elsewhere);
        }
        // Where nobody is left alone any more, it is simply back.
        let until = match in_millis(span) {
            0 => 0,
            span => now.saturating_add(span).max(1),
        };
        let begun = self
            .out_until
            .compare_exchange(due, until, Relaxed, Relaxed);
        begun
            .map(|_| (until != 0).then_some(Trial { due, until }))
            .map_err(|_| Elsewhere)
    }

    /// A trial found out nothing: its client left, or was waited for. The next request may try.
    pub fn give_back(&self, Trial { due, until }: Trial) {
        // It has been put in or out since: that counts.
        let _ = self
            .out_until
            .compare_exchange(until, due, Relaxed, Relaxed);
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
        // Usually nothing failed before, and nothing is written. Out without a failure is what this leaves behind where it
        // comes between the two steps of `failed`.
        if self.failures.load(Relaxed) == 0 && self.out_until.load(Relaxed) == 0 {
            return false;
        }
        let failures = self.failures.swap(0, Relaxed);
        let until = self.out_until.swap(0, Relaxed);
        until != 0 || failures >= eject.after
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
        let standing = |seconds| health.standing(|| at(seconds));
        let begin = |seconds| health.begin(eject.span, || at(seconds));
        let due = |seconds| Standing::Due(Duration::from_secs(seconds));
        assert_eq!(
            health.standing(|| panic!("no clock is needed")),
            Standing::In
        );
        assert!(!health.failed(&eject, at(1)) && !health.failed(&eject, at(1)));
        assert!(!health.served(&eject), "it was never out");
        assert!(!health.failed(&eject, at(2)) && !health.failed(&eject, at(2)));
        assert!(health.failed(&eject, at(2)), "three in a row");
        assert!(!health.failed(&eject, at(3)), "no news");
        assert_eq!((standing(11), begin(11)), (Standing::Out, Err(Elsewhere)));
        assert_eq!((standing(12), standing(17)), (due(0), due(5)));
        // One request tries it, and finds out nothing; the next one finds that it fails.
        let trial = begin(12).unwrap().unwrap();
        assert_eq!((standing(12), begin(12)), (Standing::Out, Err(Elsewhere)));
        health.give_back(trial);
        assert_eq!(standing(12), due(0));
        let trial = begin(13).unwrap();
        assert!(
            trial.is_some() && !health.failed(&eject, at(14)),
            "it is out as it was"
        );
        assert_eq!((standing(22), standing(23)), (Standing::Out, due(0)));
        let late = begin(23).unwrap().unwrap();
        assert!(health.served(&eject), "it is back");
        health.give_back(late);
        assert_eq!(
            health.standing(|| panic!("no clock is needed")),
            Standing::In
        );
        assert_eq!(
            health.begin(eject.span, || panic!("no clock is needed")),
            Ok(None)
        );
        assert!(!health.failed(&eject, at(24)));
    }

    #[test]
    fn g_18_what_is_put_out_just_as_it_answers_is_back_with_its_next_answer() {
        let eject = Eject {
            after: 3,
            span: Duration::from_secs(10),
        };
        let start = Instant::now();
        let health = Health::new(start);
        let standing = |seconds| health.standing(|| start + Duration::from_secs(seconds));
        assert!((0..2).all(|_| !health.failed(&eject, start)));
        assert!(health.failed(&eject, start));
        // An answer was noted after the third failure had been counted, and before it put the server out.
        health.failures.store(0, Relaxed);
        assert_eq!(standing(9), Standing::Out);
        assert!(health.served(&eject));
        assert_eq!(standing(9), Standing::In);
        assert!(!health.served(&eject), "no news");
    }
}
