//! What a process that relieves another knows before it says that it is ready: the one before it knew it, and serves
//! meanwhile.

use crate::proxy::running::Running;
use crate::proxy::settings::{Destination, Server};
use crate::proxy::upstream::Pool;
use crate::proxy::upstream::keeper::check_all;

/// An upstream to which nothing could be sent, where the process before this one may know more.
#[derive(Debug, thiserror::Error)]
#[error(
    "no server of the upstream {upstream} can be looked up ({hosts}), so this process does not take over; where that is \
     meant, restart the gateway"
)]
pub struct Unknown {
    upstream: String,
    hosts: String,
}

/// Sees where servers are, and which of them are unwell.
///
/// # Errors
/// When no name of an upstream could be looked up: the addresses that the process before this one has are better than none.
pub async fn prepare(running: &Running) -> Result<(), Unknown> {
    let pools = || running.pools.values().map(|pool| &**pool);
    pools().try_for_each(has_somebody)?;
    check_all(pools()).await;
    Ok(())
}

fn has_somebody(pool: &Pool) -> Result<(), Unknown> {
    if !pool.has_names() || pool.known() > 0 {
        return Ok(());
    }
    let hosts: Vec<&str> = match &pool.settings.to {
        Destination::Servers(servers) => servers.iter().filter_map(Server::host).collect(),
        Destination::Echo => Vec::new(),
    };
    Err(Unknown {
        upstream: pool.name.to_string(),
        hosts: hosts.join(", "),
    })
}
