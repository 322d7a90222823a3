//! How the process ends: what is given back and closed, and that it does end.

use std::time::Duration;
use std::{panic, thread};

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::store::Db;

/// How long the store may take to hear what is not brought to its end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The exit code of a process that panicked, as Rust has it.
const PANICKED: i32 = 101;

/// Waits for the orders of certificates that are under way to be given back.
pub fn give_back(background: &Runtime, orders: JoinHandle<()>) {
    let ended = async { tokio::time::timeout(LAST_WORDS, orders).await };
    if background.block_on(ended).is_err() {
        tracing::warn!("certificates that were being ordered could not be given back");
    }
}

/// So that a copy of the database's file is a copy of the database, and one that is put in its place counts.
pub fn close(db: &Db) {
    if !db.close(LAST_WORDS) {
        tracing::warn!("the newest of the database is in the file beside it (-wal)");
    }
}

/// What Pingora cannot do, such as making a thread, ends its main thread, and that may wait for the others for ever: with
/// open ports that nobody serves, and deaf to signals.
pub fn end_with_the_main_thread() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |fault| {
        tell(fault);
        if thread::current().name() == Some("main") {
            std::process::exit(PANICKED);
        }
    }));
}
