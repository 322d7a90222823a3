//! What rules say of tunnels and of answers that take their time: `idle:` and `origins:`.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::base::site::PageOrigin;

use super::raw::Object;
use super::values;

/// From a blink to a day: what is silent for longer is better opened again.
const IDLE: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_hours(24);

/// How long an answer or a tunnel of this rule may be silent.
pub fn idle(rule: &Object<'_>) -> Option<Duration> {
    rule.get("idle").and_then(|at| values::duration(&at, IDLE))
}

/// Whose pages may open a tunnel under this rule, beside our own; those that are sound.
pub fn origins(rule: &Object<'_>) -> Vec<PageOrigin> {
    let written = rule.get("origins").and_then(|at| at.list());
    let items = written.unwrap_or_default();
    items
        .iter()
        .filter_map(|at| at.parse("an origin"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::path::Path;

    fn read(keys: &str) -> Result<Config, String> {
        let text = format!(
            "upstreams: {{ web: {{ to: \"http://web\" }} }}\nrules: [{{ path: /**, to: web, allow: signed_in, {keys} }}]\n"
        );
        Config::from_text(&text, Path::new("/nonexistent"), &|_| None)
            .map_err(|report| report.to_string())
    }

    #[test]
    fn w_03_what_a_rule_says_of_its_tunnels() {
        let config =
            read("idle: 90s, origins: [\"https://Tools.example.com:8443\", \"http://localhost\"]");
        let rules = config.unwrap().rules;
        assert_eq!(rules[0].idle, Some(Duration::from_secs(90)));
        let origins: Vec<_> = rules[0].origins.iter().map(ToString::to_string).collect();
        assert_eq!(
            origins,
            ["https://tools.example.com:8443", "http://localhost"]
        );
        for (keys, fault) in [
            ("idle: 0s", "must be from 10ms to 1day"),
            ("idle: 2d", "must be from 10ms to 1day"),
            ("idle: none", "not a duration"),
            ("origins: [\"*\"]", "not an origin"),
            ("origins: [\"null\"]", "not an origin"),
            ("origins: [\"https://x.test/\"]", "not an origin"),
            ("origins: [\"tools.example.com\"]", "not an origin"),
            ("origins: \"https://x.test\"", "expected a list"),
        ] {
            let report = read(keys).unwrap_err();
            assert!(report.contains(fault), "{keys}: {report}");
        }
    }
}
