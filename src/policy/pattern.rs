//! Path patterns of rules: literals, `*`, `:name` and `**`, each a whole segment.
//!
//! From the segments come the glob that matches and the containment check that finds shadowed rules. A
//! wildcard inside a segment is refused: nobody can say at a glance what `/adm*` covers.

use std::fmt;

use globset::{GlobBuilder, GlobMatcher};

use crate::base::name::is_hidden;

use super::path::{self, CanonicalPath, PathFault};

/// A parsed path pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    written: Box<str>,
    segments: Box<[Segment]>,
    matcher: Matcher,
}

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// This text, percent-decoded.
    Literal(Box<str>),
    /// `*` or `:name`: exactly one segment.
    One,
    /// `**`: any number of segments, none included.
    Any,
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternFault {
    /// A literal part is not a path that could ever arrive.
    #[error("can never match: {0}")]
    Path(#[from] PathFault),
    /// Holds `;` or `%2F`, which are refused before rules are read unless an upstream opts in.
    #[error("holds ';' or an encoded slash")]
    TwoReadings,
    /// Dot or empty segments, which no judged path has.
    #[error("can never match: paths are judged without '.', '..' and empty segments; write '{0}'")]
    NotCanonical(String),
    /// A sign that ends a path where it is asked for, so that the pattern would mean something that nobody asks for.
    #[error(
        "what stands behind '?' and '#' is no part of a path; write %3F and %23 for the signs themselves"
    )]
    Query,
    /// A blank at either end, which was hardly meant.
    #[error("begins or ends with a blank")]
    Blank,
    /// Whoever reads it sees another path.
    #[error("holds a character that is not seen; percent-encode it if it is meant")]
    Hidden,
    /// A wildcard inside a segment.
    #[error(
        "'*' stands for a whole segment, '**' for any number of them; '{0}' mixes it with text (write %2A for the sign itself)"
    )]
    PartOfSegment(String),
    /// `:` without a name.
    #[error("':' needs a name behind it")]
    Unnamed,
    /// The glob library refused it.
    #[error("is too long or too complex")]
    TooComplex,
}

/// Each `**` multiplies the ways in which two patterns can be compared; nobody reads more than this.
const MAX_ANY: usize = 4;

/// And each segment the time that takes.
const MAX_SEGMENTS: usize = 64;

/// How a path is compared once the literal prefix has been followed.
#[derive(Clone, Debug)]
enum Matcher {
    /// Literals only: nothing is left to compare.
    Exact,
    /// Literals and one `**` at the end: nothing is left to compare.
    Subtree,
    /// Anything else.
    Glob(Box<GlobMatcher>),
}

impl Pattern {
    /// Reads a pattern as it is written in `gateway.yaml`.
    ///
    /// # Errors
    /// When it is no pattern, or one that no judged path could match.
    pub fn parse(written: &str) -> Result<Self, PatternFault> {
        if written.contains(['?', '#']) {
            return Err(PatternFault::Query);
        }
        if written != written.trim() {
            return Err(PatternFault::Blank);
        }
        if written.contains(is_hidden) {
            return Err(PatternFault::Hidden);
        }
        let encoded = path::encode(written).replace("%25", "%");
        let path = CanonicalPath::parse(encoded.as_bytes())?;
        if path.marks() != path::Marks::default() {
            return Err(PatternFault::TwoReadings);
        }
        let bare = |text: &str| text.trim_end_matches('/').matches('/').count();
        if bare(path.as_str()) != bare(&encoded) {
            return Err(PatternFault::NotCanonical(path.as_str().to_owned()));
        }
        // As many as there are of the path: nothing was taken out on the way.
        let as_written = encoded.split('/').skip(1);
        let segments = as_written
            .zip(path.segments())
            .map(|(written, meant)| Segment::parse(written, meant));
        let mut segments: Vec<Segment> = segments.collect::<Result<_, _>>()?;
        // Of several in a row, one says it all; the glob library would take two for names.
        segments.dedup_by(|one, other| (&*one, &*other) == (&Segment::Any, &Segment::Any));
        let any = segments.iter().filter(|s| **s == Segment::Any).count();
        if any > MAX_ANY || segments.len() > MAX_SEGMENTS {
            return Err(PatternFault::TooComplex);
        }
        let matcher = Matcher::new(&segments)?;
        Ok(Self {
            written: written.into(),
            segments: segments.into(),
            matcher,
        })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The segments it begins with, up to the first `**`: literals, or none for any one segment.
    #[must_use]
    pub fn prefix(&self) -> (Vec<Option<&str>>, Rest) {
        let fixed = self.segments.iter().map_while(|segment| match segment {
            Segment::Literal(text) => Some(Some(&**text)),
            Segment::One => Some(None),
            Segment::Any => None,
        });
        let fixed: Vec<_> = fixed.collect();
        let rest = if fixed.len() == self.segments.len() {
            Rest::End
        } else {
            Rest::More
        };
        (fixed, rest)
    }

    /// Whether the path matches.
    #[must_use]
    pub fn matches(&self, path: &CanonicalPath) -> bool {
        match &self.matcher {
            Matcher::Glob(glob) => glob.is_match(path.decoded()),
            Matcher::Exact => path.segments().eq(self.literals()),
            Matcher::Subtree => {
                let mut segments = path.segments();
                self.literals()
                    .all(|literal| segments.next() == Some(literal))
            }
        }
    }

    /// Whether every path that `other` matches is matched by `self`. Sound, and complete but for chains of
    /// several `**`.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        covers(&self.segments, &other.segments)
    }

    /// Whether some path may be matched by both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        meets(&self.segments, &other.segments)
    }

    /// Whether it is written for one path that ends in a slash.
    #[must_use]
    pub fn is_of_a_slash(&self) -> bool {
        let last = self.segments.last();
        self.written.ends_with('/') && last.is_none_or(|it| matches!(it, Segment::Literal(_)))
    }

    /// Whether it ends in any one name, or in what lies below that.
    #[must_use]
    pub fn ends_in_name(&self) -> bool {
        let mut segments = self.segments.iter().rev();
        segments.find(|it| **it != Segment::Any) == Some(&Segment::One)
    }

    /// The segments that stand for themselves, decoded.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(text) => Some(&**text),
            Segment::One | Segment::Any => None,
        })
    }
}

/// What follows the segments that a pattern begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing: the path must end here.
    End,
    /// `**`, and perhaps more.
    More,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.segments == other.segments
    }
}

impl Segment {
    /// What is percent-encoded stands for itself: `%2A` is the sign, and no wildcard.
    fn parse(written: &str, meant: &str) -> Result<Self, PatternFault> {
        match written {
            "*" => Ok(Self::One),
            "**" => Ok(Self::Any),
            ":" => Err(PatternFault::Unnamed),
            name if name.starts_with(':') => Ok(Self::One),
            mixed if mixed.contains('*') => Err(PatternFault::PartOfSegment(written.to_owned())),
            _ => Ok(Self::Literal(meant.into())),
        }
    }
}

impl Matcher {
    fn new(segments: &[Segment]) -> Result<Self, PatternFault> {
        let first_wild = segments
            .iter()
            .position(|s| !matches!(s, Segment::Literal(_)));
        match first_wild {
            None => Ok(Self::Exact),
            Some(at) if at + 1 == segments.len() && segments.last() == Some(&Segment::Any) => {
                Ok(Self::Subtree)
            }
            Some(_) => Ok(Self::Glob(Box::new(compile(segments)?))),
        }
    }
}

/// One glob for the whole pattern. In globset `*` may match nothing, so one segment is `?*`; `**` between
/// slashes matches any number of segments, and at the end it must also match none.
fn compile(segments: &[Segment]) -> Result<GlobMatcher, PatternFault> {
    let mut glob = String::new();
    for (at, segment) in segments.iter().enumerate() {
        let last = at + 1 == segments.len();
        match segment {
            Segment::Literal(text) => {
                glob.push('/');
                glob.push_str(&globset::escape(text));
            }
            Segment::One => glob.push_str("/?*"),
            Segment::Any if last => glob.push_str("{,/**}"),
            Segment::Any => glob.push_str("/**"),
        }
    }
    let built = GlobBuilder::new(&glob)
        .literal_separator(true)
        .empty_alternates(true)
        .backslash_escape(true)
        .build();
    built
        .map(|glob| glob.compile_matcher())
        .map_err(|_| PatternFault::TooComplex)
}

fn covers(outer: &[Segment], inner: &[Segment]) -> bool {
    match (outer, inner) {
        ([], []) => true,
        ([Segment::Any, rest @ ..], _) => {
            covers(rest, inner) || matches!(inner, [_, tail @ ..] if covers(outer, tail))
        }
        ([Segment::One, a @ ..], [Segment::One | Segment::Literal(_), b @ ..]) => covers(a, b),
        ([Segment::Literal(x), a @ ..], [Segment::Literal(y), b @ ..]) => x == y && covers(a, b),
        _ => false,
    }
}

fn meets(left: &[Segment], right: &[Segment]) -> bool {
    match (left, right) {
        ([], []) => true,
        ([Segment::Any, rest @ ..], other) => {
            meets(rest, other) || matches!(other, [_, tail @ ..] if meets(left, tail))
        }
        (other, [Segment::Any, rest @ ..]) => {
            meets(other, rest) || matches!(other, [_, tail @ ..] if meets(tail, right))
        }
        ([Segment::Literal(x), a @ ..], [Segment::Literal(y), b @ ..]) => x == y && meets(a, b),
        ([_, a @ ..], [_, b @ ..]) => meets(a, b),
        _ => false,
    }
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
