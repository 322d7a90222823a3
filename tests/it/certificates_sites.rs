//! Certificates asked for on some sites only, what the file may say of them, and what the tools know of them.

use std::sync::Arc;

use serde_json::Value;

use crate::harness::issuer::Issuer;
use crate::harness::process::Said;
use crate::harness::tls::{self, Identity};
use crate::harness::{Gateway, Raw, Setup, marker};

const RULES: &str = r"
  - { path: /only/**, auth: [mtls], allow: signed_in }
  - { path: /app/**, auth: [session, mtls], allow: signed_in }
  - { path: /**, allow: anyone }
";

fn connect(gateway: &Gateway, name: &str, own: &Identity) -> Raw {
    let config = tls::config(gateway.identity(), &["http/1.1"], Some(own));
    Raw::over(tls::over(gateway.https(), Arc::new(config), name).unwrap())
}

#[test]
fn p_22_only_the_sites_that_are_named_ask_for_a_certificate() {
    let issuer = Issuer::new("the authority");
    let gateway = Setup::new()
        .tls(&["app.test", "api.test"])
        .asset("clients.pem", &issuer.pem())
        .set(
            "client_certificates",
            "{ ca: clients.pem, user: subject.cn, sites: https://api.test }",
        )
        .rules(RULES)
        .start();
    let (alice, stranger) = (issuer.issue("alice"), Identity::new(&["alice"]));
    let mark = marker("sites");
    let ask = |raw: &mut Raw, host: &str, path: &str| {
        raw.ask(format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Marker: {mark}\r\n\r\n"
        ))
    };
    // Not asked, a certificate is not shown: neither a good one nor a bad one matters.
    for own in [&alice, &stranger] {
        let mut raw = connect(&gateway, "app.test", own);
        assert_eq!(ask(&mut raw, "app.test", "/x").status, 200);
        assert_eq!(ask(&mut raw, "app.test", "/only/x").status, 401);
    }
    let old = Arc::new(tls::old(gateway.identity(), Some(&stranger)));
    let mut raw = Raw::over(tls::over(gateway.https(), old, "app.test").unwrap());
    assert_eq!(ask(&mut raw, "app.test", "/only/x").status, 401);
    assert_eq!(gateway.recorder().wait_for(&mark, 2).len(), 2);
    // A browser that takes one connection for both, because the certificate is for both, is sent to one of its own.
    let mut raw = connect(&gateway, "app.test", &alice);
    assert_eq!(ask(&mut raw, "api.test", "/only/x").status, 421);
    assert!(raw.closes());
    let mut raw = connect(&gateway, "api.test", &alice);
    assert_eq!(ask(&mut raw, "api.test", "/only/x").status, 200);
    assert_eq!(gateway.recorder().wait_for(&mark, 3).len(), 3);
    // What was proved was proved to those who ask, on whatever connection: for the others there is no certificate.
    let answer = ask(&mut raw, "app.test", "/only/x");
    assert!(answer.status == 401 && !answer.text().contains("INVALID_CERTIFICATE"));
    assert_eq!(ask(&mut raw, "app.test", "/app/x").status, 401);
    assert_eq!(ask(&mut raw, "app.test", "/x").status, 200);
    assert_eq!(gateway.recorder().wait_for(&mark, 4).len(), 4);
    let config = tls::config(gateway.identity(), &["http/1.1"], Some(&stranger));
    if let Ok(wire) = tls::over(gateway.https(), Arc::new(config), "api.test") {
        let mut raw = Raw::over(wire);
        raw.send(format!(
            "GET /x HTTP/1.1\r\nHost: api.test\r\nX-Marker: {mark}\r\n\r\n"
        ));
        assert!(raw.try_read().is_err());
    }
    let mut raw = connect(&gateway, "api.test", &alice);
    assert_eq!(ask(&mut raw, "api.test", "/only/twin").status, 200);
    assert_eq!(gateway.recorder().wait_for(&mark, 5).len(), 5);
}

#[test]
fn w_03_a_sites_page_does_nothing_on_another_site_unless_they_share_sessions() {
    let issuer = Issuer::new("the authority");
    let alice = issuer.issue("alice");
    let setup = Setup::new()
        .tls(&["a.gate.test", "b.gate.test"])
        .asset("clients.pem", &issuer.pem())
        .set(
            "client_certificates",
            "{ ca: clients.pem, user: subject.cn }",
        )
        .rules(RULES);
    let post = |gateway: &Gateway, origin: &str| {
        let mark = marker("pages");
        let answer = connect(gateway, "a.gate.test", &alice).ask(format!(
            "POST /only/x HTTP/1.1\r\nHost: a.gate.test\r\nX-Marker: {mark}\r\n\
             Origin: https://{origin}\r\nContent-Length: 0\r\n\r\n"
        ));
        (answer.status, gateway.recorder().with(&mark).len())
    };
    let gateway = setup.clone().start();
    assert_eq!(post(&gateway, "a.gate.test"), (200, 1));
    assert_eq!(post(&gateway, "b.gate.test"), (403, 0));
    let gateway = setup.set("cookie_domain", "gate.test").start();
    assert_eq!(post(&gateway, "a.gate.test"), (200, 1));
    assert_eq!(post(&gateway, "b.gate.test"), (200, 1));
    assert_eq!(post(&gateway, "c.gate.test"), (403, 0));
}

#[test]
fn h_10_the_certificate_of_a_trusted_proxy_is_not_its_clients() {
    let issuer = Issuer::new("the authority");
    let setup = Setup::new()
        .tls(&["localhost"])
        .asset("clients.pem", &issuer.pem())
        .set(
            "client_certificates",
            "{ ca: clients.pem, user: subject.cn }",
        )
        .rules(RULES);
    let alice = issuer.issue("alice");
    let ask = |gateway: &Gateway, mark: &str| {
        let lines = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n";
        let text =
            format!("GET /only/x HTTP/1.1\r\nHost: localhost\r\nX-Marker: {mark}\r\n{lines}\r\n");
        let answer = connect(gateway, "localhost", &alice).ask(text);
        (answer.status, gateway.recorder().with(mark).len())
    };
    let gateway = setup.clone().start();
    assert_eq!(ask(&gateway, &marker("direct")), (200, 1));
    let gateway = setup.set("trusted_proxies", "[127.0.0.0/8]").start();
    assert_eq!(ask(&gateway, &marker("proxied")), (401, 0));
}

const FINE: &str =
    "{ ca: clients.pem, user: subject.cn, crl: clients.crl, sites: [\"https://localhost\"] }";

/// A file that lacks what says who vouches for certificates.
fn base() -> Setup {
    let issuer = Issuer::new("the authority");
    let somebody = Identity::new(&["alice"]);
    Setup::new()
        .tls(&["localhost"])
        .asset("clients.pem", &issuer.pem())
        .asset("clients.crl", &issuer.list(&[1]))
        .asset("somebody.pem", &somebody.certificate)
        .asset("empty.pem", "\n")
        .rules(RULES)
}

fn check(setup: &Setup) -> Said {
    setup.folder().cli(&["check"], "")
}

#[test]
fn g_04_what_the_file_says_of_certificates_is_checked() {
    let base = base();
    check(&base.clone().set("client_certificates", FINE)).fine();
    let cases = [
        ("{ ca: nowhere.pem, user: subject.cn }", "cannot read"),
        (
            "{ ca: empty.pem, user: subject.cn }",
            "holds no PEM certificate",
        ),
        (
            "{ ca: tls.key, user: subject.cn }",
            "holds no PEM certificate",
        ),
        ("{ ca: somebody.pem, user: subject.cn }", "is no authority"),
        ("{ ca: clients.pem }", "'user' is missing"),
        ("{ user: subject.cn }", "'ca' is missing"),
        (
            "{ ca: clients.pem, user: san.mail }",
            "did you mean 'san.email'",
        ),
        (
            "{ ca: clients.pem, user: subject.cn, crl: clients.pem }",
            "holds no PEM list of revoked certificates",
        ),
        (
            "{ ca: clients.pem, user: subject.cn, sites: [\"https://other.test\"] }",
            "is none of the sites",
        ),
        (
            "{ ca: clients.pem, user: subject.cn, sites: [] }",
            "names no site",
        ),
    ];
    for (yaml, said) in cases {
        let checked = check(&base.clone().set("client_certificates", yaml));
        let all = checked.all();
        assert!(
            all.contains(said) && all.contains("client_certificates"),
            "{yaml}: {all}"
        );
        assert!(checked.code != Some(0), "{yaml}");
    }
}

#[test]
fn g_04_a_rule_and_what_it_needs_are_held_side_by_side() {
    let base = base();
    let without = check(&base);
    assert!(without.code != Some(0) && without.all().contains("nobody vouches for a certificate"));
    let plain = base.clone().set("client_certificates", FINE).set(
        "listen",
        "{ http: \"127.0.0.1:0\", admin: \"127.0.0.1:0\" }",
    );
    let plain = check(&plain);
    assert!(
        plain.code != Some(0) && plain.all().contains("shown over TLS"),
        "{}",
        plain.all()
    );
    let unused = base
        .set("client_certificates", FINE)
        .rules("  - { path: /**, allow: signed_in }");
    let unused = check(&unused).fine();
    assert!(unused.all().contains("no rule accepts a certificate"));
}

#[test]
fn the_tools_know_certificates() {
    let issuer = Issuer::new("the authority");
    let folder = Setup::new()
        .tls(&["localhost"])
        .asset("clients.pem", &issuer.pem())
        .set("client_certificates", "{ ca: clients.pem, user: subject.cn }")
        .rules(RULES)
        .set(
            "tests",
            "\n  - { GET: /only/x, as: { user: alice, auth: mtls }, expect: allow }\n  - { GET: /only/x, as: { user: alice }, expect: login }\n  - { GET: /app/x, as: { user: alice, auth: mtls }, expect: allow }",
        )
        .folder();
    folder.cli(&["test"], "").fine();
    for (method, verdict) in [("mtls", "allow"), ("jwt", "login"), ("session", "login")] {
        let auth = format!("auth={method}");
        let asked = ["--as", "user=alice", "--as", &auth, "--json"];
        let words = ["explain", "GET", "/only/x"].into_iter().chain(asked);
        let said = folder.cli(&words.collect::<Vec<_>>(), "").fine();
        let told: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(told["verdict"], verdict, "{method}: {told}");
    }
    assert!(folder.cli(&["rules"], "").fine().all().contains("mtls"));
}
