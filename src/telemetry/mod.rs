//! What operators see: metrics, the access line, the log.

pub mod access;
pub mod known;
pub mod limit;
pub mod log;
pub mod metrics;
pub mod settings;
