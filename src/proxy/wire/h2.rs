//! The frames of an HTTP/2 connection, followed only far enough to know whether a request head is under way
//! (RFC 9113 sections 3.4, 4.1 and 4.3), and what either side makes the other work for.

/// Follows the client's frames.
#[derive(Debug)]
pub struct Frames {
    /// Bytes of the connection preface still to come.
    preface: usize,
    walk: Walk,
    /// Whether the payload is a body, which may take its time.
    data: bool,
    /// Whether a header block is open: begun, and not ended by `END_HEADERS`.
    block: bool,
    /// The stream that the client opened last.
    latest: u32,
}

/// What a client sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Came {
    /// Whether it was at rest in between.
    pub rested: bool,
    /// Streams that it reset.
    pub resets: u32,
    /// Frames that belong to no request and yet want to be worked on.
    pub idle: u32,
    /// Frames of requests: heads and content.
    pub useful: u32,
}

/// Follows what the client is sent.
#[derive(Debug, Default)]
pub struct Answers {
    walk: Walk,
    kind: u8,
    /// The beginning of a payload that is looked into.
    note: Vec<u8>,
}

/// What a client was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Went {
    /// Frames of answers: heads and content.
    pub useful: u32,
    /// Streams that were reset because of what the client did, those that were one too many included.
    pub faults: u32,
    /// Streams that were one too many.
    pub refused: u32,
    /// Why the connection ends, if that is the client's fault.
    pub away: Option<Away>,
}

/// Why a connection is ended, as the `h2` crate words it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    /// Too many streams were reset, by the client or for its faults.
    Resets,
    /// A head in too many pieces, or much too large.
    Head,
    /// Too much to do for nothing.
    Frames,
    /// A fault of protocol, not a question of how much.
    Fault,
}

/// Walks over frames: their headers are read, their payloads stepped over.
#[derive(Debug, Default)]
struct Walk {
    header: [u8; HEADER],
    filled: usize,
    /// Bytes of the frame's payload still to come.
    payload: usize,
}

/// One step of a walk.
enum Step<'a> {
    /// A frame begins: kind, flags, stream.
    Frame(u8, u8, u32),
    /// Some of a payload.
    Payload(&'a [u8]),
    /// Some of a frame's header.
    Header,
}

const HEADER: usize = 9;
const PREFACE: usize = 24;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const AWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Codes of RFC 9113 section 7 that say who was at fault.
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// How much of a payload is looked into: the two numbers of a GOAWAY, and the words behind them.
const NOTE: usize = 40;

/// The frame that says goodbye for good, to a client that asks for too much.
#[must_use]
pub fn calm_down(latest: u32) -> [u8; HEADER + 8] {
    let mut frame = [0, 0, 8, AWAY, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let payload = latest
        .to_be_bytes()
        .into_iter()
        .chain(ENHANCE_YOUR_CALM.to_be_bytes());
    let places = frame.iter_mut().skip(HEADER);
    places.zip(payload).for_each(|(to, from)| *to = from);
    frame
}

impl Walk {
    /// The next step into `bytes`, which are not empty, and what is left of them.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> (Step<'a>, &'a [u8]) {
        if self.payload > 0 {
            let length = self.payload.min(bytes.len());
            let (payload, rest) = bytes.split_at(length);
            self.payload -= length;
            return (Step::Payload(payload), rest);
        }
        let length = (HEADER - self.filled).min(bytes.len());
        let (piece, rest) = bytes.split_at(length);
        let room = self.header.iter_mut().skip(self.filled);
        room.zip(piece).for_each(|(to, from)| *to = *from);
        self.filled += length;
        if self.filled < HEADER {
            return (Step::Header, rest);
        }
        self.filled = 0;
        let [a, b, c, kind, flags, stream @ ..] = self.header;
        self.payload = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        (
            Step::Frame(kind, flags, u32::from_be_bytes(stream) & 0x7fff_ffff),
            rest,
        )
    }

    const fn between_frames(&self) -> bool {
        self.filled == 0 && self.payload == 0
    }
}

impl Frames {
    /// At the start of a connection.
    #[must_use]
    pub fn new() -> Self {
        Self {
            preface: PREFACE,
            walk: Walk::default(),
            data: false,
            block: false,
            latest: 0,
        }
    }

    /// Whether nothing is under way that the client must finish soon: no preface, no frame other than a
    /// body, no header block.
    #[must_use]
    pub const fn at_rest(&self) -> bool {
        let payload = self.walk.payload == 0 || self.data;
        self.preface == 0 && self.walk.filled == 0 && !self.block && payload
    }

    /// The stream that the client opened last.
    #[must_use]
    pub const fn latest(&self) -> u32 {
        self.latest
    }

    /// Follows the client into `bytes`.
    pub fn advance(&mut self, bytes: &[u8]) -> Came {
        let mut came = Came {
            rested: self.at_rest(),
            ..Came::default()
        };
        let skipped = self.preface.min(bytes.len());
        self.preface -= skipped;
        let mut rest = bytes.get(skipped..).unwrap_or_default();
        came.rested |= self.at_rest();
        while !rest.is_empty() {
            let (step, left) = self.walk.step(rest);
            rest = left;
            if let Step::Frame(kind, flags, stream) = step {
                self.begin(kind, flags, stream, &mut came);
            }
            came.rested |= self.at_rest();
        }
        came
    }

    fn begin(&mut self, kind: u8, flags: u8, stream: u32, came: &mut Came) {
        self.data = kind == DATA;
        match kind {
            HEADERS => {
                self.latest = self.latest.max(stream);
                came.useful += 1;
            }
            DATA if self.walk.payload > 0 || flags & END_STREAM != 0 => came.useful += 1,
            RESET => came.resets += 1,
            _ => came.idle += 1,
        }
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

impl Answers {
    /// Whether another frame may be put behind what went.
    #[must_use]
    pub const fn between_frames(&self) -> bool {
        self.walk.between_frames()
    }

    /// Follows what went to the client.
    pub fn advance(&mut self, bytes: &[u8], went: &mut Went) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (step, left) = self.walk.step(rest);
            rest = left;
            match step {
                Step::Frame(kind, ..) => {
                    self.kind = kind;
                    self.note.clear();
                    went.useful += u32::from(kind == DATA || kind == HEADERS);
                }
                Step::Payload(piece) if self.kind == RESET || self.kind == AWAY => {
                    let room = NOTE.saturating_sub(self.note.len());
                    self.note.extend(piece.iter().take(room));
                    if self.walk.payload == 0 {
                        self.read_note(went);
                    }
                }
                Step::Payload(_) | Step::Header => {}
            }
        }
    }

    fn read_note(&self, went: &mut Went) {
        let number = |bytes: &[u8]| {
            bytes
                .first_chunk()
                .map_or(0, |four| u32::from_be_bytes(*four))
        };
        if self.kind == RESET {
            let code = number(&self.note);
            went.refused += u32::from(code == REFUSED_STREAM);
            went.faults += u32::from(is_fault(code));
            return;
        }
        let (_, why) = self.note.split_at_checked(4).unwrap_or_default();
        went.away = match (number(why), why.get(4..).unwrap_or_default()) {
            (0, _) => None,
            (ENHANCE_YOUR_CALM, b"too_many_resets" | b"too_many_internal_resets") => {
                Some(Away::Resets)
            }
            (ENHANCE_YOUR_CALM, b"too_many_continuations" | b"header_list_way_too_large") => {
                Some(Away::Head)
            }
            (ENHANCE_YOUR_CALM, _) => Some(Away::Frames),
            _ => Some(Away::Fault),
        };
    }
}

/// Whether a stream that was reset with this code was reset for what the client did.
const fn is_fault(code: u32) -> bool {
    matches!(
        code,
        PROTOCOL_ERROR | FLOW_CONTROL_ERROR | STREAM_CLOSED | FRAME_SIZE_ERROR | REFUSED_STREAM
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn begun() -> Frames {
        let mut frames = Frames::new();
        frames.advance(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        frames
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
        let bytes = [b"dy", &frame(HEADERS, END_HEADERS, b"a")[..4]].concat();
        assert!(frames.advance(&bytes).rested, "it rested in between");
        assert!(!frames.at_rest());
    }

    #[test]
    fn b_07_what_a_client_sends_is_told_apart() {
        let bytes = [
            frame(HEADERS, END_HEADERS | END_STREAM, b"abc"),
            frame(DATA, 0, b"body"),
            frame(DATA, 0, b""),
            frame(DATA, END_STREAM, b""),
            frame(RESET, 0, &[0; 4]),
            frame(4, 0, b""),
            frame(6, 0, &[0; 8]),
            frame(8, 0, &[0; 4]),
            frame(200, 0, b"what"),
        ]
        .concat();
        let all = Came {
            rested: true,
            resets: 1,
            idle: 5,
            useful: 3,
        };
        assert_eq!(begun().advance(&bytes), all);
        let mut frames = begun();
        let one = |sum: Came, byte: u8| {
            let came = frames.advance(&[byte]);
            Came {
                rested: sum.rested | came.rested,
                resets: sum.resets + came.resets,
                idle: sum.idle + came.idle,
                useful: sum.useful + came.useful,
            }
        };
        let sum = bytes.iter().copied().fold(Came::default(), one);
        assert_eq!((sum, frames.latest()), (all, 1));
    }

    #[test]
    fn b_07_what_a_client_is_sent_says_why() {
        let away = |code: u8, words: &[u8]| {
            frame(AWAY, 0, &[&[0, 0, 0, 1, 0, 0, 0, code], words].concat())
        };
        let cases = [
            (away(11, b"too_many_resets"), Some(Away::Resets)),
            (away(11, b"too_many_internal_resets"), Some(Away::Resets)),
            (away(11, b"too_many_continuations"), Some(Away::Head)),
            (away(11, b"too_many_data_frames"), Some(Away::Frames)),
            (away(1, b""), Some(Away::Fault)),
            (away(0, b""), None),
            (calm_down(7).to_vec(), Some(Away::Frames)),
        ];
        for (bytes, expected) in cases {
            let (mut answers, mut went) = (Answers::default(), Went::default());
            let (first, second) = bytes.split_at(12);
            answers.advance(first, &mut went);
            assert!(!answers.between_frames());
            answers.advance(second, &mut went);
            assert_eq!((went.away, answers.between_frames()), (expected, true));
        }
        let (mut answers, mut went) = (Answers::default(), Went::default());
        for code in [0, 1, 2, 3, 5, 6, 7, 7, 8] {
            answers.advance(&frame(RESET, 0, &[0, 0, 0, code]), &mut went);
        }
        answers.advance(&frame(HEADERS, END_HEADERS, b"abc"), &mut went);
        assert_eq!((went.faults, went.refused, went.useful), (6, 2, 1));
    }
}
