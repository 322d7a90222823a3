//! Cryptography with every ingredient handed in: keys, randomness and the hour are arguments. Pure.

pub mod access;
pub mod certificate;
pub mod client;
mod client_lists;
pub mod client_roots;
pub mod cookie;
pub mod csrf;
pub mod jwt;
pub mod key;
pub mod keyring;
pub mod password;
