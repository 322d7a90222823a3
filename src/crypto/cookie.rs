//! Cookies as we write and read them (RFC 6265bis): host-bound, unless the file shares the session's among sites, and
//! read only when there is no doubt.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroize;

use crate::base::token::Token;

/// The names of our cookies, which depend on whether the site is `https`, and on whether the session is shared: by
/// another name, so that a cookie of the one kind is never taken for one of the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieNames {
    /// Holds the session.
    pub session: &'static str,
    /// Binds a browser to its login, before there is a session.
    pub flow: &'static str,
    /// Holds what a link in a letter led with, until its page is done.
    pub link: &'static str,
    secure: bool,
    /// Where the session's cookie is sent beside the host that has set it: to every host below.
    domain: Option<Arc<str>>,
}

/// Every name a cookie of ours may have.
const OURS: [&str; 8] = [
    "__Host-portcullis",
    "__Host-portcullis-flow",
    "__Host-portcullis-link",
    "portcullis",
    "portcullis-flow",
    "portcullis-link",
    SHARED_SECURE,
    SHARED_PLAIN,
];

/// How many sessions one request can end.
const MANY: usize = 30;

/// With the `__Secure-` prefix, which binds it to `Secure` alone (RFC 6265bis section 4.1.3.1).
const SHARED_SECURE: &str = "__Secure-portcullis";
const SHARED_PLAIN: &str = "portcullis-shared";

impl CookieNames {
    /// With the `__Host-` prefix, which binds them to the host and to `Secure` (RFC 6265bis section 4.1.3.2).
    pub const SECURE: Self = Self {
        session: "__Host-portcullis",
        flow: "__Host-portcullis-flow",
        link: "__Host-portcullis-link",
        secure: true,
        domain: None,
    };
    /// For `http` on a loopback address only.
    pub const PLAIN: Self = Self {
        session: "portcullis",
        flow: "portcullis-flow",
        link: "portcullis-link",
        secure: false,
        domain: None,
    };

    /// The names for a site, whose session is shared by every host of the domain, if there is one.
    #[must_use]
    pub fn of(https: bool, domain: Option<&Arc<str>>) -> Self {
        let own = if https { Self::SECURE } else { Self::PLAIN };
        match domain {
            None => own,
            Some(domain) => Self {
                session: if https { SHARED_SECURE } else { SHARED_PLAIN },
                domain: Some(Arc::clone(domain)),
                ..own
            },
        }
    }

    /// `Set-Cookie` for a value. Without `age` the cookie ends with the browser.
    #[must_use]
    pub fn set(&self, name: &str, value: &str, age: Option<Duration>) -> String {
        // RFC 6265bis section 5.5 caps the age at 400 days.
        let age = age.map(|age| age.min(Duration::from_hours(400 * 24)).as_secs());
        let mut cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax");
        if let Some(seconds) = age {
            // Writing to a String cannot fail.
            let _ = write!(cookie, "; Max-Age={seconds}");
        }
        if self.secure {
            cookie.push_str("; Secure");
        }
        if let Some(domain) = self.domain.as_ref().filter(|_| name == self.session) {
            let _ = write!(cookie, "; Domain={domain}");
        }
        cookie
    }

    /// `Set-Cookie` that makes the browser forget one.
    #[must_use]
    pub fn clear(&self, name: &str) -> String {
        self.set(name, "", Some(Duration::ZERO))
    }

    /// Whether a cookie pair of a request is one of ours, and not for a service to see.
    #[must_use]
    pub fn is_ours(name: &str) -> bool {
        OURS.contains(&name)
    }
}

/// The token in the cookie of this name, if there is exactly one and it is one of ours. Two of the same name
/// mean that somebody planted one, and nobody can say which.
#[must_use]
pub fn token(header: Option<&[u8]>, name: &str) -> Option<Token> {
    value(header, name).and_then(|value| Token::parse(value).ok())
}

/// Every other token under this name, however many there are: for what ends whatever came along. At most 30.
#[must_use]
pub fn tokens(header: Option<&[u8]>, name: &str) -> Vec<Token> {
    let found = pairs(header.unwrap_or_default()).filter(|(key, _)| *key == name.as_bytes());
    let mut known = BTreeSet::new();
    let found = found.filter(|(_, value)| known.insert(*value));
    let found = found.filter_map(|(_, value)| Token::parse(text(value)?).ok());
    found.take(MANY).collect()
}

/// The value of the cookie of this name, if there is exactly one.
#[must_use]
pub fn value<'a>(header: Option<&'a [u8]>, name: &str) -> Option<&'a str> {
    let mut found = pairs(header?).filter(|(key, _)| *key == name.as_bytes());
    match (found.next(), found.next()) {
        (Some((_, value)), None) => text(value),
        _ => None,
    }
}

/// What a service may see of a `Cookie` header: everything but our own cookies, and but those that are not ASCII, because
/// who knows what a lenient service would find in them. Browsers send such ones as a page or a service has set them, and
/// they say nothing against the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// The header as it came: nothing in it is kept back.
    All,
    /// These cookies.
    Some(String),
    /// No cookie at all.
    Nothing,
}

impl Zeroize for Left {
    fn zeroize(&mut self) {
        if let Self::Some(left) = self {
            left.zeroize();
        }
    }
}

/// The value of the cookie of this name, as [`value`] finds it, and what is left for a service: both in one
/// look, because every request is looked at.
#[must_use]
pub fn sort<'a>(header: &'a [u8], name: &str) -> (Option<&'a str>, Left) {
    let (mut found, mut kept_back, mut theirs) = ((None, 0), false, false);
    for pair in split(header) {
        let (key, value) = parts(pair);
        if key == name.as_bytes() {
            found = (text(value), found.1 + 1);
        }
        match shown(pair) {
            None => kept_back = true,
            Some(pair) => theirs |= !pair.is_empty(),
        }
    }
    let left = match (kept_back, theirs) {
        (false, _) => Left::All,
        (true, true) => Left::Some(all_shown(header)),
        (true, false) => Left::Nothing,
    };
    (found.0.filter(|_| found.1 == 1), left)
}

fn all_shown(header: &[u8]) -> String {
    let pairs = split(header).filter_map(shown);
    let mut left = String::new();
    for pair in pairs.filter(|pair| !pair.is_empty()) {
        if !left.is_empty() {
            left.push_str("; ");
        }
        left.push_str(pair);
    }
    left
}

/// What a service may see of a pair; none where it is not to see it.
fn shown(pair: &[u8]) -> Option<&str> {
    let (name, _) = parts(pair);
    text(pair).filter(|_| text(name).is_some_and(|name| !CookieNames::is_ours(name)))
}

fn pairs(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    split(header).map(parts)
}

fn split(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    header.split(|&byte| byte == b';').map(<[u8]>::trim_ascii)
}

/// Name and value; a pair without `=` is a name without a value.
fn parts(pair: &[u8]) -> (&[u8], &[u8]) {
    let mut halves = pair.splitn(2, |&byte| byte == b'=');
    let mut half = || halves.next().unwrap_or_default().trim_ascii();
    (half(), half())
}

/// A header value holds no controls, so that ASCII is text.
fn text(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes).ok().filter(|text| text.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;

    #[test]
    fn c_05_c_13_attributes() {
        let cookie =
            CookieNames::SECURE.set("__Host-portcullis", &"x".repeat(43), Some(Duration::MAX));
        assert_eq!(
            cookie,
            format!(
                "__Host-portcullis={}; Path=/; HttpOnly; SameSite=Lax; Max-Age=34560000; Secure",
                "x".repeat(43)
            )
        );
        assert!(cookie.len() < 4096 && !cookie.contains("Domain"));
        assert!(!CookieNames::PLAIN.clear("portcullis").contains("Secure"));
    }

    #[test]
    fn c_05_a_shared_session_has_a_name_of_its_own_and_nothing_else_is_shared() {
        let domain: Arc<str> = "example.test".into();
        for (https, own) in [(true, CookieNames::SECURE), (false, CookieNames::PLAIN)] {
            let names = CookieNames::of(https, Some(&domain));
            assert_ne!(names.session, own.session);
            assert_eq!((names.flow, names.link), (own.flow, own.link));
            for name in [names.session, names.flow, names.link, own.session] {
                assert!(CookieNames::is_ours(name), "{name}");
            }
            let (session, flow) = (names.clear(names.session), names.clear(names.flow));
            assert!(session.contains("; Domain=example.test"), "{session}");
            assert_eq!(session.contains("; Secure"), https);
            assert!(!flow.contains("Domain"), "{flow}");
            assert_eq!(CookieNames::of(https, None), own);
        }
    }

    #[test]
    fn c_03_c_04_c_12_only_one_of_the_right_name_counts() {
        let good = Token::generate(&Random::seeded(1)).unwrap();
        let text = good.expose();
        let reads = [
            format!("__Host-portcullis={text}"),
            format!("a=b; __Host-portcullis={text}; c"),
            format!(";;;  __Host-portcullis = {text} ;"),
            format!("x=J\u{e9}; __Host-portcullis={text}; \u{e9}"),
        ];
        for header in reads {
            let found =
                token(Some(header.as_bytes()), "__Host-portcullis").map(|token| token.hash());
            assert_eq!(found, Some(good.hash()), "{header:?}");
            assert_eq!(sort(header.as_bytes(), "__Host-portcullis").0, Some(text));
        }
        let absent = [
            String::new(),
            ";".repeat(200),
            format!("portcullis={text}"),
            format!("__host-portcullis={text}"),
            format!("__Host-portcullis={text}; __Host-portcullis={text}"),
            format!("__Host-portcullis=; __Host-portcullis={text}"),
            format!("__Host-portcullis=\u{e9}; __Host-portcullis={text}"),
            format!("\u{a0}__Host-portcullis={text}"),
            format!("__Host-portcullis=\"{text}\""),
            format!("__Host-portcullis={}", "x".repeat(8192)),
            "__Host-portcullis".to_owned(),
        ];
        for header in absent {
            assert!(
                token(Some(header.as_bytes()), "__Host-portcullis").is_none(),
                "{header:?}"
            );
            let sorted = sort(header.as_bytes(), "__Host-portcullis").0;
            assert_eq!(sorted, value(Some(header.as_bytes()), "__Host-portcullis"));
        }
        assert!(token(None, "__Host-portcullis").is_none());
    }

    #[test]
    fn c_12_every_token_that_came_along_is_found() {
        let all: Vec<Token> = (0..40)
            .map(|seed| Token::generate(&Random::seeded(seed)).unwrap())
            .collect();
        let pair = |token: &Token| format!("portcullis={}", token.expose());
        let line = format!(
            "{}; {}; x=\u{e9}; portcullis=; {};",
            pair(&all[0]),
            pair(&all[0]),
            pair(&all[1])
        );
        let found = |line: &str| {
            let found = tokens(Some(line.as_bytes()), "portcullis");
            found.iter().map(Token::hash).collect::<Vec<_>>()
        };
        assert_eq!(found(&line), [all[0].hash(), all[1].hash()]);
        let many: Vec<String> = all.iter().map(pair).collect();
        assert_eq!(found(&many.join(";")).len(), MANY);
        assert!(found("a=b").is_empty() && tokens(None, "portcullis").is_empty());
    }

    #[test]
    fn h_15_services_do_not_see_our_cookies() {
        let some = |left: &str| Left::Some(left.to_owned());
        let cases = [
            ("__Host-portcullis=x", Left::Nothing),
            (
                "portcullis=x; portcullis-flow=y; portcullis-link=z",
                Left::Nothing,
            ),
            (
                "__Host-portcullis-flow=y; __Host-portcullis-link=z",
                Left::Nothing,
            ),
            ("; portcullis = x;;", Left::Nothing),
            ("portcullis", Left::Nothing),
            ("__Secure-portcullis=x; portcullis-shared=y", Left::Nothing),
            ("a=b;portcullis=x;  c=d", some("a=b; c=d")),
            ("portcullis=x; =", some("=")),
            ("__Host-portcullis=x; portcullis=y; a", some("a")),
            ("portcullisx=1;a", Left::All),
            ("x=J\u{e9}; a=b; portcullis=x", some("a=b")),
            ("x=J\u{e9}; a=b", some("a=b")),
            ("portcullis=\u{e9}", Left::Nothing),
            ("\u{a0}portcullis=x", Left::Nothing),
            ("", Left::All),
        ];
        for (header, left) in cases {
            for name in ["portcullis", "__Host-portcullis"] {
                assert_eq!(sort(header.as_bytes(), name).1, left, "{header:?}");
            }
        }
    }
}
