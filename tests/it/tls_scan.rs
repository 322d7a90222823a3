//! TLS as a scanner sees it: protocols, ciphers and their order, headers, and the list of known weaknesses.

use std::fs;
use std::process::Command;
use std::time::Duration;

use rcgen::string::Ia5String;
use rcgen::{CrlDistributionPoint, ExtendedKeyUsagePurpose, KeyUsagePurpose, SanType};
use serde_json::Value;

use crate::harness::issuer::{Issuer, until};
use crate::harness::tls::Identity;
use crate::harness::{Gateway, Setup, eventually};

/// As authorities make them: for three months, with a list that says what has been revoked.
fn issued(issuer: &Issuer) -> Identity {
    let days = Duration::from_hours(24 * 80);
    let mut params = until("localhost", days);
    params.not_before = params.not_after - days;
    params.subject_alt_names = vec![SanType::DnsName(Ia5String::try_from("localhost").unwrap())];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.crl_distribution_points = vec![CrlDistributionPoint {
        uris: vec!["http://localhost/revoked.crl".to_owned()],
    }];
    issuer.with(params)
}

fn found(gateway: &Gateway) -> Vec<Value> {
    let report = gateway.path().join("scan.json");
    let said = Command::new("testssl")
        .args("-p -s -f -P -S -h -U --quiet --color 0 --warnings batch".split(' '))
        .arg("--add-ca")
        .arg(gateway.path().join("root.pem"))
        .arg("--jsonfile")
        .arg(&report)
        .arg(format!("https://localhost:{}", gateway.https().port()))
        .output()
        .expect("testssl is missing: tests/run installs it");
    let text = fs::read_to_string(report).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&said.stdout));
    })
}

#[test]
fn testssl_finds_nothing() {
    let gateway = Setup::new()
        .tls(&["localhost"])
        .set("hsts", "365d")
        .rules("  - { path: /**, to: echo, allow: anyone }")
        .upstream("echo", "{ to: builtin:echo }")
        .start();
    let issuer = Issuer::new("a root");
    let identity = issued(&issuer);
    gateway.write("root.pem", &issuer.pem());
    gateway.write("tls.key", &identity.key);
    gateway.write("tls.crt", &(identity.certificate + &issuer.pem()));
    let changed = || {
        let changes = "portcullis_certificate_changes_total";
        gateway.metrics().sum(changes, &[("result", "ok")])
    };
    eventually("the certificate", || (changed() > 0.5).then_some(()));
    let found = found(&gateway);
    let severity = |finding: &Value| finding["severity"].as_str().unwrap().to_owned();
    let bad: Vec<_> = found
        .iter()
        // Nobody's name server says who may issue certificates for `localhost`.
        .filter(|finding| finding["id"] != "DNS_CAArecord")
        .filter(|finding| !["OK", "INFO", "WARN"].contains(&&*severity(finding)))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    for id in [
        "TLS1_3",
        "cipher_order",
        "cert_chain_of_trust",
        "heartbleed",
        "HSTS_time",
        "RC4",
    ] {
        let well = found
            .iter()
            .any(|finding| finding["id"] == id && severity(finding) == "OK");
        assert!(well, "{id}: {found:#?}");
    }
}
