//! Large bodies in both directions with constant memory: B-12 and B-13.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::harness::{Gateway, Raw, Setup, eventually, within};

pub const MIB: u64 = 1024 * 1024;
/// What is sent at once.
const PIECE: usize = 1024 * 1024;
/// What is streamed through.
const LARGE: u64 = 1024 * MIB;
/// What the gateway may grow by meanwhile.
const GROWTH: u64 = 32 * MIB;

/// Resident memory of a process, from the kernel.
pub fn resident(gateway: &Gateway) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

/// The most memory the gateway holds while `work` runs, above what it held before.
pub fn growth(gateway: &Gateway, work: impl FnOnce()) -> u64 {
    let before = resident(gateway);
    let done = AtomicBool::new(false);
    let most = AtomicU64::new(before);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                most.fetch_max(resident(gateway), Ordering::AcqRel);
                thread::park_timeout(Duration::from_millis(5));
            }
        });
        // However it ends: nobody would tell why, if the watcher went on for ever.
        let ended = catch_unwind(AssertUnwindSafe(work));
        done.store(true, Ordering::Release);
        ended.unwrap_or_else(|why| resume_unwind(why));
    });
    most.into_inner().saturating_sub(before)
}

/// A service that swallows any body and counts it, or sends as much as it is asked for, as fast as it is
/// taken; the recorder would keep it all.
#[derive(Clone, Default)]
struct Bulk {
    taken: Arc<AtomicU64>,
    given: Arc<AtomicU64>,
    url: Arc<Mutex<String>>,
}

impl Bulk {
    fn start() -> Self {
        let bulk = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        *bulk.url.lock().unwrap() = format!("http://{}", listener.local_addr().unwrap());
        let shared = bulk.clone();
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let bulk = shared.clone();
                thread::spawn(move || bulk.serve(socket));
            }
        });
        bulk
    }

    fn setup(&self) -> Setup {
        let url = self.url.lock().unwrap().clone();
        Setup::new().upstream("web", &format!("{{ to: \"{url}\", timeout: 60s }}"))
    }

    fn serve(&self, mut socket: TcpStream) {
        let mut head = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        while !head.windows(4).any(|four| four == b"\r\n\r\n") {
            match socket.read(&mut buffer) {
                Ok(count) if count > 0 => head.extend_from_slice(&buffer[..count]),
                _ => return,
            }
        }
        if head.starts_with(b"GET") {
            self.give(&mut socket);
        } else {
            self.take(&mut socket, &mut buffer, &head);
        }
    }

    fn give(&self, socket: &mut TcpStream) {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
        let mut sent = socket.write_all(head.as_bytes());
        let piece = vec![b'd'; 256 * 1024];
        let mut left = LARGE;
        while left > 0 && sent.is_ok() {
            sent = socket.write_all(&piece);
            self.given.fetch_add(piece.len() as u64, Ordering::SeqCst);
            left -= piece.len() as u64;
        }
    }

    /// Reads until the body has ended: by its length, or by the last chunk.
    fn take(&self, socket: &mut TcpStream, buffer: &mut [u8], head: &[u8]) {
        let text = String::from_utf8_lossy(head).to_lowercase();
        let chunked = text.contains("transfer-encoding: chunked");
        let at = head
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap()
            + 4;
        let mut count = (head.len() - at) as u64;
        let mut tail = head[at..].to_vec();
        while !(chunked && tail.ends_with(b"0\r\n\r\n") || !chunked && count >= LARGE) {
            match socket.read(buffer) {
                Ok(read) if read > 0 => {
                    count += read as u64;
                    self.taken.fetch_add(read as u64, Ordering::SeqCst);
                    tail = buffer[read.saturating_sub(8)..read].to_vec();
                }
                _ => return,
            }
        }
        self.taken.store(count, Ordering::SeqCst);
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    }
}

fn warm(gateway: &Gateway) {
    assert_eq!(gateway.ask_admin("/readyz").status, 200);
    gateway.login("alice");
}

#[test]
fn b_12_a_large_upload_streams() {
    let bulk = Bulk::start();
    let gateway = bulk.setup().start();
    warm(&gateway);
    let cookie = gateway.cookie("alice");
    let piece = vec![b'u'; PIECE];
    let grown = growth(&gateway, || {
        let mut raw = gateway.connect().patience(Duration::from_mins(1));
        raw.send(format!(
            "POST /app/x HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nContent-Length: {LARGE}\r\n\r\n"
        ));
        for _ in 0..LARGE / MIB {
            raw.send(&piece);
        }
        assert_eq!(raw.read().text(), "done");
    });
    assert!(grown < GROWTH, "grew by {} MiB", grown / MIB);
    assert_eq!(bulk.taken.load(Ordering::SeqCst), LARGE);
}

#[test]
fn b_12_a_large_chunked_upload_streams() {
    let bulk = Bulk::start();
    let gateway = bulk.setup().set("limits", "{ body: none }").start();
    warm(&gateway);
    let cookie = gateway.cookie("alice");
    let mut piece = format!("{MIB:x}\r\n").into_bytes();
    piece.resize(piece.len() + PIECE, b'u');
    piece.extend_from_slice(b"\r\n");
    let grown = growth(&gateway, || {
        let mut raw = gateway.connect().patience(Duration::from_mins(1));
        raw.send(format!(
            "POST /app/x HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nTransfer-Encoding: chunked\r\n\r\n"
        ));
        for _ in 0..LARGE / MIB {
            raw.send(&piece);
        }
        raw.send("0\r\n\r\n");
        assert_eq!(raw.read().text(), "done");
    });
    assert!(grown < GROWTH, "grew by {} MiB", grown / MIB);
    assert!(bulk.taken.load(Ordering::SeqCst) >= LARGE);
}

#[test]
fn b_12_an_endless_upload_to_a_service_that_does_not_read() {
    // Accepts, reads the head, and never the body.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let sockets: Vec<TcpStream> = listener.incoming().flatten().take(4).collect();
        thread::park();
        drop(sockets);
    });
    let gateway = Setup::new()
        .upstream("web", &format!("{{ to: \"{url}\", timeout: 60s }}"))
        .start();
    warm(&gateway);
    let cookie = gateway.cookie("alice");
    let grown = growth(&gateway, || {
        let mut socket = TcpStream::connect(gateway.http()).unwrap();
        let head = format!(
            "POST /app/x HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nContent-Length: {LARGE}\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).unwrap();
        // Back-pressure: at some point the gateway takes no more.
        socket
            .set_write_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        let piece = vec![b'u'; PIECE];
        let stopped = (0..LARGE / MIB).any(|_| socket.write_all(&piece).is_err());
        assert!(stopped, "all of it was taken, and kept somewhere");
    });
    assert!(grown < GROWTH, "grew by {} MiB", grown / MIB);
}

#[test]
fn b_13_a_large_download_for_a_slow_client() {
    let bulk = Bulk::start();
    let gateway = bulk.setup().start();
    warm(&gateway);
    let cookie = gateway.cookie("alice");
    let grown = growth(&gateway, || {
        let mut socket = TcpStream::connect(gateway.http()).unwrap();
        let request = format!(
            "GET /app/x HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).unwrap();
        // Nothing is read until the service is held back: what was given stays still, far from all of it.
        let given = settled(&bulk.given);
        assert!(given < LARGE / 2, "{} MiB were taken", given / MIB);
        let mut total = 0;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match socket.read(&mut buffer).unwrap() {
                0 => break,
                count => total += count as u64,
            }
        }
        assert!(total > LARGE, "only {total} bytes arrived");
    });
    assert!(grown < GROWTH, "grew by {} MiB", grown / MIB);
}

#[test]
fn b_13_over_http2_and_tls() {
    let bulk = Bulk::start();
    let gateway = bulk.setup().tls(&["localhost"]).start();
    assert_eq!(gateway.ask_admin("/readyz").status, 200);
    // Opened and never granted more than the first window.
    let mut client = crate::harness::H2::over(gateway.tls("localhost", &["h2"]));
    let grown = growth(&gateway, || {
        let mut fields = crate::harness::h2::request("GET", "/public/x");
        fields[1] = (":scheme", "https");
        client.open(&fields, true);
        eventually("the download to begin", || {
            (bulk.given.load(Ordering::SeqCst) > 0).then_some(())
        });
        let given = settled(&bulk.given);
        assert!(given < LARGE / 2, "{} MiB were taken", given / MIB);
    });
    assert!(grown < GROWTH, "grew by {} MiB", grown / MIB);
    let mut raw = Raw::over(gateway.tls("localhost", &["http/1.1"]));
    let login = raw.ask("GET /auth/login HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(login.status, 200, "others are not served meanwhile");
}

/// The counter once it has not moved for half a second.
fn settled(counter: &AtomicU64) -> u64 {
    let mut last = (counter.load(Ordering::SeqCst), 0);
    within(Duration::from_secs(20), || {
        thread::park_timeout(Duration::from_millis(50));
        let now = counter.load(Ordering::SeqCst);
        last = if now > 0 && now == last.0 {
            (now, last.1 + 1)
        } else {
            (now, 0)
        };
        (last.1 >= 10).then_some(now)
    })
    .expect("it never stops")
}
