//! From a configuration to the state that requests hold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::crypto::jwt::SigningKey;
use crate::gate::inject::Injector;
use crate::gate::snapshot::Snapshot;
use crate::gate::turn;
use crate::policy::header::Reserved;
use crate::proxy::running::Running;
use crate::proxy::settings::Upstream;
use crate::proxy::upstream::Pool;
use crate::proxy::upstream::keeper::refresh_all;

/// How long what is in force stays so because a name server is silent. Servers that are known stay known, and the others
/// are looked up again afterwards.
const NAMES_WITHIN: Duration = Duration::from_secs(2);

/// Builds the whole state; nothing is in force yet. What is known of upstreams under `before` stays known, and
/// one of which the file says the same as before stays as it is.
pub async fn build(config: &Config, key: &Arc<SigningKey>, before: Option<&Running>) -> Running {
    let issuer = config.sites.main().origin.clone();
    let injector = Injector::new(config.headers.clone(), issuer, Arc::clone(key));
    let names: Vec<String> = injector.names().map(ToString::to_string).collect();
    let snapshot = Snapshot {
        turn: before.map_or(0, |before| turn::next(before.snapshot.turn)),
        policy: config.policy(),
        sites: config.sites.clone(),
        cookie_domain: config.cookie_domain.clone(),
        prefix: config.prefix.as_str().into(),
        paths: config
            .upstreams
            .iter()
            .map(|(name, upstream)| {
                let made = (upstream.paths, upstream.rewrite.clone());
                (Arc::clone(name), made)
            })
            .collect(),
        reserved: Reserved::new(names.iter().map(String::as_str)),
        injector,
        trusted_proxies: config.trusted_proxies.clone(),
    };
    let running = Running {
        snapshot: Arc::new(snapshot),
        pools: pools(config, before),
        limits: config.limits,
        name: config.snapshot_name.clone(),
        hsts: config.hsts.clone(),
    };
    // Nobody waits for a start but those whose servers it looks up.
    let limit = before.map_or(Duration::MAX, |_| NAMES_WITHIN);
    refresh_all(running.pools.values().map(AsRef::as_ref), limit).await;
    running
}

/// The same state with other certificates for its upstreams: what requests are judged by stays as it is.
pub async fn with_renewed(config: &Config, before: &Running) -> Running {
    let running = Running {
        snapshot: Arc::clone(&before.snapshot),
        pools: pools(config, Some(before)),
        limits: before.limits,
        name: before.name.clone(),
        hsts: before.hsts.clone(),
    };
    let pools = running.pools.values().map(AsRef::as_ref);
    refresh_all(pools, NAMES_WITHIN).await;
    running
}

fn pools(config: &Config, before: Option<&Running>) -> BTreeMap<Arc<str>, Arc<Pool>> {
    let made = config.upstreams.iter().map(|(name, upstream)| {
        let before = before.and_then(|before| before.pools.get(name));
        (Arc::clone(name), pool(upstream, before))
    });
    made.collect()
}

fn pool(upstream: &Upstream, before: Option<&Arc<Pool>>) -> Arc<Pool> {
    match before.filter(|before| before.settings == *upstream) {
        Some(same) => Arc::clone(same),
        None => Arc::new(Pool::new(upstream, before.map(AsRef::as_ref))),
    }
}
