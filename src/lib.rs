//! Portcullis: a reverse proxy that is its own login. This page is the map.
//!
//! # The way of a request
//!
//! ```text
//! client ─ TLS, h1, h2 ─▶ proxy::listener      accepts; addresses and handshakes have limits
//!   proxy::connection   the guard: a head is whole, sound and in time, or it is refused (proxy::wire)
//!   proxy::request      the request can be cut when its session ends
//!   proxy::gateway      what Pingora calls, and through it, in this order, proxy::handle:
//!     1 proxy::admit      one canonical method, host and path (policy::target, policy::path), or 400
//!     2 own pages?        below the prefix ▶ proxy::bridge ▶ web
//!     3 gate::judge       the rule (policy::index), the identity (identity::session),
//!                         the decision (policy::decide) ▶ Permit | SignIn | Forbid
//!     4 proxy::answer     not a Permit ▶ 303 to the login page, or 401/403 JSON
//!     5 proxy::tries      needs the Permit, and takes a server from proxy::upstream; proxy::forward, headers
//!                         and gate::inject say who asks
//!     6 proxy::served     what the answer may not say; proxy::coding, where the rule compresses it; proxy::tunnel,
//!                         where it opens a WebSocket
//! ```
//!
//! # The floors
//!
//! Imports only go down, never to a sibling; `tests/floors.rs` holds to it.
//!
//! | floor | module | what it is |
//! |---|---|---|
//! | 8 | [`cli`] | one command, one file |
//! | 7 | [`app`] | assembly: from a configuration to a gateway that runs, and from one to the next |
//! | 6 | [`config`] | `gateway.yaml`: as written, as meant, every fault at once |
//! | 5 | [`proxy`], [`web`] | the Pingora shell; our own pages and API |
//! | 4 | [`gate`] | the engine: one judgement for everybody who asks |
//! | 3 | [`identity`], [`acme`] | who are you: login, sessions, the account check; certificates from an authority |
//! | 2 | [`store`] | everything that is kept |
//! | 1 | [`policy`], [`crypto`], [`telemetry`], [`outbound`] | pure decisions; pure cryptography; what operators see; the one HTTP client |
//! | 0 | [`base`] | words of the domain: time, randomness, secrets, names, hosts |
//!
//! # The words
//!
//! *target*: a canonical request line · *rule* · *permit*: the right to forward one request · *decision*,
//! *verdict*, *reason* · *identity*: who asks · *evidence*: what a request proved · *method*: how it proved
//! it · *upstream*: a service behind the gateway · *snapshot*: everything a reload replaces · *volatile*:
//! what is kept with an expiry.

pub mod acme;
pub mod app;
pub mod base;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod gate;
pub mod identity;
pub mod outbound;
pub mod policy;
pub mod proxy;
pub mod store;
pub mod telemetry;
pub mod web;
