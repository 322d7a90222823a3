//! Content codings: which of them a client takes (RFC 9110 section 12.5.3), and which answers may have one.
//!
//! It stands apart from the encoders, so that both questions are tables. It says no to whatever must arrive as the service
//! sent it, and to a client that did not ask.

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// What is shorter gains nothing, in bytes: it fits into one packet as it is.
const SHORT: u64 = 1024;

/// What an answer depends on that may be coded.
const VARIES: &str = "Accept-Encoding";

/// Headers that speak of the very bytes that were sent, or of a part of them, or that promise trailers.
const BOUND: [HeaderName; 8] = [
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::TRAILER,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("signature-input"),
];

/// Media types that shrink, beside `text/*`, `*+json` and `*+xml`. All others are left alone: most of what is large is
/// compressed already.
const TYPES: [&str; 16] = [
    "application/json",
    "application/javascript",
    "application/x-javascript",
    "application/ecmascript",
    "application/xml",
    "application/x-ndjson",
    "application/jsonl",
    "application/json-seq",
    "application/yaml",
    "application/toml",
    "application/wasm",
    "application/vnd.ms-fontobject",
    "font/ttf",
    "font/otf",
    "image/bmp",
    "image/x-icon",
];

/// A content coding that the gateway can give to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
    /// RFC 1952.
    Gzip,
}

/// How much a client likes each coding, in thousandths; none where it does not say.
#[derive(Default)]
struct Wishes {
    codings: [Option<u16>; Coding::ALL.len()],
    others: Option<u16>,
    identity: Option<u16>,
}

impl Coding {
    /// All of them, in the order for rules that name none: they shrink alike, and zstd is done in a fifth of the time.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// What `Content-Encoding` calls it.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// What `gateway.yaml` calls it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "brotli",
            other => other.token(),
        }
    }
}

/// The coding that the client likes best; among those it likes equally, the first of `order`. None where it did not ask
/// for any, likes the answer better as it is, or wants it untouched on its way.
#[must_use]
pub fn choose(order: &[Coding], request: &HeaderMap) -> Option<Coding> {
    if is_to_stay_as_it_is(request) {
        return None;
    }
    let wishes = Wishes::of(request);
    let mut best = (0, None);
    for &coding in order {
        let weight = wishes.weight(coding);
        if weight > best.0 {
            best = (weight, Some(coding));
        }
    }
    // Whoever does not name `identity` takes it, but likes it least.
    best.1
        .filter(|_| best.0 >= wishes.identity.unwrap_or_default())
}

/// Whether an answer may be coded: whether it is whole, in a format that shrinks, and not bound to its bytes.
#[must_use]
pub fn may_be_coded(status: StatusCode, answer: &HeaderMap) -> bool {
    let whole = !status.is_informational() && !matches!(status.as_u16(), 204..=206 | 304);
    whole
        && shrinks(answer)
        && !is_short(answer)
        && !BOUND.iter().any(|name| answer.contains_key(name))
        && !is_to_stay_as_it_is(answer)
}

/// The `Vary` of an answer that others get in another coding; none where it says so already.
#[must_use]
pub fn vary(answer: &HeaderMap) -> Option<HeaderValue> {
    let said = || items(answer, &header::VARY).filter(|item| !item.is_empty());
    if said().any(|item| item == "*" || item.eq_ignore_ascii_case(VARIES)) {
        return None;
    }
    let all: Vec<&str> = said().chain([VARIES]).collect();
    HeaderValue::from_str(&all.join(", ")).ok()
}

/// A strong `ETag` made weak: what it names is no more the same byte for byte. None where there is none, or a weak one.
#[must_use]
pub fn weakened(answer: &HeaderMap) -> Option<HeaderValue> {
    let tag = answer.get(header::ETAG)?.as_bytes();
    let weak = || HeaderValue::from_bytes(&[b"W/", tag].concat()).ok();
    tag.starts_with(b"\"").then(weak)?
}

/// Whether the client holds what this answer (a 304) confirms under its weakened tag.
#[must_use]
pub fn is_held_weakly(request: &HeaderMap, answer: &HeaderMap) -> bool {
    weakened(answer).is_some_and(|weak| {
        let mut held = items(request, &header::IF_NONE_MATCH);
        held.any(|tag| tag.as_bytes() == weak.as_bytes())
    })
}

impl Wishes {
    fn of(request: &HeaderMap) -> Self {
        let mut wishes = Self::default();
        for item in items(request, &header::ACCEPT_ENCODING) {
            let (name, weight) = item.split_once(';').unwrap_or((item, ""));
            if let Some(known) = wishes.entry(name.trim_end()) {
                let weight = thousandths(weight);
                // Who names one twice does not want it more than they say where they want it least.
                *known = Some(known.map_or(weight, |other| other.min(weight)));
            }
        }
        wishes
    }

    fn entry(&mut self, name: &str) -> Option<&mut Option<u16>> {
        let is = |token: &str| name.eq_ignore_ascii_case(token);
        match name {
            "*" => Some(&mut self.others),
            _ if is("identity") => Some(&mut self.identity),
            _ if is("x-gzip") => self.codings.get_mut(Coding::Gzip as usize),
            _ => {
                let coding = Coding::ALL.into_iter().find(|coding| is(coding.token()))?;
                self.codings.get_mut(coding as usize)
            }
        }
    }

    fn weight(&self, coding: Coding) -> u16 {
        let named = self.codings.get(coding as usize).copied().flatten();
        named.or(self.others).unwrap_or_default()
    }
}

/// A weight such as `q=0.5` (RFC 9110 section 12.4.2); all of it where nothing is said, and nothing where it is none.
fn thousandths(parameter: &str) -> u16 {
    let text = parameter.trim();
    if text.is_empty() {
        return 1000;
    }
    let value = text.strip_prefix("q=").or_else(|| text.strip_prefix("Q="));
    let (whole, part) = value.map_or(("", ""), |value| {
        value.split_once('.').unwrap_or((value, ""))
    });
    let is_number = part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    match whole {
        "0" if is_number => format!("{part:0<3}").parse().unwrap_or(0),
        "1" if is_number && part.bytes().all(|byte| byte == b'0') => 1000,
        _ => 0,
    }
}

/// `no-transform`: nobody between service and client may change the content (RFC 9111 section 5.2).
fn is_to_stay_as_it_is(headers: &HeaderMap) -> bool {
    items(headers, &header::CACHE_CONTROL).any(|item| item.eq_ignore_ascii_case("no-transform"))
}

fn is_short(answer: &HeaderMap) -> bool {
    let length = answer.get(header::CONTENT_LENGTH);
    length.is_some_and(|value| {
        let length = value.to_str().ok().and_then(|text| text.parse().ok());
        length.is_none_or(|length: u64| length < SHORT)
    })
}

fn shrinks(answer: &HeaderMap) -> bool {
    let value = answer.get(header::CONTENT_TYPE);
    let text = value.and_then(|value| value.to_str().ok());
    let kind = text.and_then(|text| text.split(';').next());
    let kind = kind.unwrap_or_default().trim().to_ascii_lowercase();
    // gRPC has a coding of its own, message by message, whatever is in them.
    if kind.starts_with("application/grpc") {
        return false;
    }
    let family = kind.starts_with("text/") || kind.ends_with("+json") || kind.ends_with("+xml");
    family || TYPES.contains(&kind.as_str())
}

/// The items of a list that may stand in several lines. A line that is no text has none.
fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter();
    let texts = lines.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim)
}

#[cfg(test)]
#[path = "coding_tests.rs"]
mod tests;
