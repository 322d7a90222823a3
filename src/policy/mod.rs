//! The policy: what a request asks for, which rule speaks for it, and what that rule says. Pure.
//!
//! [`target`] reads a request line once; [`index`] finds the rule; [`decide`] judges; [`explain`] shows the
//! same walk. Nothing here reads a clock, a file or a socket, so that every answer can be put in a table.

pub mod beside;
pub mod coding;
pub mod condition;
pub mod cors;
pub mod decide;
pub mod explain;
pub mod header;
pub mod index;
pub mod path;
pub mod pattern;
pub mod readings;
pub mod rewrite;
pub mod role;
pub mod rule;
pub mod shadow;
pub mod table;
pub mod target;
