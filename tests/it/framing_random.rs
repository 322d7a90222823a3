//! S-23 as a property: spoiled messages never become more requests behind the gateway than in front of it.
//!
//! Each request that a service sees must carry the one id that the gateway gave to the one request it judged,
//! and none may ask for a page its sender may not see. `PORTCULLIS_TEST_SEED` repeats a run,
//! `PORTCULLIS_TEST_MESSAGES` asks for more.

use std::collections::HashSet;
use std::time::Duration;

use crate::framing_servers::{Kind, Server};
use crate::harness::dice::{self, Dice};
use crate::harness::{Gateway, Setup, eventually};

const HIDDEN: &str = "GET /admin/inner HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// What is put in, next to a framing byte or anywhere.
const SPICE: &[&[u8]] = &[
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b" ",
    b"\t",
    b"\0",
    b":",
    b",",
    b";",
    b"0",
    b"1",
    b"5",
    b"+",
    b"-",
    b"\x0b",
    b"\x80",
    b"\xff",
    b"x",
    b"\"",
    b"\r\n ",
    b"0\r\n\r\n",
    b"chunked",
    b"identity",
    b", chunked",
    b"Content-Length: 0\r\n",
    b"Content-Length: 49\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"Connection: Content-Length\r\n",
    b"Expect: 100-continue\r\n",
    b"5\r\nhello\r\n",
    b"\r\n0\r\n",
];

fn message(dice: &mut Dice) -> Vec<u8> {
    let length = HIDDEN.len();
    let body = match dice.roll(4) {
        0 => "GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        1 => format!(
            "POST /public/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{HIDDEN}"
        ),
        2 => format!(
            "POST /public/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{HIDDEN}\r\n0\r\n\r\n"
        ),
        _ => "PUT /public/x HTTP/1.1\r\nContent-Length: 5\r\nHost: localhost\r\nA: b\r\n\r\nhello"
            .to_owned(),
    };
    let mut bytes = body.into_bytes();
    for _ in 0..=dice.roll(3) {
        spoil(dice, &mut bytes);
    }
    bytes
}

fn spoil(dice: &mut Dice, bytes: &mut Vec<u8>) {
    // Most framing hangs on line ends, colons and digits: half of all changes are made there.
    let hinges: Vec<usize> = (0..bytes.len())
        .filter(|at| matches!(bytes[*at], b'\r' | b'\n' | b':' | b' ' | b'0'..=b'9'))
        .collect();
    let at = match dice.roll(2) {
        0 if !hinges.is_empty() => hinges[dice.roll(hinges.len())],
        _ => dice.roll(bytes.len()),
    };
    match dice.roll(4) {
        0 => {
            bytes.remove(at);
        }
        1 => bytes[at] = u8::try_from(dice.roll(256)).unwrap(),
        _ => {
            let spice = dice.pick(SPICE);
            bytes.splice(at..at, spice.iter().copied());
        }
    }
    if bytes.is_empty() {
        bytes.push(b'G');
    }
}

/// Sends one message and a probe behind it, and reads until the connection has nothing more to say. Answers
/// what came.
fn send(gateway: &Gateway, message: &[u8]) -> String {
    let mut raw = gateway.connect().patience(Duration::from_millis(40));
    raw.send(message);
    raw.send("GET /public/probe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    if raw.closes() {
        return raw.left();
    }
    let rest = raw.finish().drain(Duration::from_secs(2));
    String::from_utf8_lossy(&rest).into_owned()
}

/// What a service says about the requests it saw: method, target and request ids of each.
pub type Seen = Vec<(String, String, Vec<String>)>;

fn judge(arrived: &Seen, seed: u64) {
    let mut ids = HashSet::new();
    for (method, target, found) in arrived {
        let shown = format!("{method} {target} {found:?}, seed {seed}");
        assert!(!target.contains("admin"), "a hidden request ran: {shown}");
        assert_eq!(found.len(), 1, "not one request of ours: {shown}");
        assert!(
            ids.insert(found[0].clone()),
            "two requests out of one: {shown}"
        );
    }
}

fn messages(divisor: u64) -> u64 {
    dice::setting("PORTCULLIS_TEST_MESSAGES").unwrap_or(20_000) / divisor
}

/// The plain request that shows that the service is alive, before and behind the spoiled ones.
fn twin(gateway: &Gateway) {
    let answer = gateway.ask("GET /public/twin HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(answer.status, 200);
}

#[test]
fn s_23_spoiled_messages_to_the_recorder() {
    let seed = dice::seed();
    let mut dice = Dice::new(seed);
    let gateway = Setup::new().start();
    twin(&gateway);
    for _ in 0..messages(1) {
        let message = message(&mut dice);
        let said = send(&gateway, &message);
        let ours = !said.contains("Server: Pingora");
        assert!(
            ours,
            "the library answered {}, seed {seed}",
            message.escape_ascii()
        );
    }
    twin(&gateway);
    let all = gateway.recorder().requests();
    let arrived: Seen = all
        .iter()
        .map(|request| {
            (
                request.method(),
                request.target(),
                request.values("x-request-id"),
            )
        })
        .collect();
    let twins = arrived
        .iter()
        .filter(|(_, target, _)| target == "/public/twin")
        .count();
    assert_eq!(twins, 2);
    judge(&arrived, seed);
}

/// Against the parser of somebody else, which says what it has read.
fn spoiled_messages_to(kind: Kind) {
    let seed = dice::seed();
    let mut dice = Dice::new(seed);
    let server = Server::start(kind);
    let address = format!("{{ to: \"{}\" }}", server.url());
    let gateway = Setup::new().upstream("web", &address).start();
    twin(&gateway);
    for _ in 0..messages(4) {
        send(&gateway, &message(&mut dice));
    }
    twin(&gateway);
    let twins = || {
        let arrived = server.seen();
        let twins = arrived
            .iter()
            .filter(|(_, target, _)| target == "/public/twin");
        twins.count()
    };
    eventually("both twins at the service", || (twins() == 2).then_some(()));
    judge(&server.seen(), seed);
}

#[test]
fn s_23_spoiled_messages_to_node() {
    spoiled_messages_to(Kind::Node);
}

#[test]
fn s_23_spoiled_messages_to_gunicorn() {
    spoiled_messages_to(Kind::Gunicorn);
}

#[test]
fn s_23_spoiled_messages_to_python() {
    spoiled_messages_to(Kind::Python);
}

#[test]
fn s_23_spoiled_messages_to_nginx() {
    spoiled_messages_to(Kind::Nginx);
}

#[test]
fn s_23_spoiled_messages_to_apache() {
    spoiled_messages_to(Kind::Apache);
}
