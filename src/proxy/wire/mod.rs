//! HTTP as bytes: what a connection may say before anything is parsed. Pure.
//!
//! Pingora reads HTTP/1 leniently, as most servers do, and two lenient readers of one message are how
//! requests are smuggled. So every head and every chunk is checked strictly (RFC 9112) before Pingora sees
//! it; what passes has one reading.

pub mod body;
pub mod glimpse;
pub mod h2;
pub mod head;
