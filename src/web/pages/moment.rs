//! Moments as people read them.

use crate::base::time::Timestamp;

/// `2026-11-21`.
#[must_use]
pub fn day(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

/// `2026-11-21 14:05 UTC`.
#[must_use]
pub fn minute(at: Timestamp) -> String {
    let text: String = at.to_string().chars().take(16).collect();
    format!("{} UTC", text.replace('T', " "))
}

/// How long ago, while that says more than the moment.
#[must_use]
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let minutes = now.since(at).as_secs() / 60;
    match minutes {
        0..=1 => "just now".to_owned(),
        2..=59 => format!("{minutes} minutes ago"),
        60..=119 => "an hour ago".to_owned(),
        120..=1_439 => format!("{} hours ago", minutes / 60),
        _ => minute(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_in_words() {
        let at = Timestamp::from_millis(1_800_000_000_000);
        assert_eq!(day(at), "2027-01-15");
        assert_eq!(minute(at), "2027-01-15 08:00 UTC");
        let cases = [
            (0, "just now"),
            (119, "just now"),
            (120, "2 minutes ago"),
            (3_599, "59 minutes ago"),
            (3_600, "an hour ago"),
            (7_200, "2 hours ago"),
            (86_400, "2027-01-15 08:00 UTC"),
        ];
        for (seconds, is) in cases {
            let now = at.plus(std::time::Duration::from_secs(seconds));
            assert_eq!(ago(at, now), is, "{seconds}");
        }
    }
}
