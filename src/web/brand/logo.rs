//! The logo: a small picture, served from our own origin, that can do nothing but be looked at.
//!
//! What it is, its first bytes say, never its name. An SVG is a document that could hold scripts: it is only ever
//! shown by `<img>`, where nothing runs, and whoever opens its address gets it in a sandbox.

use crate::base::token::TokenHash;

/// The largest picture: it is loaded before anybody can log in.
pub const MAX_BYTES: usize = 256 * 1024;

/// A picture that browsers show.
#[derive(Clone, Debug)]
pub struct Logo {
    bytes: Vec<u8>,
    kind: Kind,
    version: String,
}

/// What kind of picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `image/svg+xml`
    Svg,
    /// `image/png`
    Png,
    /// `image/webp`
    Webp,
}

/// Why a file is no logo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotALogo {
    /// More than [`MAX_BYTES`].
    #[error("is larger than 256KiB")]
    TooLarge,
    /// Neither of the kinds.
    #[error("is neither an SVG, a PNG nor a WebP picture")]
    Unknown,
}

impl Logo {
    /// Looks at what a file holds.
    ///
    /// # Errors
    /// When it is too large, or no picture that we serve.
    pub fn new(bytes: Vec<u8>) -> Result<Self, NotALogo> {
        if bytes.len() > MAX_BYTES {
            return Err(NotALogo::TooLarge);
        }
        let kind = Kind::of(&bytes).ok_or(NotALogo::Unknown)?;
        let hash = TokenHash::of(&bytes);
        let version = hash.as_bytes().iter().take(8).map(|b| format!("{b:02x}"));
        let version = version.collect();
        Ok(Self {
            bytes,
            kind,
            version,
        })
    }

    /// The picture.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Changes when the picture does; goes into its address, so that it may be cached.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl Kind {
    fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            return Some(Self::Png);
        }
        if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            return Some(Self::Webp);
        }
        let text = std::str::from_utf8(bytes).ok()?;
        is_svg(text).then_some(Self::Svg)
    }

    /// Its media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Svg => "image/svg+xml",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
        }
    }
}

/// Whether the first element is `svg`, after whatever may stand before it.
fn is_svg(text: &str) -> bool {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let end = match rest {
            _ if rest.starts_with("<?") => "?>",
            _ if rest.starts_with("<!--") => "-->",
            // A document type with definitions of its own is nothing a logo needs.
            _ if rest.starts_with("<!DOCTYPE svg") => ">",
            _ => break,
        };
        match rest.split_once(end) {
            Some((_, after)) => rest = after.trim_start(),
            None => return false,
        }
    }
    let after = rest.strip_prefix("<svg");
    after.is_some_and(|after| after.starts_with([' ', '>', '\n', '\r', '\t']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b_18_the_first_bytes_say_what_it_is() {
        let cases: [(&[u8], Option<Kind>); 12] = [
            (b"\x89PNG\r\n\x1a\nxyz", Some(Kind::Png)),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some(Kind::Webp)),
            (
                b"<svg xmlns='http://www.w3.org/2000/svg'/>",
                Some(Kind::Svg),
            ),
            (
                b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- x -->\n<!DOCTYPE svg PUBLIC 'x'>\n<svg>",
                Some(Kind::Svg),
            ),
            (b"<html><svg></svg></html>", None),
            (b"<svgx>", None),
            (b"<!-- never closed <svg>", None),
            (b"GIF89a", None),
            (b"\xff\xd8\xff\xe0 JFIF", None),
            (b"%PDF-1.4", None),
            (b"RIFF", None),
            (b"", None),
        ];
        for (bytes, kind) in cases {
            let found = Logo::new(bytes.to_vec()).ok().map(|logo| logo.kind());
            assert_eq!(found, kind, "{}", String::from_utf8_lossy(bytes));
        }
        let large = [b"<svg>".to_vec(), vec![b' '; MAX_BYTES]].concat();
        assert_eq!(Logo::new(large).unwrap_err(), NotALogo::TooLarge);
    }
}
