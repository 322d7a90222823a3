//! The frames of an HTTP/2 connection, followed only far enough to know whether a request head is under way
//! (RFC 9113 sections 3.4, 4.1 and 4.3).

/// Follows the client's frames.
#[derive(Debug)]
pub struct Frames {
    /// Bytes of the connection preface still to come.
    preface: usize,
    /// The frame header that is being read.
    header: [u8; HEADER],
    filled: usize,
    /// Bytes of the frame's payload still to come.
    payload: usize,
    /// Whether that payload is a body, which may take its time.
    data: bool,
    /// Whether a header block is open: begun, and not ended by `END_HEADERS`.
    block: bool,
}

const HEADER: usize = 9;
const PREFACE: usize = 24;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

impl Frames {
    /// At the start of a connection.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            preface: PREFACE,
            header: [0; HEADER],
            filled: 0,
            payload: 0,
            data: false,
            block: false,
        }
    }

    /// Whether nothing is under way that the client must finish soon: no preface, no frame other than a
    /// body, no header block.
    #[must_use]
    pub const fn at_rest(&self) -> bool {
        self.preface == 0 && self.filled == 0 && !self.block && (self.payload == 0 || self.data)
    }

    /// Follows the client into `bytes`; whether it was at rest in between.
    pub fn advance(&mut self, bytes: &[u8]) -> bool {
        let mut rested = self.at_rest();
        let mut rest = bytes;
        while let [byte, tail @ ..] = rest {
            let skipped = self.preface.max(self.payload).min(rest.len());
            if self.preface > 0 {
                self.preface -= skipped;
                rest = rest.get(skipped..).unwrap_or_default();
            } else if self.payload > 0 {
                self.payload -= skipped;
                rest = rest.get(skipped..).unwrap_or_default();
            } else {
                self.header_byte(*byte);
                rest = tail;
            }
            rested |= self.at_rest();
        }
        rested
    }

    fn header_byte(&mut self, byte: u8) {
        if let Some(place) = self.header.get_mut(self.filled) {
            *place = byte;
        }
        self.filled += 1;
        if self.filled < HEADER {
            return;
        }
        self.filled = 0;
        let [a, b, c, kind, flags, ..] = self.header;
        self.payload = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.data = kind == DATA;
        if kind == HEADERS || kind == CONTINUATION {
            self.block = flags & END_HEADERS == 0;
        }
    }
}

impl Default for Frames {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![
            0,
            0,
            u8::try_from(payload.len()).unwrap(),
            kind,
            flags,
            0,
            0,
            0,
            1,
        ];
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn b_04_rest_is_between_frames_and_in_bodies() {
        let mut frames = Frames::new();
        assert!(!frames.at_rest());
        frames.advance(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        assert!(frames.at_rest());
        let whole = frame(HEADERS, END_HEADERS, b"abc");
        for byte in &whole[..whole.len() - 1] {
            frames.advance(&[*byte]);
            assert!(!frames.at_rest());
        }
        frames.advance(&whole[whole.len() - 1..]);
        assert!(frames.at_rest());
        frames.advance(&frame(HEADERS, 0, b"abc"));
        assert!(!frames.at_rest(), "the block is open");
        frames.advance(&frame(CONTINUATION, END_HEADERS, b"d"));
        assert!(frames.at_rest());
        frames.advance(&frame(DATA, 0, b"body")[..11]);
        assert!(frames.at_rest(), "a body takes its time");
        assert!(
            frames.advance(&[b"dy", &frame(HEADERS, END_HEADERS, b"a")[..4]].concat()),
            "it rested in between"
        );
        assert!(!frames.at_rest());
    }
}
