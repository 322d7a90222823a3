//! The post: how letters and hooks are put together from the file, and who sends them in the background.

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::base::random::Random;
use crate::base::time::Clock;
use crate::config::Config;
use crate::crypto::key::GatewayKey;
use crate::identity::hooks::Hooks;
use crate::identity::mail::{Letterhead, MailFault, Mailer, Office};
use crate::identity::outbox::Outbox;
use crate::identity::outbox::worker::{Courier, Worker};
use crate::outbound::{Limits, Outbound};
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

/// How long what is being sent may take once the gateway stops.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Letters and hooks. Clones share them.
#[derive(Clone)]
pub struct Post {
    /// Writes to people.
    pub mailer: Mailer,
    /// Tells programs.
    pub hooks: Hooks,
    outbox: Outbox,
    outbound: Outbound,
}

/// What a reload puts in force, made and tried before anything is.
pub struct NewPost {
    office: Option<Office>,
    hooks: Vec<crate::identity::hooks::Hook>,
}

/// Those who send, until they are told to stop.
pub struct Senders {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// The mail office of a configuration, if it has one.
///
/// # Errors
/// When a template is wrong, or TLS cannot be prepared.
pub fn office(config: &Config) -> Result<Option<Office>, MailFault> {
    let letterhead = Letterhead {
        brand: config.brand.name.clone(),
        color: config.brand.color.clone(),
        site: config.sites.main().clone(),
        templates: config
            .brand
            .folder
            .as_ref()
            .map(|folder| folder.join("mail")),
    };
    let open = |settings| Office::open(settings, letterhead);
    config.mail.as_ref().map(open).transpose()
}

impl NewPost {
    /// Letters and hooks of a configuration.
    ///
    /// # Errors
    /// When letters cannot be written or sent like this.
    pub fn of(config: &Config) -> Result<Self, MailFault> {
        Ok(Self {
            office: office(config)?,
            hooks: config.hooks.clone(),
        })
    }
}

impl Post {
    /// Letters and hooks of a configuration, kept in this store until they are sent.
    ///
    /// # Errors
    /// When letters cannot be written or sent like this.
    pub fn new(
        config: &Config,
        store: &Store,
        key: &GatewayKey,
        random: &Random,
    ) -> Result<Self, MailFault> {
        let NewPost { office, hooks } = NewPost::of(config)?;
        let outbox = Outbox::new(store.outbox.clone(), key.clone(), random.clone());
        Ok(Self {
            mailer: Mailer::new(outbox.clone(), random.clone(), office),
            hooks: Hooks::new(outbox.clone(), random.clone(), hooks),
            outbox,
            outbound: Outbound::new(Limits::DEFAULT),
        })
    }

    /// Puts what a reload has made in force.
    pub fn install(&self, new: NewPost) {
        self.mailer.install(new.office);
        self.hooks.install(new.hooks);
    }

    /// Begins to send what waits.
    #[must_use]
    pub fn start(&self, background: &Runtime, clock: &Clock, metrics: &Metrics) -> Senders {
        let stop = CancellationToken::new();
        let messenger = self.hooks.messenger(self.outbound.clone(), clock.clone());
        let mails = self.worker(self.mailer.postman(clock.clone()), clock, metrics);
        let hooks = self.worker(messenger, clock, metrics);
        let tasks = vec![
            background.spawn(mails.run(stop.clone())),
            background.spawn(hooks.run(stop.clone())),
        ];
        Senders { stop, tasks }
    }

    fn worker<C: Courier>(&self, courier: C, clock: &Clock, metrics: &Metrics) -> Worker<C> {
        Worker {
            outbox: self.outbox.clone(),
            courier,
            clock: clock.clone(),
            metrics: metrics.clone(),
        }
    }
}

impl Senders {
    /// Takes nothing new, and waits a moment for what is under way. The rest is sent at the next start.
    pub fn stop(self, background: &Runtime) {
        self.stop.cancel();
        background.block_on(async {
            let all = futures_util::future::join_all(self.tasks);
            if tokio::time::timeout(LAST_WORDS, all).await.is_err() {
                tracing::info!("some messages were being sent; they are sent again later");
            }
        });
    }
}
