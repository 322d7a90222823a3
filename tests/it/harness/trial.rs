//! A refusal and its allowed twin: what keeps a dead recorder from passing every test.
//!
//! A trial sends an allowed request first, which the recorder must see. After every refused one it sends the
//! twin again: when that has arrived, whatever the refused request had caused would have arrived too.

use super::message::latin;
use super::raw::{Raw, Response, Silence};
use super::recorded::Recorded;
use super::{Gateway, marker};

/// One attack on one gateway, told apart from all others by its marker.
pub struct Trial<'a> {
    gateway: &'a Gateway,
    /// Stands in every request of this trial; the recorder's view is filtered by it.
    pub marker: String,
    twin: Vec<u8>,
    seen: usize,
}

/// What a refused request was answered with.
#[derive(Debug)]
pub struct Refusal {
    /// The answer; none when the connection was closed without one.
    pub answer: Option<Response>,
    /// Whether the connection was closed behind it.
    pub closed: bool,
}

impl<'a> Trial<'a> {
    /// A trial that has proved nothing yet: call [`Trial::allowed`] before any refusal.
    pub fn new(gateway: &'a Gateway, id: &str) -> Self {
        Self {
            gateway,
            marker: marker(id),
            twin: Vec::new(),
            seen: 0,
        }
    }

    /// A trial whose twin is a plain GET of a public path.
    pub fn with_plain_twin(gateway: &'a Gateway, id: &str) -> Self {
        let mut trial = Self::new(gateway, id);
        trial.allowed(trial.get("/public/twin", ""));
        trial
    }

    /// `GET target` with Host, the marker and further header lines (each ended by CRLF).
    pub fn get(&self, target: impl AsRef<[u8]>, lines: &str) -> Vec<u8> {
        self.head("GET", target, lines)
    }

    /// The same with any method.
    pub fn head(&self, method: &str, target: impl AsRef<[u8]>, lines: &str) -> Vec<u8> {
        let mut bytes = format!("{method} ").into_bytes();
        bytes.extend_from_slice(target.as_ref());
        let rest = format!(
            " HTTP/1.1\r\nHost: localhost\r\nX-Marker: {}\r\n{lines}\r\n",
            self.marker
        );
        bytes.extend_from_slice(rest.as_bytes());
        bytes
    }

    /// A POST with a length.
    pub fn post(&self, target: &str, lines: &str, body: &str) -> Vec<u8> {
        let lines = format!("Content-Length: {}\r\n{lines}", body.len());
        let mut bytes = self.head("POST", target, &lines);
        bytes.extend_from_slice(body.as_bytes());
        bytes
    }

    /// How many requests of this trial were served so far.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// The header line that carries the marker.
    pub fn line(&self) -> String {
        format!("X-Marker: {}\r\n", self.marker)
    }

    /// Sends a request that must be served, and answers with what the recorder saw of it.
    pub fn allowed(&mut self, bytes: impl AsRef<[u8]>) -> Recorded {
        self.twin = bytes.as_ref().to_vec();
        self.served(bytes.as_ref()).0
    }

    /// The same, with the answer; the twin stays as it is.
    pub fn served(&mut self, bytes: &[u8]) -> (Recorded, Response) {
        let mut raw = self.gateway.connect();
        raw.send(bytes);
        let answer = if bytes.starts_with(b"HEAD ") {
            raw.read_head()
        } else {
            raw.read()
        };
        let said = (answer.status, answer.text());
        assert_eq!(answer.status, 200, "{said:?} to {:?}", latin(bytes));
        self.seen += 1;
        (self.newest(bytes), answer)
    }

    fn newest(&self, bytes: &[u8]) -> Recorded {
        let recorder = self.gateway.recorder();
        let mut seen = recorder.wait_for(&self.marker, self.seen);
        assert_eq!(
            seen.len(),
            self.seen,
            "more than asked for, last {:?}",
            latin(bytes)
        );
        seen.pop().unwrap()
    }

    /// Sends a request that must not reach the service; then the twin, which must.
    pub fn refused(&mut self, bytes: impl AsRef<[u8]>) -> Refusal {
        let raw = self.gateway.connect();
        self.refused_on(raw, bytes, false)
    }

    /// The same on a connection of the caller's; `ends` says that the connection must be closed behind it,
    /// else that is only looked for when the answer announces it.
    pub fn refused_on(&mut self, mut raw: Raw, bytes: impl AsRef<[u8]>, ends: bool) -> Refusal {
        let bytes = bytes.as_ref();
        assert!(
            !self.twin.is_empty(),
            "a refusal without its twin proves nothing"
        );
        raw.send(bytes);
        let read = if bytes.starts_with(b"HEAD ") {
            Ok(raw.read_head())
        } else {
            raw.try_read()
        };
        let answer = match read {
            Ok(answer) => Some(answer),
            Err(Silence::Closed) => None,
            Err(why) => panic!("{why:?} to {:?}, have {:?}", latin(bytes), raw.left()),
        };
        let waits = ends || answer.as_ref().is_none_or(announces_close);
        let closed = waits && raw.closes();
        self.nothing_came(bytes);
        Refusal { answer, closed }
    }

    /// Asserts that nothing but the twin reaches the service.
    pub fn nothing_came(&mut self, bytes: &[u8]) {
        let before = self.gateway.recorder().with(&self.marker);
        assert_eq!(before.len(), self.seen, "forwarded: {:?}", latin(bytes));
        let twin = self.twin.clone();
        self.served(&twin);
    }

    /// Malformed: refused with one of `statuses`, and the connection is of no more use.
    pub fn malformed(&mut self, bytes: impl AsRef<[u8]>, statuses: &[u16]) -> Response {
        let text = latin(bytes.as_ref());
        let refusal = self.refused(bytes);
        let answer = refusal
            .answer
            .unwrap_or_else(|| panic!("no answer to {text:?}"));
        assert!(
            statuses.contains(&answer.status),
            "{} instead of {statuses:?} to {text:?}",
            answer.status
        );
        assert!(refusal.closed, "left open after {text:?}");
        assert_ours(&answer, &text);
        answer
    }

    /// Nobody is let in here without a session of the right kind, and signing in may not help either: 401, 303
    /// to login, or 403.
    pub fn closed(&mut self, bytes: impl AsRef<[u8]>) -> Response {
        let text = latin(bytes.as_ref());
        let answer = self.refused(bytes).answer;
        let answer = answer.unwrap_or_else(|| panic!("no answer to {text:?}"));
        let fits = answer.status == 403 || answer.denies_anonymous();
        assert!(fits, "{} to {text:?}", answer.status);
        answer
    }

    /// Well-formed, but not for this client: 401 or 303 to login for anonymous, 403 for a user.
    pub fn denied(&mut self, bytes: impl AsRef<[u8]>, user: &str) -> Response {
        let text = latin(bytes.as_ref());
        let answer = self.refused(bytes).answer;
        let answer = answer.unwrap_or_else(|| panic!("no answer to {text:?}"));
        let fits = if user.is_empty() {
            answer.denies_anonymous()
        } else {
            answer.status == 403
        };
        assert!(fits, "{} for {user:?} to {text:?}", answer.status);
        answer
    }

    /// Denied to everybody: for anonymous either as a sign-in or as 403, and 403 for both users.
    pub fn denied_to_all(&mut self, target: impl AsRef<[u8]>) {
        let target = target.as_ref();
        self.closed(self.get(target, ""));
        for user in ["alice", "root"] {
            self.denied(self.get(target, &self.gateway.as_user(user)), user);
        }
    }

    /// Denied to anonymous and alice, allowed to root, who is forwarded to `path`.
    pub fn for_root_only(&mut self, target: impl AsRef<[u8]>, path: &str) {
        let target = target.as_ref();
        self.denied(self.get(target, ""), "");
        self.denied(self.get(target, &self.gateway.as_user("alice")), "alice");
        let request = self.get(target, &self.gateway.as_user("root"));
        let (seen, _) = self.served(&request);
        assert_eq!(seen.path(), path, "forwarded for {:?}", latin(target));
    }
}

/// A refusal is answered by the gateway in its own words, whichever part of it refuses.
fn assert_ours(answer: &Response, text: &str) {
    let head = latin(&answer.head).to_ascii_lowercase();
    assert!(!head.contains("pingora"), "{head} to {text:?}");
    assert_eq!(answer.values("x-request-id").len(), 1, "{head} to {text:?}");
    if !text.starts_with("HEAD ") {
        let json = answer.json();
        assert!(
            json["detail"].is_string() && json["code"].is_string(),
            "{json} to {text:?}"
        );
    }
}

fn announces_close(answer: &Response) -> bool {
    answer.head.starts_with(b"HTTP/1.0")
        || answer
            .values("connection")
            .iter()
            .any(|value| value.to_ascii_lowercase().contains("close"))
        || answer.header("content-length").is_none() && answer.header("transfer-encoding").is_none()
}
