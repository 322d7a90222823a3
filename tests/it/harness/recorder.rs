//! The service behind the gateway: it writes down every byte it is sent, and answers as it is told.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::message::{self, Framing};
use super::recorded::Recorded;
use super::reply::{Reply, Step};
use super::{eventually, holds};

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
