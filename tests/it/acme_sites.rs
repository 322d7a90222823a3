//! Several sites: one with a certificate of its own in files, the others with certificates of an authority.

use std::time::Duration;

use crate::acme::{Doors, orders, setup};
use crate::harness::pebble::Pebble;
use crate::harness::tls::{self, Identity};
use crate::harness::{Gateway, Raw, Setup, within};

/// Seconds that a certificate lives: renewed at two thirds of it.
const SHORT: u64 = 36;

fn shown(gateway: &Gateway, root: &Identity, name: &str) -> Option<Vec<u8>> {
    let wire = tls::try_connect(gateway.https(), root, name, &["http/1.1"]);
    wire.ok().map(|wire| tls::shown(&wire))
}

fn eventually_shown(gateway: &Gateway, root: &Identity, name: &str, but: &[u8]) -> Vec<u8> {
    let found = within(Duration::from_mins(1), || {
        shown(gateway, root, name).filter(|found| found != but)
    });
    found.unwrap_or_else(|| panic!("no certificate for {name}: {}", gateway.log()))
}

#[test]
fn g_07_each_site_has_its_own_and_each_is_renewed() {
    let doors = Doors::new();
    let pebble = Pebble::start(doors.looks(SHORT));
    let own = Identity::new(&["own.test"]);
    let acme = format!(
        "{{ email: ops@example.test, directory: \"{}\", ca: ca.pem, private: allow, pause: 1s }}",
        pebble.directory()
    );
    let gateway = setup(doors, &pebble.directory(), pebble.own(), "")
        .set(
            "site",
            "[\"https://one.test\", \"https://own.test\", \"https://two.test\"]",
        )
        .set(
            "tls",
            &format!("[{{ certificate: own.crt, key: own.key }}, {{ acme: {acme} }}]"),
        )
        .asset("own.crt", &own.certificate)
        .asset("own.key", &own.key)
        .start();
    let root = pebble.root();
    assert_eq!(shown(&gateway, &own, "own.test"), Some(own.der().clone()));
    let firsts = ["one.test", "two.test"].map(|name| eventually_shown(&gateway, &root, name, &[]));
    assert_ne!(firsts[0], firsts[1]);
    for name in ["one.test", "two.test"] {
        let wire = tls::connect(gateway.https(), &root, name, &["http/1.1"]);
        let asked = format!("GET /public/x HTTP/1.1\r\nHost: {name}\r\n\r\n");
        assert_eq!(Raw::over(wire).ask(asked).status, 200, "{name}");
    }
    // One for each, and none for what has one.
    assert_eq!(pebble.orders(), 2, "{}", pebble.log());
    for (name, first) in ["one.test", "two.test"].iter().zip(&firsts) {
        eventually_shown(&gateway, &root, name, first);
    }
    assert!(orders(&gateway, "failed") < 0.5, "{}", gateway.log());
    assert_eq!(shown(&gateway, &own, "own.test"), Some(own.der().clone()));
}

/// With a certificate in a file beside an authority.
fn beside(own: &Identity, doors: Doors, directory: &str, root: &str, more: &str) -> Setup {
    let acme = format!(
        "{{ email: ops@example.test, directory: \"{directory}\", ca: ca.pem, private: allow, pause: 1s{more} }}"
    );
    setup(doors, directory, root, "")
        .set(
            "tls",
            &format!("[{{ certificate: own.crt, key: own.key }}, {{ acme: {acme} }}]"),
        )
        .asset("own.crt", &own.certificate)
        .asset("own.key", &own.key)
}

#[test]
fn g_07_a_certificate_in_a_file_that_is_over_hides_none_of_an_authority() {
    let doors = Doors::new();
    let pebble = Pebble::start(doors.looks(24 * 3600));
    let over = Identity::of_years(&["one.test", "*.two.test"], 2020, 2021);
    let gateway = beside(&over, doors, &pebble.directory(), pebble.own(), "")
        .set("site", "[\"https://one.test\", \"https://a.two.test\"]")
        .start();
    let root = pebble.root();
    for name in ["one.test", "a.two.test"] {
        eventually_shown(&gateway, &root, name, &[]);
    }
}

#[test]
fn g_07_that_a_certificate_in_a_file_is_over_is_no_fault_of_the_file() {
    let own = Identity::new(&["localhost"]);
    let (valid, over) = ((2020, 2040), (2020, 2021));
    let cases = [
        ("one.test", valid, "", "there is nothing to get"),
        ("one.test", over, "", "expired on"),
        // No authority is of any help there.
        ("localhost", valid, "", "there is nothing to get"),
        ("localhost", over, "", "expired on"),
        (
            "one.test",
            valid,
            ", names: [one.test]",
            "a certificate in a file is for one.test",
        ),
        ("one.test", over, ", names: [one.test]", "expired on"),
    ];
    for (name, (from, until), more, told) in cases {
        let file = Identity::of_years(&[name], from, until);
        let setup = beside(
            &file,
            Doors::new(),
            "https://localhost:1/dir",
            &own.certificate,
            more,
        )
        .set("site", &format!("https://{name}"));
        let said = setup.folder().cli(&["check"], "");
        assert!(said.code == Some(0), "{name} {until}{more}: {}", said.all());
        assert!(
            said.all().contains(told),
            "{name} {until}{more}: {}",
            said.all()
        );
        let hidden = said.all().contains("is shown for as long as it is valid");
        assert_eq!(hidden, (from, until) == valid && !more.is_empty());
    }
}
