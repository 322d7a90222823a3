//! The head of an HTTP/1 request: found, bounded and checked byte by byte (RFC 9112 sections 2 to 6).

use memchr::{memchr, memchr2};

use crate::base::net::Host;
use crate::policy::target::{TargetFault, Verb};
use crate::proxy::settings::Limits;

/// Finds the end of a head in bytes that arrive in pieces, looking at each byte once.
#[derive(Debug, Default)]
pub struct Scanner {
    seen: usize,
    /// Bytes since the last line end, to know an empty line.
    line: usize,
}

/// How the body that follows is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    Empty,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// A sound head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// How the body is delimited.
    pub framing: Framing,
    /// The one host that is asked.
    pub host: Host,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadFault {
    /// A line end that is not CRLF.
    #[error("line ends must be CRLF")]
    LineEnd,
    /// Not a request line.
    #[error("malformed request line")]
    RequestLine,
    /// A method that is never served or not known.
    #[error("{0}")]
    Method(TargetFault),
    /// The target has no form that is served here.
    #[error("the target must begin with '/' and hold printable ASCII only")]
    Target,
    /// The target is too long.
    #[error("the target is too long")]
    TargetTooLong,
    /// Another version than 1.0 and 1.1.
    #[error("this version of HTTP is not spoken here")]
    Version,
    /// A malformed field line.
    #[error("malformed header field")]
    Field,
    /// Too many bytes.
    #[error("the request head is too large")]
    TooLarge,
    /// Too many fields.
    #[error("too many header fields")]
    TooManyFields,
    /// `Content-Length` and `Transfer-Encoding` leave a doubt about where the body ends.
    #[error("ambiguous message framing")]
    Framing,
    /// Not exactly one sound `Host`.
    #[error("exactly one valid Host is required")]
    Host,
    /// An expectation other than `100-continue`.
    #[error("this expectation cannot be met")]
    Expectation,
}

impl HeadFault {
    /// The status that answers it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Method(TargetFault::MethodRefused) => 405,
            Self::Method(_) => 501,
            Self::TargetTooLong => 414,
            Self::Version => 505,
            Self::TooLarge | Self::TooManyFields => 431,
            Self::Expectation => 417,
            _ => 400,
        }
    }
}

impl Scanner {
    /// Looks at what is new in `buffer`, which begins with the head. Gives the length of the head once its
    /// last line is there.
    ///
    /// # Errors
    /// On a line end that is not CRLF, as soon as it is seen.
    pub fn advance(&mut self, buffer: &[u8]) -> Result<Option<usize>, HeadFault> {
        while let Some(rest) = buffer.get(self.seen..).filter(|rest| !rest.is_empty()) {
            let Some(at) = memchr2(b'\r', b'\n', rest) else {
                self.seen += rest.len();
                self.line += rest.len();
                return Ok(None);
            };
            match rest.get(at..at + 2) {
                Some(b"\r\n") => {}
                None if rest.ends_with(b"\r") => {
                    // The other half may be on its way; this byte is looked at again.
                    self.seen += at;
                    self.line += at;
                    return Ok(None);
                }
                _ => return Err(HeadFault::LineEnd),
            }
            let empty = self.line + at == 0;
            self.seen += at + 2;
            self.line = 0;
            if empty && self.seen > 2 {
                return Ok(Some(self.seen));
            }
        }
        Ok(None)
    }
}

/// The host that a connection asked for last, and how it was written: the next head nearly always says the same,
/// and the same text means the same host.
#[derive(Debug, Default)]
pub struct LastHost(Option<(Box<[u8]>, Host)>);

impl LastHost {
    /// The host in the value of `Host` or `:authority`.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(&mut self, text: &[u8]) -> Result<Host, HeadFault> {
        match &self.0 {
            Some((known, host)) if **known == *text => Ok(host.clone()),
            _ => {
                let readable = std::str::from_utf8(text).map_err(|_| HeadFault::Host)?;
                let (host, _) = Host::parse_authority(readable).map_err(|_| HeadFault::Host)?;
                self.0 = Some((text.into(), host.clone()));
                Ok(host)
            }
        }
    }
}

/// Checks a whole head, from its first byte to the empty line that ends it.
///
/// # Errors
/// The first fault that is found.
pub fn check(head: &[u8], limits: &Limits, last: &mut LastHost) -> Result<Head, HeadFault> {
    // One empty line before a request is to be ignored (RFC 9112 section 2.2).
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    if head.len() > limits.head {
        return Err(HeadFault::TooLarge);
    }
    let mut lines = Lines(head.strip_suffix(b"\r\n\r\n").ok_or(HeadFault::LineEnd)?);
    let version = request_line(lines.next().unwrap_or_default(), limits)?;
    let mut fields = Fields {
        version,
        ..Fields::default()
    };
    for line in lines {
        fields.take(line, last)?;
        if fields.count > limits.fields {
            return Err(HeadFault::TooManyFields);
        }
    }
    if limits.hostless && fields.version == Version::Http10 && fields.host.is_none() {
        fields.host = Some(last.read(b"localhost")?);
    }
    fields.head()
}

/// Lines between CRLFs; the scanner has made sure that there are no others.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = memchr(b'\r', self.0).unwrap_or(self.0.len());
        let (line, rest) = self.0.split_at(end);
        self.0 = rest.strip_prefix(b"\r\n").unwrap_or_default();
        Some(line)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Version {
    Http10,
    #[default]
    Http11,
}

fn request_line(line: &[u8], limits: &Limits) -> Result<Version, HeadFault> {
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(if line.len() > limits.target + 64 {
            HeadFault::TargetTooLong
        } else {
            HeadFault::RequestLine
        });
    };
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            return Err(HeadFault::Version);
        }
        _ => return Err(HeadFault::RequestLine),
    };
    if method.is_empty() || !all(method, TOKEN) {
        return Err(HeadFault::RequestLine);
    }
    let verb =
        Verb::parse(std::str::from_utf8(method).unwrap_or_default()).map_err(HeadFault::Method)?;
    if target.len() > limits.target {
        return Err(HeadFault::TargetTooLong);
    }
    let served = target.starts_with(b"/") || (target == b"*" && verb == Verb::Options);
    if is_uri(target) && served {
        Ok(version)
    } else {
        Err(HeadFault::Target)
    }
}

/// Whether these are the characters of a URI, and of none that the library behind would refuse unseen.
fn is_uri(target: &[u8]) -> bool {
    let (path, query) = match memchr(b'?', target) {
        Some(mark) => target.split_at(mark),
        None => (target, &b""[..]),
    };
    all(path, PATH) && all(query, QUERY)
}

/// What the fields say about framing, gathered line by line.
#[derive(Debug, Default)]
struct Fields {
    version: Version,
    count: usize,
    host: Option<Host>,
    length: Option<u64>,
    chunked: bool,
}

impl Fields {
    fn take(&mut self, line: &[u8], last: &mut LastHost) -> Result<(), HeadFault> {
        let colon = memchr(b':', line).ok_or(HeadFault::Field)?;
        let (name, value) = line.split_at(colon);
        // A line that begins with white space is obs-fold, and a space before the colon a name with a space
        // in it: neither is a token.
        if name.is_empty() || !all(name, TOKEN) {
            return Err(HeadFault::Field);
        }
        let value = value.get(1..).unwrap_or_default();
        // Without an early end, so that many bytes are looked at at once.
        let controls = value.iter().fold(0, |found, &byte| {
            found | u8::from((byte < b' ' && byte != b'\t') || byte == 0x7f)
        });
        if controls != 0 {
            return Err(HeadFault::Field);
        }
        self.count += 1;
        self.note(name, trim(value), last)
    }

    fn note(&mut self, name: &[u8], value: &[u8], last: &mut LastHost) -> Result<(), HeadFault> {
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = parse_length(value).ok_or(HeadFault::Framing)?;
            // Two lines are two opinions, even when they agree.
            if self.length.replace(length).is_some() {
                return Err(HeadFault::Framing);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let sound = value.eq_ignore_ascii_case(b"chunked")
                && !self.chunked
                && self.version == Version::Http11;
            if !sound {
                return Err(HeadFault::Framing);
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"host") {
            if self.host.replace(last.read(value)?).is_some() {
                return Err(HeadFault::Host);
            }
        } else if name.eq_ignore_ascii_case(b"expect")
            && !value.eq_ignore_ascii_case(b"100-continue")
        {
            return Err(HeadFault::Expectation);
        }
        Ok(())
    }

    fn head(self) -> Result<Head, HeadFault> {
        let host = self.host.ok_or(HeadFault::Host)?;
        let framing = match (self.length, self.chunked) {
            (Some(_), true) => return Err(HeadFault::Framing),
            (None, true) => Framing::Chunked,
            (None | Some(0), false) => Framing::Empty,
            (Some(length), false) => Framing::Length(length),
        };
        Ok(Head { framing, host })
    }
}

/// One decimal number of at most 18 digits, without sign, list or leading zero.
pub fn parse_length(value: &[u8]) -> Option<u64> {
    let plain = matches!(value, [b'0'] | [b'1'..=b'9', ..])
        && value.len() <= 18
        && value.iter().all(u8::is_ascii_digit);
    if plain {
        std::str::from_utf8(value).ok()?.parse().ok()
    } else {
        None
    }
}

/// Without optional white space (RFC 9110 section 5.6.3), which is space and tab and nothing else.
pub(super) fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value
        .iter()
        .position(|byte| !blank(byte))
        .unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(|byte| !blank(byte))
        .map_or(start, |at| at + 1);
    value.get(start..end).unwrap_or_default()
}

/// RFC 9110 section 5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    all(&[byte], TOKEN)
}

const TOKEN: u8 = 1;
const PATH: u8 = 1 << 1;
const QUERY: u8 = 1 << 2;

/// What each byte may stand in: every byte of every head is looked up here.
static KINDS: [u8; 256] = kinds();

fn all(text: &[u8], kind: u8) -> bool {
    let kind_of = |byte: &u8| KINDS.get(usize::from(*byte)).copied().unwrap_or(0);
    text.iter().all(|byte| kind_of(byte) & kind != 0)
}

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated by the compiler, and `at` is a byte"
)]
const fn kinds() -> [u8; 256] {
    let mut kinds = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        if byte.is_ascii_alphanumeric() || holds(b"!#$%&'*+-.^_`|~", byte) {
            kinds[at] |= TOKEN;
        }
        if byte.is_ascii_graphic() && !holds(b"#<>`", byte) {
            kinds[at] |= PATH;
        }
        if byte.is_ascii_graphic() && !holds(b"#<>\"", byte) {
            kinds[at] |= QUERY;
        }
        at += 1;
    }
    kinds
}

const fn holds(set: &[u8], byte: u8) -> bool {
    match set {
        [] => false,
        [first, rest @ ..] => *first == byte || holds(rest, byte),
    }
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
