//! Looks now and then where the name of the database leads, by a connection that is made for nothing else.
//!
//! Where nobody is in need of another connection, nobody would see that the name leads elsewhere by now. And where no new one is
//! to be had, that says nothing of another server: then those in hand are asked.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::connect::Connector;
use super::leader::Stands;
use super::pool::Lines;
use crate::base::random::Random;

/// How often to look; up to a quarter more, so that nodes that were started together do not look together.
const EVERY: Duration = Duration::from_secs(10);
/// For how long connections may be believed while it cannot be seen where they should lead.
const BELIEF: Duration = Duration::from_mins(1);
/// The same while somebody is where they lead and lets nobody in, who may be the server or a pooler without a place, and may as
/// well lead to another server that does so. To make them anew after that frees the places that we had.
const PATIENCE: Duration = Duration::from_mins(5);

/// The task that looks.
pub(super) struct Look(JoinHandle<()>);

struct Looking {
    connector: Connector,
    hands: Vec<Arc<Lines>>,
    belief: Duration,
    patience: Duration,
    /// What was said last of there being no new connections.
    said: Option<String>,
}

impl Look {
    /// Looks until it is dropped; `hands` have the connections that there are.
    pub(super) fn begin(connector: Connector, hands: Vec<Arc<Lines>>) -> Self {
        let mut looking = Looking {
            connector,
            hands,
            belief: BELIEF,
            patience: PATIENCE,
            said: None,
        };
        Self(tokio::spawn(async move {
            loop {
                sleep(EVERY + jitter()).await;
                looking.once().await;
            }
        }))
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Looking {
    /// Whoever is reached says who they are as every server does that is connected to.
    async fn once(&mut self) {
        let Err(failed) = self.connector.look().await else {
            self.said = None;
            return;
        };
        let stands = self.connector.leader().stands_at(failed.taken());
        let goes_on = stands != Stands::Elsewhere && self.is_in_hand().await;
        self.say(failed.to_string(), goes_on);
        let leader = self.connector.leader();
        let believed = match stands {
            Stands::There if goes_on => return leader.confirmed(),
            Stands::Behind if goes_on => self.patience,
            // Where the name leads nowhere, or to somebody else who lets nobody in, the one that leads may be out of sight, and
            // another be written to.
            _ => self.belief,
        };
        if leader.unseen() > believed {
            leader.doubt();
        }
    }

    /// Says it once, and again when it is for another reason.
    fn say(&mut self, why: String, goes_on: bool) {
        if self.said.as_ref() != Some(&why) {
            if goes_on {
                tracing::warn!(error = %why, "the database takes no new connection; those that there are go on");
            } else {
                tracing::warn!(error = %why, "it cannot be seen which server the database is");
            }
            self.said = Some(why);
        }
    }

    /// Whether a server answers on a connection that there is, and is one that takes writes.
    async fn is_in_hand(&self) -> bool {
        for lines in &self.hands {
            if lines.writes().await {
                return true;
            }
        }
        false
    }
}

fn jitter() -> Duration {
    let [part] = Random::System.bytes().unwrap_or_default();
    EVERY / 4 * u32::from(part) / 255
}

#[cfg(test)]
mod tests {
    use tokio::io::copy_bidirectional;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_postgres::SimpleQueryMessage;

    use super::*;
    use crate::store::conformance::server::{Database, Server};
    use crate::store::postgres::PostgresUrl;
    use crate::store::postgres::connect::Session;
    use crate::store::postgres::leader::Leader;
    use crate::store::postgres::pool::Object;
    use crate::store::postgres::run::Told;

    /// A database with a connection in hand.
    struct Held {
        database: Database,
        connector: Connector,
        lines: Arc<Lines>,
        line: Object,
    }

    impl Held {
        async fn at(database: Database, url: &str) -> Self {
            let leader = Leader::new(Arc::new(Told::by(&[1])));
            let connector = Connector::new(&PostgresUrl::parse(url).unwrap(), leader).unwrap();
            let lines = Arc::new(Lines::new(connector.clone(), Session::Writes).unwrap());
            // The other one is asked beside whoever uses this.
            let line = lines.line().await.unwrap();
            drop(lines.line().await.unwrap());
            Self {
                database,
                connector,
                lines,
                line,
            }
        }

        /// Whether new ones are let in.
        fn open(&self, yes: bool) {
            let name = self.database.sql("SELECT current_database()");
            Database::new().sql(&format!(
                "ALTER DATABASE \"{name}\" WITH ALLOW_CONNECTIONS {yes}"
            ));
        }

        /// Looks where `url` leads, which takes no new one, and says whether the connection in hand is kept.
        async fn is_kept(&mut self, url: &str, patience: Duration) -> bool {
            let mut looking = Looking {
                connector: self.connector.leading_to(&PostgresUrl::parse(url).unwrap()),
                hands: vec![Arc::clone(&self.lines)],
                belief: Duration::ZERO,
                patience,
                said: None,
            };
            looking.once().await;
            assert!(looking.said.is_some(), "nothing is said");
            let said = self.line.simple_query("SELECT 1").await;
            said.is_ok_and(|said| matches!(said[1], SimpleQueryMessage::Row(_)))
        }
    }

    async fn silent() -> (TcpListener, u16) {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = silent.local_addr().unwrap().port();
        (silent, port)
    }

    const FOR_EVER: Duration = Duration::MAX;

    #[tokio::test(flavor = "multi_thread")]
    async fn g_09_a_server_that_takes_no_new_connection_is_kept_while_it_answers() {
        let database = Database::new();
        let url = database.socket_url();
        let (gone, port) = silent().await;
        drop(gone);
        // The last host's fault is not all that is known.
        let listed = url.replacen("/test", &format!(",127.0.0.1:{port}/test"), 1);
        assert_ne!(listed, url);
        let mut held = Held::at(database, &url).await;
        held.open(false);
        assert!(held.is_kept(&url, Duration::ZERO).await);
        assert!(held.is_kept(&listed, Duration::ZERO).await);
        // Nobody in hand says that it is still there.
        held.lines = Arc::new(Lines::new(held.connector.clone(), Session::Writes).unwrap());
        assert!(!held.is_kept(&url, FOR_EVER).await);
    }

    /// It may be the one that leads by now, which is full, or does not know us.
    #[tokio::test(flavor = "multi_thread")]
    async fn g_09_who_takes_no_new_connection_elsewhere_says_nothing_of_the_server_in_hand() {
        let (_silent, silent) = silent().await;
        let (gone, nowhere) = self::silent().await;
        drop(gone);
        for what in ["refuses", "is silent", "is nowhere"] {
            let database = Database::new();
            let (socket, tcp) = (database.socket_url(), database.url());
            let mut held = Held::at(database, &socket).await;
            let url = match what {
                "refuses" => tcp,
                "is silent" => held.database.url_at(silent),
                _ => held.database.url_at(nowhere),
            };
            held.open(false);
            assert!(!held.is_kept(&url, FOR_EVER).await, "{what}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn g_09_what_leads_on_to_a_server_is_believed_for_a_while_only() {
        let (relay, port) = silent().await;
        tokio::spawn(async move {
            while let Ok((mut near, _)) = relay.accept().await {
                let far = TcpStream::connect(("127.0.0.1", Server::shared().port())).await;
                let mut far = far.unwrap();
                tokio::spawn(async move { copy_bidirectional(&mut near, &mut far).await });
            }
        });
        let database = Database::new();
        let url = database.url_at(port);
        let mut held = Held::at(database, &url).await;
        held.open(false);
        assert!(held.is_kept(&url, FOR_EVER).await);
        assert!(!held.is_kept(&url, Duration::ZERO).await);
    }
    /// They have it for milliseconds, and nobody else is to be had.
    #[tokio::test(flavor = "multi_thread")]
    async fn g_09_where_no_new_connection_is_to_be_had_those_in_hand_are_waited_for() {
        let database = Database::new();
        let url = PostgresUrl::parse(&database.socket_url()).unwrap();
        let leader = Leader::new(Arc::new(Told::by(&[1])));
        let connector = Connector::new(&url, leader).unwrap();
        let lines = Lines::new(connector, Session::Writes).unwrap();
        let only = lines.line().await.unwrap();
        let name = database.sql("SELECT current_database()");
        let closed = format!("ALTER DATABASE \"{name}\" WITH ALLOW_CONNECTIONS false");
        Database::new().sql(&closed);
        let work = || async {
            let line = lines.line().await.map_err(|error| error.to_string())?;
            line.batch_execute("SELECT pg_sleep(0.01)")
                .await
                .map_err(|error| error.to_string())
        };
        let all = futures_util::future::join_all((0..12).map(|_| work()));
        let (all, ()) = tokio::join!(all, async { drop(only) });
        assert!(all.iter().all(Result::is_ok), "{all:?}");
    }
}
