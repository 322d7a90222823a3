//! What becomes of a certificate that was shown: users who are disabled, time that passes, authorities that change
//! their mind, on connections that were made before.

use std::sync::Arc;
use std::time::Duration;

use rustls::HandshakeKind;

use crate::certificates::{Bench, asking, is_no_good};
use crate::harness::h2::request;
use crate::harness::issuer::{Issuer, numbered, until};
use crate::harness::tls::{self, Identity};
use crate::harness::{H2, Outcome, Raw, Setup, Wire, eventually};
use crate::tls::shows;
use crate::tunnels::{agreeing, lines, open_on, round_trip};

/// Longer than anything may take to be noticed, and shorter than what is remembered.
const NOTICED: Duration = Duration::from_secs(10);

/// A tunnel of whose certificate this is.
pub fn tunnel(bench: &Bench, own: &Identity) -> Raw {
    open_on(bench.connect(Some(own)), "/only/ws", "")
}

/// Waits for its end.
pub fn ends(raw: Raw) {
    assert!(raw.patience(NOTICED).closes(), "still open");
}

/// Asks once, when a tunnel has told that it is noticed: a request that is under way at that moment is cut, not refused.
pub fn counts_no_more(bench: &Bench, raw: &mut Raw) {
    let answer = bench.refused(raw, "/only/kept", "");
    assert!(is_no_good(&answer), "{answer:?}");
}

#[test]
fn c_15_whoever_is_disabled_or_renamed_is_nobody_on_connections_they_have() {
    let setup = Setup::before(agreeing()).user("carol", "user");
    let bench = Bench::new(setup, ", user: subject.cn");
    let (alice, carol) = (bench.issuer.issue("alice"), bench.issuer.issue("carol"));
    let (mut kept, cut) = (bench.connect(Some(&carol)), tunnel(&bench, &carol));
    let mut twin = tunnel(&bench, &alice);
    let mut h2 = H2::over(bench.wire(Some(&carol), "h2").unwrap());
    bench.allowed(&mut kept, "/only/x", "");
    assert_eq!(h2.get("/open/x", &[]).status(), Some(200));
    bench.gateway.cli(&["user", "disable", "carol"], "").fine();
    ends(cut);
    let mut twin_h2 = H2::over(bench.wire(Some(&alice), "h2").unwrap());
    assert_eq!(twin_h2.get("/only/x", &[]).status(), Some(200));
    assert_eq!(h2.get("/only/x", &[]).status(), Some(401));
    // On another connection another certificate may be shown; whoever has a good one is left alone.
    assert_eq!(h2.ends_within(NOTICED), Some(Outcome::Closed));
    assert_eq!(twin_h2.get("/only/x", &[]).status(), Some(200));
    counts_no_more(&bench, &mut kept);
    bench.gateway.cli(&["user", "enable", "carol"], "").fine();
    eventually("to be somebody again", || {
        let mut raw = bench.connect(Some(&carol));
        let answer = raw.ask(bench.request("GET", "/only/x", ""));
        (answer.status == 200).then(|| bench.arrived("again"))
    });
    round_trip(&mut twin, "still here");
}

#[test]
fn c_15_a_role_that_is_lost_is_lost_at_once() {
    let bench = Bench::new(Setup::before(agreeing()), ", user: subject.cn");
    let root = bench.issuer.issue("root");
    let mut kept = bench.connect(Some(&root));
    bench.allowed(&mut kept, "/admin/x", "");
    let cut = open_on(bench.connect(Some(&root)), "/admin/ws", "");
    bench
        .gateway
        .cli(&["user", "set-roles", "root", "user"], "")
        .fine();
    ends(cut);
    let answer = bench.refused(&mut kept, "/admin/x", "");
    assert_eq!(answer.status, 403, "{}", answer.text());
    let seen = bench.allowed(&mut kept, "/only/x", "");
    assert_eq!(seen.value("x-auth-roles").as_deref(), Some("user"));
}

#[test]
fn a_certificate_that_expires_counts_no_more_where_it_was_shown() {
    let bench = Bench::new(Setup::before(agreeing()), ", user: subject.cn");
    let alice = bench.issuer.issue("alice");
    let brief = || bench.issuer.with(until("alice", Duration::from_secs(4)));
    let (first, second) = (brief(), brief());
    let (mut kept, cut) = (bench.connect(Some(&first)), tunnel(&bench, &second));
    let mut twin = tunnel(&bench, &alice);
    bench.allowed(&mut kept, "/only/x", "");
    ends(cut);
    counts_no_more(&bench, &mut kept);
    round_trip(&mut twin, "still here");
    bench.no_handshake(&first, "expired");
}

#[test]
fn a_revoked_certificate_counts_no_more_where_it_was_shown() {
    let issuer = Issuer::new("the authority");
    let setup = asking(
        Setup::before(agreeing()),
        &issuer,
        ", user: subject.cn, crl: clients.crl",
    );
    let setup = setup.asset("clients.crl", &issuer.list(&[1]));
    let bench = Bench::of(setup.start(), issuer);
    let [gone, alice, twin] = [1, 2, 3].map(|at| bench.issuer.with(numbered("alice", at)));
    bench.no_handshake(&gone, "revoked");
    let (mut kept, cut) = (bench.connect(Some(&alice)), tunnel(&bench, &alice));
    let (mut other, mut open) = (bench.connect(Some(&twin)), tunnel(&bench, &twin));
    bench.allowed(&mut kept, "/only/x", "");
    bench.allowed(&mut other, "/only/x", "");
    // Renewed as files are, without a reload.
    bench
        .gateway
        .write("clients.crl", &bench.issuer.list(&[1, 2]));
    ends(cut);
    counts_no_more(&bench, &mut kept);
    bench.no_handshake(&alice, "revoked meanwhile");
    bench.allowed(&mut other, "/only/x", "");
    round_trip(&mut open, "still here");
    // What is none leaves the old one in force.
    bench.gateway.write("clients.crl", "junk");
    eventually("the fault to be told", || {
        let log = bench.gateway.log();
        log.contains("holds no PEM list").then_some(())
    });
    bench.no_handshake(&alice, "still revoked");
    bench.allowed(&mut bench.connect(Some(&twin)), "/only/x", "");
    assert!(!bench.gateway.reload(), "a reload took it over");
    bench.allowed(&mut other, "/only/x", "");
}

#[test]
fn of_two_lists_the_newer_holds_and_the_older_does_not_come_back() {
    let issuer = Issuer::new("the authority");
    let setup = asking(
        Setup::before(agreeing()),
        &issuer,
        ", user: subject.cn, crl: clients.crl",
    );
    let [first, second] = [issuer.edition(1, &[]), issuer.edition(2, &[1])];
    let bench = Bench::of(setup.asset("clients.crl", &first).start(), issuer);
    let [alice, twin] = [1, 2].map(|at| bench.issuer.with(numbered("alice", at)));
    let cut = tunnel(&bench, &alice);
    // As `cat old.crl new.crl` makes it.
    bench
        .gateway
        .write("clients.crl", &(first.clone() + &second));
    ends(cut);
    bench.no_handshake(&alice, "revoked by the second");
    bench.allowed(&mut bench.connect(Some(&twin)), "/only/x", "");
    let log = bench.gateway.log();
    let mut said = log.lines().filter(|line| line.contains("is in force"));
    assert!(said.all(|line| line.contains("clients.crl")), "{log}");
    // A copy of last week.
    bench.gateway.write("clients.crl", &first);
    bench.gateway.says("a reload puts it in force nevertheless");
    bench.no_handshake(&alice, "still revoked");
    bench.allowed(&mut bench.connect(Some(&twin)), "/only/x", "");
    // Two that contradict each other.
    let both = second + &bench.issuer.edition(2, &[2]);
    bench.gateway.write("clients.crl", &both);
    bench.gateway.says("nobody can tell which holds");
    bench.no_handshake(&alice, "still revoked");
    bench.allowed(&mut bench.connect(Some(&twin)), "/only/x", "");
    assert!(!bench.gateway.reload(), "a reload took it over");
    bench.gateway.write("clients.crl", &first);
    assert!(bench.gateway.reload());
    bench.allowed(&mut bench.connect(Some(&alice)), "/only/x", "");
}

/// How many files the gateway may open from now on.
fn may_open(bench: &Bench, files: Option<u64>) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(bench.gateway.pid()).unwrap());
    let limit = rustix::process::Resource::Nofile;
    let mut wanted = rustix::process::getrlimit(limit);
    wanted.current = files.or(wanted.maximum);
    rustix::process::prlimit(pid, limit, wanted).unwrap();
}

#[test]
fn what_could_not_be_read_for_a_while_is_put_in_force_after_it() {
    let issuer = Issuer::new("the authority");
    let setup = asking(
        Setup::before(agreeing()),
        &issuer,
        ", user: subject.cn, crl: clients.crl",
    );
    let setup = setup.asset("clients.crl", &issuer.edition(1, &[]));
    let bench = Bench::of(setup.start(), issuer);
    let [alice, twin] = [1, 2].map(|at| bench.issuer.with(numbered("alice", at)));
    let (cut, mut open) = (tunnel(&bench, &alice), tunnel(&bench, &twin));
    may_open(&bench, Some(1));
    let renewed = Identity::new(&["localhost"]);
    let list = bench.issuer.edition(2, &[1]);
    bench.gateway.write("clients.crl", &list);
    bench.gateway.write("tls.crt", &renewed.certificate);
    bench.gateway.write("tls.key", &renewed.key);
    for file in ["clients.crl: Too many", "tls.crt: Too many"] {
        bench.gateway.says(file);
    }
    may_open(&bench, None);
    ends(cut);
    round_trip(&mut open, "still here");
    bench.gateway.says("a renewed certificate is in force");
    eventually("the renewed certificate", || {
        shows(&bench.gateway, &renewed, "localhost").then_some(())
    });
    let log = bench.gateway.log();
    for file in ["clients.crl: Too many", "tls.crt: Too many"] {
        assert_eq!(log.matches(file).count(), 1, "{log}");
    }
}

#[test]
fn what_another_authority_vouched_for_counts_no_more_after_a_reload() {
    let setup = Setup::before(agreeing());
    let (old, new) = (Issuer::new("old"), Issuer::new("new"));
    let with = |issuer: &Issuer| asking(setup.clone(), issuer, ", user: subject.cn");
    let bench = Bench::of(with(&old).start(), old);
    let (alice, renewed) = (bench.issuer.issue("alice"), new.issue("alice"));
    let config = |own| {
        Arc::new(tls::config(
            bench.gateway.identity(),
            &["http/1.1"],
            Some(own),
        ))
    };
    let (remembers, asks) = (config(&alice), |wire: Wire| tls::kind(&wire));
    let over = |config: &Arc<_>| tls::over(bench.gateway.https(), Arc::clone(config), "localhost");
    let mut kept = Raw::over(over(&remembers).unwrap());
    bench.allowed(&mut kept, "/only/x", "");
    // Where one is asked for, nothing is resumed.
    assert_eq!(asks(over(&remembers).unwrap()), Some(HandshakeKind::Full));
    let cut = tunnel(&bench, &alice);
    bench.no_handshake(&renewed, "of an authority to come");
    bench.gateway.write("clients.pem", &new.pem());
    assert!(bench.gateway.reload(), "{}", bench.gateway.log());
    ends(cut);
    counts_no_more(&bench, &mut kept);
    bench.no_handshake(&alice, "of an authority that was");
    if let Ok(wire) = over(&remembers) {
        let mut raw = Raw::over(wire);
        raw.send(bench.request("GET", "/public/x", ""));
        assert!(raw.try_read().is_err(), "resumed");
    }
    bench.allowed(&mut bench.connect(Some(&renewed)), "/only/x", "");
    // A reload that changes nothing is felt by nobody.
    let (mut kept, mut open) = (bench.connect(Some(&renewed)), tunnel(&bench, &renewed));
    assert!(bench.gateway.reload());
    bench.allowed(&mut kept, "/only/x", "");
    round_trip(&mut open, "still here");
}

#[test]
fn what_began_before_anybody_was_asked_is_no_way_around() {
    let issuer = Issuer::new("the authority");
    let asking = asking(Setup::new(), &issuer, ", user: subject.cn");
    let silent = asking
        .clone()
        .without("client_certificates")
        .rules("  - { path: /**, allow: anyone }");
    let bench = Bench::of(silent.clone().start(), issuer);
    let alice = bench.issuer.issue("alice");
    let config = tls::config(bench.gateway.identity(), &["http/1.1"], Some(&alice));
    let config = Arc::new(config);
    let over = || tls::over(bench.gateway.https(), Arc::clone(&config), "localhost").unwrap();
    let mut kept = Raw::over(over());
    bench.allowed(&mut kept, "/only/x", "");
    let mut raw = Raw::over(over());
    bench.allowed(&mut raw, "/only/x", "");
    assert_eq!(tls::kind(raw.wire()), Some(HandshakeKind::Resumed));
    assert!(bench.gateway.reload_with(&asking));
    // It is told to come back on a connection on which it is asked.
    let answer = bench.refused(&mut kept, "/only/x", "");
    assert_eq!(answer.status, 421, "{}", answer.text());
    assert!(kept.closes());
    let mut raw = Raw::over(over());
    let seen = bench.allowed(&mut raw, "/only/x", "");
    assert_eq!(seen.value("x-auth-user").as_deref(), Some("alice"));
    assert_eq!(tls::kind(raw.wire()), Some(HandshakeKind::Full));
    assert!(bench.gateway.reload_with(&silent));
    bench.allowed(&mut bench.connect(None), "/only/x", "");
}

#[test]
fn w_03_another_sites_page_does_nothing_with_the_certificate_of_who_looks_at_it() {
    let bench = Bench::new(Setup::before(agreeing()), ", user: subject.cn");
    let alice = bench.issuer.issue("alice");
    let post = |lines: &str| {
        let lines = format!("Content-Length: 0\r\n{lines}");
        bench.request("POST", "/only/x", &lines)
    };
    for lines in [
        "Origin: https://evil.test\r\n",
        "Origin: null\r\n",
        "Origin: http://localhost\r\n",
        "Origin: https://localhost\r\nOrigin: https://evil.test\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
    ] {
        let answer = bench.connect(Some(&alice)).ask(post(lines));
        assert_eq!(answer.status, 403, "{lines} {}", answer.text());
        bench.nothing_came(lines);
    }
    for lines in [
        "",
        "Origin: https://localhost\r\n",
        "Sec-Fetch-Site: same-origin\r\n",
    ] {
        let answer = bench.connect(Some(&alice)).ask(post(lines));
        assert_eq!(answer.status, 200, "{lines} {}", answer.text());
        bench.arrived(lines);
    }
    for (path, origin, status) in [
        ("/page/x", "https://page.test", 200),
        ("/page/x", "https://evil.test", 403),
        // Whom everybody may see nobody proves who they are to.
        ("/any/x", "https://page.test", 403),
        ("/any/x", "https://localhost", 200),
    ] {
        let lines = format!("Content-Length: 0\r\nOrigin: {origin}\r\n");
        let asked = bench.request("POST", path, &lines);
        let answer = bench.connect(Some(&alice)).ask(asked);
        assert_eq!(answer.status, status, "{path} {origin}");
        if status == 200 {
            bench.arrived(path);
        } else {
            bench.nothing_came(path);
        }
    }
    let handshake = |origin: &str| {
        let lines = format!("{}Origin: {origin}\r\n", lines());
        bench
            .connect(Some(&alice))
            .ask(bench.request("GET", "/only/ws", &lines))
    };
    assert_eq!(handshake("https://evil.test").status, 403);
    bench.nothing_came("a handshake of another page");
    assert_eq!(handshake("https://localhost").status, 101);
}

#[test]
fn w_03_a_page_is_its_hosts_in_http_2_at_whatever_port_it_is_reached() {
    let bench = Bench::new(Setup::new(), ", user: subject.cn");
    let alice = bench.issuer.issue("alice");
    let mut h2 = H2::over(bench.wire(Some(&alice), "h2").unwrap());
    for (asked, origin, status) in [
        ("localhost:8443", "https://localhost:8443", 200),
        ("localhost:8443", "https://localhost:8444", 403),
        ("localhost:8443", "https://evil.test:8443", 403),
    ] {
        let mut fields = request("POST", "/only/x");
        fields.retain(|(name, _)| *name != ":authority");
        fields.push((":authority", asked));
        fields.extend([("origin", origin), ("x-marker", &bench.marker)]);
        assert_eq!(h2.ask(&fields).status(), Some(status), "{origin}");
        if status == 200 {
            bench.arrived(origin);
        } else {
            bench.nothing_came(origin);
            h2 = H2::over(bench.wire(Some(&alice), "h2").unwrap());
        }
    }
}
