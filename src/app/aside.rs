//! Work that waits for a file system, beside the runtime.

use std::io;
use std::thread::Builder;

use tokio::sync::oneshot;

/// Does this on a thread of its own, and waits for it.
///
/// Tokio's blocking threads panic into whoever asks where the machine gives no thread, and a task that looks after
/// something for as long as the gateway runs would be gone for good.
///
/// # Errors
/// When there is no thread to be had, or the work panics.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (tell, told) = oneshot::channel();
    let work = move || {
        // Nobody waits any more where the gateway is stopping.
        let _ = tell.send(work());
    };
    Builder::new().name("aside".to_owned()).spawn(work)?;
    told.await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_done_is_told() {
        assert_eq!(aside(|| 2 + 2).await.ok(), Some(4));
        let lost = aside(|| -> u8 { panic!("on purpose") }).await;
        assert!(lost.is_err(), "{lost:?}");
    }
}
