//! The bench every attack is tried on: a recording upstream, the real binary, raw clients.
//!
//! Nothing here knows the product's source. A test starts (or shares) a [`Gateway`], speaks to it through
//! [`Raw`] or [`H2`], and asks the [`Recorder`] what arrived behind it. All of it blocks; every wait has a
//! deadline, and none of them is a sleep that hopes.

#![allow(
    dead_code,
    reason = "the harness is shared by modules that each use a part of it"
)]

pub mod authority;
pub mod dice;
pub mod gateway;
pub mod h2;
pub mod hpack;
pub mod issuer;
mod message;
pub mod metrics;
pub mod pebble;
pub mod postgres;
pub mod process;
pub mod raw;
mod recorded;
pub mod recorder;
pub mod relay;
mod reply;
mod self_test;
pub mod setup;
pub mod smtp;
pub mod tls;
pub mod trial;
mod wire;

use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub use gateway::Gateway;
pub use h2::{H2, Outcome};
pub use message::fields as message_fields;
pub use raw::{Raw, Response, Silence};
pub use recorded::Recorded;
pub use recorder::Recorder;
pub use reply::Reply;
pub use setup::Setup;
pub use trial::Trial;
pub use wire::Wire;

/// How long any single wait may last before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Polls `probe` until it answers, and fails the test with `what` when it does not within [`PATIENCE`].
pub fn eventually<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, probe).unwrap_or_else(|| panic!("gave up waiting: {what}"))
}

/// Polls `probe` until it answers or `limit` has passed.
pub fn within<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(Duration::from_millis(3));
    }
}

/// A word no other test of this run uses: put into a header or path, it tells whose request was recorded.
pub fn marker(name: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{name}-m{}z", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Whether `needle` occurs in `hay`.
pub fn holds(hay: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && hay.windows(needle.len()).any(|part| part == needle)
}

/// Header lines of these names, all with the same value.
pub fn lines_of(names: &[&str], value: &str) -> String {
    let lines: Vec<String> = names
        .iter()
        .map(|name| format!("{name}: {value}\r\n"))
        .collect();
    lines.concat()
}

/// Runs a service of tokio's behind a listener of the standard library's, in this thread.
pub fn serve_on(listener: TcpListener, serve: impl AsyncFnOnce(tokio::net::TcpListener)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async move {
        listener.set_nonblocking(true).unwrap();
        serve(tokio::net::TcpListener::from_std(listener).unwrap()).await;
    });
}
