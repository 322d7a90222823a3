//! What a request presents to prove who asks, read in one way by the gate and by our own pages.

use http::header::{self, HeaderMap};

use crate::base::secret::Secret;

/// What stands behind `Bearer` (RFC 6750 section 2.1; the scheme's letter case does not matter, RFC 9110
/// section 11.1). Beside another such header it is no good, whichever comes first.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<Secret<String>> {
    let lines = headers.get_all(header::AUTHORIZATION);
    let mut tokens = lines.iter().filter_map(|line| {
        let line = line.as_bytes();
        let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t'));
        let (scheme, rest) = line.split_at(end.unwrap_or(line.len()));
        scheme.eq_ignore_ascii_case(b"bearer").then_some(rest)
    });
    let rest = tokens.next()?;
    let alone = lines.iter().nth(1).is_none();
    let token = rest.strip_prefix(b" ").filter(|_| alone);
    let text = token.and_then(|token| std::str::from_utf8(token).ok());
    Some(Secret::new(text.unwrap_or_default().to_owned()))
}
