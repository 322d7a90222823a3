//! The API: one endpoint, one file; JSON out, JSON or forms in.

pub mod jwks;
pub mod logout;
pub mod session;
pub mod tokens;
pub mod user;
