//! Several certificates for one name, and what is told of the end of each.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;

use crate::harness::tls::{self, Identity};
use crate::harness::{Gateway, Setup, eventually};
use crate::tls::renew;

const EXPIRY: &str = "portcullis_certificate_expiry_timestamp_seconds";

/// A setup with a second certificate, below the first.
fn with_second(second: &Identity) -> Setup {
    Setup::new()
        .tls(&["localhost"])
        .asset("second.crt", &second.certificate)
        .asset("second.key", &second.key)
        .set(
            "tls",
            "[{ certificate: tls.crt, key: tls.key }, { certificate: second.crt, key: second.key }]",
        )
}

/// What a client is shown that trusts this certificate and knows these suites alone.
fn shown(gateway: &Gateway, identity: &Identity, suites: &str) -> Option<Vec<u8>> {
    let all = rustls::crypto::aws_lc_rs::default_provider();
    let known =
        |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite()).contains(suites);
    let provider = CryptoProvider {
        cipher_suites: all.cipher_suites.iter().copied().filter(known).collect(),
        ..all
    };
    let config: ClientConfig = tls::config_by(provider, identity);
    let wire = tls::over(gateway.https(), Arc::new(config), "localhost").ok()?;
    Some(tls::shown(&wire))
}

#[test]
fn of_two_certificates_for_a_name_each_client_is_shown_the_one_it_can_read() {
    let rsa = Identity::rsa(&["localhost"]);
    let gateway = with_second(&rsa).start();
    let ecdsa = gateway.identity().clone();
    assert_eq!(shown(&gateway, &ecdsa, "TLS13"), Some(ecdsa.der()));
    assert_eq!(shown(&gateway, &ecdsa, "ECDSA"), Some(ecdsa.der()));
    assert_eq!(shown(&gateway, &rsa, "ECDHE_RSA"), Some(rsa.der()));
    assert_eq!(shown(&gateway, &ecdsa, "ECDHE_RSA"), None);
}

#[test]
fn a_certificate_that_is_never_shown_is_warned_of() {
    let folder = with_second(&Identity::new(&["localhost"])).folder();
    let said = folder.cli(&["check"], "").fine().all();
    assert!(said.contains("tls[1]: is never shown"), "{said}");
    for other in [
        Identity::rsa(&["localhost"]),
        Identity::new(&["localhost", "other.test"]),
    ] {
        let said = with_second(&other)
            .folder()
            .cli(&["check"], "")
            .fine()
            .all();
        assert!(!said.contains("never shown"), "{said}");
    }
}

#[test]
fn g_07_the_end_of_a_certificate_is_told() {
    let gateway = Setup::new().tls(&["localhost"]).start();
    let labels = [("kind", "shown"), ("name", "localhost")];
    // rcgen's last until 4096.
    eventually("the end", || {
        (gateway.metrics().sum(EXPIRY, &labels) > 60e9).then_some(())
    });
    assert!(
        !gateway.log().contains("a certificate"),
        "{}",
        gateway.log()
    );
    gateway.write("tls.crt", "gone");
    let over = Identity::of_years(&["localhost"], 2020, 2021);
    renew(&gateway, &over);
    let gateway = gateway.restart();
    let told = |what: &str| {
        eventually(what, || gateway.log().contains(what).then_some(()));
    };
    told("a certificate has come to its end: clients refuse it");
    let sum = gateway.metrics().sum(EXPIRY, &labels);
    assert!((sum - 1_609_459_200.0).abs() < 0.5, "{sum}");
    renew(&gateway, &Identity::new(&["localhost"]));
    told("a renewed certificate is in force");
    eventually("the new end", || {
        (gateway.metrics().sum(EXPIRY, &labels) > 60e9).then_some(())
    });
}
