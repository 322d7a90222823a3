//! How else services read a path than as it was judged.

use super::{CanonicalPath, PathFault, by_letters, encode};

/// A name that nothing has, for an empty segment: any name is matched by what matches this one.
const EMPTY: &str = "%EF%BF%BF";

/// How many segments of one path have parameters.
const MOST_CUTS: usize = 8;

impl CanonicalPath {
    /// The path, where it ends in a slash, as a service reads it for which the nothing behind that is a name, too: Fastify and
    /// Falcon hand `/u/` to `/u/:id`. `bared` says that the service is sent a slash, whether this has one or not.
    #[must_use]
    pub fn with_empty_last(&self, bared: bool) -> Option<Self> {
        let above = self.text.strip_suffix('/');
        let above = above.or_else(|| bared.then_some(&*self.text))?;
        Self::parse(format!("{above}/{EMPTY}").as_bytes()).ok()
    }

    /// The path as a service reads it that decodes `%2F` before it splits, and keeps what is empty then: to gin `/a/%2Fb` is
    /// `/a/:id/b`.
    ///
    /// # Errors
    /// As [`Self::with_slashes_decoded`].
    pub fn with_slashes_kept(&self) -> Result<Self, PathFault> {
        let text = self.text.replace("%2F", "/").replace("%2f", "/");
        let last = text.matches('/').count();
        let kept = text.split('/').enumerate().map(|(at, segment)| {
            let is_empty = segment.is_empty() && at > 0 && at < last;
            if is_empty { EMPTY } else { segment }
        });
        Self::revealed(&kept.collect::<Vec<_>>().join("/"))
    }

    /// The path as a service reads it that decodes `%2F` before it splits.
    ///
    /// # Errors
    /// When that reading is no path, or one of which services make different things.
    pub fn with_slashes_decoded(&self) -> Result<Self, PathFault> {
        Self::revealed(&self.text.replace("%2F", "/").replace("%2f", "/"))
    }

    /// The path as services read it that know matrix parameters: without them in each segment, or up to any of them, for some
    /// services end all of a path at the first `;`, at the last or at one that they know (Struts, Shiro, `;jsessionid`).
    /// And `%3B` is one of those or is not. Who cuts some and not others finds the same segments: none may be nothing else.
    ///
    /// # Errors
    /// When one of those readings is no path or one of which services make different things, and when there are more than
    /// anybody honest sends.
    pub fn without_matrix(&self) -> Result<Vec<Self>, PathFault> {
        let decoded = self.text.replace("%3B", ";");
        let (inner, _) = decoded.rsplit_once('/').unwrap_or_default();
        let cuts = decoded.split('/').filter(|segment| segment.contains(';'));
        if inner.contains("/;") || cuts.count() > MOST_CUTS {
            return Err(PathFault::Hidden);
        }
        let mut found = Vec::new();
        for text in [&*self.text, &decoded] {
            let mut begun = 0;
            let mut whole = Vec::new();
            for segment in text.split('/') {
                let cut = segment.split(';').next().unwrap_or_default();
                if cut.len() < segment.len() {
                    found.push(Self::revealed(
                        text.get(..begun + cut.len()).unwrap_or_default(),
                    )?);
                }
                begun += segment.len() + 1;
                whole.push(cut);
            }
            found.push(Self::revealed(&whole.join("/"))?);
        }
        Ok(found)
    }

    /// A path that came to light in another one. Who reads `/a%2F..%2Fb` as `/a/../b` may hand it to what lies below
    /// `/a` as it is, or resolve it first; nobody honest sends it. (`/a/%2F/b` is: it names what is called `/`.)
    fn revealed(text: &str) -> Result<Self, PathFault> {
        if text.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(PathFault::Hidden);
        }
        Self::parse(text.as_bytes())
    }

    /// The path as a service reads it that ignores case.
    ///
    /// # Errors
    /// When that reading is no path.
    pub fn folded(&self) -> Result<Self, PathFault> {
        Self::of_lower(&self.whole().to_lowercase())
    }

    /// This path as a service reads it that compares capitals, or folds letter by letter: for it `ı` and `İ` are `i`,
    /// and `ſ` is `s`.
    ///
    /// # Errors
    /// When that reading is no path.
    pub fn folded_by_letters(&self) -> Result<Self, PathFault> {
        Self::of_lower(&by_letters(self.whole()))
    }

    fn whole(&self) -> &str {
        self.decoded.as_deref().unwrap_or(&self.text)
    }

    fn of_lower(lower: &str) -> Result<Self, PathFault> {
        // An encoded slash stands in the decoded text as it was; `%252F` itself never gets this far.
        let encoded = encode(lower).replace("%252f", "%2F");
        Self::parse(encoded.as_bytes())
    }
}
