//! What other nodes write, heard on a connection of its own.
//!
//! A message is lost while nobody listens: so the number moves as well whenever the connection is lost, with
//! every try that does not get it back, and once it is back. A network that has gone without a word is
//! noticed by asking something every second.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_postgres::{AsyncMessage, Client};

use super::answer::text;
use super::connect::Connector;
use super::leader::WHO;
use super::route::Driver;
use super::run::{CHANNEL, Told};

/// How often to ask, and how long to wait for the answer.
const ASK: Duration = Duration::from_secs(1);
const SILENCE: Duration = Duration::from_secs(2);
/// The pause after the connection is lost; it doubles with each try.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long anything may be believed that was read while nobody listened.
const DOUBT: Duration = Duration::from_millis(500);

/// The task that listens.
pub(super) struct Changes {
    task: JoinHandle<()>,
}

struct Listener {
    connector: Connector,
    told: Arc<Told>,
}

impl Changes {
    /// Listens until it is dropped.
    pub(super) fn follow(connector: Connector, told: Arc<Told>) -> Self {
        let listener = Listener { connector, told };
        let task = tokio::spawn(listener.follow());
        Self { task }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    async fn follow(self) {
        let mut pause = PAUSE;
        loop {
            let began = Instant::now();
            let why = self.listen().await;
            self.told.bump();
            pause = if began.elapsed() > PAUSE_MAX {
                PAUSE
            } else {
                (pause * 2).min(PAUSE_MAX)
            };
            tracing::warn!(error = %why, "no word of what other nodes write; nothing is cached for long until there is");
            self.doubting(sleep(pause)).await;
        }
    }

    /// Does something that keeps it from listening, and moves the number all the while.
    async fn doubting<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            match timeout(DOUBT, work.as_mut()).await {
                Ok(done) => return done,
                Err(_) => self.told.bump(),
            }
        }
    }

    /// Connects and listens for as long as that goes well; then says why it no longer does.
    async fn listen(&self) -> String {
        let listen = format!("LISTEN {CHANNEL}; {WHO}");
        let connecting = self.connector.reach(&listen);
        let (client, mut driver, mut place) = match self.doubting(connecting).await {
            Ok(connected) => connected,
            Err(failed) => return failed.to_string(),
        };
        // Whatever was heard before is forgotten with this.
        self.told.bump();
        let asking = async {
            tokio::select! {
                why = ask_on(&client) => why,
                () = place.lost() => "another server leads now".to_owned(),
            }
        };
        tokio::select! {
            why = asking => why,
            why = self.drive(&mut driver) => why,
        }
    }

    async fn drive(&self, driver: &mut Driver) -> String {
        loop {
            match poll_fn(|context| driver.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notification(said))) if self.told.is_news(said.payload()) => {
                    self.told.bump();
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return text(&error),
                None => return "the connection was closed".to_owned(),
            }
        }
    }
}

/// Asks for as long as there are answers; then says why there is none.
async fn ask_on(client: &Client) -> String {
    let mut ticks = interval(ASK);
    loop {
        ticks.tick().await;
        if let Err(why) = asked(client.batch_execute("")).await {
            return why;
        }
    }
}

async fn asked<T>(
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, String> {
    match timeout(SILENCE, answer).await {
        Ok(answer) => answer.map_err(|error| text(&error)),
        Err(_) => Err("no answer in time".to_owned()),
    }
}
