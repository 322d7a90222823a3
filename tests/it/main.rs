//! The gateway seen from outside: the real binary between hostile clients and a recording service.
//!
//! One binary for all of it; a test's name carries the id of the attack it answers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on has failed"
)]

mod accounts;
mod accounts_closed;
mod accounts_cross;
mod accounts_letters;
mod accounts_links;
mod accounts_me;
mod accounts_names;
mod acme;
mod acme_faults;
mod acme_sites;
mod api;
mod api_bounds;
mod api_changes;
mod api_matrix;
mod api_races;
mod api_rights;
mod assertion;
mod browser;
mod certificates;
mod certificates_lives;
mod certificates_names;
mod certificates_sites;
mod coding;
mod coding_left;
mod coding_streams;
mod commands;
mod commands_import;
mod commands_store;
mod commands_users;
mod cookie_domain;
mod cors;
mod drain;
mod framing;
mod framing_chunks;
mod framing_h2;
mod framing_h2spec;
mod framing_queue;
mod framing_random;
mod framing_router;
mod framing_servers;
mod framing_upstream;
mod hand_over;
mod hand_over_driven;
mod hand_over_kept;
mod harness;
mod headers;
mod headers_believed;
mod headers_joined;
mod headers_more;
mod hooks;
mod hosts;
mod hosts_told;
mod limits;
mod limits_drift;
mod limits_h2;
mod limits_leaving;
mod limits_memory;
mod limits_room;
mod limits_slow;
mod limits_stall;
mod limits_upstreams;
mod logins;
mod logins_names;
mod logs;
mod mail;
mod matrix;
mod matrix_servers;
mod matrix_spellings;
mod methods;
mod pages;
mod pages_answers;
mod pages_brand;
mod pages_browser;
mod pages_console;
mod pages_ends;
mod pages_offers;
mod pages_places;
mod pages_stale;
mod paths;
mod paths_letters;
mod paths_more;
mod paths_random;
mod peer;
mod programs;
mod readings;
mod recovery;
mod recovery_copy;
mod recovery_kill;
mod reload;
mod schema;
mod secrets;
mod services;
mod sessions;
mod sessions_cookies;
mod sessions_ends;
mod sessions_forgery;
mod sessions_races;
mod sessions_stored;
mod store_postgres;
mod streams;
mod systemd;
mod tls;
mod tls_exchange;
mod tls_handshakes;
mod tls_kinds;
mod tls_scan;
mod tokens;
mod tokens_ends;
mod tokens_rules;
mod tunnels;
mod tunnels_ends;
mod tunnels_handshakes;
mod tunnels_load;
mod uploads;
mod upstreams_faults;
mod upstreams_h2;
mod upstreams_health;
mod upstreams_names;
mod upstreams_paths;
mod upstreams_retry;
mod upstreams_roots;
mod upstreams_servers;
mod upstreams_tls;
mod upstreams_tries;
mod upstreams_versions;
