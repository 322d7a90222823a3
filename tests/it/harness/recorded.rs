//! One request as the service behind the gateway received it.

use super::{holds, message};

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Which connection it came on (from 1, in the order of acceptance).
    pub connection: u64,
    /// The request line and headers, with the empty line at the end.
    pub head: Vec<u8>,
    /// The content, chunk framing removed.
    pub body: Vec<u8>,
    /// Everything behind the head, as it came.
    pub raw_body: Vec<u8>,
    /// The trailer section, as it came.
    pub trailers: Vec<u8>,
    /// False when the connection ended (or made no sense) before the request did.
    pub complete: bool,
}

impl Recorded {
    /// The head as text, one character per byte.
    pub fn text(&self) -> String {
        message::latin(&self.head)
    }

    fn word(&self, index: usize) -> String {
        let text = self.text();
        let line = text.split("\r\n").next().unwrap_or_default();
        line.split(' ').nth(index).unwrap_or_default().to_owned()
    }

    /// The method.
    pub fn method(&self) -> String {
        self.word(0)
    }

    /// The target as it stands in the request line, query included.
    pub fn target(&self) -> String {
        self.word(1)
    }

    /// The target up to the `?`.
    pub fn path(&self) -> String {
        let target = self.target();
        target.split('?').next().unwrap_or_default().to_owned()
    }

    /// Header names and values in the order they came.
    pub fn fields(&self) -> Vec<(String, Vec<u8>)> {
        message::fields(&self.head)
    }

    /// Every value of a header, duplicates included.
    pub fn values(&self, name: &str) -> Vec<String> {
        message::values(&self.head, name)
    }

    /// The only value of a header; fails when it came twice.
    pub fn value(&self, name: &str) -> Option<String> {
        let mut values = self.values(name);
        assert!(values.len() < 2, "{name} came twice:\n{}", self.text());
        values.pop()
    }

    /// Whether head, body or trailers hold these bytes.
    pub fn mentions(&self, needle: &str) -> bool {
        let needle = needle.as_bytes();
        holds(&self.head, needle) || holds(&self.raw_body, needle)
    }
}
