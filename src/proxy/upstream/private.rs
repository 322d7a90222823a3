//! Services that take the connection for whoever proved something on it.
//!
//! NTLM, and Negotiate as Microsoft has it (RFC 4559 section 6), authenticate a connection and not a request: whatever
//! comes next on it is answered as that user, whoever sent it. From the first such request on, a client's requests go to
//! services over connections that are nobody else's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{self, HeaderMap};
use pingora::protocols::ALPN;
use pingora::upstreams::peer::HttpPeer;

use crate::base::id::PublicId;
use crate::proxy::connection::ConnState;

use super::balance::key;

/// Schemes that authenticate connections.
const SCHEMES: [&[u8]; 3] = [b"ntlm", b"negotiate", b"kerberos"];

/// No two connections of clients have the same number.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Keeps a request off connections of others, if what it says to the service may count for more than itself.
///
/// `group` is that of the upstream, before anything else set the connection apart. `shared` says that the client's connection carries several at once, or several people: then nothing tells which
/// requests belong together, and each of these has a connection that is not kept. Says whether it is kept off them.
pub fn keep_apart(
    (peer, group): (&mut HttpPeer, u64),
    headers: &HeaderMap,
    (client, shared): (&ConnState, bool),
    user: Option<&PublicId>,
) -> bool {
    let proves = proves_connection(headers);
    let own = match (proves, shared) {
        (true, false) => Some(*client.own.get_or_init(next)),
        (true, true) => {
            peer.options.idle_timeout = Some(Duration::ZERO);
            Some(next())
        }
        (false, _) => client.own.get().copied(),
    };
    if let Some(own) = own {
        // Whatever it carries, and in the one version that connections are authenticated in.
        peer.group_key = key((group, own, user));
        if peer.options.alpn == ALPN::H2H1 {
            peer.options.set_http_version(1, 1);
        }
    }
    own.is_some()
}

/// Has a request sent over a connection that nobody had before: those that are kept may have gone dead.
pub fn open_anew(peer: &mut HttpPeer) {
    peer.options.idle_timeout = Some(Duration::ZERO);
    peer.group_key = key((peer.group_key, next()));
}

fn proves_connection(headers: &HeaderMap) -> bool {
    headers.get_all(header::AUTHORIZATION).iter().any(|line| {
        let scheme = line.as_bytes().trim_ascii_start();
        let scheme = scheme.split(|byte| !byte.is_ascii_alphanumeric()).next();
        scheme.is_some_and(|scheme| SCHEMES.iter().any(|it| scheme.eq_ignore_ascii_case(it)))
    })
}

fn next() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_that_authenticate_connections() {
        for (lines, proves) in [
            (&[][..], false),
            (&["Basic YTpi"], false),
            (&["Bearer ntlm"], false),
            (&["NTLMv2x abc"], false),
            (&["NTLM TlRM"], true),
            (&["ntlm"], true),
            (&["Negotiate YII="], true),
            (&["NEGOTIATE\tYII="], true),
            (&["Basic YTpi", "Kerberos YII="], true),
        ] {
            let headers: HeaderMap = lines
                .iter()
                .map(|line| (header::AUTHORIZATION, line.parse().unwrap()))
                .collect();
            assert_eq!(proves_connection(&headers), proves, "{lines:?}");
        }
    }
}
