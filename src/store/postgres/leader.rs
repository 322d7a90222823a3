//! Which server the name of the database leads to.
//!
//! After a failover the one that led before may well be up, and go on answering whoever is connected to it: with sessions that
//! have ended since on the one that leads now, and without a word of what is written there. So every connection asks its server
//! who it is, in the round trip that tells it its settings; and once one that was begun later leads elsewhere, all the others
//! end where they are. A transaction that is cut so has written to a server that nobody reads any more.

use std::future::pending;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_postgres::SimpleQueryMessage;

use super::hosts::Address;
use super::run::Told;

/// Asks a server who it is: by the microsecond that it was started in. Its address would be another one for each of its
/// interfaces, and that of a pooler is the pooler's; and more than this not everybody may ask. And where it listens itself, which
/// is not where we have connected to if there is something in between.
pub(super) const WHO: &str =
    "SELECT CAST(extract(epoch FROM pg_postmaster_start_time()) * 1000000 AS BIGINT),
     host(inet_server_addr()), coalesce(inet_server_port(), CAST(current_setting('port') AS INTEGER))";

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
    /// What that one had connected to, and whether the server is there itself.
    through: Option<(Address, bool)>,
}

/// What is at some addresses, for all that is known of the server that leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// That server.
    There,
    /// Something that has led on to it: a pooler, or what spreads connections.
    Behind,
    /// Another one, perhaps.
    Elsewhere,
}

/// What a server says to [`WHO`].
struct Said {
    server: String,
    ip: Option<IpAddr>,
    port: u16,
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
            through: None,
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
    pub(super) fn reached(
        &self,
        attempt: Attempt,
        address: Address,
        said: &[SimpleQueryMessage],
    ) -> Place {
        let said = Said::of(said);
        let there = address.is(said.ip, said.port);
        self.found(attempt, said.server, (address, there))
    }

    fn found(&self, Attempt(by): Attempt, server: String, through: (Address, bool)) -> Place {
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
            seen.through = Some(through);
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

    /// What it is that takes connections at these addresses. One where the server listens itself is not another server's while it
    /// answers; but what leads on to it may lead new ones elsewhere by now.
    pub(super) fn stands_at<'a>(&self, mut all: impl Iterator<Item = &'a Address>) -> Stands {
        match &self.seen.borrow().through {
            Some((address, there)) if all.any(|one| one == address) => {
                if *there {
                    Stands::There
                } else {
                    Stands::Behind
                }
            }
            _ => Stands::Elsewhere,
        }
    }

    /// It answers on a connection that there is: where no other is to be had, it is the one that leads.
    pub(super) fn confirmed(&self) {
        self.seen.send_if_modified(|seen| {
            seen.at = Instant::now();
            false
        });
    }

    /// Whoever leads now, it may be another one: every connection ends.
    pub(super) fn doubt(&self) {
        let known = self
            .seen
            .send_if_modified(|seen| seen.server.take().is_some());
        if known {
            tracing::warn!(
                "for too long nobody could see which server the database is; every connection is made anew"
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

impl Said {
    fn of(said: &[SimpleQueryMessage]) -> Self {
        let row = said.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let column = |at| row.and_then(|row| row.get(at)).unwrap_or_default();
        Self {
            server: column(0).to_owned(),
            ip: column(1).parse().ok(),
            port: column(2).parse().unwrap_or_default(),
        }
    }
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
        let through = (Address::Tcp(([127, 0, 0, 1], 5432).into()), true);
        let found =
            |attempt, server: &str| leader.found(attempt, server.to_owned(), through.clone());
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

    #[test]
    fn g_09_only_where_it_was_reached_last_does_it_stand() {
        let at = |last| Address::Tcp(([127, 0, 0, last], 5432).into());
        let leader = Leader::new(Arc::new(Told::by(&[1])));
        let stands = |addresses: &[Address]| leader.stands_at(addresses.iter());
        assert_eq!(stands(&[at(1)]), Stands::Elsewhere, "never reached");
        let cases = [
            ((at(1), true), vec![at(2), at(1)], Stands::There),
            ((at(1), false), vec![at(1)], Stands::Behind),
            ((at(1), true), vec![at(2)], Stands::Elsewhere),
            ((at(1), true), vec![], Stands::Elsewhere),
        ];
        for (through, taken, expected) in cases {
            leader.found(leader.attempt(), "server".to_owned(), through);
            assert_eq!(stands(&taken), expected, "{taken:?}");
        }
    }
}
