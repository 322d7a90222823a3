//! What is in force between two reloads: the judgement's snapshot and everything the proxy adds to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderValue;

use crate::gate::snapshot::Snapshot;

use super::settings::Limits;
use super::upstream::Pool;

/// The state that a request holds from its first byte to its last.
#[derive(Debug)]
pub struct Running {
    /// What requests are judged by.
    pub snapshot: Arc<Snapshot>,
    /// Where they go.
    pub pools: BTreeMap<Arc<str>, Arc<Pool>>,
    /// What clients may ask for.
    pub limits: Limits,
    /// What answers call this state, if they are to say which one they were judged by.
    pub name: Option<http::HeaderValue>,
    /// `Strict-Transport-Security` of every answer of an https site.
    pub hsts: Option<HeaderValue>,
}
