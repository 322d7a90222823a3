//! What the file's language has and this version of the gateway does not: refused by name, so that nobody
//! takes it for a slip of the pen, and nobody believes it works.

use super::report::{nearest, suggest};

/// What is said of it.
pub const MESSAGE: &str = "not supported yet";

/// The keys of a shape that are not supported yet.
pub fn keys(shape: &str) -> &'static [&'static str] {
    match shape {
        "file" => &["clients", "checks", "issuers"],
        "login" => &["ldap", "webhook", "order", "totp", "passkey", "providers"],
        "tokens" => &["claims"],
        "identity" => &["preset"],
        "rule" => &["limit"],
        "auth" => &["all", "optional"],
        "condition" => &["scope", "claim", "via", "mfa", "login", "expr", "check"],
        "who" => &["mfa", "login", "scope", "claim", "via"],
        _ => &[],
    }
}

/// How a key that a shape does not have was perhaps meant.
pub fn suggest_key(shape: &str, key: &str, known: &[&'static str]) -> Option<String> {
    if let Some(instead) = instead(shape, key) {
        return Some(instead.to_owned());
    }
    let later = nearest(key, keys(shape).iter().copied());
    match (nearest(key, known.iter().copied()), later) {
        (None, Some(later)) => Some(format!("did you mean '{later}', which is {MESSAGE}?")),
        _ => suggest(key, known.iter().copied()),
    }
}

/// What is said of keys that other programs have, and that are written here in another way or not at all.
fn instead(shape: &str, key: &str) -> Option<&'static str> {
    Some(match (shape, key) {
        ("cors", "methods") => {
            "methods follow from the rules: pages may use those that a rule with cors: speaks for"
        }
        ("tls" | "upstream_tls", "cert") => "did you mean 'certificate'?",
        ("file", "include" | "includes" | "import") => {
            "there is one file, and it includes no other"
        }
        _ => return None,
    })
}

/// Ways to prove an identity that are not supported yet.
pub const METHODS: [&str; 2] = ["api_key", "basic"];

/// Outcomes of policy tests that cannot come about yet.
pub const OUTCOMES: [&str; 2] = ["step_up", "limited"];
