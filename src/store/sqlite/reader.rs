//! The threads that read. Each has a connection of its own and sees what was committed when its statement began.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{Reply, Work, answered, connect, run};
use crate::store::error::DbError;

/// What one of them is asked for.
pub(super) enum Read {
    Work(Work),
    /// The process ends: one of them closes its connection.
    Close(mpsc::Sender<()>),
}

/// Starts the readers on one shared queue, and says how many there are.
pub(super) async fn start(path: &Path) -> Result<(mpsc::Sender<Read>, usize), DbError> {
    let (sender, queue) = mpsc::channel();
    let queue = Arc::new(Mutex::new(queue));
    let count = readers();
    for number in 0..count {
        let (opened, answer) = oneshot::channel();
        let (path, queue) = (path.to_owned(), queue.clone());
        thread::Builder::new()
            .name(format!("store-reader-{number}"))
            .spawn(move || serve(&path, &queue, opened))
            .map_err(|e| DbError::unavailable(e.to_string()))?;
        answered(answer).await?;
    }
    Ok((sender, count))
}

fn readers() -> usize {
    thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 4))
}

fn serve(path: &Path, queue: &Mutex<mpsc::Receiver<Read>>, opened: Reply<()>) {
    let connection = match connect::reader(path) {
        Ok(connection) => connection,
        Err(e) => return drop(opened.send(Err(e))),
    };
    drop(opened.send(Ok(())));
    // The lock is held while waiting: exactly one idle reader waits for the queue, the others for the lock.
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(next) = next() {
        match next {
            Read::Work(work) => answer(&connection, work),
            Read::Close(closed) => {
                drop(connection);
                // Nobody waits any more where it took too long.
                let _ = closed.send(());
                return;
            }
        }
    }
}

fn answer(connection: &Connection, work: Work) {
    // Nobody wants the answer any more, and a read changes nothing.
    if work.reply.is_closed() {
        return;
    }
    let answers = work
        .calls
        .iter()
        .map(|call| run::run(connection, call))
        .collect();
    drop(work.reply.send(answers));
}
