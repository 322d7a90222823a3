//! What a browser calls itself, in words that its owner recognises. Only shown, never believed.

use crate::base::device;

/// As much as is known of it, or what it said itself.
#[must_use]
pub fn name(user_agent: &str) -> String {
    match device::known(user_agent) {
        Some(known) => known,
        None if user_agent.trim().is_empty() => "An unnamed program".to_owned(),
        None => user_agent.chars().take(60).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_unknown_devices() {
        let chrome = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
        let cases = [
            (
                format!("Mozilla/5.0 (X11; Linux x86_64) {chrome}"),
                "Chrome on Linux",
            ),
            (
                format!("Mozilla/5.0 (Windows NT 10.0) {chrome} Edg/140.0"),
                "Edge on Windows",
            ),
            (
                format!("Mozilla/5.0 (Linux; Android 15) {chrome}"),
                "Chrome on Android",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0".into(),
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1"
                    .into(),
                "Safari on iPhone",
            ),
            ("curl/8.5.0".into(), "curl"),
            ("frob/1 (Linux)".into(), "A program on Linux"),
            ("frob/1".into(), "frob/1"),
            (" ".into(), "An unnamed program"),
            ("x".repeat(300), &"x".repeat(60)),
        ];
        for (said, is) in cases {
            assert_eq!(name(&said), is, "{said}");
        }
    }
}
