//! Certificates of upstreams that are renewed while the gateway runs (F-08, G-07).

use crate::harness::{Setup, eventually};
use crate::upstreams_tls::{Authority, Service, ask, before};

const RENEWED: &str = "a renewed certificate is in force";
const BOTH: &str = "tls: { ca: ca.pem, certificate: us.pem, key: us.key }";

#[test]
fn g_07_what_a_service_is_shown_and_believed_by_is_renewed_without_a_reload() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (known, stranger) = (
        authority.signs(&["us"], |_| ()),
        other.signs(&["us"], |_| ()),
    );
    let service = Service::start(&authority.signs(&["localhost"], |_| ()), Some(&authority));
    let files = [
        ("ca.pem", &*other.pem),
        ("us.pem", &*stranger.certificate),
        ("us.key", &*stranger.key),
    ];
    let gateway = before("localhost", service.port, BOTH, &files);
    assert_eq!((ask(&gateway), service.heads().len()), (502, 0));
    gateway.write("ca.pem", &authority.pem);
    eventually("the authority to count", || {
        gateway.log().contains(RENEWED).then_some(())
    });
    // Believed now, and not believing us.
    assert_eq!((ask(&gateway), service.heads().len()), (502, 0));
    gateway.write("us.pem", &known.certificate);
    gateway.write("us.key", &known.key);
    eventually("to be believed", || (ask(&gateway) == 200).then_some(()));
    // What is told names what has changed, and for whom.
    eventually("both to be told", || {
        (gateway.log().matches(RENEWED).count() == 2).then_some(())
    });
    let log = gateway.log();
    let told = log.lines().filter(|line| line.contains(RENEWED));
    let told: Vec<(bool, bool)> = told
        .inspect(|line| assert!(line.contains("upstream=\"web\""), "{line}"))
        .map(|line| (line.contains("ca.pem"), line.contains("us.pem")))
        .collect();
    assert_eq!(told, [(true, false), (false, true)], "{log}");
    // What is no good changes nothing.
    gateway.write("us.pem", "nothing");
    eventually("the refusal to be told", || {
        let log = gateway.log();
        let refused = "certificate not renewed, the old one stays";
        let parts = [refused, "upstream=\"web\"", "us.pem"];
        let mut lines = log.lines();
        let told = lines.any(|line| parts.iter().all(|part| line.contains(part)));
        told.then_some(())
    });
    assert_eq!(ask(&gateway), 200);
    let metrics = gateway.metrics();
    for kind in ["upstream", "upstream_ca"] {
        let labels = [("kind", kind), ("name", "web")];
        let until = metrics.sum("portcullis_certificate_expiry_timestamp_seconds", &labels);
        assert!(until > 1.0, "{kind}: {until}");
    }
}

#[test]
fn g_07_what_has_expired_is_told_before_the_start() {
    let authority = Authority::new();
    for (year, warned) in [(2001, true), (2901, false)] {
        let proof = authority.signs(&["us"], |params| {
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        });
        let to = format!("{{ to: \"https://localhost:1\", {BOTH} }}");
        let folder = Setup::new()
            .asset("ca.pem", &authority.pem)
            .asset("us.pem", &proof.certificate)
            .asset("us.key", &proof.key)
            .upstream("web", &to)
            .folder();
        let said = folder.cli(&["check", "--offline"], "");
        let told = format!("{said:?}");
        assert_eq!(told.contains("expired on 2001"), warned, "{told}");
    }
}
