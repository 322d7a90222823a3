//! The API: one endpoint, one file; JSON out, JSON or forms in.

pub mod invitations;
pub mod jwks;
pub mod logout;
pub mod me;
pub mod recover;
pub mod register;
pub mod session;
pub mod tokens;
pub mod user;
