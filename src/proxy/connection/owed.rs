//! What is owed to a client of HTTP/1.0. The end of the connection is the end of its answer, so that an orderly one would
//! make a part of it look whole.

use std::sync::atomic::{AtomicU8, Ordering};

/// What must have been written before the connection may end in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    /// Nothing: no answer is under way that would look whole.
    Nothing,
    /// What was given to the connection, which is all of the answer.
    Rest,
    /// More than there is yet.
    More,
}

/// The same of one connection, from one request to the next.
#[derive(Debug, Default)]
pub(super) struct Dues(AtomicU8);

impl Dues {
    pub(super) fn set(&self, owed: Owed) {
        self.0.store(owed as u8, Ordering::Release);
    }

    /// Whether an end would be taken for that of a whole answer; `unwritten` says that something waits to be written.
    pub(super) fn is_owed(&self, unwritten: bool) -> bool {
        match self.0.load(Ordering::Acquire) {
            nothing if nothing == Owed::Nothing as u8 => false,
            rest if rest == Owed::Rest as u8 => unwritten,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::sync::Arc;

    use pingora::protocols::SocketDigest;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::yield_now;

    use super::*;
    use crate::proxy::connection::{ConnState, Guard, Socket};
    use crate::proxy::drain::Drain;
    use crate::proxy::settings::Limits;
    use crate::proxy::tls::Shown;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn what_looks_whole() {
        let dues = Dues::default();
        let cases = [
            (Owed::Nothing, false, false),
            (Owed::Nothing, true, false),
            (Owed::Rest, false, false),
            (Owed::Rest, true, true),
            (Owed::More, false, true),
            (Owed::More, true, true),
        ];
        assert!(!dues.is_owed(true));
        for (owed, unwritten, expected) in cases {
            dues.set(owed);
            assert_eq!(dues.is_owed(unwritten), expected, "{owed:?} {unwritten}");
        }
    }

    /// A guard, and its client.
    async fn pair() -> (Guard, Arc<ConnState>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, server) = tokio::join!(client, listener.accept());
        let (server, peer) = server.unwrap();
        let socket = Socket::plain(server, SocketDigest::from_raw_fd(-1));
        let state = ConnState::new(peer, false, Shown::default());
        let (limits, metrics) = (Limits::DEFAULT, Metrics::new().unwrap());
        let guard = Guard::new(
            socket,
            Arc::clone(&state),
            limits,
            metrics,
            Drain::default(),
        );
        (guard, state, client.unwrap())
    }

    /// The last piece of an answer may wait for its reader for as long as it likes.
    #[tokio::test]
    async fn s_18_an_end_with_something_unwritten_is_no_end() {
        static PIECE: [u8; 100_000] = [b'x'; 100_000];
        for (pieces, whole) in [(1, true), (1000, false)] {
            let (mut guard, state, mut client) = pair().await;
            state.owe(Owed::Rest);
            let written = async {
                for _ in 0..pieces {
                    guard.write_all(&PIECE).await.unwrap();
                    guard.flush().await.unwrap();
                }
            };
            let stuck = async {
                for _ in 0..100_000 {
                    yield_now().await;
                }
            };
            let ended = tokio::select! {
                biased;
                () = written => true,
                () = stuck => false,
            };
            assert_eq!(ended, whole);
            drop(guard);
            let mut text = Vec::new();
            let how = client.read_to_end(&mut text).await;
            let how = how.map_err(|error| error.kind());
            let expected = if whole {
                Ok(PIECE.len())
            } else {
                Err(ErrorKind::ConnectionReset)
            };
            assert_eq!(how, expected);
        }
    }
}
