//! The Pingora shell: from an accepted socket to an answered request.
//!
//! [`listener`] accepts, [`connection`] guards the bytes, [`request`] makes a request cancellable, and
//! [`gateway`] is what Pingora calls: admit, own pages, judge, forward. Nothing is forwarded without a
//! [`Permit`](crate::policy::decide::Permit).

pub mod admin;
pub mod admit;
pub mod advice;
pub mod answer;
pub mod bridge;
pub mod caches;
mod cause;
mod certificates;
pub mod client;
pub mod coding;
pub mod connection;
pub mod context;
pub mod drain;
mod failure;
pub mod forward;
pub mod gateway;
mod handle;
pub mod headers;
mod home;
pub mod listener;
mod next;
pub mod origins;
pub mod pace;
pub mod page;
pub mod places;
mod refusal;
pub mod request;
pub mod running;
pub mod served;
pub mod settings;
pub mod shell;
pub mod tls;
mod tries;
pub mod tunnel;
pub mod upstream;
mod verdict;
mod whole;
pub mod wire;
