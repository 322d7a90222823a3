//! Words of the domain that every floor shares: time, randomness, secrets, names, identities, addresses.
//!
//! Nothing here does IO. The clock and the source of randomness are values that are handed in, so that
//! everything above can be tested at any hour with any dice.

pub mod device;
pub mod id;
pub mod identity;
pub mod name;
pub mod net;
pub mod random;
pub mod secret;
pub mod site;
pub mod time;
pub mod token;
