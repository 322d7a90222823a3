//! Certificates made on the spot, and a client that trusts them.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::wire::Wire;

/// A self-signed certificate and its key, as PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl Identity {
    /// For these host names.
    pub fn new(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Self {
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }

    /// For these host names, valid in these years only, from the first day of one to that of the other.
    pub fn of_years(names: &[&str], from: i32, until: i32) -> Self {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        Self {
            certificate: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// The certificate as it is shown.
    pub fn der(&self) -> Vec<u8> {
        let der = CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap();
        der.to_vec()
    }
}

/// The certificate that a connection was made with.
pub fn shown(wire: &Wire) -> Vec<u8> {
    match wire {
        Wire::Plain(_) => panic!("no TLS"),
        Wire::Tls(stream) => stream.conn.peer_certificates().unwrap()[0].to_vec(),
    }
}

/// Shakes hands with `address`, asking for `name` and offering `alpn`; fails the test when that fails.
pub fn connect(address: SocketAddr, identity: &Identity, name: &str, alpn: &[&str]) -> Wire {
    try_connect(address, identity, name, alpn).unwrap_or_else(|error| panic!("TLS: {error}"))
}

/// Shakes hands, or says why not.
pub fn try_connect(
    address: SocketAddr,
    identity: &Identity,
    name: &str,
    alpn: &[&str],
) -> std::io::Result<Wire> {
    let server = ServerName::try_from(name.to_owned()).unwrap();
    let config = Arc::new(config(identity, alpn));
    let mut connection = ClientConnection::new(config, server).unwrap();
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(super::PATIENCE))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    Ok(Wire::Tls(Box::new(StreamOwned::new(connection, socket))))
}

/// What ALPN settled on.
pub fn agreed(wire: &Wire) -> Option<String> {
    match wire {
        Wire::Plain(_) => None,
        Wire::Tls(stream) => {
            let chosen = stream.conn.alpn_protocol()?;
            Some(String::from_utf8_lossy(chosen).into_owned())
        }
    }
}

fn config(identity: &Identity, alpn: &[&str]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}
