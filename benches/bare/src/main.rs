//! A bare Pingora pass-through: every request goes to one upstream, nothing is judged, added or logged.
//!
//! It is what the gateway is measured against: the same Pingora, allocator and release profile, so that the difference
//! between the two is what the gate costs. It must never grow features; a faster trick found here belongs in the gateway.
//!
//! Usage: `bare LISTEN_ADDRESS UPSTREAM_ADDRESS`, one worker thread.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::prelude::{HttpPeer, ProxyHttp, Result, Server, Session, http_proxy_service};
use pingora::server::configuration::ServerConf;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Knows one upstream and sends everything there.
struct PassThrough {
    upstream: String,
}

#[async_trait]
impl ProxyHttp for PassThrough {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(
            self.upstream.as_str(),
            false,
            String::new(),
        )))
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(upstream)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: bare LISTEN_ADDRESS UPSTREAM_ADDRESS");
        std::process::exit(2);
    };
    let conf = ServerConf {
        threads: 1,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service =
        http_proxy_service(&Arc::clone(&server.configuration), PassThrough { upstream });
    service.add_tcp(&listen);
    server.add_service(service);
    server.run_forever();
}
