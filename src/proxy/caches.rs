//! What answers that are not for everybody say to caches that stand between us and many.

use http::header::{self, HeaderMap, HeaderValue};

/// Keeps what was made for one user, or for some addresses, from the next, whatever stands between us and them. Where the
/// service says nothing of caches, it is said here; where it does and speaks of time alone, as one that knows of no users
/// and no addresses, and the rule does not let everybody in (`open`), too: HTTP itself keeps shared caches away only from
/// what was asked for with `Authorization` (RFC 9111 section 3.5).
pub fn keep_to_one_user(headers: &mut HeaderMap, open: bool) {
    let lines = headers.get_all(header::CACHE_CONTROL).iter();
    let words = lines.flat_map(|line| outside_quotes(line.as_bytes()));
    let words = words
        .map(<[u8]>::trim_ascii)
        .filter(|word| !word.is_empty());
    let (mut speaks, mut settled) = (false, false);
    for word in words {
        speaks = true;
        settled |= says_for_whom(word);
    }
    let name = header::CACHE_CONTROL;
    if speaks {
        if !open && !settled {
            headers.append(name, HeaderValue::from_static("private"));
        }
        return;
    }
    // Once there is a word of HTTP/1.1, the older one counts no more.
    let pragma = headers.get(header::PRAGMA);
    let private = match pragma.map(|said| said.as_bytes().eq_ignore_ascii_case(b"no-cache")) {
        Some(true) => "private, no-cache",
        _ => "private",
    };
    headers.insert(name, HeaderValue::from_static(private));
}

/// The parts between commas that stand in no quotes.
fn outside_quotes(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    line.split(move |&byte| {
        quoted ^= byte == b'"';
        byte == b',' && !quoted
    })
}

/// Whether a word of `Cache-Control` says who may keep an answer, or that it is asked for again each time.
fn says_for_whom(word: &[u8]) -> bool {
    let same = |known: &&[u8]| word.eq_ignore_ascii_case(known);
    [&b"private"[..], b"no-store", b"no-cache", b"public"]
        .iter()
        .any(same)
        || word.split_at_checked(9).is_some_and(|(name, age)| {
            let says = !age.is_empty() && age.iter().all(u8::is_ascii_digit);
            name.eq_ignore_ascii_case(b"s-maxage=") && says
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_for_one_user_is_kept_from_the_next() {
        let said = |lines: &[&'static str], pragma: bool, open: bool| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("cache-control", HeaderValue::from_static(line));
            }
            if pragma {
                headers.insert("pragma", HeaderValue::from_static("No-Cache"));
            }
            keep_to_one_user(&mut headers, open);
            let lines = headers.get_all("cache-control").iter();
            let lines: Vec<_> = lines.map(|line| line.to_str().unwrap()).collect();
            lines.join("; ")
        };
        for silent in [&[][..], &[""], &[" , "]] {
            for open in [true, false] {
                assert_eq!(said(silent, false, open), "private", "{silent:?}");
                assert_eq!(said(silent, true, open), "private, no-cache", "{silent:?}");
            }
        }
        // What says for how long alone, or leaves room for a guess.
        for (guarded, expected) in [
            (&["max-age=60"][..], "max-age=60; private"),
            (&["must-revalidate"], "must-revalidate; private"),
            (
                &["max-age=60", "no-transform"],
                "max-age=60; no-transform; private",
            ),
            (&["s-maxage="], "s-maxage=; private"),
            (
                &["private=\"a, no-cache, b\""],
                "private=\"a, no-cache, b\"; private",
            ),
            (
                &["private=\"set-cookie\", max-age=60"],
                "private=\"set-cookie\", max-age=60; private",
            ),
        ] {
            assert_eq!(said(guarded, false, false), expected);
            assert_eq!(
                said(guarded, false, true),
                guarded.join("; "),
                "for everybody"
            );
        }
        // What says for whom, or that it is asked for each time.
        for settled in [
            "private",
            "max-age=60, Private",
            "no-store",
            "no-cache, max-age=60",
            "public, max-age=60",
            "S-MaxAge=60",
        ] {
            assert_eq!(said(&[settled], true, false), settled);
        }
    }
}
