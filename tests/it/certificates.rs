//! Certificates of clients as proof of who they are: what one opens, and which ones end a handshake.

use std::io::{Read, Write};
use std::sync::Arc;

use rcgen::{ExtendedKeyUsagePurpose, IsCa};

use crate::harness::gateway::session_cookie;
use crate::harness::issuer::{Issuer, named, numbered};
use crate::harness::raw::Silence;
use crate::harness::setup::password;
use crate::harness::tls::{self, Identity};
use crate::harness::{
    Gateway, H2, Raw, Recorded, Response, Setup, Wire, eventually, lines_of, marker,
};

const RULES: &str = r#"
  - { path: /public/**, allow: anyone }
  - { path: /app/**, auth: [session, mtls], allow: signed_in }
  - { path: /only/**, auth: [mtls], allow: signed_in }
  - { path: /admin/**, auth: [mtls], allow: { role: admin } }
  - { path: /open/**, auth: [mtls], allow: anyone }
  - { path: /session/**, allow: signed_in }
  - { path: /page/**, auth: [mtls], allow: signed_in, cors: { origins: ["https://page.test"], credentials: true } }
  - { path: /any/**, auth: [mtls], allow: signed_in, cors: { origins: "*" } }
"#;

/// A gateway that asks for certificates, and the authority that vouches for them.
pub struct Bench {
    pub gateway: Gateway,
    pub issuer: Issuer,
    pub marker: String,
    seen: std::cell::Cell<usize>,
}

/// A setup whose clients are asked for certificates of this authority.
pub fn asking(setup: Setup, issuer: &Issuer, more: &str) -> Setup {
    setup
        .tls(&["localhost"])
        .asset("clients.pem", &issuer.pem())
        .set(
            "client_certificates",
            &format!("{{ ca: clients.pem{more} }}"),
        )
        .rules(RULES)
}

impl Bench {
    pub fn new(setup: Setup, more: &str) -> Self {
        let issuer = Issuer::new("the authority");
        let setup = asking(setup, &issuer, more);
        Self::of(setup.start(), issuer)
    }

    pub fn of(gateway: Gateway, issuer: Issuer) -> Self {
        Self {
            gateway,
            issuer,
            marker: marker("mtls"),
            seen: std::cell::Cell::default(),
        }
    }

    /// A connection on which this certificate is shown, if any.
    pub fn connect(&self, own: Option<&Identity>) -> Raw {
        Raw::over(self.wire(own, "http/1.1").expect("a handshake"))
    }

    pub fn wire(&self, own: Option<&Identity>, alpn: &str) -> std::io::Result<Wire> {
        let config = tls::config(self.gateway.identity(), &[alpn], own);
        tls::over(self.gateway.https(), Arc::new(config), "localhost")
    }

    /// The text of a request that this bench tells from others'.
    pub fn request(&self, method: &str, path: &str, lines: &str) -> String {
        let marker = &self.marker;
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Marker: {marker}\r\n{lines}\r\n")
    }

    /// A request that must be served.
    pub fn allowed(&self, raw: &mut Raw, path: &str, lines: &str) -> Recorded {
        let answer = raw.ask(self.request("GET", path, lines));
        assert_eq!(answer.status, 200, "{path} {lines}: {}", answer.text());
        self.arrived(path)
    }

    pub fn arrived(&self, what: &str) -> Recorded {
        self.seen.set(self.seen.get() + 1);
        let mut seen = self
            .gateway
            .recorder()
            .wait_for(&self.marker, self.seen.get());
        assert_eq!(seen.len(), self.seen.get(), "{what}");
        seen.pop().unwrap()
    }

    /// A request that must not, though its twin is.
    pub fn refused(&self, raw: &mut Raw, path: &str, lines: &str) -> Response {
        let answer = raw.ask(self.request("GET", path, lines));
        self.nothing_came(path);
        answer
    }

    /// Nothing but the twin reaches the service.
    pub fn nothing_came(&self, what: &str) {
        let before = self.gateway.recorder().with(&self.marker).len();
        assert_eq!(before, self.seen.get(), "forwarded: {what}");
        let mut raw = self.connect(None);
        self.allowed(&mut raw, "/public/twin", "");
    }

    /// The handshake must fail, whichever side notices.
    pub fn no_handshake(&self, own: &Identity, what: &str) {
        if let Ok(wire) = self.wire(Some(own), "http/1.1") {
            // In TLS 1.3 a client has done its part before it hears what the other side thinks of it.
            let mut raw = Raw::over(wire);
            raw.send(self.request("GET", "/public/x", ""));
            assert!(matches!(raw.try_read(), Err(Silence::Closed)), "{what}");
        }
        self.nothing_came(what);
    }

    /// A cookie line of a session that was begun over TLS.
    pub fn login(&self, name: &str) -> String {
        let form = serde_json::json!({ "username": name, "password": password(name) }).to_string();
        let answer = self.connect(None).ask(format!(
            "POST /auth/session/login HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        ));
        assert_eq!(answer.status, 200, "{}", answer.text());
        format!("Cookie: {}\r\n", session_cookie(&answer))
    }
}

/// The certificate was shown, and does not count.
pub fn is_no_good(answer: &Response) -> bool {
    answer.status == 401 && answer.text().contains("INVALID_CERTIFICATE")
}

#[test]
fn a_certificate_opens_what_its_user_may() {
    let bench = Bench::new(Setup::new(), ", user: subject.cn");
    let (alice, root) = (bench.issuer.issue("alice"), bench.issuer.issue("root"));
    let mut raw = bench.connect(Some(&alice));
    for path in ["/only/x", "/app/x", "/open/x"] {
        let seen = bench.allowed(&mut raw, path, "");
        assert_eq!(seen.value("x-auth-user").as_deref(), Some("alice"));
        assert_eq!(seen.value("x-auth-roles").as_deref(), Some("user"));
        assert_eq!(seen.value("x-auth-method").as_deref(), Some("mtls"));
        assert!(seen.value("x-auth-assertion").is_some());
    }
    assert_eq!(bench.refused(&mut raw, "/admin/x", "").status, 403);
    let answer = bench.refused(&mut raw, "/session/x", "");
    assert!(answer.denies_anonymous(), "the rule does not accept it");
    bench.allowed(&mut bench.connect(Some(&root)), "/admin/x", "");
    eventually("the access line", || {
        let log = bench.gateway.log();
        let told = |line: &str| line.contains("/admin/x") && line.contains("root");
        log.lines().any(told).then_some(())
    });
}

#[test]
fn who_shows_none_is_nobody_by_this_way() {
    let bench = Bench::new(Setup::new(), ", user: subject.cn");
    let mut raw = bench.connect(None);
    let answer = bench.refused(&mut raw, "/only/x", "");
    assert_eq!(answer.status, 401);
    let way = answer.header("www-authenticate").unwrap();
    assert_eq!(way, "Certificate realm=\"portcullis\"");
    let html = "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\n";
    // The login page would lead nowhere.
    assert_eq!(bench.refused(&mut raw, "/only/x", html).status, 401);
    assert_eq!(bench.refused(&mut raw, "/app/x", html).status, 303);
    let seen = bench.allowed(&mut raw, "/open/x", "");
    assert_eq!(seen.value("x-auth-user"), None);
    let cookie = bench.login("alice");
    let seen = bench.allowed(&mut raw, "/app/x", &cookie);
    assert_eq!(seen.value("x-auth-method").as_deref(), Some("session"));
    assert_eq!(bench.refused(&mut raw, "/only/x", &cookie).status, 401);
    // In the clear there is no certificate to show, and nothing is served.
    let plain = bench.request("GET", "/only/x", "");
    assert_eq!(bench.gateway.ask(plain).status, 308);
    bench.nothing_came("in the clear");
}

#[test]
fn h_01_nobody_is_believed_who_says_what_certificate_they_have() {
    let bench = Bench::new(Setup::new(), ", user: subject.cn");
    let alice = bench.issuer.issue("alice");
    let pem = alice.certificate.replace('\n', " ");
    let names = [
        "X-Client-Cert",
        "X-Client-Certificate",
        "X_Client_Cert",
        "X-SSL-Client-S-DN",
        "X-SSL-Client-Verify",
        "SSL-Client-Cert",
        "X-Forwarded-Client-Cert",
        "Client-Cert",
        "Client-Cert-Chain",
        "X-Amzn-Mtls-Clientcert",
        "X-Tls-Client-Cert",
    ];
    let lines = lines_of(&names, &format!("CN=root {pem}"));
    let mut raw = bench.connect(None);
    assert_eq!(bench.refused(&mut raw, "/only/x", &lines).status, 401);
    let seen = bench.allowed(&mut raw, "/public/x", &lines);
    assert!(!seen.mentions("CN=root"), "{}", seen.text());
    let seen = bench.allowed(&mut bench.connect(Some(&alice)), "/only/x", &lines);
    assert!(!seen.mentions("CN=root"), "{}", seen.text());
    assert_eq!(seen.values("x-auth-user"), ["alice"]);
}

#[test]
fn what_nobody_vouches_for_ends_the_handshake() {
    let bench = Bench::new(Setup::new(), ", user: subject.cn");
    let issuer = &bench.issuer;
    let own = issuer.issue("alice");
    bench.allowed(&mut bench.connect(Some(&own)), "/only/x", "");
    let with = |change: &dyn Fn(&mut rcgen::CertificateParams)| {
        let mut params = named("alice");
        change(&mut params);
        issuer.with(params)
    };
    let hostile = [
        ("self-signed", Identity::new(&["alice"])),
        ("a namesake's", Issuer::new("the authority").issue("alice")),
        (
            "expired",
            with(&|params| params.not_after = rcgen::date_time_ymd(2025, 1, 1)),
        ),
        (
            "not yet valid",
            with(&|params| params.not_before = rcgen::date_time_ymd(2034, 1, 1)),
        ),
        (
            "for servers",
            with(&|params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }),
        ),
        (
            "an authority's",
            with(&|params| params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained)),
        ),
        ("the authority's own", issuer.own()),
        (
            "without its key",
            Identity {
                certificate: own.certificate.clone(),
                ..issuer.issue("alice")
            },
        ),
    ];
    for (what, own) in &hostile[..7] {
        bench.no_handshake(own, what);
    }
    let refused = bench.gateway.metrics().sum(
        "portcullis_connections_refused_total",
        &[("reason", "certificate")],
    );
    assert!((refused - 7.0).abs() < 0.1, "{refused}");
    let (what, stolen) = &hostile[7];
    bench.no_handshake(stolen, what);
}

/// Over TLS 1.3 a client has sent its request before it hears of the refusal: closed with that unread, the connection would
/// be reset, and the reason be lost on the way.
#[test]
fn who_is_refused_in_the_handshake_hears_why() {
    let bench = Bench::new(Setup::new(), ", user: subject.cn");
    let stranger = Issuer::new("the authority").issue("alice");
    for _ in 0..20 {
        let wire = bench.wire(Some(&stranger), "http/1.1");
        let Wire::Tls(mut stream) = wire.expect("half a handshake") else {
            panic!("no TLS");
        };
        let asked = bench.request("GET", "/public/x", "") + &"x".repeat(4096);
        let heard = stream
            .write_all(asked.as_bytes())
            .and_then(|()| stream.read_exact(&mut [0]));
        let error = heard.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");
        assert!(error.to_string().contains("alert"), "{error}");
    }
    eventually("twenty lines of the log", || {
        let log = bench.gateway.log();
        let told = log.matches("a client's certificate was refused").count();
        (told >= 20).then_some(())
    });
    bench.nothing_came("a stranger's request");
}

#[test]
fn h_14_two_ways_that_name_two_users_are_refused() {
    let bench = Bench::new(Setup::new(), ", user: subject.cn");
    let (alice, root) = (bench.login("alice"), bench.login("root"));
    let mut raw = bench.connect(Some(&bench.issuer.issue("alice")));
    let seen = bench.allowed(&mut raw, "/app/x", &alice);
    assert_eq!(seen.value("x-auth-method").as_deref(), Some("mtls"));
    let answer = bench.refused(&mut raw, "/app/x", &root);
    assert_eq!(answer.status, 400, "{}", answer.text());
    // A cookie that the rule does not accept says nothing.
    bench.allowed(&mut raw, "/only/x", &root);
}

#[test]
fn what_is_shown_in_tls_1_2_counts_alike() {
    let bench = Bench::new(Setup::new(), ", user: subject.cn");
    let over = |own: &Identity| {
        let config = tls::old(bench.gateway.identity(), Some(own));
        tls::over(bench.gateway.https(), Arc::new(config), "localhost")
    };
    let alice = bench.issuer.issue("alice");
    let config = Arc::new(tls::old(bench.gateway.identity(), Some(&alice)));
    for _ in 0..2 {
        let wire = tls::over(bench.gateway.https(), Arc::clone(&config), "localhost");
        let mut raw = Raw::over(wire.unwrap());
        bench.allowed(&mut raw, "/only/x", "");
        assert_eq!(tls::kind(raw.wire()), Some(rustls::HandshakeKind::Full));
    }
    let config = Arc::new(tls::old(bench.gateway.identity(), None));
    let wire = tls::over(bench.gateway.https(), config, "localhost");
    let mut raw = Raw::over(wire.unwrap());
    bench.allowed(&mut raw, "/public/x", "");
    assert_eq!(bench.refused(&mut raw, "/only/x", "").status, 401);
    for hostile in [
        Identity::new(&["alice"]),
        Issuer::new("the authority").issue("alice"),
        Identity {
            certificate: alice.certificate.clone(),
            ..bench.issuer.issue("alice")
        },
    ] {
        assert!(over(&hostile).is_err());
        bench.nothing_came("TLS 1.2");
    }
}

#[test]
fn every_stream_of_a_connection_has_its_certificate_and_no_other_has() {
    let bench = Bench::new(Setup::new(), ", user: subject.cn");
    let h2 = |own: Option<&Identity>| H2::over(bench.wire(own, "h2").unwrap());
    let alice = bench.issuer.with(numbered("alice", 9));
    let (mut with, mut without) = (h2(Some(&alice)), h2(None));
    for _ in 0..3 {
        let mark = [("x-marker", bench.marker.as_str())];
        assert_eq!(with.get("/only/x", &mark).status(), Some(200));
        let seen = bench.arrived("h2");
        assert_eq!(seen.value("x-auth-user").as_deref(), Some("alice"));
        assert_eq!(with.get("/admin/x", &mark).status(), Some(403));
        assert_eq!(without.get("/only/x", &mark).status(), Some(401));
        bench.nothing_came("h2");
    }
}
