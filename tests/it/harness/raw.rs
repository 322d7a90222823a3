//! An HTTP/1 client that sends exactly what it is given, and reads answers with their right framing.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use super::PATIENCE;
use super::message::{self, Framing};
use super::wire::{Got, Wire};

/// A connection that knows nothing of good manners.
pub struct Raw {
    wire: Wire,
    buffer: Vec<u8>,
    patience: Duration,
    sent: bool,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The status line and headers, with the empty line at the end.
    pub head: Vec<u8>,
    /// The content.
    pub body: Vec<u8>,
    /// The codes of the 1xx answers that came first.
    pub interim: Vec<u16>,
}

impl Response {
    /// Every value of a header.
    pub fn values(&self, name: &str) -> Vec<String> {
        message::values(&self.head, name)
    }

    /// The first value of a header, or nothing.
    pub fn header(&self, name: &str) -> Option<String> {
        self.values(name).into_iter().next()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }

    /// Whether this turns an anonymous client away: 401, or 303 to the login page.
    pub fn denies_anonymous(&self) -> bool {
        let to_login = || {
            let place = self.header("location").unwrap_or_default();
            place.starts_with("/auth/login") || place.contains("://localhost/auth/login")
        };
        self.status == 401 || self.status == 303 && to_login()
    }
}

/// Why there was no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Silence {
    /// The connection ended first.
    Closed,
    /// The deadline passed first.
    Late,
    /// What came is not HTTP/1.
    Nonsense(String),
}

impl Raw {
    /// Connects in the clear.
    pub fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        Self::over(Wire::Plain(socket))
    }

    /// Connects in the clear from this address of our own, so that many clients are not one.
    pub fn from(source: &str, address: SocketAddr) -> Self {
        static RUNTIME: OnceLock<Runtime> = OnceLock::new();
        let runtime =
            RUNTIME.get_or_init(|| Builder::new_current_thread().enable_all().build().unwrap());
        let socket = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket
                .bind((source.parse::<IpAddr>().unwrap(), 0).into())
                .unwrap();
            socket.connect(address).await.unwrap().into_std().unwrap()
        });
        socket.set_nonblocking(false).unwrap();
        socket.set_nodelay(true).unwrap();
        Self::over(Wire::Plain(socket))
    }

    /// Speaks over a connection that is already there (see [`super::tls::connect`]).
    pub fn over(wire: Wire) -> Self {
        Self {
            wire,
            buffer: Vec::new(),
            patience: PATIENCE,
            sent: true,
        }
    }

    /// The connection under it.
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Waits this long for each answer instead of [`PATIENCE`].
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sends these bytes; that the other side hung up in the middle is noticed when reading.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.sent &= self.wire.send(bytes.as_ref()).is_ok();
        self
    }

    /// Whether everything so far could be handed to the network.
    pub fn all_sent(&self) -> bool {
        self.sent
    }

    /// Ends our half: the other side reads end-of-file.
    pub fn finish(&mut self) -> &mut Self {
        self.wire.finish();
        self
    }

    /// Sends a request and reads its answer.
    pub fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Response {
        self.send(bytes).read()
    }

    /// Reads the next answer, or fails the test.
    pub fn read(&mut self) -> Response {
        self.try_read()
            .unwrap_or_else(|why| panic!("no answer: {why:?}, have {:?}", self.left()))
    }

    /// Reads the next answer, to a HEAD request: no body follows whatever its length says.
    pub fn read_head(&mut self) -> Response {
        self.answer(true)
            .unwrap_or_else(|why| panic!("no answer: {why:?}, have {:?}", self.left()))
    }

    /// Reads the next answer, if there is one.
    pub fn try_read(&mut self) -> Result<Response, Silence> {
        self.answer(false)
    }

    /// What was received and not yet read, as text.
    pub fn left(&self) -> String {
        message::latin(&self.buffer)
    }

    /// Waits until the other side closes; false when it is still open at the deadline. Bytes that come
    /// before the end are kept for [`Raw::left`].
    pub fn closes(&mut self) -> bool {
        let end = Instant::now() + self.patience;
        loop {
            match self.wire.pull(&mut self.buffer, end) {
                Got::Bytes => {}
                Got::Closed => return true,
                Got::Late => return false,
            }
        }
    }

    /// Whether anything comes within `limit`, the end included. It is kept.
    pub fn hears(&mut self, limit: Duration) -> bool {
        self.wire.pull(&mut self.buffer, Instant::now() + limit) != Got::Late
    }

    /// Reads whatever comes, until the connection ends or `limit` passes.
    pub fn drain(&mut self, limit: Duration) -> Vec<u8> {
        let end = Instant::now() + limit;
        while self.wire.pull(&mut self.buffer, end) == Got::Bytes {}
        std::mem::take(&mut self.buffer)
    }

    /// Reads until the bytes contain `needle`; false when the connection ends or the deadline passes first.
    pub fn wait_for(&mut self, needle: &str) -> bool {
        let end = Instant::now() + self.patience;
        while !super::holds(&self.buffer, needle.as_bytes()) {
            if self.wire.pull(&mut self.buffer, end) != Got::Bytes {
                return false;
            }
        }
        true
    }

    fn answer(&mut self, bodiless: bool) -> Result<Response, Silence> {
        let end = Instant::now() + self.patience;
        let mut interim = Vec::new();
        loop {
            let head = self.head(end)?;
            let status = status(&head)?;
            if (100..200).contains(&status) && status != 101 {
                interim.push(status);
                continue;
            }
            let empty = bodiless || matches!(status, 101 | 204 | 304);
            let body = if empty {
                Vec::new()
            } else {
                self.body(&head, end)?
            };
            return Ok(Response {
                status,
                head,
                body,
                interim,
            });
        }
    }

    fn head(&mut self, end: Instant) -> Result<Vec<u8>, Silence> {
        loop {
            if let Some(stop) = message::head_end(&self.buffer) {
                return Ok(self.buffer.drain(..stop).collect());
            }
            self.pull(end)?;
        }
    }

    fn body(&mut self, head: &[u8], end: Instant) -> Result<Vec<u8>, Silence> {
        let framing = message::framing(head, Framing::Close);
        loop {
            match message::body(&self.buffer, framing) {
                Ok(Some(body)) => {
                    self.buffer.drain(..body.taken);
                    return Ok(body.content);
                }
                Ok(None) => match self.pull(end) {
                    Err(Silence::Closed) if framing == Framing::Close => {
                        return Ok(std::mem::take(&mut self.buffer));
                    }
                    pulled => pulled?,
                },
                Err(nonsense) => return Err(Silence::Nonsense(nonsense)),
            }
        }
    }

    fn pull(&mut self, end: Instant) -> Result<(), Silence> {
        match self.wire.pull(&mut self.buffer, end) {
            Got::Bytes => Ok(()),
            Got::Closed => Err(Silence::Closed),
            Got::Late => Err(Silence::Late),
        }
    }
}

fn status(head: &[u8]) -> Result<u16, Silence> {
    let text = message::latin(head);
    let line = text.split("\r\n").next().unwrap_or_default();
    let mut words = line.split(' ');
    let http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    match words.next().and_then(|word| word.parse().ok()) {
        Some(status) if http => Ok(status),
        _ => Err(Silence::Nonsense(line.to_owned())),
    }
}

impl Raw {
    /// Connects in the clear, if anybody listens there.
    pub fn try_connect(address: SocketAddr) -> Option<Self> {
        let socket = TcpStream::connect(address).ok()?;
        socket.set_nodelay(true).ok()?;
        Some(Self::over(Wire::Plain(socket)))
    }
}
