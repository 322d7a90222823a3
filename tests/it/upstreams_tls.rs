//! F-08: TLS to services. Who cannot prove who they are is sent nothing, unless the file says by a long name that
//! it does not matter.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rcgen::{CertificateParams, Issuer, KeyPair, SanType, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::harness::{Gateway, Setup, eventually};

/// An authority of the test's own.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
pub struct Proof {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    pub fn signs(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Proof {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        Proof {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

fn chain(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .map(Result::unwrap)
        .collect()
}

/// A service that speaks TLS and writes down the heads it is sent.
pub struct Service {
    pub port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Service {
    pub fn start(proof: &Proof, clients: Option<&Authority>) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(chain(&authority.pem).remove(0)).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.unwrap())
            }
        };
        let key = PrivateKeyDer::from_pem_slice(proof.key.as_bytes()).unwrap();
        let config = builder
            .with_single_cert(chain(&proof.certificate), key)
            .unwrap();
        let (config, heads) = (Arc::new(config), Arc::new(Mutex::new(Vec::new())));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::clone(&heads);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (config, seen) = (Arc::clone(&config), Arc::clone(&seen));
                thread::spawn(move || {
                    let connection = ServerConnection::new(config).unwrap();
                    answer(StreamOwned::new(connection, socket), &seen);
                });
            }
        });
        Self { port, heads }
    }

    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn answer(mut stream: impl Read + Write, seen: &Mutex<Vec<String>>) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    seen.lock()
        .unwrap()
        .push(String::from_utf8_lossy(&head).to_lowercase());
    let _ =
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\ndone");
    let _ = stream.flush();
}

/// A gateway before `https://HOST:PORT` with these keys beside `to`.
pub fn before(host: &str, port: u16, more: &str, files: &[(&str, &str)]) -> Gateway {
    let to = format!("https://{host}:{port}");
    let setup = Setup::new().upstream("web", &format!("{{ to: \"{to}\", timeout: 5s, {more} }}"));
    let setup = files
        .iter()
        .fold(setup, |setup, (name, text)| setup.asset(name, text));
    setup.start()
}

pub fn ask(gateway: &Gateway) -> u16 {
    let user = gateway.as_user("alice");
    gateway
        .ask(format!(
            "GET /app/x HTTP/1.1\r\nHost: localhost\r\n{user}\r\n"
        ))
        .status
}

const CA: &str = "tls: { ca: ca.pem }";

#[test]
fn f_08_a_service_that_proves_who_it_is() {
    let authority = Authority::new();
    let service = Service::start(&authority.signs(&["localhost"], |_| ()), None);
    let gateway = before("localhost", service.port, CA, &[("ca.pem", &authority.pem)]);
    assert_eq!((ask(&gateway), ask(&gateway)), (200, 200));
    let heads = service.heads();
    assert!(
        heads.iter().all(|head| head.contains("x-auth-user: alice")),
        "{heads:?}"
    );
    // The machine's own authorities know nothing of it.
    let gateway = before("localhost", service.port, "", &[]);
    assert_eq!((ask(&gateway), service.heads().len()), (502, 2));
    eventually("the reason in the log", || {
        let log = gateway.log();
        (log.contains("UnknownIssuer") && !log.contains("local address")).then_some(())
    });
}

#[test]
fn f_08_proofs_that_are_none() {
    let (authority, other) = (Authority::new(), Authority::new());
    let expired = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
    };
    let early = |params: &mut CertificateParams| params.not_before = date_time_ymd(2120, 1, 1);
    // A name with a NUL in it, which C programs have read as the name before it.
    let nul = |params: &mut CertificateParams| {
        let name = "localhost\0.evil.test".try_into().unwrap();
        params.subject_alt_names = vec![SanType::DnsName(name)];
    };
    let own_key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let self_signed = Proof {
        certificate: own.self_signed(&own_key).unwrap().pem(),
        key: own_key.serialize_pem(),
    };
    let good = || authority.signs(&["localhost"], |_| ());
    let cases = [
        ("good", good(), 200),
        ("expired", authority.signs(&["localhost"], expired), 502),
        ("not valid yet", authority.signs(&["localhost"], early), 502),
        (
            "another name",
            authority.signs(&["app.internal"], |_| ()),
            502,
        ),
        (
            "a name below",
            authority.signs(&["*.localhost"], |_| ()),
            502,
        ),
        ("a NUL in the name", authority.signs(&[], nul), 502),
        ("no name", authority.signs(&[], |_| ()), 502),
        (
            "another authority",
            other.signs(&["localhost"], |_| ()),
            502,
        ),
        ("nobody's word but its own", self_signed, 502),
    ];
    for (what, proof, status) in cases {
        let service = Service::start(&proof, None);
        let twin = Service::start(&good(), None);
        let to = format!("[\"https://localhost:{}\"]", service.port);
        let gateway = Setup::new()
            .upstream("web", &format!("{{ to: {to}, timeout: 5s, {CA} }}"))
            .upstream("twin", &format!("{{ to: \"https://localhost:{}\", {CA} }}", twin.port))
            .rules("  - { path: /twin, to: twin, allow: anyone }\n  - { path: /app/**, allow: signed_in }")
            .asset("ca.pem", &authority.pem)
            .start();
        assert_eq!(ask(&gateway), status, "{what}");
        assert_eq!(
            gateway
                .ask("GET /twin HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .status,
            200
        );
        assert_eq!(twin.heads().len(), 1);
        let sent = usize::from(status == 200);
        assert_eq!(service.heads().len(), sent, "{what}: {:?}", service.heads());
    }
}

#[test]
fn f_08_the_name_is_the_one_that_the_file_gives() {
    let authority = Authority::new();
    let service = Service::start(&authority.signs(&["api.internal"], |_| ()), None);
    let files = [("ca.pem", authority.pem.as_str())];
    let named = |name: &str| format!("tls: {{ ca: ca.pem, server_name: {name} }}");
    let gateway = before("127.0.0.1", service.port, &named("api.internal"), &files);
    assert_eq!((ask(&gateway), service.heads().len()), (200, 1));
    let gateway = before("127.0.0.1", service.port, &named("web.internal"), &files);
    assert_eq!((ask(&gateway), service.heads().len()), (502, 1));
    // An address is a name, too, which must stand in the certificate.
    let gateway = before("127.0.0.1", service.port, CA, &files);
    assert_eq!((ask(&gateway), service.heads().len()), (502, 1));
    let service = Service::start(&authority.signs(&["127.0.0.1"], |_| ()), None);
    let gateway = before("127.0.0.1", service.port, CA, &files);
    assert_eq!((ask(&gateway), service.heads().len()), (200, 1));
}

#[test]
fn f_08_a_service_that_asks_who_we_are() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let service = Service::start(&authority.signs(&["localhost"], |_| ()), Some(&clients));
    let us = clients.signs(&["gateway"], |_| ());
    let stranger = authority.signs(&["gateway"], |_| ());
    let with = "tls: { ca: ca.pem, certificate: us.pem, key: us.key }";
    let files = |proof: &Proof| {
        [
            ("ca.pem", authority.pem.clone()),
            ("us.pem", proof.certificate.clone()),
            ("us.key", proof.key.clone()),
        ]
    };
    let started = |more: &str, proof: &Proof| {
        let files = files(proof);
        let files: Vec<_> = files
            .iter()
            .map(|(name, text)| (*name, text.as_str()))
            .collect();
        before("localhost", service.port, more, &files)
    };
    assert_eq!((ask(&started(with, &us)), service.heads().len()), (200, 1));
    assert_eq!((ask(&started(CA, &us)), service.heads().len()), (502, 1));
    assert_eq!(
        (ask(&started(with, &stranger)), service.heads().len()),
        (502, 1)
    );
}

#[test]
fn f_08_no_verification_has_a_long_name_and_is_told_at_the_start() {
    let service = Service::start(&Authority::new().signs(&["elsewhere"], |_| ()), None);
    let gateway = before("localhost", service.port, "", &[]);
    assert_eq!((ask(&gateway), service.heads().len()), (502, 0));
    assert!(!gateway.log().contains("not verified"));
    let more = "tls: { insecure_accept_any_certificate: true }";
    let gateway = before("localhost", service.port, more, &[]);
    eventually("a word about it in the log", || {
        gateway.log().contains("not verified").then_some(())
    });
    assert_eq!((ask(&gateway), service.heads().len()), (200, 1));
}

#[test]
fn f_08_a_changed_authority_follows_a_reload_and_old_connections_do_not_count() {
    let (authority, other) = (Authority::new(), Authority::new());
    let service = Service::start(&authority.signs(&["localhost"], |_| ()), None);
    let gateway = before("localhost", service.port, CA, &[("ca.pem", &authority.pem)]);
    assert_eq!(ask(&gateway), 200);
    gateway.write("ca.pem", &other.pem);
    assert!(gateway.reload());
    assert_eq!((ask(&gateway), service.heads().len()), (502, 1));
    gateway.write("ca.pem", &authority.pem);
    assert!(gateway.reload());
    assert_eq!((ask(&gateway), service.heads().len()), (200, 2));
}

/// OpenSSL's own server, which still speaks versions that nobody should.
struct OpenSsl {
    child: Child,
    port: u16,
}

impl OpenSsl {
    fn start(folder: &std::path::Path, version: &str) -> Self {
        let mut child = Command::new("openssl")
            .args(["s_server", "-www", "-accept", "127.0.0.1:0", version])
            .args([
                "-cipher",
                "ALL:@SECLEVEL=0",
                "-cert",
                "s.crt",
                "-key",
                "s.key",
            ])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl: tests/run installs it");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let accept =
            lines.find_map(|line| line.unwrap().strip_prefix("ACCEPT ").map(str::to_owned));
        let port = accept.unwrap().rsplit(':').next().unwrap().parse().unwrap();
        thread::spawn(move || lines.for_each(drop));
        Self { child, port }
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn f_08_versions_that_nobody_should_speak() {
    let authority = Authority::new();
    let proof = authority.signs(&["localhost"], |_| ());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.crt"), &proof.certificate).unwrap();
    std::fs::write(folder.path().join("s.key"), &proof.key).unwrap();
    for (version, status) in [
        ("-tls1_3", 200),
        ("-tls1_2", 200),
        ("-tls1_1", 502),
        ("-tls1", 502),
    ] {
        let server = OpenSsl::start(folder.path(), version);
        let gateway = before("localhost", server.port, CA, &[("ca.pem", &authority.pem)]);
        assert_eq!(ask(&gateway), status, "{version}");
    }
}
