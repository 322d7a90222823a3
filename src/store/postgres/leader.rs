//! Which server the name of the database leads to.
//!
//! After a failover the one that led before may well be up, and go on answering whoever is connected to it: with sessions that
//! have ended since on the one that leads now, and without a word of what is written there. So every connection asks its server
//! who it is, in the round trip that tells it its settings; and once one that was begun later leads elsewhere, all the others
//! end where they are. A transaction that is cut so has written to a server that nobody reads any more.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_postgres::SimpleQueryMessage;

use super::run::Told;

/// Asks a server who it is: by the microsecond that it was started in. Its address would be another one for each of its
/// interfaces, and that of a pooler is the pooler's; and more than this not everybody may ask.
pub(super) const WHO: &str =
    "SELECT CAST(extract(epoch FROM pg_postmaster_start_time()) * 1000000 AS BIGINT)";

/// The server that leads, as far as is known.
pub(super) struct Leader {
    seen: watch::Sender<Seen>,
    attempts: AtomicU64,
    told: Arc<Told>,
}

/// When a connection was begun, in the order of all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt(u64);

#[derive(Debug)]
struct Seen {
    server: Option<String>,
    /// The last attempt that led there, and when that was.
    by: u64,
    at: Instant,
}

/// The server that a connection leads to.
pub(super) struct Place {
    server: String,
    seen: watch::Receiver<Seen>,
}

impl Leader {
    /// Nothing is known yet. Whatever was copied is to be forgotten once the server is another one.
    pub(super) fn new(told: Arc<Told>) -> Self {
        let seen = Seen {
            server: None,
            by: 0,
            at: Instant::now(),
        };
        Self {
            seen: watch::channel(seen).0,
            attempts: AtomicU64::new(1),
            told,
        }
    }

    /// A connection is begun after this.
    pub(super) fn attempt(&self) -> Attempt {
        Attempt(self.attempts.fetch_add(1, Ordering::Relaxed))
    }

    /// Where it has led to, from what was said to [`WHO`].
    pub(super) fn reached(&self, attempt: Attempt, said: &[SimpleQueryMessage]) -> Place {
        self.found(attempt, who(said))
    }

    fn found(&self, Attempt(by): Attempt, server: String) -> Place {
        let mut known = false;
        let moved = self.seen.send_if_modified(|seen| {
            let moved = seen.server.as_ref() != Some(&server);
            // One that took longer than another says where the name led before.
            if by < seen.by {
                return false;
            }
            known = seen.server.is_some();
            (seen.by, seen.at) = (by, Instant::now());
            seen.server = Some(server.clone());
            moved
        });
        if moved && known {
            tracing::warn!(
                "the database is another server now, or the same started anew; every connection is made anew"
            );
            // After they have ended: what is copied from here on is from where they lead now.
            self.told.bump();
        }
        Place {
            server,
            seen: self.seen.subscribe(),
        }
    }

    /// For how long nobody has seen who leads.
    pub(super) fn unseen(&self) -> Duration {
        self.seen.borrow().at.elapsed()
    }

    /// Whoever leads now, it may be another one: every connection ends.
    pub(super) fn doubt(&self) {
        let known = self
            .seen
            .send_if_modified(|seen| seen.server.take().is_some());
        if known {
            tracing::warn!(
                "for a minute nobody could see which server the database is; every connection is made anew"
            );
            self.told.bump();
        }
    }
}

impl Place {
    /// Waits until it is not the one that leads any more.
    pub(super) async fn lost(&mut self) {
        let Self { server, seen } = self;
        let lost = seen.wait_for(|seen| seen.server.as_ref() != Some(server));
        if lost.await.is_err() {
            // The database is closed, and its connections end by themselves.
            pending::<()>().await;
        }
    }
}

fn who(said: &[SimpleQueryMessage]) -> String {
    let row = said.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    row.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn is_lost(place: &mut Place) -> bool {
        place.lost().now_or_never().is_some()
    }

    #[tokio::test]
    async fn g_09_whoever_was_begun_later_knows_who_leads() {
        let told = Arc::new(Told::by(&[1]));
        let mut news = told.watch();
        let leader = Leader::new(told);
        let found = |attempt, server: &str| leader.found(attempt, server.to_owned());
        let [first, slow, third, fourth] = [(); 4].map(|()| leader.attempt());
        let mut one = found(first, "old");
        let mut three = found(third, "old");
        assert!(!is_lost(&mut one) && !is_lost(&mut three));
        assert!(!news.has_changed().unwrap(), "the same one");
        let mut four = found(fourth, "new");
        assert!(is_lost(&mut one) && is_lost(&mut three) && !is_lost(&mut four));
        assert!(news.has_changed().unwrap(), "what was copied is forgotten");
        news.mark_unchanged();
        let mut two = found(slow, "old");
        assert!(is_lost(&mut two) && !is_lost(&mut four), "begun before");
        assert!(!news.has_changed().unwrap());
        leader.doubt();
        assert!(is_lost(&mut four) && news.has_changed().unwrap());
        let mut five = found(leader.attempt(), "new");
        assert!(!is_lost(&mut five));
    }
}
