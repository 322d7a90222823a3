//! The body of an HTTP/1 request: where it ends, followed byte by byte (RFC 9112 section 7.1).

use super::head::{Framing, is_token};

/// Follows a body through bytes that arrive in pieces.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    state: State,
    /// Bytes of chunk extensions and trailers so far; nobody needs them.
    overhead: usize,
    /// Whether content has come since that was asked last.
    moved: bool,
}

/// A chunk that is not framed as it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed chunk framing")]
pub struct BodyFault;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Done,
    Length(u64),
    /// In a chunk size, with the digits so far.
    Size {
        size: u64,
        digits: u8,
    },
    Extension {
        size: u64,
    },
    SizeEnd {
        size: u64,
    },
    Data(u64),
    DataEnd,
    DataEndLf,
    /// At the start of a trailer line, or of the empty line that ends the body.
    TrailerStart,
    /// In the name of a trailer, which must be a field like any other.
    TrailerName,
    Trailer,
    TrailerEnd,
    LastLf,
}

/// Most bytes of extensions and trailers in one body.
const MAX_OVERHEAD: usize = 4 * 1024;

impl Body {
    /// A body that is delimited like this.
    #[must_use]
    pub const fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Empty => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size { size: 0, digits: 0 },
        };
        Self {
            state,
            overhead: 0,
            moved: false,
        }
    }

    /// Whether the last byte has been seen.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether what comes now is an extension or a trailer, of which nobody else sees how slowly it comes.
    #[must_use]
    pub fn is_aside(&self) -> bool {
        matches!(
            self.state,
            State::Extension { .. }
                | State::TrailerStart
                | State::TrailerName
                | State::Trailer
                | State::TrailerEnd
                | State::LastLf
        )
    }

    /// Whether content has come since this was asked last.
    pub fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Follows the body into `bytes`; how many of them belong to it.
    ///
    /// # Errors
    /// When a chunk is malformed; nothing after it can be trusted.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<usize, BodyFault> {
        let mut used = 0;
        while let Some(rest) = bytes
            .get(used..)
            .filter(|rest| !rest.is_empty() && !self.is_done())
        {
            used += self.step(rest)?;
        }
        Ok(used)
    }

    /// Takes as many bytes as one state can: whole stretches of data, else one.
    fn step(&mut self, rest: &[u8]) -> Result<usize, BodyFault> {
        let (left, counted): (u64, fn(u64) -> State) = match self.state {
            State::Length(left) => (left, |left| {
                if left == 0 {
                    State::Done
                } else {
                    State::Length(left)
                }
            }),
            State::Data(left) => (left, |left| {
                if left == 0 {
                    State::DataEnd
                } else {
                    State::Data(left)
                }
            }),
            _ => {
                let byte = rest.first().copied().ok_or(BodyFault)?;
                self.state = self.next(byte)?;
                return Ok(1);
            }
        };
        let taken = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
        self.state = counted(left - taken as u64);
        self.moved = true;
        Ok(taken)
    }

    fn next(&mut self, byte: u8) -> Result<State, BodyFault> {
        match (self.state, byte) {
            (State::Size { size, digits }, _) if digits < 8 && byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).ok_or(BodyFault)?;
                Ok(State::Size {
                    size: size << 4 | u64::from(digit),
                    digits: digits + 1,
                })
            }
            (State::Size { size, digits: 1.. } | State::Extension { size }, b'\r') => {
                Ok(State::SizeEnd { size })
            }
            (State::Size { size, digits: 1.. }, b';') => Ok(State::Extension { size }),
            (State::Extension { size }, b'\t' | b' '..=b'~') => {
                self.spend(State::Extension { size })
            }
            (State::SizeEnd { size: 0 }, b'\n') => Ok(State::TrailerStart),
            (State::SizeEnd { size }, b'\n') => Ok(State::Data(size)),
            (State::DataEnd, b'\r') => Ok(State::DataEndLf),
            (State::DataEndLf, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
            (State::TrailerStart, b'\r') => Ok(State::LastLf),
            (State::LastLf, b'\n') => Ok(State::Done),
            (State::Trailer, b'\r') => Ok(State::TrailerEnd),
            (State::TrailerEnd, b'\n') => Ok(State::TrailerStart),
            (State::TrailerStart | State::TrailerName, _) if is_token(byte) => {
                self.spend(State::TrailerName)
            }
            (State::TrailerName, b':') => self.spend(State::Trailer),
            (State::Trailer, b'\t' | b' '..=b'~' | 0x80..) => self.spend(State::Trailer),
            _ => Err(BodyFault),
        }
    }

    fn spend(&mut self, next: State) -> Result<State, BodyFault> {
        self.overhead += 1;
        if self.overhead > MAX_OVERHEAD {
            Err(BodyFault)
        } else {
            Ok(next)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunked(bytes: &[u8]) -> Result<(usize, bool), BodyFault> {
        let mut body = Body::new(Framing::Chunked);
        let whole = body.advance(bytes)?;
        let mut pieces = Body::new(Framing::Chunked);
        let mut used = 0;
        for byte in bytes {
            used += pieces.advance(&[*byte])?;
        }
        assert_eq!(
            (used, pieces.is_done()),
            (whole, body.is_done()),
            "pieces and whole agree"
        );
        Ok((whole, body.is_done()))
    }

    #[test]
    fn sound_chunks_end_where_they_end() {
        assert_eq!(chunked(b"0\r\n\r\nGET"), Ok((5, true)));
        assert_eq!(chunked(b"5\r\nhello\r\n0\r\n\r\nX"), Ok((15, true)));
        assert_eq!(
            chunked(b"A;x=\"y\"\r\n0123456789\r\n00\r\nT: v\r\n\r\n"),
            Ok((33, true))
        );
        assert_eq!(chunked(b"5\r\nhel"), Ok((6, false)));
        let mut body = Body::new(Framing::Length(3));
        assert_eq!((body.advance(b"ab"), body.is_done()), (Ok(2), false));
        assert_eq!((body.advance(b"cd"), body.is_done()), (Ok(1), true));
        assert!(Body::new(Framing::Empty).is_done());
    }

    #[test]
    fn s_08_s_09_s_10_malformed_chunks() {
        let long = format!("5;{}\r\n", "x".repeat(5_000));
        let bad = [
            &b"\r\n"[..],
            b"0x5\r\n",
            b"5 \r\n",
            b" 5\r\n",
            b"-5\r\n",
            b"123456789\r\n",
            b"ffffffffffffffff\r\n",
            b";x\r\n",
            b"5\nhello",
            b"5\r\nhelloX",
            b"5\r\nhello\n",
            b"5;a=\n\r\n",
            b"5;\0\r\n",
            b"0\r\nT: v\n\r\n",
            b"0\r\n: v\0",
            b"0\r\n\n",
            b"0\r\nA b\r\n\r\n",
            b"0\r\nAb\r\n\r\n",
            b"0\r\n A: b\r\n\r\n",
            b"5\rX",
            long.as_bytes(),
        ];
        for bytes in bad {
            assert_eq!(chunked(bytes), Err(BodyFault), "{}", bytes.escape_ascii());
        }
    }
}
