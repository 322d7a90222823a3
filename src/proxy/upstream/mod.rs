//! Where permitted requests go: pools of servers, each server under the addresses its name has just now.
//!
//! [`pool`] holds the servers and hands out one for each try, [`balance`] chooses among them, [`health`] says which
//! of them can be chosen and [`retry`] how often; [`peer`], [`fallback`] and [`trust`] say how they are connected to,
//! and [`private`] and [`unread`] what may share a connection. In the
//! background [`renewal`] looks at the files of that, [`keeper`] has their names looked up ([`names`]) and asks whether they are well ([`probe`]).
//!
//! Pingora's own load balancer is not used: to it two servers with one address are one, whatever their names
//! and schemes are (so one would be sent what is meant for the other, or verified by its name), its hash ring
//! leaves unix sockets out, and it knows no least connections.

pub mod balance;
pub mod fallback;
pub mod health;
pub mod keeper;
pub mod member;
pub mod names;
pub mod peer;
pub mod pool;
pub mod private;
pub mod probe;
pub mod renewal;
pub mod retry;
pub mod roots;
pub mod settings;
pub mod trust;
pub mod unread;

pub use pool::{Ask, Nobody, Pool, Serving};
