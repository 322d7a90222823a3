//! Looks now and then where the name of the database leads, by a connection that is made for nothing else.
//!
//! Where nobody is in need of another connection, nobody would see that the name leads elsewhere by now.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::connect::{CONNECT, Connector, Session};
use crate::base::random::Random;

/// How often to look; up to a quarter more, so that nodes that were started together do not look together.
const EVERY: Duration = Duration::from_secs(10);
/// For how long connections may be believed while it cannot be seen where they should lead.
const BELIEF: Duration = Duration::from_mins(1);

/// The task that looks.
pub(super) struct Look(JoinHandle<()>);

impl Look {
    /// Looks until it is dropped.
    pub(super) fn begin(connector: Connector) -> Self {
        Self(tokio::spawn(async move {
            loop {
                sleep(EVERY + jitter()).await;
                look(&connector).await;
            }
        }))
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whoever is reached says who they are as every server does that is connected to.
async fn look(connector: &Connector) {
    let full = match timeout(CONNECT, connector.session(Session::Reads)).await {
        Ok(Ok(_)) => return,
        // A server with no place for another connection has those that it has: ending them would only lose their places.
        Ok(Err(error)) => error
            .code()
            .is_some_and(|code| code.code().starts_with("53")),
        Err(_) => false,
    };
    if !full && connector.leader().unseen() > BELIEF {
        connector.leader().doubt();
    }
}

fn jitter() -> Duration {
    let [part] = Random::System.bytes().unwrap_or_default();
    EVERY / 4 * u32::from(part) / 255
}
