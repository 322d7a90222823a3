//! The one reading of a request path (RFC 3986 section 6.2.2), or a refusal.
//!
//! The bypasses of other gateways came from judging one path and forwarding another. So a path is either
//! brought into a canonical form, which is what is judged *and* what is sent, or it is refused because some
//! service would read it differently. Two things with two readings (`%2F` and `;`) are marked, and refused
//! later unless the rule's upstream asked for them by name.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

mod reading;

/// A path in canonical form: absolute, without dot segments, empty segments or needless escapes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CanonicalPath {
    text: Box<str>,
    /// Percent-decoded, where that differs from `text`; an encoded slash stays encoded.
    decoded: Option<Box<str>>,
    marks: Marks,
}

/// What some upstream may allow although it has two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Marks {
    /// Holds `%2F`.
    pub encoded_slash: bool,
    /// Holds `;` or `%3B`, which some frameworks cut off.
    pub matrix: bool,
}

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// Does not begin with `/`.
    #[error("the target does not begin with '/'")]
    Relative,
    /// `%` without two hex digits.
    #[error("'%' without two hex digits")]
    BadEscape,
    /// A control character, raw or encoded.
    #[error("a control character")]
    Control,
    /// A raw space.
    #[error("a space")]
    Space,
    /// `\` or `%5C`, which some services take for `/`.
    #[error("a backslash")]
    Backslash,
    /// A raw `#`.
    #[error("a fragment")]
    Fragment,
    /// `<`, `>` or a raw backtick, which no URI holds and no client sends.
    #[error("a character that must be percent-encoded")]
    NotUri,
    /// A raw byte above 127.
    #[error("a byte outside ASCII that is not percent-encoded")]
    NotAscii,
    /// The decoded path is not UTF-8 in its shortest form.
    #[error("not UTF-8 once decoded")]
    NotUtf8,
    /// A dot segment that is none before an encoded slash is decoded, or a parameter cut off.
    #[error("a dot segment behind an encoded slash or a parameter")]
    Hidden,
    /// A second decoding would change the structure of the path.
    #[error("percent-encoded twice")]
    EncodedTwice,
    /// `..` above the root.
    #[error("'..' above the root")]
    AboveRoot,
}

impl CanonicalPath {
    /// Reads the path part of a request target, without its query.
    ///
    /// # Errors
    /// When the path has no reading that every service shares.
    pub fn parse(raw: &[u8]) -> Result<Self, PathFault> {
        if raw.first() != Some(&b'/') {
            return Err(PathFault::Relative);
        }
        match canonical_already(raw) {
            Some(text) => Ok(Self {
                text: text.into(),
                decoded: None,
                marks: Marks::default(),
            }),
            None => Self::respell(raw),
        }
    }

    fn respell(raw: &[u8]) -> Result<Self, PathFault> {
        let mut marks = Marks::default();
        let escaped = escape(raw, &mut marks)?;
        refuse_second_decoding(&escaped)?;
        let text = resolve_dots(&escaped)?;
        let decoded = decode(&text)?;
        Ok(Self {
            text: text.into(),
            decoded,
            marks,
        })
    }

    /// The canonical text: what is sent to the upstream.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The segments as rules see them: percent-decoded, without empty ones.
    pub fn segments(&self) -> impl Iterator<Item = &str> + Clone {
        self.decoded()
            .split('/')
            .filter(|segment| !segment.is_empty())
    }

    /// The decoded path without a trailing slash (the root is the empty text): what globs are matched on.
    #[must_use]
    pub fn decoded(&self) -> &str {
        self.decoded
            .as_deref()
            .unwrap_or(&self.text)
            .trim_end_matches('/')
    }

    /// What in this path has two readings.
    #[must_use]
    pub const fn marks(&self) -> Marks {
        self.marks
    }
}

/// Text as those fold it who compare capitals, or go letter by letter.
#[must_use]
pub fn by_letters(text: &str) -> String {
    let capitals = text.to_lowercase().to_uppercase();
    capitals.to_lowercase().replace("i\u{307}", "i")
}

/// Percent-encodes a decoded path so that [`CanonicalPath::parse`] reads it back.
#[must_use]
pub fn encode(decoded: &str) -> String {
    let mut out = String::with_capacity(decoded.len());
    for &byte in decoded.as_bytes() {
        if is_pchar(byte) || byte == b'/' {
            out.push(char::from(byte));
        } else {
            push_escape(&mut out, byte);
        }
    }
    out
}

/// The path as it stands, if nothing in it could be spelled otherwise: how nearly all paths come.
fn canonical_already(raw: &[u8]) -> Option<&str> {
    let mut after_slash = false;
    for &byte in raw {
        // A segment that begins with a dot may be one of those that are resolved.
        let unsure = after_slash && matches!(byte, b'/' | b'.');
        after_slash = byte == b'/';
        if unsure || !(after_slash || is_pchar(byte)) {
            return None;
        }
    }
    std::str::from_utf8(raw).ok()
}

/// First pass: every byte in its canonical spelling.
fn escape(raw: &[u8], marks: &mut Marks) -> Result<String, PathFault> {
    let mut out = String::with_capacity(raw.len() + 8);
    let mut rest = raw;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match *byte {
            b'%' => {
                let [high, low, tail @ ..] = tail else {
                    return Err(PathFault::BadEscape);
                };
                rest = tail;
                push_escaped(&mut out, *high, *low, marks)?;
            }
            b';' => {
                marks.matrix = true;
                out.push(';');
            }
            b'/' => out.push('/'),
            b'\\' => return Err(PathFault::Backslash),
            b'#' => return Err(PathFault::Fragment),
            b' ' => return Err(PathFault::Space),
            0..=0x1f | 0x7f => return Err(PathFault::Control),
            0x80.. => return Err(PathFault::NotAscii),
            b'<' | b'>' | b'`' => return Err(PathFault::NotUri),
            plain if is_pchar(plain) => out.push(char::from(plain)),
            other => push_escape(&mut out, other),
        }
    }
    Ok(out)
}

fn push_escaped(out: &mut String, high: u8, low: u8, marks: &mut Marks) -> Result<(), PathFault> {
    let (Some(h), Some(l)) = (hex_value(high), hex_value(low)) else {
        return Err(PathFault::BadEscape);
    };
    match h << 4 | l {
        0..=0x1f | 0x7f => return Err(PathFault::Control),
        b'\\' => return Err(PathFault::Backslash),
        b'/' => {
            marks.encoded_slash = true;
            // Forwarded as it came where an upstream allows it, so the case of the hex is kept.
            out.extend(['%', char::from(high), char::from(low)]);
        }
        byte if is_unreserved(byte) => out.push(char::from(byte)),
        byte => {
            marks.matrix |= byte == b';';
            push_escape(out, byte);
        }
    }
    Ok(())
}

/// A service that decodes twice must not find a structure that we did not judge.
fn refuse_second_decoding(escaped: &str) -> Result<(), PathFault> {
    for (at, _) in escaped.match_indices("%25") {
        if let Some([h, l]) = escaped.as_bytes().get(at + 3..at + 5)
            && let (Some(h), Some(l)) = (hex_value(*h), hex_value(*l))
        {
            let second = h << 4 | l;
            if is_unreserved(second) || second.is_ascii_control() || b"/\\;%".contains(&second) {
                return Err(PathFault::EncodedTwice);
            }
        }
    }
    Ok(())
}

/// RFC 3986 section 5.2.4, with empty segments dropped and `..` above the root refused instead of ignored.
fn resolve_dots(path: &str) -> Result<String, PathFault> {
    let mut out = String::with_capacity(path.len());
    let mut segments = path.split('/').peekable();
    let mut trailing_slash = false;
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "" | "." => trailing_slash = last,
            ".." => {
                let parent = out.rfind('/').ok_or(PathFault::AboveRoot)?;
                out.truncate(parent);
                trailing_slash = last;
            }
            plain => {
                out.push('/');
                out.push_str(plain);
                trailing_slash = false;
            }
        }
    }
    if trailing_slash || out.is_empty() {
        out.push('/');
    }
    Ok(out)
}

fn decode(text: &str) -> Result<Option<Box<str>>, PathFault> {
    if !text.contains('%') {
        return Ok(None);
    }
    let opaque = text.replace("%2F", "%252F").replace("%2f", "%252F");
    match percent_decode_str(&opaque).decode_utf8() {
        Ok(Cow::Owned(decoded)) => Ok(Some(decoded.into())),
        Ok(Cow::Borrowed(decoded)) => Ok(Some(decoded.into())),
        Err(_) => Err(PathFault::NotUtf8),
    }
}

fn push_escape(out: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).map_or('0', |&b| char::from(b));
    out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
}

const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// RFC 3986 section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986 section 3.3, less `;`, which is looked at on its own.
const fn is_pchar(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@'
        )
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
