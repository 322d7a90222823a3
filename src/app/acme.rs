//! Certificates from an authority, put together from the file.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::acme::worker::{Parts, Worker};
use crate::base::random::Random;
use crate::base::time::Clock;
use crate::config::Config;
use crate::crypto::key::GatewayKey;
use crate::crypto::keyring::Keyring;
use crate::store::{DbUrl, Store};
use crate::telemetry::metrics::Metrics;

/// What gets certificates. What it got before is in force when this returns.
///
/// # Errors
/// When the store does not answer.
pub async fn worker(
    config: &Config,
    (store, key): (&Store, &GatewayKey),
    keyring: &Arc<Keyring>,
    metrics: &Metrics,
) -> anyhow::Result<Worker> {
    let worker = Worker::new(Parts {
        store: store.clone(),
        key: key.clone(),
        keyring: Arc::clone(keyring),
        clock: Clock::System,
        random: Random::System,
        metrics: metrics.clone(),
        shared: matches!(config.store.url, DbUrl::Postgres(_)),
        settings: ArcSwapOption::from_pointee(config.tls.acme.clone()),
        changed: tokio::sync::Notify::default(),
        account: tokio::sync::Mutex::default(),
        seen: std::sync::Mutex::default(),
    });
    worker.load().await?;
    Ok(worker)
}
