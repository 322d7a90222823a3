//! Somebody leaves: a page with all its pictures, which is no attack (B-07), or a stream that says nothing (B-04).

use crate::harness::{Setup, h2, hpack};
use crate::streams::{HEAD, Told, events_over_http1};

const HEADERS: u8 = 1;
const RESET: u8 = 3;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// All in one packet.
#[test]
fn b_07_streams_given_up_at_once_leave_the_others_alone() {
    let gateway = Setup::new().start();
    let fields = h2::request("GET", "/public/x");
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    let block = hpack::encode(&fields);
    let mut client = gateway.h2();
    let (mut batch, mut kept) = (Vec::new(), Vec::new());
    let mut frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        batch.extend_from_slice(&length[1..]);
        batch.extend_from_slice(&[kind, flags]);
        batch.extend_from_slice(&stream.to_be_bytes());
        batch.extend_from_slice(payload);
    };
    for stream in (1..118).step_by(2) {
        // The end of a stream and of its head.
        frame(HEADERS, 0x5, stream, &block);
        if stream % 3 == 0 {
            kept.push(stream);
        } else {
            frame(RESET, 0, stream, &CANCEL);
        }
    }
    for &stream in &kept {
        client.expect(stream);
    }
    client.bytes(&batch);
    for stream in kept {
        assert_eq!(client.read(stream).status(), Some(200), "{stream}");
    }
    assert_eq!(client.get("/public/x", &[]).status(), Some(200));
}

/// What came behind their request must not hide it, however long the stream may be silent.
#[test]
fn b_04_who_leaves_a_silent_stream_is_missed() {
    let told = Told::start();
    let rules = "  - { path: /app/**, allow: signed_in, idle: 4h }\n";
    let gateway = told
        .setup("")
        .rules(rules)
        .set("limits", "{ stall: 1s }")
        .start();
    let cookie = gateway.login("alice");
    let next = "GET /app/next HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for behind in ["", "G", next, &next.repeat(1_000)] {
        let (mut raw, mut call) = events_over_http1(&told, gateway.connect(), &cookie, HEAD);
        raw.send(behind);
        drop(raw);
        call.is_left();
    }
    // Who is still there may well wait.
    let (mut raw, mut call) = events_over_http1(&told, gateway.connect(), &cookie, HEAD);
    raw.send(next);
    std::thread::sleep(std::time::Duration::from_secs(3));
    call.say("data: late\n\n");
    assert!(raw.wait_for("late"));
}
