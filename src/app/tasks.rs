//! What goes on in the background: sweeping what has expired, noticing other processes' writes, taking over
//! renewed certificates. What is done for upstreams is in `proxy::upstream::keeper`.

use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::base::time::Clock;
use crate::identity::session::Sessions;
use crate::proxy::running::Running;
use crate::proxy::tls::TlsFault;
use crate::store::Store;
use crate::telemetry::log::Lost;
use crate::telemetry::metrics::Metrics;

use super::aside::aside;
use super::certificates::Certificates;
use super::expiry::Expiries;

const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// Tunnels end within a second of their session.
const EXPIRE_EVERY: Duration = Duration::from_millis(250);
const COMPARE_EVERY: Duration = Duration::from_mins(1);
/// In milliseconds: less than any time that something is good for or has to wait.
const MOST_AHEAD: u64 = 2_000;
const RETRY_AFTER: Duration = Duration::from_secs(1);
const COUNT_LOST_EVERY: Duration = Duration::from_secs(5);
pub(super) const LOOK_AT_FILES_EVERY: Duration = Duration::from_secs(1);
/// Rows swept at once: small enough that nobody waits for it.
const BATCH: u32 = 500;

/// Deletes what has expired, in batches.
pub async fn sweep(store: Store, clock: Clock) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        loop {
            match store.volatile.sweep(clock.now(), BATCH).await {
                Ok(swept) if swept >= u64::from(BATCH) => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "could not sweep what has expired");
                    break;
                }
            }
        }
    }
}

/// Compares the clock with that of a database that several gateways share. What expires, and how often something was
/// tried, each tells by its own clock: where these differ, limits do not hold, and honest programs lose their sessions.
pub async fn compare_clocks(store: Store, clock: Clock, metrics: Metrics) {
    let mut differs = false;
    loop {
        let before = clock.now();
        match store.db.time().await {
            // Of this machine.
            Ok(None) => return,
            Ok(Some(theirs)) => {
                // The answer was given somewhere between the two.
                let ours = i64::midpoint(before.millis(), clock.now().millis());
                let ahead = ours - theirs.millis();
                #[expect(clippy::cast_precision_loss, reason = "seconds of a difference")]
                metrics.clock_ahead.set(ahead as f64 / 1_000.0);
                let is_far = ahead.unsigned_abs() > MOST_AHEAD;
                if is_far && !differs {
                    tracing::warn!(
                        ahead_ms = ahead,
                        "the clock differs from that of the database: keep all of them by NTP"
                    );
                }
                differs = is_far;
            }
            Err(error) => tracing::debug!(%error, "the database does not say what time it is"),
        }
        tokio::time::sleep(COMPARE_EVERY).await;
    }
}

/// Tells of lines of the log that were lost, once there is room for it.
pub async fn note_lost_lines(lost: Lost, metrics: Metrics) {
    // What is told of may be lost as well, which is no news.
    let (mut counted, mut told) = (0, 0);
    loop {
        tokio::time::sleep(COUNT_LOST_EVERY).await;
        let lines = lost.lines().saturating_sub(counted);
        counted += lines;
        metrics.log_lines_lost.inc_by(lines);
        let is_news = lines > told;
        told = u64::from(is_news);
        if is_news {
            tracing::warn!(
                lines,
                "lost from the log: whoever reads it is too slow, or it could not be written"
            );
        }
    }
}

/// Looks at the sessions again; where the store does not answer, also later, until it does.
pub async fn look_again(sessions: &Sessions) {
    if revalidate(sessions).await {
        return;
    }
    let sessions = sessions.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(RETRY_AFTER).await;
            if revalidate(&sessions).await {
                break;
            }
        }
    });
}

async fn revalidate(sessions: &Sessions) -> bool {
    sessions.distrust();
    look_through(sessions).await
}

async fn look_through(sessions: &Sessions) -> bool {
    let looked = sessions.look_through().await;
    let told = looked.inspect_err(
        |fault| tracing::warn!(%fault, "could not look at the sessions again; none is cached"),
    );
    told.is_ok()
}

/// Ends what is open of sessions whose time is over.
pub async fn end_expired(sessions: Sessions) {
    loop {
        tokio::time::sleep(EXPIRE_EVERY).await;
        if let Err(fault) = sessions.end_expired().await {
            tracing::warn!(%fault, "could not look at the sessions whose time is over");
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}

/// Takes over certificates whose files have changed. By looking, which costs two system calls a file and works
/// where a watch does not: across links that are swapped, and on file systems of other machines.
///
/// Who vouches for clients' certificates is looked at likewise, and what comes to its end is told; what rests on those who did is judged again.
pub async fn watch_certificates(
    certificates: Certificates,
    sessions: Sessions,
    running: Arc<ArcSwap<Running>>,
    (clock, metrics): (Clock, Metrics),
) {
    let (mut expiries, mut blind) = (Expiries::default(), false);
    loop {
        let Certificates {
            keyring, clients, ..
        } = &certificates;
        let in_force = (clients.in_force(), &*running.load_full());
        expiries.note(keyring, in_force, clock.now(), &metrics);
        tokio::time::sleep(LOOK_AT_FILES_EVERY).await;
        let (Certificates { files, clients, .. }, now) = (certificates.clone(), clock.now());
        let alone = certificates.changing.lock().await;
        // A file system may take its time.
        let looked = aside(move || (files.look(now), clients.look())).await;
        drop(alone);
        let (mut news, vouching) = match looked {
            Ok(looked) => looked,
            Err(error) => {
                if !mem::replace(&mut blind, true) {
                    tracing::warn!(%error, "could not look whether certificates have changed; trying on");
                }
                continue;
            }
        };
        blind = false;
        if vouching.iter().any(Result::is_ok) {
            look_again(&sessions).await;
        }
        news.extend(vouching);
        for change in news {
            let result = told(None, change.map(|file| vec![file]));
            metrics.certificates.with_label_values(&[result]).inc();
        }
    }
}

/// Tells what came of a change, of an upstream's or of our own, and what that is called.
pub(super) fn told(upstream: Option<&str>, change: Result<Vec<PathBuf>, TlsFault>) -> &'static str {
    match change {
        Ok(files) => {
            for file in files {
                tracing::info!(upstream, file = %file.display(), "a renewed certificate is in force");
            }
            "ok"
        }
        Err(fault) => {
            tracing::error!(
                upstream,
                "certificate not renewed, the old one stays: {fault}"
            );
            "failed"
        }
    }
}
