//! An HTTP/2 client with no manners: any field in any frame, and answers read as they come.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::hpack;
use super::message::latin;
use super::wire::{Got, Wire};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const AWAY: u8 = 7;
const WINDOW: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// A field to send: name and value, unchecked.
pub type Field<'a> = (&'a str, &'a str);

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer.
    Answer {
        /// The status code.
        status: u16,
        /// The other fields.
        fields: Vec<(String, String)>,
        /// The content.
        body: Vec<u8>,
    },
    /// With `RST_STREAM` and this code.
    Reset(u32),
    /// With `GOAWAY` and this code.
    Away(u32),
    /// With the connection.
    Closed,
    /// Not within the deadline.
    Late,
}

impl Outcome {
    /// The status, when there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The values of a header of the answer.
    pub fn values(&self, name: &str) -> Vec<String> {
        match self {
            Self::Answer { fields, .. } => fields
                .iter()
                .filter(|(found, _)| found == name)
                .map(|(_, value)| value.clone())
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Whether the request was refused as malformed: 400, or a protocol error on stream or connection.
    pub fn is_malformed(&self) -> bool {
        match self {
            Self::Answer { status, .. } => *status == 400,
            Self::Reset(_) | Self::Away(_) | Self::Closed => true,
            Self::Late => false,
        }
    }
}

#[derive(Default)]
struct Stream {
    status: Option<u16>,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    block: Vec<u8>,
    ended: Option<Outcome>,
    reset: bool,
}

/// One connection; the preface and our settings are already sent.
pub struct H2 {
    wire: Wire,
    buffer: Vec<u8>,
    next: u32,
    streams: HashMap<u32, Stream>,
    over: Option<Outcome>,
    /// The last stream that the other side looks at, once it has said that it goes.
    pub last_taken: Option<u32>,
}

impl H2 {
    /// In the clear, by prior knowledge.
    pub fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        Self::over(Wire::Plain(socket))
    }

    /// Over a connection that is already there.
    pub fn over(wire: Wire) -> Self {
        let mut client = Self {
            wire,
            buffer: Vec::new(),
            next: 1,
            streams: HashMap::new(),
            over: None,
            last_taken: None,
        };
        client.bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        // HEADER_TABLE_SIZE 0 (see hpack), ENABLE_PUSH 0.
        client.frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
        client
    }

    /// Sends bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let _ = self.wire.send(bytes);
    }

    /// Sends one frame.
    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.bytes(&frame);
    }

    /// Opens a stream with these fields; `end` when no body follows. Blocks over 16 KiB are continued.
    pub fn open(&mut self, fields: &[Field<'_>], end: bool) -> u32 {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        let stream = self.next;
        self.next += 2;
        self.streams.insert(stream, Stream::default());
        self.block(stream, &hpack::encode(&fields), end);
        stream
    }

    /// The same with names and values that need not be text.
    pub fn open_bytes(&mut self, fields: &[(&[u8], &[u8])], end: bool) -> u32 {
        let stream = self.next;
        self.next += 2;
        self.streams.insert(stream, Stream::default());
        self.block(stream, &hpack::encode(fields), end);
        stream
    }

    /// Opens a stream and grants nothing for what comes on it.
    pub fn open_unread(&mut self, fields: &[Field<'_>]) -> u32 {
        let stream = self.open(fields, true);
        self.streams.remove(&stream);
        stream
    }

    /// Follows a stream that was opened by frames sent by hand.
    pub fn expect(&mut self, stream: u32) {
        self.next = self.next.max(stream + 2);
        self.streams.insert(stream, Stream::default());
    }

    fn block(&mut self, stream: u32, block: &[u8], end: bool) {
        let mut parts = block.chunks(16_384).peekable();
        let mut kind = HEADERS;
        while let Some(part) = parts.next() {
            let last = if parts.peek().is_none() {
                END_HEADERS
            } else {
                0
            };
            let end = if kind == HEADERS && end {
                END_STREAM
            } else {
                0
            };
            self.frame(kind, last | end, stream, part);
            kind = CONTINUATION;
        }
    }

    /// Sends a piece of a body.
    pub fn data(&mut self, stream: u32, bytes: &[u8], end: bool) {
        self.frame(DATA, if end { END_STREAM } else { 0 }, stream, bytes);
    }

    /// Ends a stream with trailers.
    pub fn trailers(&mut self, stream: u32, fields: &[Field<'_>]) {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        self.block(stream, &hpack::encode(&fields), true);
    }

    /// `GET path` at `localhost` with more fields, read to its end.
    pub fn get(&mut self, path: &str, more: &[Field<'_>]) -> Outcome {
        let mut fields = request("GET", path);
        fields.extend_from_slice(more);
        self.ask(&fields)
    }

    /// Sends exactly these fields without a body, and reads to the stream's end.
    pub fn ask(&mut self, fields: &[Field<'_>]) -> Outcome {
        let stream = self.open(fields, true);
        self.read(stream)
    }

    /// Reads until this stream has ended.
    pub fn read(&mut self, stream: u32) -> Outcome {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(ended) = self
                .streams
                .get(&stream)
                .and_then(|state| state.ended.clone())
            {
                return ended;
            }
            if let Some(over) = self.over.clone() {
                return over;
            }
            if !self.step(end) {
                return Outcome::Late;
            }
        }
    }

    /// Reads until what came on this stream holds `needle`; how the stream ended when it did not.
    pub fn wait_for(&mut self, stream: u32, needle: &str) -> Result<(), Outcome> {
        let end = Instant::now() + PATIENCE;
        loop {
            let state = &self.streams[&stream];
            if super::holds(&state.body, needle.as_bytes()) {
                return Ok(());
            }
            if let Some(over) = state.ended.as_ref().or(self.over.as_ref()) {
                return Err(over.clone());
            }
            if !self.step(end) {
                return Err(Outcome::Late);
            }
        }
    }

    /// How this stream ended, as far as was read.
    pub fn ended(&self, stream: u32) -> Option<Outcome> {
        let ended = self.streams.get(&stream)?.ended.clone();
        ended.or_else(|| self.over.clone())
    }

    /// Whether this stream was reset, be it behind its answer, as far as was read.
    pub fn was_reset(&self, stream: u32) -> bool {
        self.streams.get(&stream).is_some_and(|state| state.reset)
    }

    /// Reads until the whole connection ends or `limit` passes.
    pub fn ends_within(&mut self, limit: Duration) -> Option<Outcome> {
        let end = Instant::now() + limit;
        while self.over.is_none() && self.step(end) {}
        self.over.clone()
    }

    /// Handles one frame; false when the deadline passed.
    fn step(&mut self, end: Instant) -> bool {
        loop {
            if let Some((kind, flags, stream, payload)) = self.take() {
                self.handle(kind, flags, stream, &payload);
                return true;
            }
            match self.wire.pull(&mut self.buffer, end) {
                Got::Bytes => {}
                Got::Late => return false,
                Got::Closed => {
                    self.over.get_or_insert(Outcome::Closed);
                    return true;
                }
            }
        }
    }

    fn take(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let head = self.buffer.get(..9)?;
        let length = word(&[0, head[0], head[1], head[2]]) as usize;
        let (kind, flags, stream) = (head[3], head[4], word(&head[5..9]) & 0x7fff_ffff);
        if self.buffer.len() < 9 + length {
            return None;
        }
        let payload = self.buffer.drain(..9 + length).skip(9).collect();
        Some((kind, flags, stream, payload))
    }

    fn handle(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        match kind {
            SETTINGS if flags & ACK == 0 => self.frame(SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => self.frame(PING, ACK, 0, payload),
            AWAY if word(&payload[4..8]) == 0 => {
                self.last_taken = Some(word(payload) & 0x7fff_ffff);
            }
            AWAY => self.over = Some(Outcome::Away(word(&payload[4..8]))),
            RESET => self.reset(stream, word(payload)),
            HEADERS | CONTINUATION => self.fields(stream, flags, kind, payload),
            DATA => self.content(stream, flags, payload),
            _ => {}
        }
    }

    fn reset(&mut self, stream: u32, code: u32) {
        let Some(state) = self.streams.get_mut(&stream) else {
            return;
        };
        state.reset = true;
        // A reset with NO_ERROR behind a whole answer only says that the rest of our body is not wanted.
        state.ended.get_or_insert(Outcome::Reset(code));
    }

    fn fields(&mut self, stream: u32, flags: u8, kind: u8, payload: &[u8]) {
        let Some(state) = self.streams.get_mut(&stream) else {
            return;
        };
        state.block.extend_from_slice(payload);
        let ending = kind == HEADERS && flags & END_STREAM != 0;
        if flags & END_HEADERS != 0 {
            let mut fields = hpack::decode(&std::mem::take(&mut state.block));
            if fields.first().is_some_and(|(name, _)| name == ":status") {
                let (_, status) = fields.remove(0);
                let status: u16 = status.parse().unwrap();
                if status < 200 {
                    return;
                }
                state.status = Some(status);
                state.fields = fields;
            }
        }
        if ending {
            state.end();
        }
    }

    fn content(&mut self, stream: u32, flags: u8, payload: &[u8]) {
        if let Some(state) = self.streams.get_mut(&stream) {
            state.body.extend_from_slice(payload);
            if flags & END_STREAM != 0 {
                state.end();
            }
        }
        if !payload.is_empty() && self.streams.contains_key(&stream) {
            let grant = u32::try_from(payload.len()).unwrap().to_be_bytes();
            self.frame(WINDOW, 0, 0, &grant);
            self.frame(WINDOW, 0, stream, &grant);
        }
    }
}

impl Stream {
    fn end(&mut self) {
        let outcome = Outcome::Answer {
            status: self.status.unwrap_or(0),
            fields: std::mem::take(&mut self.fields),
            body: std::mem::take(&mut self.body),
        };
        self.ended.get_or_insert(outcome);
    }
}

/// The pseudo fields of a request to `localhost` in the clear.
pub fn request<'a>(method: &'a str, path: &'a str) -> Vec<Field<'a>> {
    vec![
        (":method", method),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", path),
    ]
}

/// The body of an answer as text.
pub fn text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Answer { body, .. } => latin(body),
        _ => String::new(),
    }
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
