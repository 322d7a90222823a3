//! Names, resolved by us: only addresses within reach are handed to whoever connects.

use std::net::{IpAddr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::Reach;

/// A resolver that leaves out what is out of reach.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guarded(pub Reach);

/// A name that leads nowhere one may go.
#[derive(Debug, thiserror::Error)]
#[error("{0} has no address to ask: {1:?}")]
struct OutOfReach(String, Vec<IpAddr>);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            // Port 0: the connector puts the URL's in.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let (within, beyond): (Vec<SocketAddr>, Vec<SocketAddr>) =
                found.partition(|address| reach.covers(address.ip()));
            if within.is_empty() {
                let beyond = beyond.iter().map(SocketAddr::ip).collect();
                return Err(OutOfReach(name.as_str().to_owned(), beyond).into());
            }
            Ok(Box::new(within.into_iter()) as Addrs)
        })
    }
}
