//! Whose certificates are nobody's: names that no account has, or that only look like one's.

use crate::certificates::{Bench, is_no_good};
use crate::certificates_lives::{counts_no_more, ends, tunnel};
use crate::harness::issuer::addressed;
use crate::harness::{Setup, eventually};
use crate::tunnels::agreeing;

#[test]
fn a_name_that_is_nobodys_is_no_name() {
    let setup = Setup::new().user("carol", "user").user("dave", "user");
    let bench = Bench::new(setup, ", user: subject.cn");
    let cookie = bench.login("alice");
    bench.allowed(
        &mut bench.connect(Some(&bench.issuer.issue("carol"))),
        "/only/x",
        "",
    );
    bench.gateway.cli(&["user", "disable", "carol"], "").fine();
    bench.gateway.cli(&["user", "delete", "dave"], "").fine();
    let names = [
        "carol",
        "dave",
        "nobody",
        "Alice",
        "ROOT",
        "alice ",
        " root",
        "alice.",
        "root\0",
        "root\0.example.test",
        "\u{440}oot",
        "\u{ff52}oot",
        "alice@example.test",
        "alice,root",
        "",
    ];
    for name in names {
        let own = bench.issuer.issue(name);
        for (path, lines) in [
            ("/only/x", ""),
            ("/open/x", ""),
            // Nor does it fall through to the cookie.
            ("/app/x", cookie.as_str()),
        ] {
            let mut raw = bench.connect(Some(&own));
            let answer = raw.ask(bench.request("GET", path, lines));
            assert!(is_no_good(&answer), "{name:?} {path}: {answer:?}");
            assert!(raw.closes(), "another connection may show another");
        }
        bench.nothing_came(name);
        // Where no rule accepts certificates, none is judged.
        let mut raw = bench.connect(Some(&own));
        bench.allowed(&mut raw, "/session/x", &cookie);
    }
}

#[test]
fn an_address_counts_once_it_was_verified() {
    let bench = Bench::new(Setup::before(agreeing()), ", user: san.email");
    let alice = bench.issuer.with(addressed(&["alice@example.test"]));
    let (mut raw, cut) = (bench.connect(Some(&alice)), tunnel(&bench, &alice));
    let seen = bench.allowed(&mut raw, "/only/x", "");
    assert_eq!(seen.value("x-auth-user").as_deref(), Some("alice"));
    let doubt = "UPDATE users SET is_verified = FALSE WHERE username = 'alice' RETURNING username";
    assert_eq!(bench.gateway.stored(doubt), "alice");
    ends(cut);
    counts_no_more(&bench, &mut raw);
    let hostile: [&[&str]; 6] = [
        &["alice@example.test", "root@example.test"],
        &["root@example.test", "root@example.test"],
        &["Root@example.test"],
        &["root@example.test."],
        &["root@example.test\0"],
        &[],
    ];
    for addresses in hostile {
        let own = bench.issuer.with(addressed(addresses));
        let answer = bench.refused(&mut bench.connect(Some(&own)), "/only/x", "");
        assert!(is_no_good(&answer), "{addresses:?}: {answer:?}");
    }
}

#[test]
fn whoever_must_choose_another_password_does_that_first() {
    let bench = Bench::new(Setup::before(agreeing()), ", user: subject.cn");
    let alice = bench.issuer.issue("alice");
    let cut = tunnel(&bench, &alice);
    let must = |change: &str| {
        let set = "UPDATE users SET must_change_password = ";
        let whose = "WHERE username = 'alice' RETURNING username";
        let said = bench.gateway.stored(&format!("{set}{change} {whose}"));
        assert_eq!(said, "alice");
    };
    must("TRUE");
    ends(cut);
    let answer = bench.refused(&mut bench.connect(Some(&alice)), "/only/x", "");
    assert!(is_no_good(&answer), "{answer:?}");
    let why = "a client certificate does not count: its user must choose another password first";
    bench.gateway.says(why);
    must("FALSE");
    eventually("the certificate counts again", || {
        let mut raw = bench.connect(Some(&alice));
        let answer = raw.ask(bench.request("GET", "/only/again", ""));
        (answer.status == 200).then_some(())
    });
    bench.arrived("/only/again");
    bench.allowed(&mut bench.connect(Some(&alice)), "/only/x", "");
}
