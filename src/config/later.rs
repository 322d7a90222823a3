//! What the file's language has and this version of the gateway does not: refused by name, so that nobody
//! takes it for a slip of the pen, and nobody believes it works.

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

/// Ways to prove an identity that are not supported yet.
pub const METHODS: [&str; 2] = ["api_key", "basic"];

/// Outcomes of policy tests that cannot come about yet.
pub const OUTCOMES: [&str; 2] = ["step_up", "limited"];
