//! What a process that relieves another knows before it says that it is ready: the one before it knew it, and serves
//! meanwhile.

use futures_util::future::join_all;

use crate::config::Config;
use crate::proxy::running::Running;
use crate::proxy::settings::{Destination, Server, Upstream};
use crate::proxy::upstream::keeper::check_all;
use crate::proxy::upstream::names::addresses;

use super::hand_over;

/// An upstream to which nothing could be sent any more.
#[derive(Debug, thiserror::Error)]
#[error(
    "no server of the upstream {upstream} can be looked up any more ({hosts}), so this process does not take over; where that is \
     meant, restart the gateway"
)]
pub struct Unknown {
    upstream: String,
    hosts: String,
}

/// Looks for the servers of the upstreams of which the process before this one has some. Before anything is changed, for this
/// start may come to nothing.
///
/// # Errors
/// When no server of one can be found: the addresses that the process before this one has are better than none.
pub async fn look_for_servers(config: &Config) -> Result<(), Unknown> {
    for known in hand_over::known() {
        if let Some(upstream) = config.upstreams.get(known.as_str()) {
            has_somebody(upstream).await?;
        }
    }
    Ok(())
}

/// Sees which servers are unwell.
pub async fn check(running: &Running) {
    check_all(running.pools.values().map(|pool| &**pool)).await;
}

/// The upstreams of which servers are known, for the process that relieves this one.
#[must_use]
pub fn known(running: &Running) -> String {
    let known = running.pools.values().filter(|pool| pool.known() > 0);
    let names: Vec<&str> = known.map(|pool| &*pool.name).collect();
    names.join(",")
}

async fn has_somebody(upstream: &Upstream) -> Result<(), Unknown> {
    let Destination::Servers(servers) = &upstream.to else {
        return Ok(());
    };
    let looked = join_all(servers.iter().map(addresses)).await;
    if looked.iter().flatten().any(|found| !found.is_empty()) {
        return Ok(());
    }
    let hosts: Vec<&str> = servers.iter().filter_map(Server::host).collect();
    Err(Unknown {
        upstream: upstream.name.to_string(),
        hosts: hosts.join(", "),
    })
}
