//! `strip` and `add`: the path that a service is sent, as a pure function of the path that was judged.
//!
//! Rules never see the result, and the result is as canonical as what it was made from: it begins with `/` and
//! holds neither dot segments nor empty ones (P-27).

use super::path::{CanonicalPath, Marks};

/// What is done to the paths of one upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// What is cut off in front.
    pub strip: Option<Prefix>,
    /// What is then put in front.
    pub add: Option<Prefix>,
}

/// A path that others lie below: canonical, not the root, and without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(Box<str>);

/// Why a text is no prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixFault {
    /// Not a path, or not written as paths are judged.
    #[error("not a path as paths are judged")]
    NotCanonical,
    /// `/` is in front of every path anyway.
    #[error("'/' alone changes nothing")]
    Root,
}

impl Prefix {
    /// Reads a prefix; a slash at its end means nothing.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(text: &str) -> Result<Self, PrefixFault> {
        let path = CanonicalPath::parse(text.as_bytes()).map_err(|_| PrefixFault::NotCanonical)?;
        if path.as_str() != text || path.marks() != Marks::default() {
            return Err(PrefixFault::NotCanonical);
        }
        match text.trim_end_matches('/') {
            "" => Err(PrefixFault::Root),
            prefix => Ok(Self(prefix.into())),
        }
    }

    /// The text, without a slash at the end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is left of a path below this one: nothing, or a path.
    fn below<'a>(&self, path: &'a str, fold: bool) -> Option<&'a str> {
        let (head, rest) = path.split_at_checked(self.0.len())?;
        let same = *head == *self.0 || fold && head.eq_ignore_ascii_case(&self.0);
        (same && (rest.is_empty() || rest.starts_with('/'))).then_some(rest)
    }
}

impl Rewrite {
    /// Whether paths are sent as they are.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.strip.is_none() && self.add.is_none()
    }

    /// The path that is sent for one that was judged; none when it does not lie below what is to be cut off.
    /// `fold` says that the service ignores case.
    #[must_use]
    pub fn apply(&self, path: &CanonicalPath, fold: bool) -> Option<CanonicalPath> {
        let rest = match &self.strip {
            Some(prefix) => prefix.below(path.as_str(), fold)?,
            None => path.as_str(),
        };
        let added = self.add.as_ref().map_or("", Prefix::as_str);
        let text = match (added, rest) {
            ("", "") => "/".to_owned(),
            (added, rest) => format!("{added}{rest}"),
        };
        let sent = CanonicalPath::parse(text.as_bytes()).ok()?;
        (sent.as_str() == text).then_some(sent)
    }

    /// Whether a path that need not end in a slash is sent as the root.
    #[must_use]
    pub fn bares(&self, path: &CanonicalPath, fold: bool) -> bool {
        let below = |prefix: &Prefix| prefix.below(path.as_str(), fold) == Some("");
        self.add.is_none() && self.strip.as_ref().is_some_and(below)
    }

    /// The path to ask for so that the service is sent this one; none when there is no such path. One that begins with
    /// what is cut off was made by a service that knows of it, and stays.
    #[must_use]
    pub fn undo(&self, sent: &str) -> Option<String> {
        let below = |prefix: &Prefix| prefix.below(sent, false);
        if self.strip.as_ref().and_then(below).is_some() {
            return Some(sent.to_owned());
        }
        let rest = self.add.as_ref().map_or(Some(sent), below)?;
        let cut = self.strip.as_ref().map_or("", Prefix::as_str);
        Some(match (cut, rest) {
            ("", "") => "/".to_owned(),
            (cut, rest) => format!("{cut}{rest}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rewrite(strip: &str, add: &str) -> Rewrite {
        let prefix = |text: &str| (!text.is_empty()).then(|| Prefix::parse(text).unwrap());
        Rewrite {
            strip: prefix(strip),
            add: prefix(add),
        }
    }

    fn sent(strip: &str, add: &str, path: &str) -> Option<String> {
        let path = CanonicalPath::parse(path.as_bytes()).unwrap();
        let sent = rewrite(strip, add).apply(&path, false)?;
        Some(sent.as_str().to_owned())
    }

    #[test]
    fn p_27_what_is_sent_for_what_was_judged() {
        let cases = [
            ("/api", "", "/api/x", Some("/x")),
            ("/api", "", "/api/x/", Some("/x/")),
            ("/api", "", "/api", Some("/")),
            ("/api", "", "/api/", Some("/")),
            ("/api/", "", "/api/x", Some("/x")),
            ("/api", "", "/apix", None),
            ("/api", "", "/", None),
            ("/api", "", "/API/x", None),
            ("/api", "", "/%61pi/x", Some("/x")),
            ("/public", "", "/public/%2e%2e/admin", None),
            ("/public", "", "/x/../public/./y//z", Some("/y/z")),
            ("/public", "", "/public/public/x", Some("/public/x")),
            ("/a", "", "/a/%2Fb", Some("/%2Fb")),
            ("/a", "", "/a/;x", Some("/;x")),
            ("", "/v1", "/x", Some("/v1/x")),
            ("", "/v1", "/", Some("/v1/")),
            ("/api", "/v1", "/api", Some("/v1")),
            ("/api", "/v1", "/api/", Some("/v1/")),
            ("/api", "/v1/y", "/api/x%20z", Some("/v1/y/x%20z")),
            ("", "", "/x", Some("/x")),
        ];
        for (strip, add, path, expected) in cases {
            assert_eq!(
                sent(strip, add, path).as_deref(),
                expected,
                "{strip} {add} {path}"
            );
        }
        let folded = CanonicalPath::parse(b"/API/x").unwrap();
        let folded = rewrite("/api", "").apply(&folded, true).unwrap();
        assert_eq!(folded.as_str(), "/x");
    }

    #[test]
    fn the_path_to_ask_for() {
        let cases = [
            ("/api", "", "/x", Some("/api/x")),
            ("/api", "", "/", Some("/api/")),
            ("/api", "", "/api/x", Some("/api/x")),
            ("/api", "", "/apix", Some("/api/apix")),
            ("", "/v1", "/v1/x", Some("/x")),
            ("", "/v1", "/v1", Some("/")),
            ("", "/v1", "/v1x", None),
            ("", "/v1", "/login", None),
            ("/api", "/v1", "/v1/x", Some("/api/x")),
            ("/api", "/v1", "/api/x", Some("/api/x")),
            ("/api", "/v1", "/v1", Some("/api")),
            ("", "", "/x", Some("/x")),
        ];
        for (strip, add, path, expected) in cases {
            let asked = rewrite(strip, add).undo(path);
            assert_eq!(asked.as_deref(), expected, "{strip} {add} {path}");
        }
    }

    #[test]
    fn prefixes_are_written_as_paths_are_judged() {
        for bad in [
            "api", "", "/a/../b", "/a//b", "/%61", "/a;b", "/a%2Fb", "/a b", "/ä", "/a?b", "/a#b",
        ] {
            assert_eq!(Prefix::parse(bad), Err(PrefixFault::NotCanonical), "{bad}");
        }
        assert_eq!(Prefix::parse("/"), Err(PrefixFault::Root));
        assert_eq!(Prefix::parse("/a/b/").unwrap().as_str(), "/a/b");
    }

    proptest! {
        #[test]
        fn p_27_what_is_sent_is_canonical(
            strip in "(/[a-c.]{1,2}){0,2}",
            add in "(/[a-c.%2]{1,3}){0,2}",
            rest in "(/|[a-c./;]|%2e|%2F|%61|%20){0,12}",
        ) {
            let prefix = |text: &str| Prefix::parse(text).ok();
            let rewrite = Rewrite { strip: prefix(&strip), add: prefix(&add) };
            let path = CanonicalPath::parse(format!("{strip}{rest}").as_bytes());
            if let Some(sent) = path.ok().and_then(|path| rewrite.apply(&path, false)) {
                let text = sent.as_str();
                prop_assert!(text.starts_with('/'));
                prop_assert!(!text.split('/').any(|part| part == "." || part == ".."));
                prop_assert!(!text.contains("//"));
                let again = CanonicalPath::parse(text.as_bytes()).unwrap();
                prop_assert_eq!(again.as_str(), text);
            }
        }
    }
}
