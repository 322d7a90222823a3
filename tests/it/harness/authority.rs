//! An authority that does nothing right: speaks ACME over TLS as far as a test lets it, and counts who asks.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::tls::Identity;

/// What it answers to a path below its own: status, further header lines, body. `BASE` stands for its own URL.
pub type Script = fn(path: &str) -> (u16, &'static str, &'static str);

/// A running authority.
pub struct Authority {
    port: u16,
    identity: Identity,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Authority {
    /// Starts one that answers by this script, and by itself to what comes before an order.
    pub fn start(script: Script) -> Self {
        let identity = Identity::new(&["localhost"]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = config(&identity);
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&asked);
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (config, seen) = (Arc::clone(&config), Arc::clone(&seen));
                thread::spawn(move || serve(socket, config, port, script, &seen));
            }
        });
        Self {
            port,
            identity,
            asked,
        }
    }

    /// Where its directory is.
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// The certificate by which it is known.
    pub fn own(&self) -> &str {
        &self.identity.certificate
    }

    /// The paths that were asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn config(identity: &Identity) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    Arc::new(config)
}

fn serve(
    socket: TcpStream,
    config: Arc<ServerConfig>,
    port: u16,
    script: Script,
    seen: &Mutex<Vec<String>>,
) {
    let connection = ServerConnection::new(config).unwrap();
    let mut stream = BufReader::new(StreamOwned::new(connection, socket));
    while let Some((path, head)) = request(&mut stream) {
        seen.lock().unwrap().push(path.clone());
        let (status, lines, body) = answer(&path, script);
        let base = format!("https://localhost:{port}");
        let (lines, body) = (lines.replace("BASE", &base), body.replace("BASE", &base));
        let length = if head { 0 } else { body.len() };
        let text = format!(
            "HTTP/1.1 {status} x\r\nReplay-Nonce: bm9uY2U\r\nContent-Length: {length}\r\n{lines}\r\n{}",
            if head { "" } else { &body }
        );
        if stream.get_mut().write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

/// The path, and whether only the head of the answer is wanted.
fn request(stream: &mut impl BufRead) -> Option<(String, bool)> {
    let mut line = String::new();
    stream
        .read_line(&mut line)
        .ok()
        .filter(|length| *length > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let head = line.starts_with("HEAD");
    let mut length = 0;
    loop {
        line.clear();
        stream
            .read_line(&mut line)
            .ok()
            .filter(|length| *length > 0)?;
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((path, head))
}

fn answer(path: &str, script: Script) -> (u16, &'static str, &'static str) {
    match path {
        "/dir" => (
            200,
            "",
            r#"{"newNonce":"BASE/nonce","newAccount":"BASE/account","newOrder":"BASE/order"}"#,
        ),
        "/nonce" => (200, "", ""),
        "/account" => (201, "Location: BASE/account/1\r\n", r#"{"status":"valid"}"#),
        other => script(other),
    }
}
