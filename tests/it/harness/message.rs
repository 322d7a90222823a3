//! Just enough HTTP/1 reading for both ends of the bench: heads, header values, framed bodies.

/// Where the head ends in `bytes` (behind the empty line), when it is complete.
pub fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// The lines of a head, without the start line and the empty ones at the end.
pub fn fields(head: &[u8]) -> Vec<(String, Vec<u8>)> {
    head.split(|byte| *byte == b'\n')
        .skip(1)
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
        .map(field)
        .collect()
}

fn field(line: &[u8]) -> (String, Vec<u8>) {
    let colon = line.iter().position(|byte| *byte == b':');
    let (name, value) = line.split_at(colon.unwrap_or(line.len()));
    let value = value.strip_prefix(b":").unwrap_or(value);
    (latin(name), value.trim_ascii().to_vec())
}

/// Every value of `name`, in order.
pub fn values(head: &[u8], name: &str) -> Vec<String> {
    fields(head)
        .into_iter()
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| latin(&value))
        .collect()
}

/// Bytes as text, one character per byte.
pub fn latin(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// How a message's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(usize),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    Close,
}

/// A body taken off the front of a buffer.
#[derive(Debug, Default, Clone)]
pub struct Body {
    /// The content, chunk framing removed.
    pub content: Vec<u8>,
    /// The trailer section as it came, without its final empty line.
    pub trailers: Vec<u8>,
    /// How many bytes of the buffer it took.
    pub taken: usize,
}

/// The framing that a head announces; `absent` when it announces none.
pub fn framing(head: &[u8], absent: Framing) -> Framing {
    let chunked = values(head, "transfer-encoding")
        .iter()
        .any(|value| value.to_ascii_lowercase().contains("chunked"));
    if chunked {
        return Framing::Chunked;
    }
    let lengths = values(head, "content-length");
    match lengths.first().and_then(|value| value.parse().ok()) {
        Some(length) => Framing::Length(length),
        None => absent,
    }
}

/// The body at the front of `bytes`, once all of it is there. `Err` when it cannot be one.
pub fn body(bytes: &[u8], framing: Framing) -> Result<Option<Body>, String> {
    match framing {
        Framing::Close => Ok(None),
        Framing::Length(length) if bytes.len() < length => Ok(None),
        Framing::Length(length) => Ok(Some(Body {
            content: bytes[..length].to_vec(),
            trailers: Vec::new(),
            taken: length,
        })),
        Framing::Chunked => chunked(bytes),
    }
}

fn chunked(bytes: &[u8]) -> Result<Option<Body>, String> {
    let mut body = Body::default();
    loop {
        let Some(line) = line(&bytes[body.taken..]) else {
            return Ok(None);
        };
        let size = size(line)?;
        let start = body.taken + line.len() + 2;
        if size == 0 {
            return Ok(trailers(bytes, start).map(|(trailers, taken)| Body {
                trailers,
                taken,
                ..body
            }));
        }
        if bytes.len() < start + size + 2 {
            return Ok(None);
        }
        if &bytes[start + size..start + size + 2] != b"\r\n" {
            return Err("chunk data not followed by CRLF".into());
        }
        body.content.extend_from_slice(&bytes[start..start + size]);
        body.taken = start + size + 2;
    }
}

fn line(bytes: &[u8]) -> Option<&[u8]> {
    bytes
        .windows(2)
        .position(|two| two == b"\r\n")
        .map(|at| &bytes[..at])
}

fn size(line: &[u8]) -> Result<usize, String> {
    let text = latin(line);
    let digits = text.split(';').next().unwrap_or_default();
    usize::from_str_radix(digits, 16).map_err(|_| format!("chunk size line {text:?}"))
}

fn trailers(bytes: &[u8], start: usize) -> Option<(Vec<u8>, usize)> {
    let rest = bytes.get(start..)?;
    if rest.starts_with(b"\r\n") {
        return Some((Vec::new(), start + 2));
    }
    head_end(rest).map(|end| (rest[..end - 2].to_vec(), start + end))
}
