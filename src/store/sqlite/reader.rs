//! The threads that read. Each has a connection of its own and sees what was committed when its statement began.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{Reply, Work, answered, connect, run};
use crate::store::error::DbError;

/// Starts the readers on one shared queue.
pub(super) async fn start(path: &Path) -> Result<mpsc::Sender<Work>, DbError> {
    let (sender, queue) = mpsc::channel();
    let queue = Arc::new(Mutex::new(queue));
    for number in 0..readers() {
        let (opened, answer) = oneshot::channel();
        let (path, queue) = (path.to_owned(), queue.clone());
        thread::Builder::new()
            .name(format!("store-reader-{number}"))
            .spawn(move || serve(&path, &queue, opened))
            .map_err(|e| DbError::unavailable(e.to_string()))?;
        answered(answer).await?;
    }
    Ok(sender)
}

fn readers() -> usize {
    thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 4))
}

fn serve(path: &Path, queue: &Mutex<mpsc::Receiver<Work>>, opened: Reply<()>) {
    let connection = match connect::reader(path) {
        Ok(connection) => connection,
        Err(e) => return drop(opened.send(Err(e))),
    };
    drop(opened.send(Ok(())));
    // The lock is held while waiting: exactly one idle reader waits for the queue, the others for the lock.
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(work) = next() {
        answer(&connection, work);
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
