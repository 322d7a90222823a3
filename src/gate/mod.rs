//! The engine: one judgement for every request that is to be forwarded.
//!
//! A [`snapshot::Snapshot`] is everything that a reload replaces and a judgement rests on; a request is judged by one from
//! beginning to end. [`judge::Gate::judge`] is the only way from a request to a permit.

pub mod attributes;
pub mod credential;
pub mod inject;
pub mod judge;
pub mod question;
pub mod settings;
pub mod snapshot;
pub mod turn;
pub mod visitor;
