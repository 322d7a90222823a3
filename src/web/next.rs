//! Where to go after a login: a path of this very site, one of a site that shares the session, or home.

use http::Uri;

use crate::gate::snapshot::Snapshot;
use crate::policy::path::CanonicalPath;

/// What an address asks to go to afterwards; the first, where it is asked twice.
#[must_use]
pub fn asked(uri: &Uri) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(uri.query()?.as_bytes());
    let next = pairs.find(|(name, _)| name == "next");
    next.map(|(_, next)| next.into_owned())
}

/// What takes a target along in an address; nothing, for home.
#[must_use]
pub fn query(next: &str) -> String {
    if next == "/" {
        return String::new();
    }
    let mut query = url::form_urlencoded::Serializer::for_suffix("?".to_owned(), 1);
    query.append_pair("next", next).finish()
}

/// The target to go to: the given one where it is a path (with or without a query) that has one reading,
/// else `/`.
#[must_use]
pub fn safe(next: Option<&str>) -> String {
    next.and_then(canonical).unwrap_or_else(|| "/".to_owned())
}

/// The same, and beside it an address of a site that shares the session: one of `site:` or of a rule's, to the letter.
#[must_use]
pub fn shared(next: Option<&str>, snapshot: &Snapshot) -> String {
    let among = |next: &str| {
        let (origin, path) = elsewhere(next, snapshot)?;
        Some(format!("{origin}{}", canonical(path)?))
    };
    next.and_then(among).unwrap_or_else(|| safe(next))
}

/// The origin of a site that shares the session, and what stands behind it.
pub fn elsewhere<'a>(next: &'a str, snapshot: &Snapshot) -> Option<(&'a str, &'a str)> {
    snapshot.sharing_sites().find_map(|site| {
        let path = next.strip_prefix(site.origin.as_str())?;
        path.starts_with('/')
            .then(|| next.split_at(site.origin.len()))
    })
}

fn canonical(next: &str) -> Option<String> {
    let (path, query) = match next.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (next, None),
    };
    // A browser reads `//host` and `/\host` as another site. The canonical form has neither.
    let path = CanonicalPath::parse(path.as_bytes()).ok()?;
    match query {
        None => Some(path.as_str().to_owned()),
        Some(query) if query.bytes().all(|b| b.is_ascii_graphic() && b != b'#') => {
            Some(format!("{}?{query}", path.as_str()))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oc_10_only_paths_of_this_site() {
        for (next, goes) in [
            ("/app?x=1&y=%2F", "/app?x=1&y=%2F"),
            ("/a/../b", "/b"),
            ("//evil", "/evil"),
            ("///evil.test/", "/evil.test/"),
        ] {
            assert_eq!(safe(Some(next)), goes);
        }
        let elsewhere = [
            "",
            "evil",
            "/\\evil",
            "/%5cevil",
            "/%09/evil",
            "https:evil",
            "https://evil",
            "https://app.test@evil",
            "javascript:alert(1)",
            "data:x",
            "/a\r\nSet-Cookie: x",
            "/a?b\r\nc",
            "/\u{3002}",
            "\\\\evil",
            "\t/evil",
            "/..",
            "?next",
        ];
        for next in elsewhere {
            assert_eq!(safe(Some(next)), "/", "{next:?}");
        }
        assert_eq!(safe(None), "/");
    }
}
