//! When a message that could not be sent is tried again: pure arithmetic.
//!
//! The pause doubles from seconds to an hour, and half of it is left to the dice, so that what failed together
//! does not come back together. A day after it was put in, a message is of no use to anybody.

use std::time::Duration;

use crate::base::time::Timestamp;

/// How long a sender has a message to itself. No attempt may take longer.
pub const LEASE: Duration = Duration::from_mins(2);

/// How long a message is worth sending.
pub const GIVE_UP_AFTER: Duration = Duration::from_hours(24);

/// The longest first pause.
const FIRST: Duration = Duration::from_secs(5);

/// The longest pause at all.
pub const LONGEST: Duration = Duration::from_hours(1);

/// When the message is due again after its `attempt`-th failure (from 1); `None` when that is too late. The
/// dice decide how much of the second half of the pause is waited.
#[must_use]
pub fn next(attempt: u32, created_at: Timestamp, now: Timestamp, dice: u16) -> Option<Timestamp> {
    let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
    let pause = FIRST.saturating_mul(doubled).min(LONGEST);
    let due = now.plus(pause / 2 + pause / 2 * u32::from(dice) / u32::from(u16::MAX));
    (due <= created_at.plus(GIVE_UP_AFTER)).then_some(due)
}

/// Whether a message is too old to be tried at all.
#[must_use]
pub fn is_stale(created_at: Timestamp, now: Timestamp) -> bool {
    now.since(created_at) > GIVE_UP_AFTER
}

#[cfg(test)]
mod tests {
    use super::*;

    const BORN: Timestamp = Timestamp::from_millis(1_000_000);

    #[test]
    fn pauses_double_up_to_an_hour_and_half_of_each_is_chance() {
        let pause = |attempt, dice| next(attempt, BORN, BORN, dice).unwrap().since(BORN);
        let cases = [
            (1, 2_500, 5_000),
            (2, 5_000, 10_000),
            (5, 40_000, 80_000),
            (10, 1_280_000, 2_560_000),
            (11, 1_800_000, 3_600_000),
            (1000, 1_800_000, 3_600_000),
            (u32::MAX, 1_800_000, 3_600_000),
        ];
        for (attempt, least, most) in cases {
            assert_eq!(pause(attempt, 0), Duration::from_millis(least), "{attempt}");
            assert_eq!(
                pause(attempt, u16::MAX),
                Duration::from_millis(most),
                "{attempt}"
            );
        }
    }

    #[test]
    fn a_day_later_it_is_given_up() {
        let mut now = BORN;
        let mut attempts = 1;
        while let Some(due) = next(attempts, BORN, now, u16::MAX) {
            assert!(!is_stale(BORN, due));
            now = due;
            attempts += 1;
        }
        assert!(now.since(BORN) > Duration::from_hours(22));
        assert_eq!(attempts, 33);
        assert!(is_stale(
            BORN,
            BORN.plus(GIVE_UP_AFTER + Duration::from_millis(1))
        ));
    }
}
