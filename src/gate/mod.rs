//! The engine: one judgement for the proxy, for other proxies that ask, and for `/auth/can`.
//!
//! A [`snapshot::Snapshot`] is everything a reload replaces; a request holds one from its first byte to its
//! last. [`judge::Gate::judge`] is the only way from a request to a permit.

pub mod attributes;
pub mod credential;
pub mod inject;
pub mod judge;
pub mod settings;
pub mod snapshot;
pub mod turn;
pub mod visitor;
