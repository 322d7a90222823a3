//! What the cookies of a connection's last request said. The next one nearly always sends the same, and the same text
//! says the same: it is neither sorted nor hashed again.

use std::sync::{Mutex, PoisonError};

use http::HeaderValue;

use crate::base::secret::Secret;
use crate::base::token::TokenHash;
use crate::crypto::cookie::Left;

/// The cookies of the last request, read.
#[derive(Debug, Default)]
pub struct LastCookies(Mutex<Option<Read>>);

#[derive(Debug)]
struct Read {
    line: Secret<Vec<u8>>,
    /// The name by which the session's was looked for; it depends on the site.
    name: &'static str,
    session: Option<TokenHash>,
    left: Secret<Left>,
}

/// A longer line is read anew each time: there are as many of these as there are connections.
const LONGEST: usize = 1024;

impl LastCookies {
    /// The token in the cookie of this name, hashed, and what a service may see of the header.
    pub fn read(
        &self,
        line: &HeaderValue,
        name: &'static str,
        read: impl FnOnce(&HeaderValue) -> (Option<TokenHash>, Left),
    ) -> (Option<TokenHash>, Left) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last
            && last.name == name
            && last.line.expose() == line.as_bytes()
        {
            return (last.session, last.left.expose().clone());
        }
        let (session, left) = read(line);
        *last = (line.len() <= LONGEST).then(|| Read {
            line: Secret::new(line.as_bytes().to_vec()),
            name,
            session,
            left: Secret::new(left.clone()),
        });
        (session, left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_line_is_read_once_and_another_one_anew() {
        let (last, reads) = (LastCookies::default(), std::cell::Cell::new(0));
        let read = |line: &str, name| {
            let line = HeaderValue::from_str(line).unwrap();
            last.read(&line, name, |line| {
                reads.set(reads.get() + 1);
                (Some(TokenHash::of(line.as_bytes())), Left::Nothing)
            })
        };
        let long = "a".repeat(LONGEST + 1);
        for (line, name, known) in [
            ("a=1", "a", false),
            ("a=1", "a", true),
            ("a=2", "a", false),
            ("a=1", "a", false),
            ("a=1", "b", false),
            (&long, "b", false),
            (&long, "b", false),
            ("a=1", "b", false),
        ] {
            let before = reads.get();
            let expected = (Some(TokenHash::of(line.as_bytes())), Left::Nothing);
            assert_eq!(read(line, name), expected);
            assert_eq!(reads.get() == before, known, "{name} {line}");
        }
    }
}
