//! The gateway, assembled and run.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::block_in_place;
use tower::util::BoxCloneSyncService;

use crate::acme::worker::Worker;
use crate::base::name::Username;
use crate::base::random::Random;
use crate::base::time::Clock;
use crate::config::Config;
use crate::proxy::admin::{Admin, AdminRequests, Written};
use crate::proxy::advice::Advice;
use crate::proxy::drain::Drain;
use crate::proxy::gateway::Gateway;
use crate::proxy::listener::{House, Listener};
use crate::proxy::places::Places;
use crate::proxy::request::Requests;
use crate::proxy::shell::Shell;
use crate::proxy::upstream::keeper::Keepers;
use crate::proxy::upstream::renewal::Renewals;
use crate::proxy::upstream::{probe, roots};
use crate::store::Store;
use crate::telemetry::log::Lost;
use crate::telemetry::metrics::Metrics;
use crate::web::{Parts, Web, echo};

use super::banner::{FirstUser, banner};
use super::certificates::Certificates;
use super::descriptors::Room;
use super::early::Early;
use super::ending::{close, end_with_the_main_thread, give_back};
use super::first::first_user;
use super::hand_over;
use super::people::People;
use super::post::Post;
use super::reload::{Reload, tell_warnings};
use super::shutdown::Signals;
use super::sockets::{Sockets, follow_port};
use super::triggers::Triggers;
use super::watch::Watch;
use super::{acme, keys, relief, roles, running, tasks};

/// Runs the gateway until it is told to stop.
///
/// # Errors
/// When it cannot start.
pub fn serve(
    early: Early,
    mut config: Config,
    (path, file, watches): (&Path, Watch, bool),
    lost: Lost,
) -> anyhow::Result<()> {
    let Early {
        inherited,
        background,
        hangup,
        stop,
    } = early;
    tell_warnings(&config);
    // Before anything else asks for TLS: two providers are linked in, and the first to be installed stays.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let sockets = Sockets::bind(&config, inherited)?;
    let successor = Mutex::new(Some(sockets.successor()?));
    follow_port(&mut config, &sockets.bound);
    background.block_on(relief::look_for_servers(&config))?;
    let parts = background.block_on(assemble(&config))?;
    let bound = sockets.bound;
    let (up, listeners) = (Arc::new(Semaphore::new(0)), sockets.count());
    let server = server(&config, &parts, sockets, &up);
    if hand_over::relieves() {
        // The process before this one serves meanwhile.
        background.block_on(relief::check(&parts.running.load_full()));
    }
    let heard = stop.leave(&background)?;
    let first = background.block_on(settle(&parts, &config))?;
    let text = banner(&config, &bound, first.as_ref());
    let first = first.map(|first| first.name);
    watch_over(&parts, &background, lost);
    let acme = parts.acme.clone();
    let orders = background.spawn(acme.clone().run());
    let senders = parts.post.start(&background, &parts.clock, &parts.metrics);
    let (drain, running) = (parts.drain.clone(), Arc::clone(&parts.running));
    let db = parts.store.db.clone();
    let errands = parts.people.accounts.errands().clone();
    let triggers = Triggers::new(hangup, file, watches);
    background.spawn(parts.into_reload(config, path).follow(triggers));
    background.spawn(async move {
        // A process that had no threads for them could not say so later.
        if up.acquire_many(listeners).await.is_ok() {
            hand_over::ready();
            // Not before: a pipe that nobody reads may hold this up for good.
            block_in_place(|| show(&text, first.as_ref()));
        }
    });
    end_with_the_main_thread();
    server.run(RunArgs {
        shutdown_signal: Box::new(Signals {
            drain,
            running,
            successor,
            errands,
            heard: Mutex::new(Some(heard)),
        }),
    });
    senders.stop(&background);
    acme.leave();
    give_back(&background, orders);
    background.shutdown_background();
    close(&db);
    hand_over::over();
    Ok(())
}

/// Begins what goes on all the while.
fn watch_over(parts: &Assembled, background: &Runtime, lost: Lost) {
    background.spawn(tasks::sweep(parts.store.clone(), parts.clock.clone()));
    background.spawn(tasks::compare_clocks(
        parts.store.clone(),
        parts.clock.clone(),
        parts.metrics.clone(),
    ));
    background.spawn(tasks::note_lost_lines(lost, parts.metrics.clone()));
    background.spawn(tasks::end_expired(parts.people.sessions.clone()));
    let sessions = parts.people.sessions.clone();
    background.spawn(async move { sessions.follow_changes().await });
    background.spawn(tasks::watch_certificates(
        parts.certificates.clone(),
        parts.people.sessions.clone(),
        Arc::clone(&parts.running),
        (parts.clock.clone(), parts.metrics.clone()),
    ));
}

/// Shows the banner. Nobody may be there to see it, which keeps nothing from being served.
fn show(text: &str, first: Option<&Username>) {
    let mut out = std::io::stdout();
    let shown = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match (shown, first) {
        (Ok(()), _) => {}
        (Err(error), None) => tracing::warn!(%error, "could not print where the gateway listens"),
        (Err(error), Some(name)) => {
            tracing::error!(%error, "could not print the password of the first superuser; choose one: portcullis user set-password {name}");
        }
    }
}

/// The assembled gateway, less its listeners.
struct Assembled {
    store: Store,
    people: People,
    running: Arc<ArcSwap<crate::proxy::running::Running>>,
    signing: Arc<crate::crypto::jwt::SigningKey>,
    certificates: Certificates,
    acme: Worker,
    post: Post,
    brand: Arc<ArcSwap<crate::web::brand::Brand>>,
    web: Web,
    metrics: Metrics,
    clock: Clock,
    random: Random,
    drain: Drain,
}

async fn assemble(config: &Config) -> anyhow::Result<Assembled> {
    let (clock, random) = (Clock::System, Random::System);
    let metrics = Metrics::new()?;
    let now = clock.now();
    let store = keys::store(config, metrics.store_observer(), now).await?;
    let key = keys::gateway_key(&config.key, &store, &random).await?;
    roles::judge_by(&store, &config.roles);
    let signing = keys::signing_key(&store, &key, &random, now).await?;
    let post = Post::new(config, &store, &key, &random)?;
    let people = People::assemble(config, (&store, &key), &post, (&clock, &random)).await?;
    let certificates = Certificates::read(&config.tls, &people.sessions, now)?;
    let acme = acme::worker(config, (&store, &key), &certificates.keyring, &metrics).await?;
    let brand = Arc::new(ArcSwap::from_pointee(config.brand.clone()));
    let web = Web::new(Parts {
        logins: people.logins.clone(),
        sessions: people.sessions.clone(),
        tokens: people.tokens.clone(),
        accounts: people.accounts.clone(),
        store: store.clone(),
        key,
        random: random.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
        brand: Arc::clone(&brand),
    });
    let running = running::build(config, &signing, None).await;
    let running = Arc::new(ArcSwap::from_pointee(running));
    let drain = Drain::default();
    metrics.loaded(now);
    Ok(Assembled {
        store,
        people,
        running,
        signing,
        certificates,
        acme,
        post,
        brand,
        web,
        metrics,
        clock,
        random,
        drain,
    })
}

/// What a start changes in the store, after all else that may fail: one that comes to nothing leaves no roles behind that
/// others have to do with, and whoever is made here is told a password once.
async fn settle(parts: &Assembled, config: &Config) -> anyhow::Result<Option<FirstUser>> {
    let Assembled {
        store,
        clock,
        random,
        ..
    } = parts;
    roles::mirror(store, &config.roles, clock.now()).await?;
    first_user(store, config, clock, random).await
}

fn conf(config: &Config, kept: usize) -> ServerConf {
    ServerConf {
        threads: config.threads,
        // A thread that is alone has nobody to share its tasks with.
        work_stealing: config.threads > 1,
        // Draining is done before Pingora is told to stop.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        // Pingora has as many for each thread, and keeps those of HTTP/1 and of HTTP/2 apart.
        upstream_keepalive_pool_size: (kept / config.threads.max(1) / 2).max(1),
        ca_file: roots::file().map(ToOwned::to_owned),
        // How often a request is tried is decided for each (`proxy::tries`), and there may be more servers than this.
        max_retries: 1 << 16,
        ..ServerConf::default()
    }
}

fn server(config: &Config, parts: &Assembled, sockets: Sockets, up: &Arc<Semaphore>) -> Server {
    let room = Room::take(config.limits.connections);
    let conf = conf(config, room.kept);
    probe::prepare();
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let gateway = Gateway(parts.shell(config));
    let requests = Arc::new(Requests::new(
        http_proxy(&server.configuration, gateway),
        Arc::clone(&parts.running),
    ));
    let house = House {
        running: Arc::clone(&parts.running),
        origins: Arc::default(),
        drain: parts.drain.clone(),
        public: true,
        room: room.clients,
        up: Arc::clone(up),
        metrics: parts.metrics.clone(),
    };
    if let Some(socket) = sockets.http {
        server.add_service(Listener::new(
            "http",
            socket,
            Arc::clone(&requests),
            None,
            house.clone(),
        ));
    }
    if let Some(socket) = sockets.https {
        let handshakes = &parts.certificates;
        let sessions = &parts.people.sessions;
        let handshakes = Some(handshakes.handshakes(sessions, parts.clock.clone()));
        server.add_service(Listener::new(
            "https",
            socket,
            Arc::clone(&requests),
            handshakes,
            house.clone(),
        ));
    }
    // Of its own count: whoever has used up the public budget must not make the gateway look dead.
    let own = House {
        origins: Arc::default(),
        room: usize::MAX,
        // Probes and scrapers keep connections that nobody misses.
        public: false,
        ..house
    };
    let mut admin = Listener::new(
        "admin",
        sockets.admin,
        Arc::new(AdminRequests::new(parts.admin())),
        None,
        own,
    );
    admin.set_threads(1);
    server.add_service(admin);
    server
}

impl Assembled {
    fn shell(&self, config: &Config) -> Shell {
        let echo = echo::router(Arc::clone(&self.brand), &config.prefix);
        Shell {
            running: Arc::clone(&self.running),
            keyring: Arc::clone(&self.certificates.keyring),
            roots: Arc::clone(self.people.sessions.roots()),
            gate: self.people.gate(),
            pages: BoxCloneSyncService::new(self.web.clone().router(&config.prefix)),
            echo: BoxCloneSyncService::new(echo),
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
            random: self.random.clone(),
            drain: self.drain.clone(),
            coders: Places::default(),
            talks: Places::default(),
            advice: Advice::default(),
            own_label: "own".into(),
        }
    }

    fn admin(&self) -> Admin {
        Admin {
            metrics: self.metrics.clone(),
            running: Arc::clone(&self.running),
            store: self.store.clone(),
            sessions: self.people.sessions.clone(),
            hashing: self.people.hashing.clone(),
            drain: self.drain.clone(),
            written: Written::default(),
        }
    }

    fn into_reload(self, config: Config, path: &Path) -> Reload {
        Reload {
            path: path.to_owned(),
            config,
            running: self.running,
            keepers: Keepers::default(),
            renewals: Renewals::default(),
            brand: self.brand,
            signing: self.signing,
            certificates: self.certificates,
            acme: self.acme,
            post: self.post,
            store: self.store,
            people: self.people,
            metrics: self.metrics,
            clock: self.clock,
        }
    }
}
