//! When a certificate is ordered next: pure arithmetic.

use std::time::Duration;

use crate::base::time::Timestamp;

/// The longest pause after failures. Certificates live for days at least, so that several tries are left.
const LONGEST: Duration = Duration::from_hours(6);

/// The longest that an authority can ask for.
const LONGEST_ASKED: Duration = Duration::from_hours(24);

/// When a certificate of this lifetime is renewed: at two thirds of it, and never sooner than a pause from now, nor than
/// the third that is left then, up to a day. Who is told by a fast clock that what was issued just now is old already
/// would else order again and again, until the authority has had enough.
#[must_use]
pub fn renewal(from: Timestamp, until: Timestamp, now: Timestamp, pause: Duration) -> Timestamp {
    let third = until.since(from) / 3;
    let rest = third.min(Duration::from_hours(24)).max(pause);
    two_thirds(from, until).max(now.plus(rest))
}

fn two_thirds(from: Timestamp, until: Timestamp) -> Timestamp {
    from.plus(until.since(from) / 3 * 2)
}

/// When an order is due that was noted for `due`, where the certificate there is lives from and until `life`. What is
/// noted for later than any pause reaches was noted by a clock that was wrong, and is due when it would be without.
#[must_use]
pub fn believed(
    due: Timestamp,
    life: Option<(Timestamp, Timestamp)>,
    now: Timestamp,
    pause: Duration,
) -> Timestamp {
    let usual = life.map_or(now, |(from, until)| two_thirds(from, until));
    let longest = LONGEST_ASKED.max(pause.saturating_mul(2));
    if due > usual.max(now).plus(longest) {
        usual
    } else {
        due
    }
}

/// How long a process that starts leaves alone what has failed so often in a row: a few pauses. One that starts again and
/// again must not order each time.
#[must_use]
pub fn rest(failures: u32, pause: Duration) -> Duration {
    pause.saturating_mul(1 << failures.min(3))
}

/// When to try again what somebody has changed or started anew: after `wait` at the latest. An order that may be under
/// way elsewhere is left alone: it is for no longer than a `lease`.
#[must_use]
pub fn sooner(due: Timestamp, wait: Duration, now: Timestamp, lease: Duration) -> Timestamp {
    if due > now.plus(wait.max(lease)) {
        now.plus(wait)
    } else {
        due
    }
}

/// When to try again after the `failures`-th failure in a row (from 1). The pause doubles up to six hours, up to
/// half as much again is left to the dice, so that what failed together does not come back together, and what the
/// authority asked for is waited, a day at most.
#[must_use]
pub fn retry(
    failures: u32,
    asked: Option<Duration>,
    now: Timestamp,
    pause: Duration,
    dice: u16,
) -> Timestamp {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    let own = pause.saturating_mul(doubled).min(LONGEST.max(pause));
    let own = own + own / 2 * u32::from(dice) / u32::from(u16::MAX);
    now.plus(own.max(asked.unwrap_or_default().min(LONGEST_ASKED)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);
    const PAUSE: Duration = Duration::from_mins(2);
    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn f_07_renewal_is_due_at_two_thirds() {
        let until = NOW.plus(DAY * 90);
        assert_eq!(renewal(NOW, until, NOW, PAUSE), NOW.plus(DAY * 60));
        // Old already, if our clock is right: a day, at least.
        assert_eq!(renewal(NOW, until, until, PAUSE), until.plus(DAY));
        // An authority that issues for seconds: a pause, at least.
        let short = NOW.plus(Duration::from_secs(3));
        assert_eq!(renewal(NOW, short, NOW, PAUSE), NOW.plus(PAUSE));
        assert_eq!(renewal(until, NOW, NOW, PAUSE), until.max(NOW.plus(PAUSE)));
    }

    #[test]
    fn f_07_pauses_double_and_are_never_short() {
        let pause = |failures, asked, dice| retry(failures, asked, NOW, PAUSE, dice).since(NOW);
        let minutes = Duration::from_mins;
        let hours = Duration::from_hours;
        let cases = [
            (1, None, minutes(2), minutes(3)),
            (2, None, minutes(4), minutes(6)),
            (5, None, minutes(32), minutes(48)),
            (9, None, hours(6), hours(9)),
            (u32::MAX, None, hours(6), hours(9)),
            (0, None, minutes(2), minutes(3)),
            (1, Some(minutes(1)), minutes(2), minutes(3)),
            (1, Some(hours(3)), hours(3), hours(3)),
            (1, Some(Duration::MAX), DAY, DAY),
        ];
        for (failures, asked, least, most) in cases {
            let seen = (pause(failures, asked, 0), pause(failures, asked, u16::MAX));
            assert_eq!(seen, (least, most), "{failures} {asked:?}");
        }
    }

    #[test]
    fn f_07_what_a_wrong_clock_noted_is_not_waited_for() {
        let life = Some((NOW, NOW.plus(DAY * 90)));
        let third = NOW.plus(DAY * 60);
        let cases = [
            // Any pause that there can be is believed, with a certificate and without.
            (None, DAY, DAY),
            (None, Duration::ZERO, Duration::ZERO),
            (life, DAY * 61, DAY * 61),
            (life, DAY, DAY),
            // And nothing beyond.
            (None, DAY + PAUSE, Duration::ZERO),
            (None, DAY * 400, Duration::ZERO),
            (life, DAY * 61 + PAUSE, DAY * 60),
            (life, DAY * 400, DAY * 60),
        ];
        for (life, due, expected) in cases {
            let seen = believed(NOW.plus(due), life, NOW, PAUSE).since(NOW);
            assert_eq!(seen, expected, "{life:?} {due:?}");
        }
        // Behind its two thirds, failures still put it off.
        let later = third.plus(DAY * 20);
        assert_eq!(
            believed(later.plus(DAY), life, later, PAUSE),
            later.plus(DAY)
        );
        assert_eq!(believed(later.plus(DAY * 2), life, later, PAUSE), third);
        // A pause of the file that is longer than those of authorities.
        let slow = DAY * 3;
        assert_eq!(
            believed(NOW.plus(DAY * 5), None, NOW, slow),
            NOW.plus(DAY * 5)
        );
    }

    #[test]
    fn f_07_who_starts_again_and_again_orders_no_more_than_an_authority_allows() {
        let rests = [0, 1, 2, 3, 4, u32::MAX].map(|failures| rest(failures, PAUSE));
        assert_eq!(rests, [2, 4, 8, 16, 16, 16].map(Duration::from_mins));
    }

    #[test]
    fn f_07_who_starts_anew_does_not_wait_for_hours_nor_break_into_an_order() {
        let lease = Duration::from_mins(4);
        let minutes = |count| NOW.plus(Duration::from_mins(count));
        for (due, wait, expected) in [
            (600, PAUSE, 2),
            (600, Duration::ZERO, 0),
            (4, PAUSE, 4),
            (4, Duration::ZERO, 4),
            (7, Duration::from_mins(10), 7),
            (11, Duration::from_mins(10), 10),
        ] {
            let seen = sooner(minutes(due), wait, NOW, lease);
            assert_eq!(seen, minutes(expected), "{due} {wait:?}");
        }
    }
}
