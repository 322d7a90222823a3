//! The service behind the gateway: it writes down every byte it is sent, and answers as it is told.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::message::{self, Framing};
use super::{eventually, holds};

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

/// What is done about a request, step by step.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    steps: Vec<Step>,
    early: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Send(Vec<u8>),
    Pause(Duration),
    Echo,
    Close,
}

impl Reply {
    /// 200 with this body and a length.
    pub fn ok(body: &str) -> Self {
        Self::raw(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// Exactly these bytes.
    pub fn raw(bytes: impl AsRef<[u8]>) -> Self {
        Self::default().then(bytes)
    }

    /// More bytes.
    #[must_use]
    pub fn then(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.steps.push(Step::Send(bytes.as_ref().to_vec()));
        self
    }

    /// Nothing for a while: how a slow service looks.
    #[must_use]
    pub fn pause(mut self, time: Duration) -> Self {
        self.steps.push(Step::Pause(time));
        self
    }

    /// 101, and from then on every byte comes back: what a WebSocket looks like to whoever does not look inside.
    pub fn tunnel() -> Self {
        Self::raw(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        )
        .echo()
    }

    /// Sends back what comes, and keeps it (see [`Recorder::tunnelled`]), until the other side ends.
    #[must_use]
    pub fn echo(mut self) -> Self {
        self.steps.push(Step::Echo);
        self
    }

    /// Hang up.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.steps.push(Step::Close);
        self
    }

    /// Answer as soon as the head is there, before the body is read.
    #[must_use]
    pub fn early(mut self) -> Self {
        self.early = true;
        self
    }
}

type Script = Arc<dyn Fn(&Recorded) -> Reply + Send + Sync>;

#[derive(Default)]
struct State {
    requests: Mutex<Vec<Recorded>>,
    connections: AtomicU64,
    ended: AtomicU64,
    script: Mutex<Option<Script>>,
    tunnelled: Mutex<Vec<u8>>,
}

/// A recording upstream on a free port of 127.0.0.1.
#[derive(Clone)]
pub struct Recorder {
    address: SocketAddr,
    state: Arc<State>,
}

impl Recorder {
    /// Starts one that answers 200 with `seen METHOD TARGET` (see [`Recorder::answer`]).
    pub fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    /// The same, on a socket of the caller's.
    pub fn on(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                let id = state.connections.fetch_add(1, Ordering::SeqCst) + 1;
                thread::spawn(move || {
                    Visit::new(socket, id, Arc::clone(&state)).serve();
                    state.ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, state }
    }

    /// Answers every request from now on by `script`.
    pub fn answer(&self, script: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) {
        *self.state.script.lock().unwrap() = Some(Arc::new(script));
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything recorded so far, unfinished requests included.
    pub fn everything(&self) -> Vec<Recorded> {
        self.state.requests.lock().unwrap().clone()
    }

    /// Forgets everything recorded so far.
    pub fn forget(&self) {
        self.state.requests.lock().unwrap().clear();
    }

    /// The finished requests so far.
    pub fn requests(&self) -> Vec<Recorded> {
        let all = self.everything().into_iter();
        all.filter(|request| request.complete).collect()
    }

    /// How many finished requests were recorded so far.
    pub fn count(&self) -> usize {
        let all = self.state.requests.lock().unwrap();
        all.iter().filter(|request| request.complete).count()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// How many of them have ended, from either side.
    pub fn ended(&self) -> u64 {
        self.state.ended.load(Ordering::SeqCst)
    }

    /// What came behind every 101 so far, all connections together.
    pub fn tunnelled(&self) -> String {
        message::latin(&self.state.tunnelled.lock().unwrap())
    }

    /// The newest finished request.
    pub fn last(&self) -> Option<Recorded> {
        let all = self.state.requests.lock().unwrap();
        all.iter().rev().find(|request| request.complete).cloned()
    }

    /// The finished requests whose head mentions `marker`.
    pub fn with(&self, marker: &str) -> Vec<Recorded> {
        let all = self.state.requests.lock().unwrap();
        all.iter()
            .filter(|request| request.complete && holds(&request.head, marker.as_bytes()))
            .cloned()
            .collect()
    }

    /// Waits until at least `count` finished requests mention `marker`.
    pub fn wait_for(&self, marker: &str, count: usize) -> Vec<Recorded> {
        eventually(&format!("{count} recorded requests with {marker}"), || {
            Some(self.with(marker)).filter(|seen| seen.len() >= count)
        })
    }
}

/// One accepted connection.
struct Visit {
    socket: TcpStream,
    id: u64,
    state: Arc<State>,
    buffer: Vec<u8>,
}

impl Visit {
    fn new(socket: TcpStream, id: u64, state: Arc<State>) -> Self {
        let _ = socket.set_nodelay(true);
        Self {
            socket,
            id,
            state,
            buffer: Vec::new(),
        }
    }

    fn serve(mut self) {
        while let Some(request) = self.head() {
            let script = self.state.script.lock().unwrap().clone();
            let expects = !request.values("expect").is_empty();
            let reply = script.map_or_else(|| echo(&request), |script| script(&request));
            if reply.early {
                let go_on = self.play(&reply);
                if !(self.finish(request) && go_on) {
                    return;
                }
                continue;
            }
            if expects
                && self
                    .socket
                    .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                    .is_err()
            {
                return;
            }
            if !(self.finish(request) && self.play(&reply)) {
                return;
            }
        }
        if !self.buffer.is_empty() {
            let head = std::mem::take(&mut self.buffer);
            self.keep(self.unfinished(head));
        }
    }

    fn pull(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        match self.socket.read(&mut chunk) {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                true
            }
        }
    }

    fn unfinished(&self, head: Vec<u8>) -> Recorded {
        Recorded {
            connection: self.id,
            head,
            body: Vec::new(),
            raw_body: Vec::new(),
            trailers: Vec::new(),
            complete: false,
        }
    }

    fn head(&mut self) -> Option<Recorded> {
        loop {
            if let Some(end) = message::head_end(&self.buffer) {
                let head = self.buffer.drain(..end).collect();
                return Some(self.unfinished(head));
            }
            if !self.pull() {
                return None;
            }
        }
    }

    /// Reads the body and records the request; false when the connection is of no more use.
    fn finish(&mut self, mut request: Recorded) -> bool {
        let framing = message::framing(&request.head, Framing::Length(0));
        loop {
            match message::body(&self.buffer, framing) {
                Ok(Some(body)) => {
                    request.raw_body = self.buffer.drain(..body.taken).collect();
                    request.body = body.content;
                    request.trailers = body.trailers;
                    request.complete = true;
                    self.keep(request);
                    return true;
                }
                Ok(None) if self.pull() => {}
                _ => {
                    request.raw_body = std::mem::take(&mut self.buffer);
                    self.keep(request);
                    return false;
                }
            }
        }
    }

    fn keep(&self, request: Recorded) {
        self.state.requests.lock().unwrap().push(request);
    }

    fn echo(&mut self) {
        loop {
            let bytes = std::mem::take(&mut self.buffer);
            self.state.tunnelled.lock().unwrap().extend(&bytes);
            if self.socket.write_all(&bytes).is_err() || !self.pull() {
                return;
            }
        }
    }

    fn play(&mut self, reply: &Reply) -> bool {
        for step in &reply.steps {
            let done = match step {
                Step::Send(bytes) => self.socket.write_all(bytes).is_ok(),
                Step::Pause(time) => {
                    thread::sleep(*time);
                    true
                }
                Step::Echo => {
                    self.echo();
                    false
                }
                Step::Close => {
                    let _ = self.socket.shutdown(Shutdown::Both);
                    false
                }
            };
            if !done {
                return false;
            }
        }
        true
    }
}

fn echo(request: &Recorded) -> Reply {
    let body = format!("seen {} {}", request.method(), request.target());
    match request.method().as_str() {
        "HEAD" => Reply::raw(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )),
        _ => Reply::ok(&body),
    }
}
