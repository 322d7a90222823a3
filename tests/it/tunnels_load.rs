//! Many tunnels, and large ones: W-06 in the size of a test.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::harness::{Setup, eventually};
use crate::limits_memory::{MIB, growth};
use crate::tunnels::{agreeing, lines, open, round_trip};

/// What a tunnel may cost; half of it is room for the other side of each connection.
const COST: u64 = 256 * 1024;

#[test]
fn w_06_hundreds_of_idle_tunnels() {
    const MANY: usize = 300;
    let rules = "
  - { path: /public/short/**, allow: anyone, idle: 2s }
  - { path: /public/**, allow: anyone }
";
    let gateway = Setup::before(agreeing()).rules(rules).start();
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
        ((tunnels() - 100.0).abs() < 0.5).then_some(())
    });
    for (at, raw) in kept.iter_mut().enumerate().filter(|(at, _)| at % 3 == 0) {
        round_trip(raw, &format!("number {at}"));
    }
    drop(kept);
    eventually("nothing to be left", || (tunnels() < 0.5).then_some(()));
}

#[test]
fn w_06_a_large_message_in_constant_memory() {
    const LARGE: u64 = 192 * MIB;
    // The recorder would keep it: this service only sends back.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && socket.read(&mut byte).is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            let agreed = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
            let _ = socket.write_all(agreed);
            let mut back = socket.try_clone().unwrap();
            thread::spawn(move || std::io::copy(&mut socket, &mut back));
        }
    });
    // Larger than any request body may be here.
    let gateway = Setup::new()
        .upstream("web", &format!("{{ to: \"{url}\" }}"))
        .set("limits", "{ body: 1MiB }")
        .start();
    let mut socket = TcpStream::connect(gateway.http()).unwrap();
    let asks = format!(
        "GET /public/ws HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
        lines()
    );
    socket.write_all(asks.as_bytes()).unwrap();
    let mut head = [0; 12];
    socket.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    let grown = growth(&gateway, || {
        let mut sender = socket.try_clone().unwrap();
        let sending = thread::spawn(move || {
            let piece = vec![b'x'; 1024 * 1024];
            (0..LARGE / MIB).all(|_| sender.write_all(&piece).is_ok())
        });
        socket
            .set_read_timeout(Some(Duration::from_mins(1)))
            .unwrap();
        let mut left = LARGE;
        let mut buffer = vec![0; 256 * 1024];
        while left > 0 {
            let count = socket.read(&mut buffer).unwrap() as u64;
            assert!(count > 0, "{left} bytes short");
            left = left.saturating_sub(count);
        }
        assert!(sending.join().unwrap());
    });
    assert!(grown < 50 * MIB, "grew by {} MiB", grown / MIB);
}
