//! Certificates made on the spot, and a client that trusts them.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, HandshakeKind, RootCertStore, StreamOwned,
    WantsVerifier,
};

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

    /// For these host names, with a key for clients that know nothing newer.
    pub fn rsa(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let (kind, size) = (&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048);
        let key = rcgen::KeyPair::generate_rsa_for(kind, size).unwrap();
        let params = rcgen::CertificateParams::new(names).unwrap();
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
    over(address, Arc::new(config(identity, alpn, None)), name)
}

/// Shakes hands as a client of this configuration, which may remember earlier ones.
pub fn over(address: SocketAddr, config: Arc<ClientConfig>, name: &str) -> std::io::Result<Wire> {
    let server = ServerName::try_from(name.to_owned()).unwrap();
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

/// How a connection was made: from nothing, or by what was remembered of another.
pub fn kind(wire: &Wire) -> Option<HandshakeKind> {
    match wire {
        Wire::Plain(_) => None,
        Wire::Tls(stream) => stream.conn.handshake_kind(),
    }
}

/// As [`config`], of a client that knows TLS 1.2 alone.
pub fn old(identity: &Identity, own: Option<&Identity>) -> ClientConfig {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS12]);
    config_of(builder.unwrap(), identity, &["http/1.1"], own)
}

/// A client that can do what this provider can.
pub fn config_by(provider: CryptoProvider, identity: &Identity) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_safe_default_protocol_versions();
    config_of(builder.unwrap(), identity, &["http/1.1"], None)
}

/// A client that trusts this certificate alone, and shows its own, if it has one, where it is asked.
pub fn config(identity: &Identity, alpn: &[&str], own: Option<&Identity>) -> ClientConfig {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_safe_default_protocol_versions();
    config_of(builder.unwrap(), identity, alpn, own)
}

fn config_of(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    identity: &Identity,
    alpn: &[&str],
    own: Option<&Identity>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
    roots.add(certificate).unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
            let chain = CertificateDer::from(own.der());
            let provider = builder.crypto_provider();
            let key = provider.key_provider.load_private_key(key).unwrap();
            // Shown whatever the hints say, and whoever's key it is: hostile clients do not care.
            let own = CertifiedKey::new(vec![chain], key);
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own)))
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}
