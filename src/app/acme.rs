//! Certificates from an authority, put together from the file.

use std::sync::Arc;

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
    let parts = Parts {
        store: store.clone(),
        key: key.clone(),
        keyring: Arc::clone(keyring),
        clock: Clock::System,
        random: Random::System,
        metrics: metrics.clone(),
        shared: matches!(config.store.url, DbUrl::Postgres(_)),
    };
    let worker = Worker::new(parts, config.tls.acme.clone());
    worker.load().await?;
    Ok(worker)
}
