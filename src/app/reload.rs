//! Reload: read, check, run the policy tests, build the new state whole, swap. On any fault the old state
//! stays, and the fault is logged and counted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::task::block_in_place;
use tokio::time::sleep;

use crate::acme::worker::Worker;
use crate::base::time::Clock;
use crate::config::policy_test;
use crate::config::{Config, KeySource};
use crate::crypto::jwt::SigningKey;
use crate::proxy::running::Running;
use crate::proxy::tls::TlsFault;
use crate::proxy::upstream::keeper::Keepers;
use crate::proxy::upstream::renewal::Renewals;
use crate::store::roles::RoleError;
use crate::store::{DbError, Store};
use crate::telemetry::metrics::Metrics;
use crate::web::brand::Brand;

use super::certificates::Certificates;
use super::people::People;
use super::post::{NewPost, Post};
use super::tasks::{LOOK_AT_FILES_EVERY, look_again, told};
use super::triggers::{Cause, Triggers};
use super::{roles, running};

/// Everything a reload replaces, and what it needs to do so.
pub struct Reload {
    /// The file.
    pub path: PathBuf,
    /// The configuration in force.
    pub config: Config,
    /// The state in force.
    pub running: Arc<ArcSwap<Running>>,
    /// Who sees to the upstreams in force.
    pub keepers: Keepers,
    /// Their certificates in files.
    pub renewals: Renewals,
    /// What pages look like.
    pub brand: Arc<ArcSwap<Brand>>,
    /// Signs assertions.
    pub signing: Arc<SigningKey>,
    /// Certificates in files, and who vouches for those of clients.
    pub certificates: Certificates,
    /// Certificates from an authority.
    pub acme: Worker,
    /// Whose settings follow the file.
    pub post: Post,
    /// Where roles are mirrored.
    pub store: Store,
    /// Whose limits follow the file.
    pub people: People,
    /// Where reloads are counted.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
}

/// Why a reload did not happen.
#[derive(Debug, thiserror::Error)]
enum ReloadFault {
    #[error("{0}")]
    Config(String),
    #[error("policy tests fail: {0}")]
    Test(String),
    #[error("a change of {0} needs a restart, or a new process (SIGQUIT)")]
    Restart(String),
    #[error(transparent)]
    Tls(#[from] TlsFault),
    #[error(transparent)]
    Mail(#[from] crate::identity::mail::MailFault),
    #[error(transparent)]
    Roles(#[from] RoleError),
}

impl ReloadFault {
    /// Whether the same file may be put in force later: whoever wants it to has done all that is theirs.
    fn passes(&self) -> bool {
        matches!(self, Self::Roles(RoleError::Db(DbError::Unavailable(_))))
    }
}

impl Reload {
    /// Reloads whenever it is told to.
    pub async fn follow(mut self, mut triggers: Triggers) {
        self.keepers.follow(&self.running.load().pools);
        let mut said: Option<String> = None;
        loop {
            if self.cause(&mut triggers).await == Cause::News {
                said = None;
            }
            match self.attempt(said.as_deref()).await {
                Ok(()) => triggers.done(),
                Err(fault) => {
                    triggers.failed(fault.passes());
                    said = Some(fault.to_string());
                }
            }
        }
    }

    /// Waits for a reason to reload. Meanwhile the certificates of upstreams are looked at: what they are put in force
    /// beside must not change under them.
    async fn cause(&mut self, triggers: &mut Triggers) -> Cause {
        let mut next = std::pin::pin!(triggers.next());
        loop {
            tokio::select! {
                cause = &mut next => return cause,
                () = sleep(LOOK_AT_FILES_EVERY) => self.renew().await,
            }
        }
    }

    /// Puts the certificates of upstreams in force whose files have changed.
    async fn renew(&mut self) {
        let now = self.clock.now();
        let news = block_in_place(|| self.renewals.look(self.config.upstreams.values(), now));
        let mut renewed = false;
        for (name, news) in news {
            let news = news.map(|trust| {
                let Some(upstream) = self.config.upstreams.get_mut(&name) else {
                    return Vec::new();
                };
                let files = trust.renewed_since(&upstream.trust);
                let files = files.map(Path::to_owned).collect();
                upstream.trust = trust;
                renewed = true;
                files
            });
            let result = told(Some(&name), news);
            self.metrics.certificates.with_label_values(&[result]).inc();
        }
        if renewed {
            let next = running::with_renewed(&self.config, &self.running.load_full()).await;
            self.keepers.follow(&next.pools);
            self.running.store(Arc::new(next));
        }
    }

    /// One that fails as the one before it did, whose fault was `said`, is neither told nor counted again.
    async fn attempt(&mut self, said: Option<&str>) -> Result<(), ReloadFault> {
        let applied = self.apply().await;
        match &applied {
            Ok(()) => {
                self.metrics.config_reloads.with_label_values(&["ok"]).inc();
                self.metrics.loaded(self.clock.now());
                tracing::info!(rules = self.config.rules.len(), "configuration reloaded");
            }
            Err(fault) if said == Some(fault.to_string().as_str()) => {}
            Err(fault) => {
                self.metrics
                    .config_reloads
                    .with_label_values(&["failed"])
                    .inc();
                tracing::error!("configuration not reloaded, the old one stays: {fault}");
            }
        }
        applied
    }

    /// The roles of the file are those that were in force, and are in the store unless another node has another file. A
    /// store that does not answer is no reason to leave the old rules in force.
    async fn mirror_again(&self, config: &Config) {
        let mirrored = roles::mirror(&self.store, &config.roles, self.clock.now()).await;
        if let Err(error) = mirrored {
            tracing::warn!(%error, "could not see whether the store has the roles of this file");
        }
    }

    /// Reads the file, and sees whether it may be put in force.
    fn read(&self) -> Result<Config, ReloadFault> {
        let mut config =
            Config::load(&self.path).map_err(|report| ReloadFault::Config(report.in_one_line()))?;
        if config.threads_are_default && self.config.threads_are_default {
            // Processors come and go, as where a container is given more.
            config.threads = self.config.threads;
        }
        match (config.site_is_default, self.config.site_is_default) {
            // Derived from the port that is really bound, which does not change.
            (true, true) => config.sites = self.config.sites.clone(),
            (true, false) if config.listen.http.is_some_and(|it| it.port() == 0) => {
                return Err(ReloadFault::Restart("site".to_owned()));
            }
            _ => {}
        }
        if let Some(what) = needs_restart(&self.config, &config) {
            return Err(ReloadFault::Restart(what));
        }
        let complaints = policy_test::complaints(&config);
        if complaints.is_empty() {
            Ok(config)
        } else {
            Err(ReloadFault::Test(complaints.join("; ")))
        }
    }

    async fn apply(&mut self) -> Result<(), ReloadFault> {
        // Files are read and tests are run; meanwhile others of the background have its threads.
        let config = block_in_place(|| self.read())?;
        let next = running::build(&config, &self.signing, Some(&self.running.load_full())).await;
        let (turns, sessions) = (Arc::clone(&self.people.turns), self.people.sessions.clone());
        let same_roles = config.roles == self.config.roles;
        if !same_roles {
            // Requests will wait, so a store that is away or busy is waited for before.
            self.store.db.ping().await.map_err(RoleError::from)?;
        }
        // After what takes its time, and until they are in force by themselves: a list of revoked certificates that is newer
        // must not come in between, and then be replaced by the one before it.
        let Certificates {
            files,
            clients,
            changing,
            ..
        } = self.certificates.clone();
        let alone = changing.lock().await;
        let (shown, vouching, post) = block_in_place(|| {
            let shown = files.read(&config.tls.certificates, self.clock.now())?;
            let vouching = clients.read(config.tls.clients.as_ref())?;
            Ok::<_, ReloadFault>((shown, vouching, NewPost::of(&config)?))
        })?;
        let change = turns.change();
        if !same_roles {
            let mirrored = roles::mirror(&self.store, &config.roles, self.clock.now()).await;
            if mirrored.is_ok() {
                roles::judge_by(&self.store, &config.roles);
            }
            // Also where it failed: only its answer may have been lost.
            sessions.distrust();
            mirrored?;
        }
        self.people.configure(&config);
        self.post.install(post);
        self.brand.store(Arc::new(config.brand.clone()));
        files.install(shown);
        clients.install(vouching);
        drop(alone);
        self.acme.configure(config.tls.acme.clone());
        self.keepers.follow(&next.pools);
        self.running.store(Arc::new(next));
        change.done();
        if same_roles {
            self.mirror_again(&config).await;
        }
        // Roles may have changed, and who vouches for certificates; whoever is cached by the old ones is looked at again.
        look_again(&sessions).await;
        tell_warnings(&config);
        self.config = config;
        Ok(())
    }
}

/// Logs what a file is warned of, once it is in force.
pub fn tell_warnings(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!(
            key = warning.path,
            hint = warning.hint,
            "{}",
            warning.message
        );
    }
}

/// What cannot be changed while the gateway runs.
fn needs_restart(old: &Config, new: &Config) -> Option<String> {
    let same_key = match (&old.key, &new.key) {
        (KeySource::Kept(a), KeySource::Kept(b)) => a == b,
        (KeySource::Given(a), KeySource::Given(b)) => a.to_hex().expose() == b.to_hex().expose(),
        _ => false,
    };
    let parts = [
        ("listen", old.listen != new.listen),
        ("prefix", old.prefix != new.prefix),
        // Itself, not as it is printed: that leaves out the account, the password and what is said of TLS.
        ("store", old.store.url != new.store.url),
        ("volatile", old.store.volatile != new.store.volatile),
        ("key", !same_key),
        ("threads", old.threads != new.threads),
        ("log", old.log != new.log),
        (
            "login.password",
            old.identity.password != new.identity.password,
        ),
        (
            "tokens.algorithm",
            old.identity.algorithm != new.identity.algorithm,
        ),
    ];
    let changed = parts.into_iter().filter(|(_, changed)| *changed);
    let names: Vec<&str> = changed.map(|(name, _)| name).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn with(store: &str, folder: &Path) -> Config {
        let env = |name: &str| match name {
            "STORE" => Some(store.to_owned()),
            _ => Some("0".repeat(64)),
        };
        let text = "store: env:STORE\nkey: env:KEY\nupstreams: { web: { to: http://web } }\n\
                    rules: [{ path: /**, to: web, allow: signed_in }]\n";
        Config::from_text(text, folder, &env).unwrap()
    }

    #[test]
    fn every_part_of_the_store_needs_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let authority = rcgen::generate_simple_self_signed(["db".to_owned()]).unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.cert.pem()).unwrap();
        let read = |store| with(store, folder.path());
        let before = "postgres://u:hunter22@db/gate";
        let cases = [
            (before, None),
            ("postgres://u:hunter23@db/gate", Some("store")),
            ("postgres://other:hunter22@db/gate", Some("store")),
            (
                "postgres://u:hunter22@db/gate?sslmode=disable",
                Some("store"),
            ),
            (
                "postgres://u:hunter22@db/gate?sslrootcert=ca.pem",
                Some("store"),
            ),
            (
                "postgres://u:hunter22@db/gate?connect_timeout=9",
                Some("store"),
            ),
            ("postgres://u:hunter22@db/other", Some("store")),
            ("postgres://u:hunter22@db:5433/gate", Some("store")),
            // The same, in other words.
            ("postgresql://u:hunter22@db:5432/gate?sslmode=require", None),
        ];
        for (after, said) in cases {
            assert_eq!(
                needs_restart(&read(before), &read(after)).as_deref(),
                said,
                "{after}"
            );
        }
    }
}
