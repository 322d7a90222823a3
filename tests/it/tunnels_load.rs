//! Many tunnels, and large ones: W-06 in the size of a test.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::harness::{Gateway, Setup, eventually};
use crate::limits_memory::{MIB, growth};
use crate::tunnels::{agreeing, lines, open, round_trip};

/// What a tunnel may cost; half of it is room for the other side of each connection.
const COST: u64 = 256 * 1024;

#[test]
fn w_06_thousands_of_idle_tunnels() {
    const MANY: usize = 3000;
    let rules = "
  - { path: /public/short/**, allow: anyone, idle: 2s }
  - { path: /public/**, allow: anyone }
";
    let limits = "{ connections_per_address: 10000, requests_per_address: 10000 }";
    let gateway = Setup::before(agreeing())
        .rules(rules)
        .set("limits", limits)
        .start();
    round_trip(&mut open(&gateway, "/public/ws", ""), "warm");
    let mut kept = Vec::new();
    let grown = growth(&gateway, || {
        for at in 0..MANY {
            // Two in three are never heard of again.
            let path = if at % 3 == 0 {
                "/public/ws"
            } else {
                "/public/short/ws"
            };
            kept.push(open(&gateway, path, ""));
        }
    });
    assert!(
        grown < COST * MANY as u64,
        "{} KiB for each",
        grown / 1024 / MANY as u64
    );
    let tunnels = || gateway.metrics().sum("portcullis_tunnels", &[]);
    eventually("silent peers to be given up", || {
        ((tunnels() - 1000.0).abs() < 0.5).then_some(())
    });
    for (at, raw) in kept.iter_mut().enumerate().filter(|(at, _)| at % 3 == 0) {
        round_trip(raw, &format!("number {at}"));
    }
    drop(kept);
    eventually("nothing to be left", || (tunnels() < 0.5).then_some(()));
}

/// A service that agrees to every handshake, and leaves the tunnel to `talk`. The recorder would keep what it gets.
fn service(room: usize, talk: impl Fn(TcpStream) + Clone + Send + 'static) -> String {
    let listener = listening(room);
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && socket.read(&mut byte).is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            if head.starts_with(b"GET /public/no") {
                let _ = socket.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
                continue;
            }
            let agreed = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
            let _ = socket.write_all(agreed);
            let talk = talk.clone();
            thread::spawn(move || talk(socket));
        }
    });
    url
}

/// A listener whose connections keep about `room` bytes unread, where that is not none.
fn listening(room: usize) -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    if room > 0 {
        socket.set_recv_buffer_size(room).unwrap();
    }
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).unwrap();
    socket.listen(16).unwrap();
    socket.into()
}

/// Opens a tunnel to such a service, where bodies are limited to less than it is sent.
fn tunnel(url: &str, room: usize) -> (Gateway, TcpStream) {
    tunnel_within(url, room, "body: 1MiB")
}

fn tunnel_within(url: &str, room: usize, limits: &str) -> (Gateway, TcpStream) {
    let gateway = Setup::new()
        .upstream(
            "web",
            &format!("{{ to: \"{url}\", timeout: {{ write: 5s }} }}"),
        )
        .set("limits", &format!("{{ {limits} }}"))
        // Huge pages hold more than is in use, by what else lies in them.
        .env("MIMALLOC_ALLOW_THP", "0")
        .start();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    if room > 0 {
        socket.set_recv_buffer_size(room).unwrap();
    }
    socket.connect(&gateway.http().into()).unwrap();
    let mut socket = TcpStream::from(socket);
    // A handshake that was refused leaves nothing behind.
    for (path, ends, status) in [("no", "\r\n\r\nno", "403"), ("ws", "\r\n\r\n", "101")] {
        let asks = format!(
            "GET /public/{path} HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
            lines()
        );
        socket.write_all(asks.as_bytes()).unwrap();
        let (mut answer, mut byte) = (String::new(), [0]);
        while !answer.ends_with(ends) {
            socket.read_exact(&mut byte).unwrap();
            answer.push(byte[0].into());
        }
        assert!(answer.contains(status), "{answer}");
    }
    socket
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    socket
        .set_write_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    (gateway, socket)
}

/// Sends some mebibytes from a thread of its own.
fn sending(socket: &TcpStream, mebibytes: u64) -> thread::JoinHandle<bool> {
    let mut sender = socket.try_clone().unwrap();
    thread::spawn(move || {
        let piece = vec![b'x'; 1024 * 1024];
        (0..mebibytes).all(|_| sender.write_all(&piece).is_ok())
    })
}

fn take(socket: &mut TcpStream, mut left: u64) {
    let mut buffer = vec![0; 256 * 1024];
    while left > 0 {
        let count = socket.read(&mut buffer).unwrap() as u64;
        assert!(count > 0, "{left} bytes short");
        left = left.saturating_sub(count);
    }
}

#[test]
fn w_06_a_large_message_in_constant_memory() {
    const LARGE: u64 = 1024 * MIB;
    let url = service(0, |mut socket| {
        let mut back = socket.try_clone().unwrap();
        let _ = std::io::copy(&mut socket, &mut back);
    });
    let (gateway, mut socket) = tunnel(&url, 0);
    let grown = growth(&gateway, || {
        let sent = sending(&socket, LARGE / MIB);
        take(&mut socket, LARGE);
        assert!(sent.join().unwrap());
    });
    assert!(grown < 50 * MIB, "grew by {} MiB", grown / MIB);
}

/// A service that does not read before its answer is taken, and answers with more than it was sent.
#[test]
fn w_06_both_sides_may_fill_what_there_is_room_for() {
    const TIMES: u64 = 128;
    let url = service(4096, |mut socket| {
        let mut message = [0; 16 * 1024];
        let answer = message.repeat(128);
        while socket.read_exact(&mut message).is_ok() && socket.write_all(&answer).is_ok() {}
    });
    let (gateway, mut socket) = tunnel(&url, 4096);
    let grown = growth(&gateway, || {
        let sent = sending(&socket, 4);
        take(&mut socket, 4 * MIB * TIMES);
        assert!(sent.join().unwrap());
    });
    assert!(grown < 50 * MIB, "grew by {} MiB", grown / MIB);
}

/// A client that reads nothing before it has sent everything, to a service that has much to say meanwhile.
#[test]
fn w_06_one_direction_does_not_wait_for_the_other() {
    const LARGE: u64 = 64 * MIB;
    let (tell, told) = mpsc::channel();
    let url = service(0, move |mut socket| {
        let mut news = socket.try_clone().unwrap();
        let telling = thread::spawn(move || news.write_all(&vec![b'n'; 64 << 20]).is_ok());
        take(&mut socket, LARGE);
        tell.send(()).unwrap();
        assert!(telling.join().unwrap());
    });
    let (gateway, mut socket) = tunnel(&url, 4096);
    let grown = growth(&gateway, || {
        assert!(sending(&socket, LARGE / MIB).join().unwrap());
        told.recv_timeout(Duration::from_mins(1)).unwrap();
        take(&mut socket, LARGE);
    });
    assert!(grown < 50 * MIB, "grew by {} MiB", grown / MIB);
}

#[test]
fn w_06_a_client_that_takes_nothing_is_given_up() {
    let (tell, told) = mpsc::channel();
    let url = service(0, move |mut socket| {
        let piece = vec![b'n'; 1024 * 1024];
        while socket.write_all(&piece).is_ok() {}
        tell.send(()).unwrap();
    });
    let (gateway, socket) = tunnel_within(&url, 4096, "stall: 300ms");
    told.recv_timeout(Duration::from_mins(1)).unwrap();
    let counted = || {
        gateway
            .metrics()
            .sum("portcullis_limit_refusals_total", &[("limit", "reader")])
    };
    eventually("that to be counted", || (counted() > 0.5).then_some(()));
    drop(socket);
}

/// A service that takes nothing of an upload, says why, and goes.
#[test]
fn w_06_a_last_word_is_heard_by_who_still_sends() {
    const WORD: &[u8] = &[b'w'; 1000];
    let url = service(4096, |mut socket| {
        let mut first = [0];
        let _ = socket.read_exact(&mut first);
        let _ = socket.write_all(WORD);
    });
    for _ in 0..20 {
        let (_gateway, mut socket) = tunnel(&url, 0);
        let sent = sending(&socket, 8);
        let mut heard = Vec::new();
        // Whether it is reset after that is the kernel's business.
        let _ = socket.read_to_end(&mut heard);
        assert_eq!(heard.len(), WORD.len());
        drop(socket);
        sent.join().unwrap();
    }
}

/// Each side in turn sends much and closes, while the other says a little now and then.
#[test]
fn w_06_what_was_sent_before_the_end_arrives() {
    const LARGE: u64 = 16 * MIB;
    fn talk(mut socket: TcpStream) {
        while socket.write_all(b"ping").is_ok() {
            thread::sleep(Duration::from_millis(2));
        }
    }
    fn hear(mut socket: TcpStream) -> u64 {
        let other = socket.try_clone().unwrap();
        thread::spawn(|| talk(other));
        let (mut heard, mut buffer) = (0, vec![0; 64 * 1024]);
        while let Ok(count @ 1..) = socket.read(&mut buffer) {
            heard += count as u64;
            thread::sleep(Duration::from_micros(200));
        }
        heard
    }
    fn say(mut socket: TcpStream) {
        let _ = socket.write_all(&vec![b'x'; 16 << 20]);
        let _ = socket.shutdown(Shutdown::Write);
        let _ = std::io::copy(&mut socket, &mut std::io::sink());
    }
    let url = service(4096, say);
    let (_gateway, socket) = tunnel(&url, 4096);
    assert_eq!(hear(socket), LARGE, "to the client");
    let (tell, told) = mpsc::channel();
    let url = service(4096, move |socket| tell.send(hear(socket)).unwrap());
    let (_gateway, socket) = tunnel(&url, 4096);
    say(socket);
    let heard = told.recv_timeout(Duration::from_mins(1)).unwrap();
    assert_eq!(heard, LARGE, "to the service");
}

/// A service that takes nothing and talks without end, for a client that is gone.
#[test]
fn w_06_nothing_is_fetched_for_who_is_gone() {
    let said = Arc::new(AtomicU64::new(0));
    let (tell, told) = mpsc::channel();
    let count = Arc::clone(&said);
    let url = service(4096, move |mut socket| {
        let piece = vec![b'n'; 64 * 1024];
        while socket.write_all(&piece).is_ok() {
            count.fetch_add(piece.len() as u64, Ordering::AcqRel);
        }
        tell.send(()).unwrap();
    });
    let (gateway, mut socket) = tunnel(&url, 4096);
    // As much as there is room for.
    socket
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    while socket.write_all(&[b'c'; 8192]).is_ok() {}
    let before = said.load(Ordering::Acquire);
    // What was not read makes it a reset.
    drop(socket);
    told.recv_timeout(Duration::from_mins(1)).unwrap();
    let after = said.load(Ordering::Acquire) - before;
    assert!(after < 64 * MIB, "{} MiB for nobody", after / MIB);
    let broken = || {
        let ended = "portcullis_tunnels_ended_total";
        gateway.metrics().sum(ended, &[("reason", "broken")])
    };
    eventually("that to be counted", || (broken() > 0.5).then_some(()));
}
