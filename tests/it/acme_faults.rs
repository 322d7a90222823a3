//! An authority that gets everything wrong, and what is made of it: nothing in force, a line in the log, and patience.

use crate::acme::{Doors, issued, orders, setup, shown};
use crate::harness::authority::{Authority, Script};
use crate::harness::eventually;
use crate::harness::pebble::Pebble;
use crate::harness::tls::Identity;

/// Starts against an authority that goes by this script; gives what the log says of the first failure, and how
/// many seconds later the next order is due.
fn failed(script: Script) -> (String, i64, Vec<String>) {
    let stub = Authority::start(script);
    let gateway = setup(Doors::new(), &stub.directory(), stub.own(), "")
        .on_sqlite()
        .start();
    let root = Identity::new(&["one.test"]);
    eventually("a failure", || {
        (orders(&gateway, "failed") > 0.5).then_some(())
    });
    assert!(shown(&gateway, &root).is_none());
    let due: i64 = gateway
        .stored("SELECT CAST(due_at / 1000 - CAST(strftime('%s') AS INTEGER) AS TEXT) FROM acme_certificates")
        .parse()
        .unwrap();
    let log = gateway.log();
    let line = log
        .lines()
        .find(|line| line.contains("no certificate was issued"));
    (
        line.unwrap_or_else(|| panic!("{log}")).to_owned(),
        due,
        stub.asked(),
    )
}

#[test]
fn f_07_a_rate_limit_is_kept() {
    let (line, due, asked) = failed(|_| {
        let problem = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"}"#;
        (429, "Retry-After: 7200\r\n", problem)
    });
    assert!(line.contains("too many"), "{line}");
    assert!((7100..=7200).contains(&due), "{due}");
    assert_eq!(asked.iter().filter(|path| *path == "/order").count(), 1);
}

#[test]
fn f_07_an_authority_that_asks_for_years_is_not_believed() {
    let (_, due, _) = failed(|_| (503, "Retry-After: 999999999\r\n", "{}"));
    assert!((86_000..=86_400).contains(&due), "{due}");
}

#[test]
fn f_07_junk_is_no_order() {
    for script in [
        (|_| (200, "", "<html>")) as Script,
        |_| (500, "", "\u{1b}[31mred\r\nFAKE line"),
        |_| {
            (
                201,
                "Location: http://localhost/order/1\r\n",
                r#"{"status":"ready","authorizations":[],"finalize":"http://localhost/f"}"#,
            )
        },
        |_| (302, "Location: http://127.0.0.1/\r\n", ""),
    ] {
        let (line, due, _) = failed(script);
        assert!(
            !line.contains('\u{1b}') || line.starts_with('\u{1b}'),
            "{line}"
        );
        assert!((0..=2).contains(&due), "{due}");
    }
}

#[test]
fn f_07_a_challenge_for_another_host_is_not_answered() {
    let (line, _, asked) = failed(|path| match path {
        "/order" => (
            201,
            "Location: BASE/order/1\r\n",
            r#"{"status":"pending","authorizations":["BASE/authorization"],"finalize":"BASE/finalize"}"#,
        ),
        "/authorization" => (
            200,
            "",
            r#"{"status":"pending","identifier":{"type":"dns","value":"victim.test"},
                "challenges":[{"type":"http-01","url":"BASE/challenge","token":"evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ","status":"pending"}]}"#,
        ),
        _ => (500, "", "{}"),
    });
    assert!(line.contains("another name: victim.test"), "{line}");
    assert!(!asked.iter().any(|path| path == "/challenge"), "{asked:?}");
}

#[test]
fn f_07_an_order_that_goes_round_ends() {
    let (line, due, asked) = failed(|path| match path {
        "/order" => (
            201,
            "Location: BASE/order/1\r\n",
            r#"{"status":"pending","authorizations":[],"finalize":"BASE/finalize"}"#,
        ),
        _ => (
            200,
            "Retry-After: 86400\r\n",
            r#"{"status":"pending","authorizations":[],"finalize":"BASE/finalize"}"#,
        ),
    });
    assert!(line.contains("timed out"), "{line}");
    assert!((0..=2).contains(&due), "{due}");
    assert!(asked.len() < 10, "{asked:?}");
}

#[test]
fn f_07_an_order_that_a_stop_breaks_off_is_taken_up_at_once() {
    let authority = Authority::start(|path| match path {
        "/order" => (
            201,
            "Location: BASE/order/1\r\n",
            r#"{"status":"pending","authorizations":["BASE/authorization"],"finalize":"BASE/finalize"}"#,
        ),
        "/authorization" => (
            200,
            "Retry-After: 1\r\n",
            r#"{"status":"pending","identifier":{"type":"dns","value":"one.test"},
                "challenges":[{"type":"http-01","url":"BASE/challenge","token":"evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ","status":"pending"}]}"#,
        ),
        "/challenge" => (
            200,
            "",
            r#"{"type":"http-01","url":"BASE/challenge","token":"evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ","status":"processing"}"#,
        ),
        _ => (500, "", "{}"),
    });
    let asked = |path: &str| authority.asked().iter().filter(|it| *it == path).count();
    let setup = setup(Doors::new(), &authority.directory(), authority.own(), "");
    let gateway = setup.start();
    eventually("an order under way", || {
        (asked("/challenge") > 0).then_some(())
    });
    assert_eq!(asked("/order"), 1);
    assert!(gateway.stop().success());
    let _next = gateway.restart();
    // A lease would be minutes.
    eventually("the next order", || (asked("/order") > 1).then_some(()));
}

/// Nobody who has put right what was wrong waits for as long as is waited for an authority that is down.
#[test]
fn f_07_a_start_and_other_settings_try_again() {
    let stub = Authority::start(|_| (500, "", "{}"));
    let gateway = setup(Doors::new(), &stub.directory(), stub.own(), "")
        .on_sqlite()
        .start();
    let asked = || stub.asked().iter().filter(|path| *path == "/order").count();
    eventually("a failure", || {
        (orders(&gateway, "failed") > 0.5).then_some(())
    });
    assert!(gateway.stop().success());
    let hours_later =
        "UPDATE acme_certificates SET failures = 12, due_at = due_at + 28800000 RETURNING name";
    assert_eq!(gateway.stored(hours_later), "one.test");
    let before = asked();
    let gateway = gateway.restart();
    eventually("an order after the start", || {
        (asked() > before).then_some(())
    });
    eventually("a failure", || {
        (orders(&gateway, "failed") > 0.5).then_some(())
    });
    assert!(
        gateway
            .log()
            .contains("there is no certificate yet name=\"one.test\""),
        "{}",
        gateway.log()
    );
    // Ten in a row: minutes, now that it is noted anew.
    let before = asked();
    let other = std::fs::read_to_string(gateway.config())
        .unwrap()
        .replace("pause: 1s", "pause: 2s");
    gateway.write("gateway.yaml", &other);
    assert!(gateway.reload());
    eventually("an order by other settings", || {
        (asked() > before).then_some(())
    });
}

#[test]
fn f_07_what_a_wrong_clock_noted_is_not_waited_for() {
    let stub = Authority::start(|_| (500, "", "{}"));
    let asked = || stub.asked().iter().filter(|path| *path == "/order").count();
    let slow = setup(Doors::new(), &stub.directory(), stub.own(), "")
        .on_sqlite()
        .start();
    eventually("a failure", || {
        (orders(&slow, "failed") > 0.5).then_some(())
    });
    assert!(slow.stop().success());
    slow.write(
        "gateway.yaml",
        &std::fs::read_to_string(slow.config())
            .unwrap()
            .replace("pause: 1s", "pause: 1h"),
    );
    let a_year_later = "UPDATE acme_certificates SET due_at = due_at + 34560000000 RETURNING name";
    assert_eq!(slow.stored(a_year_later), "one.test");
    let before = asked();
    let _gateway = slow.restart();
    eventually("an order at once", || (asked() > before).then_some(()));
}

/// What an authority says of a name, and of whoever has no account with it any more.
const UNAUTHORIZED: &str =
    r#"{"type":"urn:ietf:params:acme:error:unauthorized","detail":"Account has been deactivated"}"#;

/// How often an account was made, once so many orders were tried.
fn accounts(script: Script, tried: usize) -> usize {
    let stub = Authority::start(script);
    let _gateway = setup(Doors::new(), &stub.directory(), stub.own(), "")
        .on_sqlite()
        .start();
    let asked = |path: &str| stub.asked().iter().filter(|it| *it == path).count();
    eventually("orders", || (asked("/order") >= tried).then_some(()));
    asked("/account")
}

#[test]
fn f_07_an_account_that_was_closed_is_replaced_and_no_other() {
    let closed: Script = |_| (401, "", UNAUTHORIZED);
    assert!(accounts(closed, 2) >= 2, "another for the second order");
    let open: Script = |path| match path {
        "/account/1" => (200, "", r#"{"status":"valid"}"#),
        _ => (403, "", UNAUTHORIZED),
    };
    assert_eq!(accounts(open, 2), 1, "the name is at fault");
    let mute: Script = |path| match path {
        "/account/1" => (500, "", "{}"),
        _ => (403, "", UNAUTHORIZED),
    };
    assert_eq!(accounts(mute, 2), 1, "nobody knows");
}

#[test]
fn f_07_what_the_former_authority_issued_is_shown_until_the_next_one_has() {
    let doors = Doors::new();
    let pebble = Pebble::start(doors.looks(24 * 3600));
    let gateway = setup(doors, &pebble.directory(), pebble.own(), "").start();
    let root = pebble.root();
    let first = issued(&gateway, &root);
    assert!(gateway.stop().success());
    let stub = Authority::start(|_| (500, "", "{}"));
    let change = |from: &str, to: &str| {
        let file = std::fs::read_to_string(gateway.config()).unwrap();
        assert!(file.contains(from), "{file}");
        std::fs::write(gateway.config(), file.replace(from, to)).unwrap();
    };
    change(&pebble.directory(), &stub.directory());
    gateway.write("ca.pem", stub.own());
    let config = gateway.config();
    let gateway = gateway.restart();
    // From the first handshake on, and still when the next one has failed.
    assert_eq!(shown(&gateway, &root).as_ref(), Some(&first));
    eventually("a failure", || {
        (orders(&gateway, "failed") > 0.5).then_some(())
    });
    assert_eq!(shown(&gateway, &root), Some(first));
    // For names that the file asks for, and for no other.
    assert!(gateway.stop().success());
    let file = std::fs::read_to_string(&config).unwrap();
    std::fs::write(
        &config,
        file.replace("https://one.test", "https://two.test"),
    )
    .unwrap();
    let gateway = gateway.restart();
    assert!(shown(&gateway, &root).is_none());
}
