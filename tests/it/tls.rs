//! Certificates in files: chosen by name, swapped while requests go on, and kept when what is new is no good.

use std::fs;

use crate::harness::tls::{self, Identity};
use crate::harness::{Gateway, Raw, Setup, eventually, marker};

const CHANGES: &str = "portcullis_certificate_changes_total";

/// What the gateway shows to somebody who asks for `name` and trusts `identity` alone; none when that is not it.
pub fn shows(gateway: &Gateway, identity: &Identity, name: &str) -> bool {
    let wire = tls::try_connect(gateway.https(), identity, name, &["http/1.1"]);
    wire.is_ok_and(|wire| tls::shown(&wire) == identity.der())
}

fn counted(gateway: &Gateway, result: &str) -> f64 {
    gateway.metrics().sum(CHANGES, &[("result", result)])
}

pub fn renew(gateway: &Gateway, identity: &Identity) {
    gateway.write("tls.crt", &identity.certificate);
    gateway.write("tls.key", &identity.key);
}

pub fn ask(raw: &mut Raw, host: &str) -> u16 {
    let request = format!("GET /public/x HTTP/1.1\r\nHost: {host}\r\n\r\n");
    raw.ask(request).status
}

#[test]
fn g_07_a_renewed_certificate_is_served_without_a_reload() {
    let gateway = Setup::new().tls(&["localhost"]).start();
    let old = gateway.identity().clone();
    let mut open = Raw::over(gateway.tls("localhost", &["http/1.1"]));
    assert_eq!(ask(&mut open, "localhost"), 200);
    let new = Identity::new(&["localhost"]);
    renew(&gateway, &new);
    eventually("the renewed certificate", || {
        shows(&gateway, &new, "localhost").then_some(())
    });
    assert!(!shows(&gateway, &old, "localhost"));
    assert_eq!(
        ask(&mut open, "localhost"),
        200,
        "an open connection goes on"
    );
    assert!((counted(&gateway, "ok") - 1.0).abs() < 0.1);
    // As those renew who keep each certificate in a folder of its own, and move a link.
    let third = Identity::new(&["localhost"]);
    for (name, text) in [("tls.crt", &third.certificate), ("tls.key", &third.key)] {
        gateway.write(&format!("third-{name}"), text);
        let link = gateway.path().join(format!("link-{name}"));
        std::os::unix::fs::symlink(format!("third-{name}"), &link).unwrap();
        fs::rename(link, gateway.path().join(name)).unwrap();
    }
    eventually("the certificate behind the link", || {
        shows(&gateway, &third, "localhost").then_some(())
    });
    assert_eq!(
        ask(&mut open, "localhost"),
        200,
        "an open connection goes on"
    );
}

/// Waits for an error in the log, which is written by a thread of its own.
fn tells(gateway: &Gateway, from: usize, said: &str) {
    eventually(said, || {
        let told = &gateway.log()[from..];
        (told.contains(said) && told.contains("ERROR")).then_some(())
    });
}

#[test]
fn g_07_what_is_no_good_leaves_the_old_certificate_in_force() {
    let gateway = Setup::new().tls(&["localhost"]).start();
    let old = gateway.identity().clone();
    let other = Identity::new(&["localhost"]);
    let expired = Identity::of_years(&["localhost"], 2020, 2021);
    let early = Identity::of_years(&["localhost"], 2035, 2036);
    let cut = &other.certificate[..other.certificate.len() / 2];
    let faults = [
        (
            "a wrong key",
            other.certificate.as_str(),
            old.key.as_str(),
            "go together",
        ),
        (
            "an expired one",
            &expired.certificate,
            &expired.key,
            "expired on 2021",
        ),
        (
            "one of a time to come",
            &early.certificate,
            &early.key,
            "not valid before 2035",
        ),
        ("half a file", cut, &other.key, "is damaged or cut off"),
        ("an empty file", "", &other.key, "holds no PEM certificate"),
        (
            "a key that is none",
            &other.certificate,
            "junk",
            "holds no PEM private key",
        ),
    ];
    for (number, (what, certificate, key, said)) in (1..).zip(faults) {
        let log = gateway.log().len();
        gateway.write("tls.crt", certificate);
        gateway.write("tls.key", key);
        eventually(what, || {
            (counted(&gateway, "failed") >= f64::from(number)).then_some(())
        });
        assert!(shows(&gateway, &old, "localhost"), "{what}");
        tells(&gateway, log, said);
        assert!(!gateway.reload(), "{what} was taken over by a reload");
        assert!(shows(&gateway, &old, "localhost"), "{what} after a reload");
    }
    fs::remove_file(gateway.path().join("tls.key")).unwrap();
    eventually("a missing key", || {
        (counted(&gateway, "failed") > 6.5).then_some(())
    });
    assert!(shows(&gateway, &old, "localhost"));
    renew(&gateway, &other);
    eventually("what is sound at last", || {
        shows(&gateway, &other, "localhost").then_some(())
    });
    // Each was told once, however often it was looked at.
    assert!((counted(&gateway, "failed") - 7.0).abs() < 0.1);
    assert!(gateway.reload(), "{}", gateway.log());
    gateway.says("configuration reloaded");
    assert_eq!(gateway.log().matches("certificate not renewed").count(), 7);
}

#[test]
fn g_07_one_for_fewer_names_waits_for_a_reload() {
    let gateway = Setup::new()
        .tls(&["one.wide.test", "two.wide.test"])
        .start();
    let (fewer, others) = (
        Identity::new(&["two.wide.test"]),
        ["*.wide.test", "more.test"],
    );
    renew(&gateway, &fewer);
    eventually("the fault to be told", || {
        let log = gateway.log();
        log.contains("is not for one.wide.test").then_some(())
    });
    assert!(!shows(&gateway, &fewer, "two.wide.test"));
    assert!(gateway.reload(), "{}", gateway.log());
    assert!(shows(&gateway, &fewer, "two.wide.test"));
    let check = gateway.cli(&["check"], "").fine();
    let said = check.all();
    assert!(
        said.contains("no certificate is for one.wide.test"),
        "{said}"
    );
    // A wildcard covers what it covers.
    let wide = Identity::new(&others);
    renew(&gateway, &wide);
    eventually("the wildcard", || {
        shows(&gateway, &wide, "one.wide.test").then_some(())
    });
}

#[test]
fn g_07_a_certificate_that_expires_in_service_stops_no_reload() {
    let setup = Setup::new().tls(&["localhost"]);
    let expired = Identity::of_years(&["localhost"], 2020, 2021);
    let folder = setup.folder();
    folder.write("tls.crt", &expired.certificate);
    folder.write("tls.key", &expired.key);
    let check = folder.cli(&["check"], "").fine();
    assert!(check.all().contains("expired on 2021"), "{}", check.all());
    let recorder = setup.recorder().clone();
    let gateway = Gateway::launch(folder, recorder, Some(expired.clone()), &[]).unwrap();
    assert!(gateway.reload(), "{}", gateway.log());
    let renewed = Identity::new(&["localhost"]);
    renew(&gateway, &renewed);
    assert!(gateway.reload(), "{}", gateway.log());
    assert!(shows(&gateway, &renewed, "localhost"));
    renew(&gateway, &expired);
    assert!(!gateway.reload(), "the expired one came back");
    assert!(shows(&gateway, &renewed, "localhost"));
}

/// Three certificates: one of two names, a wildcard, and one that the wildcard would cover.
fn several() -> (Gateway, [Identity; 3]) {
    let wide = Identity::new(&["*.wide.test"]);
    let exact = Identity::new(&["a.wide.test"]);
    let gateway = Setup::new()
        .tls(&["one.test", "two.test"])
        .asset("wide.crt", &wide.certificate)
        .asset("wide.key", &wide.key)
        .asset("exact.crt", &exact.certificate)
        .asset("exact.key", &exact.key)
        .set(
            "tls",
            "[{ certificate: tls.crt, key: tls.key }, { certificate: wide.crt, key: wide.key }, { certificate: exact.crt, key: exact.key }]",
        )
        .set(
            "site",
            "[\"https://one.test\", \"https://two.test\", \"https://a.wide.test\", \"https://b.wide.test\", \"https://bare.test\"]",
        )
        .start();
    let first = gateway.identity().clone();
    (gateway, [first, wide, exact])
}

#[test]
fn the_name_chooses_the_certificate() {
    let (gateway, [first, wide, exact]) = several();
    let shown = |name: &str| {
        let all = [("first", &first), ("wide", &wide), ("exact", &exact)];
        let found = all.iter().find(|(_, one)| shows(&gateway, one, name));
        found.map(|(what, _)| *what)
    };
    for (name, expected) in [
        ("one.test", "first"),
        ("two.test", "first"),
        ("a.wide.test", "exact"),
        ("b.wide.test", "wide"),
    ] {
        assert_eq!(shown(name), Some(expected), "{name}");
    }
    // A name that no certificate has is shown the first, which a client then refuses.
    assert_eq!(shown("bare.test"), None);
    assert!(presented(&gateway, &["-servername", "bare.test"], &first));
    assert!(presented(&gateway, &["-noservername"], &first));
    assert!(!presented(&gateway, &["-noservername"], &wide));
}

#[test]
fn g_07_a_reload_adds_certificates_and_takes_them_away() {
    let two = Identity::new(&["two.test"]);
    let setup = Setup::new()
        .tls(&["one.test"])
        .asset("two.crt", &two.certificate)
        .asset("two.key", &two.key);
    let more = setup.clone().set(
        "tls",
        "[{ certificate: tls.crt, key: tls.key }, { certificate: two.crt, key: two.key }]",
    );
    let gateway = setup.clone().start();
    let mut open = Raw::over(gateway.tls("one.test", &["http/1.1"]));
    for (setup, shown) in [(&more, true), (&setup, false)] {
        assert!(gateway.reload_with(setup), "{}", gateway.log());
        assert_eq!(shows(&gateway, &two, "two.test"), shown);
        assert!(shows(&gateway, gateway.identity(), "one.test"));
        assert_eq!(ask(&mut open, "one.test"), 200);
    }
}

/// Whether openssl is shown this certificate.
fn presented(gateway: &Gateway, arguments: &[&str], identity: &Identity) -> bool {
    let said = s_client(gateway, arguments, "Q\n");
    let text = said.replace('\n', "");
    text.contains(identity.certificate.replace('\n', "").trim())
}

/// What `openssl s_client` says to this input.
pub fn s_client(gateway: &Gateway, arguments: &[&str], input: &str) -> String {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let address = gateway.https().to_string();
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &address, "-showcerts"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let done = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&done.stdout) + &text(&done.stderr)
}

#[test]
fn p_22_a_host_that_the_connections_certificate_is_not_for() {
    let (gateway, [first, wide, exact]) = several();
    let status = |identity: &Identity, name: &str, host: &str| {
        let mark = marker("P-22-several");
        let twin = marker("P-22-twin");
        let wire = tls::connect(gateway.https(), identity, name, &["http/1.1"]);
        let mut raw = Raw::over(wire);
        let line = |mark: &str, host: &str| {
            format!("GET /public/x HTTP/1.1\r\nHost: {host}\r\nX-Marker: {mark}\r\n\r\n")
        };
        assert_eq!(raw.ask(line(&twin, name)).status, 200);
        let status = raw.ask(line(&mark, host)).status;
        let came = gateway.recorder().with(&mark).len();
        assert_eq!(came, usize::from(status == 200), "{name} then {host}");
        assert_eq!(gateway.recorder().with(&twin).len(), 1);
        status
    };
    let cases = [
        (&first, "one.test", "two.test", 200),
        (&first, "one.test", "a.wide.test", 421),
        (&first, "one.test", "b.wide.test", 421),
        (&first, "one.test", "bare.test", 421),
        // The connection was made with the wildcard, which covers the name that another certificate is for.
        (&wide, "b.wide.test", "a.wide.test", 200),
        (&wide, "b.wide.test", "one.test", 421),
        // And this one with the other: the wildcard is in force, but was not shown.
        (&exact, "a.wide.test", "b.wide.test", 421),
        (&exact, "a.wide.test", "one.test", 421),
    ];
    for (identity, name, host, expected) in cases {
        assert_eq!(status(identity, name, host), expected, "{name} then {host}");
    }
}

#[test]
fn p_22_a_client_that_names_nobody_is_held_to_the_first_certificate() {
    let (gateway, _) = several();
    let ask = |gateway: &Gateway, host: &str| {
        let request =
            format!("GET /public/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let said = s_client(gateway, &["-noservername", "-quiet"], &request);
        let at = said.find("HTTP/1.1 ").unwrap_or_else(|| panic!("{said}"));
        said[at + 9..at + 12].to_owned()
    };
    assert_eq!(ask(&gateway, "one.test"), "200");
    assert_eq!(ask(&gateway, "b.wide.test"), "421");
    // A proxy in front does as it does, and speaks for every host.
    let proxied = Setup::new()
        .tls(&["one.test"])
        .set("site", "[\"https://one.test\", \"https://two.test\"]")
        .set("trusted_proxies", "[127.0.0.1]")
        .start();
    assert_eq!(ask(&proxied, "two.test"), "200");
    assert_eq!(ask(&proxied, "three.test"), "421");
}

#[test]
fn p_22_an_address_is_covered_by_a_certificate_for_it() {
    let gateway = Setup::new().tls(&["127.0.0.1"]).start();
    for (host, status) in [("127.0.0.1:8443", "200"), ("one.test", "421")] {
        let request =
            format!("GET /public/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let said = s_client(&gateway, &["-noservername", "-quiet"], &request);
        assert!(
            said.contains(&format!("HTTP/1.1 {status} ")),
            "{host}: {said}"
        );
    }
}
