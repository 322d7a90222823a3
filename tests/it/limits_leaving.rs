//! Somebody leaves a page with all its pictures: what of B-07 is no attack.

use crate::harness::{Setup, h2, hpack};

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
