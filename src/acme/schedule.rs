//! When a certificate is ordered next: pure arithmetic.

use std::time::Duration;

use crate::base::time::Timestamp;

/// The longest pause after failures. Certificates live for days at least, so that several tries are left.
const LONGEST: Duration = Duration::from_hours(6);

/// The longest that an authority can ask for.
const LONGEST_ASKED: Duration = Duration::from_hours(24);

/// When a certificate of this lifetime is renewed: at two thirds of it, and never sooner than a pause from now.
#[must_use]
pub fn renewal(from: Timestamp, until: Timestamp, now: Timestamp, pause: Duration) -> Timestamp {
    let life = until.since(from);
    from.plus(life / 3 * 2).max(now.plus(pause))
}

/// When to try again after the `failures`-th failure in a row (from 1). The pause doubles up to six hours, up to
/// half as much is left to the dice, so that what failed together does not come back together, and what the
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
        // Too late already, or an authority that issues for seconds: a pause, at least.
        assert_eq!(renewal(NOW, until, until, PAUSE), until.plus(PAUSE));
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
}
