//! The authorities that the machine trusts (F-08), where they are no good.

use crate::harness::tls::Identity;
use crate::harness::{Reply, Setup, eventually};

/// Somebody else's rotten file among the authorities of the machine, or none at all, is no reason to serve nobody.
#[test]
fn f_08_a_gateway_starts_whatever_the_machine_trusts() {
    let rotten = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("roots.pem");
    for text in [None, Some(""), Some(rotten)] {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let setup = Setup::new().env("SSL_CERT_FILE", file.to_str().unwrap());
        let gateway = setup.env("SSL_CERT_DIR", "/nonexistent").start();
        let answer = gateway.ask("GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(answer.status, 200, "{text:?}");
        gateway.says("authorities of this machine");
        assert!(gateway.reload(), "{}", gateway.log());
    }
    // Nor are there no health checks where the authorities were sound, and are gone when the first one is asked for.
    std::fs::write(&file, Identity::new(&["root.test"]).certificate).unwrap();
    let setup = Setup::new().env("SSL_CERT_FILE", file.to_str().unwrap());
    let gateway = setup.clone().start();
    std::fs::write(&file, rotten).unwrap();
    gateway
        .recorder()
        .answer(|request| match request.path().as_str() {
            "/sick" => Reply::raw("HTTP/1.1 500 Ill\r\nContent-Length: 0\r\n\r\n"),
            _ => Reply::ok("well"),
        });
    let to = gateway.recorder().url();
    let checked =
        format!("{{ to: \"{to}\", health: {{ path: /sick, interval: 50ms, down_after: 1 }} }}");
    assert!(
        gateway.reload_with(&setup.upstream("web", &checked)),
        "{}",
        gateway.log()
    );
    eventually("the check to fail", || {
        let answer = gateway.ask("GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n");
        (answer.status == 503).then_some(())
    });
}

/// Nor does it have to trust anybody to ask for no proof.
#[test]
fn f_08_no_proof_is_asked_for_where_the_machine_trusts_nobody() {
    let inner = Setup::new().tls(&["localhost"]).start();
    let url = format!("https://localhost:{}", inner.https().port());
    let ask = |more: &str| {
        let gateway = Setup::new()
            .env("SSL_CERT_FILE", "/dev/null")
            .env("SSL_CERT_DIR", "/nonexistent")
            .upstream("web", &format!("{{ to: \"{url}\"{more} }}"))
            .start();
        let answer = gateway.ask("GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n");
        (answer.status, inner.recorder().count())
    };
    let any = ", tls: { insecure_accept_any_certificate: true }";
    assert_eq!(ask(""), (502, 0));
    assert_eq!(ask(any), (200, 1));
}
