//! One connection as a test sees it: plain or TLS, read with a deadline.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};

/// What became of a read.
#[derive(Debug, PartialEq, Eq)]
pub enum Got {
    /// Some bytes were appended.
    Bytes,
    /// The other side closed or reset the connection.
    Closed,
    /// The deadline passed first.
    Late,
}

/// A client connection.
pub enum Wire {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        }
    }

    /// The local address, to tell connections apart in logs.
    pub fn local(&self) -> String {
        self.socket()
            .local_addr()
            .map_or_else(|_| "?".into(), |address| address.to_string())
    }

    /// Writes everything, or says that the other side has gone.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    /// Ends our half of the connection.
    pub fn finish(&mut self) {
        if let Self::Tls(stream) = self {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        let _ = self.socket().shutdown(std::net::Shutdown::Write);
    }

    /// Appends what arrives next to `buffer`.
    pub fn pull(&mut self, buffer: &mut Vec<u8>, end: Instant) -> Got {
        let left = end.saturating_duration_since(Instant::now());
        let left = left.max(Duration::from_millis(1));
        self.socket().set_read_timeout(Some(left)).unwrap();
        let mut chunk = [0; 16 * 1024];
        let read = match self {
            Self::Plain(socket) => socket.read(&mut chunk),
            Self::Tls(stream) => stream.read(&mut chunk),
        };
        match read {
            Ok(0) => Got::Closed,
            Ok(count) => {
                buffer.extend_from_slice(&chunk[..count]);
                Got::Bytes
            }
            Err(error) if is_late(&error) => Got::Late,
            Err(_) => Got::Closed,
        }
    }
}

fn is_late(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
