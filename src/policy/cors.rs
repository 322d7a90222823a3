//! Which pages of other origins may use a rule: the server's side of the CORS protocol (Fetch, section 3.3).
//!
//! It lets browsers show answers to pages that could not see them otherwise; it never lets a request pass that the rule
//! itself would refuse.

use std::time::Duration;

use http::header::{
    self, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE, HeaderMap,
};
use http::{HeaderName, HeaderValue};

use super::target::Verb;

/// A header and its value.
pub type Line = (HeaderName, HeaderValue);

/// What a service may not say where the rule does.
const OWNED: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

/// Whether a header of this name is said by `cors:` where a rule has it.
#[must_use]
pub fn owns(name: &str) -> bool {
    OWNED.iter().any(|owned| owned.as_str() == name)
}

/// `cors:` of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    origins: Origins,
    credentials: bool,
    headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
}

/// Whose pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Everybody's, without credentials.
    Any,
    /// Those of these origins, as browsers write them.
    These(Vec<HeaderValue>),
}

impl Cors {
    /// Pages of these origins may send `headers` and see `expose`, with the cookies and tokens that the browser
    /// holds if `credentials`; browsers may remember it for `max_age`.
    #[must_use]
    pub fn new(
        origins: Origins,
        (headers, expose): (&[HeaderName], &[HeaderName]),
        credentials: bool,
        max_age: Option<Duration>,
    ) -> Self {
        Self {
            origins,
            credentials,
            headers: list(headers),
            expose: list(expose),
            max_age: max_age.map(|age| HeaderValue::from(age.as_secs())),
        }
    }

    /// Whether another says the same, in whatever order.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let ordered = |cors: &Self| {
            let mut cors = cors.clone();
            if let Origins::These(origins) = &mut cors.origins {
                origins.sort_unstable();
            }
            cors
        };
        self == other || ordered(self) == ordered(other)
    }

    /// Whose pages may use the rule, for people to read.
    #[must_use]
    pub fn told(&self) -> String {
        let text = |origin: &HeaderValue| origin.to_str().unwrap_or_default().to_owned();
        let mut words = match &self.origins {
            Origins::Any => vec!["*".to_owned()],
            Origins::These(origins) => origins.iter().map(text).collect(),
        };
        words.extend(self.credentials.then(|| "credentials".to_owned()));
        words.join(", ")
    }

    /// Whether pages of this origin may use the rule.
    #[must_use]
    pub fn admits(&self, origin: &HeaderValue) -> bool {
        match &self.origins {
            Origins::Any => true,
            Origins::These(origins) => origins.contains(origin),
        }
    }

    /// Whether they may use it with what proves who looks at them.
    #[must_use]
    pub fn admits_with_credentials(&self, origin: &HeaderValue) -> bool {
        self.credentials && self.admits(origin)
    }

    /// The answer to a page that asks whether it may send such a request.
    #[must_use]
    pub fn preflight(&self, origin: &HeaderValue, method: Verb) -> Vec<Line> {
        let method = HeaderValue::from_static(method.as_str());
        let optional = [
            (ACCESS_CONTROL_ALLOW_HEADERS, &self.headers),
            (ACCESS_CONTROL_MAX_AGE, &self.max_age),
        ];
        let mut lines = self.admitted(origin);
        lines.push((ACCESS_CONTROL_ALLOW_METHODS, method));
        lines.extend(optional.into_iter().filter_map(given));
        lines.push((header::VARY, HeaderValue::from_static("origin")));
        lines
    }

    /// What every answer of the rule says.
    #[must_use]
    pub fn answer(&self, origin: Option<&HeaderValue>) -> Vec<Line> {
        let admitted = origin.filter(|origin| self.admits(origin));
        let mut lines = admitted.map_or_else(Vec::new, |origin| {
            let mut lines = self.admitted(origin);
            lines.extend(given((ACCESS_CONTROL_EXPOSE_HEADERS, &self.expose)));
            lines
        });
        if self.origins != Origins::Any {
            // Also to those who sent none: their answer is not for others.
            lines.push((header::VARY, HeaderValue::from_static("origin")));
        }
        lines
    }

    fn admitted(&self, origin: &HeaderValue) -> Vec<Line> {
        let shown = match self.origins {
            Origins::Any => HeaderValue::from_static("*"),
            Origins::These(_) => origin.clone(),
        };
        let mut lines = vec![(ACCESS_CONTROL_ALLOW_ORIGIN, shown)];
        if self.credentials {
            let yes = HeaderValue::from_static("true");
            lines.push((ACCESS_CONTROL_ALLOW_CREDENTIALS, yes));
        }
        lines
    }
}

/// Takes off a service's answer what is the rule's to say.
pub fn strip(headers: &mut HeaderMap) {
    for name in OWNED {
        headers.remove(name);
    }
}

fn given((name, value): (HeaderName, &Option<HeaderValue>)) -> Option<Line> {
    Some((name, value.clone()?))
}

fn list(names: &[HeaderName]) -> Option<HeaderValue> {
    let names: Vec<&str> = names.iter().map(HeaderName::as_str).collect();
    let text = names.join(", ");
    HeaderValue::from_str(&text)
        .ok()
        .filter(|_| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lines: Vec<Line>) -> String {
        let line = |(name, value): (HeaderName, HeaderValue)| {
            format!("{name}: {}\n", value.to_str().unwrap())
        };
        lines.into_iter().map(line).collect()
    }

    #[test]
    fn answers_name_the_origin_that_asked() {
        let origin = HeaderValue::from_static;
        let mine = origin("https://app.test");
        let cors = Cors::new(
            Origins::These(vec![origin("https://other.test"), mine.clone()]),
            (&[header::CONTENT_TYPE], &[header::ETAG]),
            true,
            Some(Duration::from_mins(10)),
        );
        insta::assert_snapshot!(shown(cors.preflight(&mine, Verb::Put)), @r"
        access-control-allow-origin: https://app.test
        access-control-allow-credentials: true
        access-control-allow-methods: PUT
        access-control-allow-headers: content-type
        access-control-max-age: 600
        vary: origin
        ");
        insta::assert_snapshot!(shown(cors.answer(Some(&mine))), @r"
        access-control-allow-origin: https://app.test
        access-control-allow-credentials: true
        access-control-expose-headers: etag
        vary: origin
        ");
        for other in [
            None,
            Some(origin("https://app.test.evil")),
            Some(origin("null")),
        ] {
            assert_eq!(shown(cors.answer(other.as_ref())), "vary: origin\n");
        }
        let open = Cors::new(Origins::Any, (&[], &[]), false, None);
        assert_eq!(
            shown(open.answer(Some(&mine))),
            "access-control-allow-origin: *\n"
        );
        assert_eq!(shown(open.answer(None)), "");
    }
}
