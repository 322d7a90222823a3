//! A bare Pingora pass-through: every request goes to one upstream, nothing is judged, added or logged.
//!
//! It is what the gateway is measured against: the same Pingora, allocator and release profile, so that the difference
//! between the two is what the gate costs. It must never grow features; a faster trick found here belongs in the gateway.
//!
//! Usage: `bare LISTEN_ADDRESS UPSTREAM_ADDRESS [TLS_LISTEN_ADDRESS CERTIFICATE_FILE KEY_FILE]`, one worker thread. The TLS
//! listener speaks HTTP/2, too.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::listeners::tls::TlsSettings;
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
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (listen, upstream, tls) = match arguments.as_slice() {
        [listen, upstream] => (listen, upstream, None),
        [listen, upstream, tls @ ..] if tls.len() == 3 => (listen, upstream, Some(tls)),
        _ => {
            eprintln!("usage: bare LISTEN_ADDRESS UPSTREAM_ADDRESS [TLS_LISTEN_ADDRESS CERTIFICATE_FILE KEY_FILE]");
            std::process::exit(2);
        }
    };
    let conf = ServerConf {
        threads: 1,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let pass = PassThrough {
        upstream: upstream.clone(),
    };
    let mut service = http_proxy_service(&Arc::clone(&server.configuration), pass);
    service.add_tcp(listen);
    if let Some([address, certificate, key]) = tls {
        let mut settings = TlsSettings::intermediate(certificate, key).expect("a certificate and its key");
        settings.enable_h2();
        service.add_tls_with_settings(address, None, settings);
    }
    server.add_service(service);
    server.run_forever();
}
