//! G-18: how many connections a request is tried on. Dead ones are nothing that a client has to hear of as long as there is
//! one that is not, and one that is dead is not tried twice.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use socket2::{Domain, Socket, Type};

use crate::harness::{Recorder, Setup, eventually};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// Reads a head; none at the end.
fn head(socket: &mut TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    String::from_utf8(head).ok()
}

/// A port where nobody listens, and nobody else will.
pub struct Dead(Socket);

impl Dead {
    pub fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&any.into()).unwrap();
        Self(socket)
    }

    pub fn url(&self) -> String {
        let address = self.0.local_addr().unwrap().as_socket().unwrap();
        format!("http://{address}")
    }
}

/// As after a night behind something that forgets connections: what is sent on one of them ends it.
#[test]
fn g_18_dead_connections_cost_nobody_an_answer_however_many_there_are() {
    const KEPT: usize = 40;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (day, together) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(Barrier::new(KEPT + 1)),
    );
    let (today, all) = (Arc::clone(&day), Arc::clone(&together));
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let (today, all) = (Arc::clone(&today), Arc::clone(&all));
            thread::spawn(move || {
                let born = today.load(Ordering::SeqCst);
                while let Some(head) = head(&mut socket) {
                    if today.load(Ordering::SeqCst) != born {
                        return;
                    }
                    if head.contains("/together") {
                        all.wait();
                    }
                    if socket.write_all(ANSWER).is_err() {
                        return;
                    }
                }
            });
        }
    });
    let gateway = Setup::new()
        .upstream("web", &format!("{{ to: \"{url}\" }}"))
        .start();
    let mut clients: Vec<_> = (0..KEPT).map(|_| gateway.connect()).collect();
    for client in &mut clients {
        client.send(get("/public/together"));
    }
    together.wait();
    for client in &mut clients {
        assert_eq!(client.read().status, 200);
    }
    day.fetch_add(1, Ordering::SeqCst);
    for number in 0..6 {
        let status = gateway.ask(get("/public/x")).status;
        assert_eq!(status, 200, "the {number}th");
    }
}

#[test]
fn g_18_every_server_is_tried_that_has_no_connection() {
    let recorder = Recorder::start();
    let dead: Vec<Dead> = (0..20).map(|_| Dead::new()).collect();
    let mut to: Vec<_> = dead.iter().map(Dead::url).collect();
    to.push(recorder.url());
    let yaml = format!("{{ to: {to:?} }}");
    let gateway = Setup::before(recorder).upstream("web", &yaml).start();
    for number in 0..6 {
        let status = gateway.ask(get("/public/x")).status;
        assert_eq!(status, 200, "the {number}th");
    }
}

#[test]
fn g_18_a_server_without_a_connection_is_tried_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let last = listener.local_addr().unwrap();
    // Well when it is looked at, and gone after that.
    let checked = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        drop(listener);
        head(&mut socket).unwrap();
        socket.write_all(ANSWER).unwrap();
    });
    let dead = [Dead::new(), Dead::new()];
    let [one, two] = dead.each_ref().map(Dead::url);
    let yaml = format!(
        "{{ to: [\"{one}\", \"{two}\", \"http://{last}\"],
            health: {{ path: /healthz, interval: 1h }}, eject: {{ after: 2, for: 1h }} }}"
    );
    let gateway = Setup::new().upstream("web", &yaml).start();
    checked.join().unwrap();
    eventually("two servers to be unhealthy", || {
        (gateway.log().matches("a server is unhealthy").count() == 2).then_some(())
    });
    assert_eq!(gateway.ask(get("/public/first")).status, 502);
    gateway.says("/public/first");
    assert!(!gateway.log().contains("left alone"), "{}", gateway.log());
    // Its allowed twin: the second failure is another request's.
    assert_eq!(gateway.ask(get("/public/second")).status, 502);
    gateway.says("left alone");
}
