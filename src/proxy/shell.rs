//! What the proxy is handed when it is assembled.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::base::random::Random;
use crate::base::time::Clock;
use crate::crypto::client_roots::InForce;
use crate::crypto::keyring::Keyring;
use crate::gate::judge::Gate;
use crate::telemetry::metrics::Metrics;

use super::advice::Advice;
use super::bridge::Pages;
use super::drain::Drain;
use super::places::Places;
use super::running::Running;

/// Everything the proxy needs, handed to it by `app`.
pub struct Shell {
    /// What is in force; replaced whole by a reload.
    pub running: Arc<ArcSwap<Running>>,
    /// What authorities find that look whether a name is ours.
    pub keyring: Arc<Keyring>,
    /// Who vouches for clients' certificates.
    pub roots: Arc<InForce>,
    /// The engine.
    pub gate: Gate,
    /// Our own pages and API.
    pub pages: Pages,
    /// The upstream `builtin:echo`.
    pub echo: Pages,
    /// Where things are counted.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
    /// The dice.
    pub random: Random,
    /// Whether the gateway is going down.
    pub drain: Drain,
    /// For answers that are being compressed.
    pub coders: Places,
    /// For conversations with services of HTTP/2 that may run ahead of each other.
    pub talks: Places,
    /// What the operator was told of a proxy in front.
    pub advice: Advice,
    /// What metrics call requests for our own pages.
    pub own_label: Arc<str>,
}
