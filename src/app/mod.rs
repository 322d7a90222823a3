//! Assembly: from a [`Config`](crate::config::Config) to a gateway that runs, and from one to the next.

pub mod acme;
mod aside;
pub mod banner;
pub mod between;
pub mod certificates;
mod descriptors;
pub mod early;
mod ending;
mod expiry;
pub mod first;
pub mod hand_over;
pub mod keys;
pub mod people;
pub mod place;
pub mod post;
mod relief;
pub mod reload;
pub mod roles;
pub mod running;
pub mod serve;
pub mod shutdown;
pub mod sockets;
pub mod successor;
pub mod tasks;
pub mod triggers;
pub mod watch;
