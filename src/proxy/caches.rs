//! What answers that are not for everybody say to caches that stand between us and many.

use http::header::{CACHE_CONTROL, EXPIRES, HeaderMap, HeaderName, HeaderValue, PRAGMA};

use crate::policy::header;

/// What some caches heed before `Cache-Control`, which so would not keep them away: nginx, whatever else is said; Varnish,
/// Fastly and Squid, of which Varnish minds `private` no more where this header says anything at all; Akamai.
const HEEDED_FIRST: [&str; 3] = ["x-accel-expires", "surrogate-control", "edge-control"];

/// Those that are meant for one kind of cache (RFC 9213): `CDN-Cache-Control`, `Cloudflare-CDN-Cache-Control`,
/// `X-LiteSpeed-Cache-Control` and whatever else is named so.
const TARGETED: &str = "-cache-control";

/// Whether there are caches that heed a header, by its name in small letters, before `Cache-Control`.
#[must_use]
pub fn is_heeded_first(name: &str) -> bool {
    name.ends_with(TARGETED) || HEEDED_FIRST.contains(&name)
}

/// What two rules have an answer say that had to let it pass both. Of the rest the second has the last word; of caches none,
/// unless they say the same: what one of them gives to everybody, the other may keep for one.
#[must_use]
pub fn said_by_both(first: &[header::Said], second: &[header::Said]) -> Vec<header::Said> {
    let (own, mut all): (Vec<_>, Vec<_>) = first.iter().partition(|said| is_of_caches(&said.0));
    let (other, rest): (Vec<_>, Vec<_>) = second.iter().partition(|said| is_of_caches(&said.0));
    all.extend(rest);
    let mut all: Vec<header::Said> = all.into_iter().cloned().collect();
    if own.len() == other.len() && own.iter().all(|said| other.contains(said)) {
        all.extend(own.into_iter().cloned());
    } else {
        let nothing = HeaderValue::from_static("no-store");
        all.push((CACHE_CONTROL, Some(nothing)));
    }
    all
}

fn is_of_caches(name: &HeaderName) -> bool {
    [CACHE_CONTROL, EXPIRES, PRAGMA].contains(name) || is_heeded_first(name.as_str())
}

/// Keeps what was made for one user, or for some addresses, from the next, whatever stands between us and them. Where the
/// service says nothing of caches, it is said here; where it does and speaks of time alone, as one that knows of no users
/// and no addresses, and the rule does not let everybody in (`open`), too: HTTP itself keeps shared caches away only from
/// what was asked for with `Authorization` (RFC 9111 section 3.5). What some caches heed before that goes, unless the
/// file itself says it (`is_said`).
///
/// A browser is such a cache as well: what says neither for how long nor that it is asked for again, it keeps for a tenth of its
/// age (RFC 9111 section 4.2.2), and shows to whoever sits there next, or to somebody who may not see it any more. So that is
/// asked for each time, which costs a 304.
pub fn keep_to_one_user(
    headers: &mut HeaderMap,
    open: bool,
    is_said: impl Fn(&HeaderName) -> bool,
) {
    let name = CACHE_CONTROL;
    let said = Said::in_lines(headers);
    if open && said.is_some() {
        return;
    }
    let words = said.unwrap_or_default();
    // Once there is a word of HTTP/1.1, the older one counts no more.
    let pragma = headers.get(PRAGMA);
    let older =
        said.is_none() && pragma.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"no-cache"));
    let guessed = !open && words.leaves_a_guess() && !headers.contains_key(EXPIRES);
    let more = match (words.is_of_time_alone(), older || guessed) {
        (true, true) => "private, no-cache",
        (true, false) => "private",
        (false, true) => "no-cache",
        (false, false) => "",
    };
    if said.is_none() {
        headers.remove(&name);
    }
    if !more.is_empty() {
        headers.append(name, HeaderValue::from_static(more));
    }
    if !said.is_some_and(Said::is_for_everybody) {
        let unsaid = |name: &&HeaderName| is_heeded_first(name.as_str()) && !is_said(name);
        let gone: Vec<HeaderName> = headers.keys().filter(unsaid).cloned().collect();
        for name in gone {
            headers.remove(name);
        }
    }
}

/// What the lines of `Cache-Control` say.
#[derive(Clone, Copy, Default)]
struct Said {
    /// That it is for one user, or for nobody.
    kept: bool,
    /// That it is for everybody.
    shared: bool,
    again: Again,
}

/// When an answer is asked for again.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Again {
    /// When whoever keeps it thinks so.
    #[default]
    Guessed,
    /// After a time, or it is not kept at all.
    Timed,
    /// Each time.
    Always,
}

impl Said {
    /// None where they say nothing.
    fn in_lines(headers: &HeaderMap) -> Option<Self> {
        let mut found: Option<Self> = None;
        let lines = headers.get_all(CACHE_CONTROL).iter();
        let words = lines.flat_map(|line| outside_quotes(line.as_bytes()));
        let words = words.map(<[u8]>::trim_ascii);
        for word in words.filter(|word| !word.is_empty()) {
            let is = |known: &[u8]| word.eq_ignore_ascii_case(known);
            let said = found.get_or_insert_default();
            said.kept |= is(b"private") || is(b"no-store");
            said.shared |= is(b"public") || is_shared_for(word);
            said.again = said.again.max(if is(b"no-cache") {
                Again::Always
            } else if is(b"no-store") || is_for(word, b"max-age=") {
                Again::Timed
            } else {
                Again::Guessed
            });
        }
        found
    }

    fn is_of_time_alone(self) -> bool {
        !self.kept && !self.shared && self.again != Again::Always
    }

    /// Whoever keeps it is left to guess for how long. What is said to be for everybody is theirs for that time.
    fn leaves_a_guess(self) -> bool {
        self.again == Again::Guessed && !self.is_for_everybody()
    }

    const fn is_for_everybody(self) -> bool {
        self.shared && !self.kept
    }
}

/// The parts between commas that stand in no quotes.
fn outside_quotes(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    line.split(move |&byte| {
        quoted ^= byte == b'"';
        byte == b',' && !quoted
    })
}

/// Whether a word says for how long shared caches keep an answer.
fn is_shared_for(word: &[u8]) -> bool {
    is_for(word, b"s-maxage=")
}

/// Whether a word gives a time in seconds under this name.
fn is_for(word: &[u8], name: &[u8]) -> bool {
    word.split_at_checked(name.len()).is_some_and(|(is, age)| {
        let says = !age.is_empty() && age.iter().all(u8::is_ascii_digit);
        is.eq_ignore_ascii_case(name) && says
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn p_11_of_caches_two_rules_say_what_both_say() {
        let said = |all: &[(&'static str, &'static str)]| -> Vec<crate::policy::header::Said> {
            let one = |&(name, value): &(&'static str, &'static str)| {
                let value = (!value.is_empty()).then(|| HeaderValue::from_static(value));
                (HeaderName::from_static(name), value)
            };
            all.iter().map(one).collect()
        };
        let public = ("cache-control", "public");
        let nothing = ("cache-control", "no-store");
        for (first, second, expected) in [
            (&[public][..], &[public][..], &[public][..]),
            (&[public], &[], &[nothing]),
            (
                &[("expires", "0"), ("x-a", "1")],
                &[("expires", "0")],
                &[("x-a", "1"), ("expires", "0")],
            ),
            (
                &[("x-a", "1")],
                &[public, ("x-a", "")],
                &[("x-a", "1"), ("x-a", ""), nothing],
            ),
            (&[("surrogate-control", "max-age=9")], &[public], &[nothing]),
        ] {
            assert_eq!(said_by_both(&said(first), &said(second)), said(expected));
        }
    }

    use super::*;

    fn said(lines: &[&'static str], pragma: bool, open: bool) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("cache-control", HeaderValue::from_static(line));
        }
        if pragma {
            headers.insert("pragma", HeaderValue::from_static("No-Cache"));
        }
        keep_to_one_user(&mut headers, open, |_| false);
        let lines = headers.get_all("cache-control").iter();
        let lines: Vec<_> = lines.map(|line| line.to_str().unwrap()).collect();
        lines.join("; ")
    }

    #[test]
    fn what_was_made_for_one_user_is_kept_from_the_next() {
        for silent in [&[][..], &[""], &[" , "]] {
            for open in [true, false] {
                let guess = if open { "private" } else { "private, no-cache" };
                assert_eq!(said(silent, false, open), guess, "{silent:?}");
                assert_eq!(said(silent, true, open), "private, no-cache", "{silent:?}");
            }
        }
        // What says for how long alone, or leaves room for a guess.
        for (guarded, expected) in [
            (&["max-age=60"][..], "max-age=60; private"),
            (&["must-revalidate"], "must-revalidate; private, no-cache"),
            (&["private"], "private; no-cache"),
            // Browsers do not heed that.
            (&["private, s-maxage=60"], "private, s-maxage=60; no-cache"),
            (
                &["private, must-revalidate"],
                "private, must-revalidate; no-cache",
            ),
            (&["max-age=\"60\""], "max-age=\"60\"; private, no-cache"),
            (
                &["max-age=60", "no-transform"],
                "max-age=60; no-transform; private",
            ),
            (&["s-maxage="], "s-maxage=; private, no-cache"),
            (
                &["private=\"a, no-cache, b\""],
                "private=\"a, no-cache, b\"; private, no-cache",
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
            "max-age=60, Private",
            "public",
            "no-store",
            "no-cache, max-age=60",
            "public, max-age=60",
            "S-MaxAge=60",
        ] {
            assert_eq!(said(&[settled], true, false), settled);
        }
    }
    #[test]
    fn what_goes_before_cache_control_does_not_get_past_it() {
        const HEEDED: [&str; 9] = [
            "x-accel-expires",
            "surrogate-control",
            "edge-control",
            "cdn-cache-control",
            "cloudflare-cdn-cache-control",
            "vercel-cdn-cache-control",
            "akamai-cache-control",
            "x-litespeed-cache-control",
            "x-lsadc-cache-control",
        ];
        // What says nothing of who may keep an answer.
        const OTHERS: [&str; 4] = [
            "expires",
            "surrogate-key",
            "x-accel-buffering",
            "x-cache-control-x",
        ];
        let left = |said: &'static str, open: bool, own: &str| {
            let mut headers = HeaderMap::new();
            for name in HEEDED.iter().chain(&OTHERS) {
                headers.append(*name, HeaderValue::from_static("max-age=60"));
                headers.append(*name, HeaderValue::from_static("3600"));
            }
            headers.insert("cache-control", HeaderValue::from_static(said));
            keep_to_one_user(&mut headers, open, |name| name == own);
            for name in OTHERS {
                assert!(headers.contains_key(name), "{name}");
            }
            let left = HEEDED.iter().filter(|name| headers.contains_key(**name));
            left.copied().collect::<Vec<_>>()
        };
        for gone in [
            "",
            "max-age=60",
            "private",
            "no-store",
            "no-cache",
            "private, s-maxage=60",
            "public, no-store",
        ] {
            assert_eq!(left(gone, false, ""), [""; 0], "{gone}");
        }
        for shared in ["public, max-age=60", "public, no-cache", "s-maxage=60"] {
            assert_eq!(left(shared, false, ""), HEEDED, "{shared}");
        }
        assert_eq!(left("max-age=60", true, ""), HEEDED, "for everybody");
        assert_eq!(left("private", true, ""), HEEDED, "as the service likes");
        assert_eq!(left("", true, ""), [""; 0], "made private here");
        // What the file says stays, and nothing else.
        assert_eq!(
            left("max-age=60", false, "cdn-cache-control"),
            ["cdn-cache-control"]
        );
    }
}
