//! What a request asks for: one method, one host, one path. Parsed once; judged and sent as parsed.

use std::fmt;

use crate::base::net::Host;

use super::path::{CanonicalPath, PathFault};

/// A canonical request line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    method: Verb,
    host: Host,
    path: CanonicalPath,
    query: Option<Box<str>>,
}

/// The methods that may reach a service (RFC 9110 section 9, RFC 5789), less those that only proxies need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the RFCs")]
pub enum Verb {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

/// A set of methods. `GET` brings `HEAD` along, which is judged like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verbs(u8);

/// Why a request line is refused before any rule is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetFault {
    /// `TRACE`, `TRACK` or `CONNECT`: known, and never served here.
    #[error("this method is never served here")]
    MethodRefused,
    /// A method this gateway does not know; methods are case-sensitive (RFC 9110 section 9.1).
    #[error("this method is not known here")]
    MethodUnknown,
    /// The path has no single reading.
    #[error("the path is ambiguous: {0}")]
    Path(#[from] PathFault),
    /// The query holds bytes that no URI has.
    #[error("the query holds a character that must be percent-encoded")]
    Query,
}

impl Verb {
    /// Every method that rules may name.
    pub const ALL: [Self; 7] = [
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Patch,
        Self::Delete,
        Self::Options,
    ];

    /// Reads a method token.
    ///
    /// # Errors
    /// When it is one we refuse or do not know.
    pub fn parse(token: &str) -> Result<Self, TargetFault> {
        match Self::ALL.into_iter().find(|verb| verb.as_str() == token) {
            Some(verb) => Ok(verb),
            None if matches!(token, "TRACE" | "TRACK" | "CONNECT") => {
                Err(TargetFault::MethodRefused)
            }
            None => Err(TargetFault::MethodUnknown),
        }
    }

    /// The method token.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Get => 0b11,
            Self::Head => 0b10,
            Self::Post => 1 << 2,
            Self::Put => 1 << 3,
            Self::Patch => 1 << 4,
            Self::Delete => 1 << 5,
            Self::Options => 1 << 6,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Verbs {
    /// Every method.
    pub const ALL: Self = Self(0b111_1111);

    /// Whether the method is in the set.
    #[must_use]
    pub const fn contains(self, verb: Verb) -> bool {
        // `GET` sets both bits of the first pair, and is there only when both are.
        self.0 & verb.bit() == verb.bit()
    }

    /// Whether every method of `other` is in the set.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the two sets share a method.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl FromIterator<Verb> for Verbs {
    fn from_iter<I: IntoIterator<Item = Verb>>(verbs: I) -> Self {
        Self(verbs.into_iter().fold(0, |bits, verb| bits | verb.bit()))
    }
}

impl fmt::Display for Verbs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("*");
        }
        let implied = |verb| verb == Verb::Head && self.contains(Verb::Get);
        let listed = Verb::ALL
            .into_iter()
            .filter(|&verb| self.contains(verb) && !implied(verb));
        for (at, verb) in listed.enumerate() {
            write!(f, "{}{verb}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl Target {
    /// Reads a request line whose host was already made canonical.
    ///
    /// `raw` is the origin-form target (RFC 9112 section 3.2.1): path and optional query. Other forms are
    /// refused by the caller or here, as relative paths.
    ///
    /// # Errors
    /// When the method is refused or the target ambiguous.
    pub fn parse(method: &str, host: Host, raw: &[u8]) -> Result<Self, TargetFault> {
        let method = Verb::parse(method)?;
        let mut parts = raw.splitn(2, |&byte| byte == b'?');
        let path = CanonicalPath::parse(parts.next().unwrap_or_default())?;
        let query = parts.next().map(parse_query).transpose()?;
        Ok(Self {
            method,
            host,
            path,
            query,
        })
    }

    /// The same request as read with another path.
    #[must_use]
    pub fn with_path(&self, path: CanonicalPath) -> Self {
        Self {
            path,
            ..self.clone()
        }
    }

    /// The same request with another method.
    #[must_use]
    pub fn with_method(&self, method: Verb) -> Self {
        Self {
            method,
            ..self.clone()
        }
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> Verb {
        self.method
    }

    /// The host that is asked.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The path that is judged and sent.
    #[must_use]
    pub const fn path(&self) -> &CanonicalPath {
        &self.path
    }

    /// The query, byte for byte as it came; never judged.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Path and query: the target that is sent.
    #[must_use]
    pub fn origin_form(&self) -> String {
        match &self.query {
            None => self.path.as_str().to_owned(),
            Some(query) => format!("{}?{query}", self.path.as_str()),
        }
    }

    /// Whether `raw` is the target that is sent, byte for byte.
    #[must_use]
    pub fn is_origin_form(&self, raw: &[u8]) -> bool {
        let rest = raw.strip_prefix(self.path.as_str().as_bytes());
        match (rest, &self.query) {
            (Some([]), None) => true,
            (Some([b'?', rest @ ..]), Some(query)) => rest == query.as_bytes(),
            _ => false,
        }
    }
}

fn parse_query(raw: &[u8]) -> Result<Box<str>, TargetFault> {
    let text = std::str::from_utf8(raw).map_err(|_| TargetFault::Query)?;
    let printable = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"#\"<>".contains(&byte));
    printable.then(|| text.into()).ok_or(TargetFault::Query)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &str, raw: &str) -> Result<Target, TargetFault> {
        Target::parse(method, "app.test".parse().unwrap(), raw.as_bytes())
    }

    #[test]
    fn m_03_m_05_m_06_methods() {
        for verb in Verb::ALL {
            assert_eq!(Verb::parse(verb.as_str()), Ok(verb));
        }
        for refused in ["TRACE", "TRACK", "CONNECT"] {
            assert_eq!(Verb::parse(refused), Err(TargetFault::MethodRefused));
        }
        for unknown in ["get", "GeT", "PROPFIND", "FOO!#$", "", &"A".repeat(1024)] {
            assert_eq!(Verb::parse(unknown), Err(TargetFault::MethodUnknown));
        }
    }

    #[test]
    fn m_02_head_follows_get() {
        let set = |verbs: &[Verb]| verbs.iter().copied().collect::<Verbs>();
        assert!(set(&[Verb::Get]).contains(Verb::Head));
        assert!(!set(&[Verb::Head]).contains(Verb::Get));
        assert!(!set(&[Verb::Post]).contains(Verb::Head));
        assert!(Verbs::ALL.covers(set(&[Verb::Get, Verb::Delete])));
        assert!(!set(&[Verb::Head]).covers(set(&[Verb::Get])));
        assert_eq!(set(&Verb::ALL), Verbs::ALL);
        assert_eq!(set(&[Verb::Post, Verb::Get]).to_string(), "GET,POST");
    }

    #[test]
    fn p_23_p_24_the_query_is_kept_and_not_part_of_the_path() {
        let target = parse("GET", "/admin/../a?x=/status&y=%2F;z&&x=1?").unwrap();
        assert_eq!(target.path().as_str(), "/a");
        assert_eq!(target.origin_form(), "/a?x=/status&y=%2F;z&&x=1?");
        let is_sent = |target: &Target, raw: &str| target.is_origin_form(raw.as_bytes());
        assert!(is_sent(&target, "/a?x=/status&y=%2F;z&&x=1?"));
        for other in [
            "/a",
            "/a?",
            "/a?x=/status&y=%2F;z&&x=1",
            "/admin/../a?x=/status&y=%2F;z&&x=1?",
        ] {
            assert!(!is_sent(&target, other), "{other:?}");
        }
        let plain = parse("GET", "/a").unwrap();
        assert!(is_sent(&plain, "/a") && !is_sent(&plain, "/a?") && !is_sent(&plain, "/ab"));
        assert_eq!(parse("GET", "/a?").unwrap().origin_form(), "/a?");
        for bad in ["/a?b#c", "/a?b c", "/a?b\u{1}", "/a?\u{e9}"] {
            assert_eq!(parse("GET", bad), Err(TargetFault::Query), "{bad:?}");
        }
        assert_eq!(parse("GET", "?x=/admin"), Err(PathFault::Relative.into()));
    }
}
