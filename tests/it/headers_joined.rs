//! Identity headers by nomination, in numbers, in trailers and in names (H-05 to H-09).

use std::sync::OnceLock;

use crate::harness::setup::password;
use crate::harness::{Gateway, H2, Setup, Trial, eventually, h2, marker};
use crate::headers::{OWNED, SPOOF, assert_alice, assert_nobody, spoofed};

#[test]
fn h_05_connection_nominates_our_headers() {
    let gateway = Gateway::shared();
    let mut trial = Trial::new(gateway, "H-05");
    let alice = gateway.as_user("alice");
    trial.allowed(trial.get("/app/x", &alice));
    let many: Vec<&str> = [OWNED, OWNED].concat();
    for lines in [
        "Connection: X-Auth-User\r\n".to_owned(),
        "connection: x-AUTH-user, close\r\n".to_owned(),
        "Connection: keep-alive\r\nConnection: X-Auth-User\r\n".to_owned(),
        "Connection: X-Auth-Roles\r\nConnection: X-Auth-Assertion\r\n".to_owned(),
        format!("Connection: {}\r\n", many.join(", ")),
        "Connection: keep-alive, X-Auth-Roles, x_auth_user\r\n".to_owned(),
        "Connection: Host, X-Auth-User\r\n".to_owned(),
        "Connection: X-Forwarded-For, X-Request-Id, X-Forwarded-Proto\r\n".to_owned(),
        "Connection: Cookie\r\n".to_owned(),
        "Connection: Content-Length, Transfer-Encoding\r\n".to_owned(),
        "Proxy-Connection: X-Auth-User\r\nKeep-Alive: X-Auth-User\r\n".to_owned(),
    ] {
        let request = trial.get("/app/x", &format!("{lines}{alice}"));
        let answer = gateway.ask(&request);
        if answer.status == 400 {
            trial.refused(&request);
            continue;
        }
        assert_eq!(answer.status, 200, "{lines}");
        let seen = gateway.recorder().with(&trial.marker).pop().unwrap();
        assert_alice(&seen);
        assert_eq!(
            seen.value("Host").as_deref(),
            Some("localhost"),
            "{}",
            seen.text()
        );
        for name in ["X-Forwarded-For", "X-Forwarded-Proto", "X-Request-Id"] {
            assert_eq!(seen.values(name).len(), 1, "{name} after {lines}");
        }
        trial = Trial::new(gateway, "H-05");
        trial.allowed(trial.get("/app/x", &alice));
    }
}

#[test]
fn h_06_duplicates_and_lists() {
    let gateway = Gateway::shared();
    let mut trial = Trial::new(gateway, "H-06");
    let alice = gateway.as_user("alice");
    let line = spoofed(&["X-Auth-User"]);
    for lines in [
        format!("{line}{line}{alice}"),
        format!("{line}{alice}{line}"),
        format!("{alice}{line}X-Auth-User: alice\r\n"),
        format!("X-Auth-User: alice, {SPOOF}\r\n{alice}"),
        format!("X-Auth-User: alice\r\nX-Auth-User: {SPOOF}\r\n{alice}"),
        format!("X-Auth-Roles: user\r\nx-auth-roles: {SPOOF}\r\n{alice}"),
        format!("X-Auth-Roles: user,admin\r\n{alice}X-Auth-Roles: admin\r\n"),
    ] {
        assert_alice(&trial.allowed(trial.get("/app/x", &lines)));
    }
}

#[test]
fn h_07_a_condition_on_a_header_sent_twice() {
    // The one header a rule can look at is the address list of a trusted proxy.
    let gateway = Setup::new()
        .set("trusted_proxies", "[127.0.0.0/8]")
        .rules("  - { path: /inside/**, from: [10.0.0.0/8], allow: anyone }\n  - { path: /public/**, allow: anyone }")
        .start();
    let mut trial = Trial::new(&gateway, "H-07");
    let inside = "X-Forwarded-For: 10.0.0.1\r\n";
    let outside = "X-Forwarded-For: 8.8.8.8\r\n";
    trial.allowed(trial.get("/inside/x", inside));
    trial.allowed(trial.get("/inside/x", &format!("{outside}{inside}")));
    trial.allowed(trial.get("/inside/x", "X-Forwarded-For: 8.8.8.8, 10.0.0.1\r\n"));
    for lines in [
        format!("{inside}{outside}"),
        "X-Forwarded-For: 10.0.0.1, 8.8.8.8\r\n".to_owned(),
        "X-Forwarded-For: 10.0.0.1, 8.8.8.8, 127.0.0.1\r\n".to_owned(),
        "X-Forwarded-For: 10.0.0.1,junk\r\n".to_owned(),
        outside.to_owned(),
        String::new(),
    ] {
        let answer = trial
            .refused(trial.get("/inside/x", &lines))
            .answer
            .unwrap();
        assert!(
            matches!(answer.status, 400 | 401 | 403),
            "{} to {lines}",
            answer.status
        );
    }
}

#[test]
fn h_08_trailers() {
    let gateway = Gateway::shared();
    let mut trial = Trial::new(gateway, "H-08");
    let alice = gateway.as_user("alice");
    let chunked = "Transfer-Encoding: chunked\r\n";
    for user in ["", &alice] {
        for declared in ["", "Trailer: X-Auth-User\r\n"] {
            let target = if user.is_empty() {
                "/public/x"
            } else {
                "/app/x"
            };
            let mut request = trial.head("POST", target, &format!("{chunked}{declared}{user}"));
            let trailers = spoofed(&["X-Auth-User", "x_auth_user", "X-Forwarded-For"]);
            request.extend_from_slice(format!("5\r\nhello\r\n0\r\n{trailers}\r\n").as_bytes());
            let seen = trial.allowed(&request);
            assert_eq!(seen.body, b"hello");
            assert!(
                !String::from_utf8_lossy(&seen.trailers).contains("Auth"),
                "{seen:?}"
            );
            if user.is_empty() {
                assert_nobody(&seen);
            } else {
                assert_alice(&seen);
            }
        }
    }
}

#[test]
fn h_08_trailers_over_h2() {
    let gateway = Gateway::shared();
    let mark = marker("H-08-h2");
    let mut connection = H2::connect(gateway.http());
    let mut fields = h2::request("POST", "/public/x");
    fields.push(("x-marker", &mark));
    let stream = connection.open(&fields, false);
    connection.data(stream, b"hello", false);
    connection.trailers(stream, &[("x-auth-user", SPOOF), ("x_auth_roles", SPOOF)]);
    let outcome = connection.read(stream);
    assert_eq!(outcome.status(), Some(200), "{outcome:?}");
    let seen = &gateway.recorder().wait_for(&mark, 1)[0];
    assert_eq!(seen.body, b"hello");
    assert_nobody(seen);
}

#[test]
fn h_09_names_that_need_encoding() {
    static GATEWAY: OnceLock<Gateway> = OnceLock::new();
    let gateway = GATEWAY.get_or_init(|| Setup::new().start());
    let mut trial = Trial::new(gateway, "H-09");
    let mut made = 0;
    for (name, value) in [
        ("zo\u{eb}", "zo%C3%AB"),
        ("a,b", "a%2Cb"),
        ("c%41", "c%2541"),
        ("d;e=f", "d;e=f"),
        ("\u{65e5}\u{672c}", "%E6%97%A5%E6%9C%AC"),
        ("q\"uote", "q\"uote"),
    ] {
        if gateway.add_user(name, "user").code != Some(0) {
            assert_ne!(
                gateway.try_login(name, &password(name)).status,
                200,
                "{name:?}"
            );
            continue;
        }
        made += 1;
        let cookie = eventually("the new user's login", || {
            let answer = gateway.try_login(name, &password(name));
            (answer.status == 200).then(|| crate::harness::gateway::session_cookie(&answer))
        });
        let seen = trial.allowed(trial.get("/app/x", &format!("Cookie: {cookie}\r\n")));
        assert_eq!(seen.values("X-Auth-User"), [value], "{name:?}");
        let ascii = seen
            .head
            .iter()
            .all(|byte| matches!(byte, 0x20..0x7f | b'\r' | b'\n'));
        assert!(ascii, "{}", seen.text());
    }
    assert!(made > 0, "no such name could be made: nothing was proved");
    for name in [
        "eve\r\nX-Auth-Roles: admin",
        "eve\nx",
        "e\u{0}ve",
        "eve\u{7f}",
        "\u{202e}eve",
        "a b",
        "x@y",
        "",
    ] {
        // NUL cannot even be an argument.
        if !name.contains('\0') {
            assert_ne!(
                gateway.add_user(name, "user").code,
                Some(0),
                "{name:?} was taken"
            );
        }
    }
    let long = "x".repeat(8 * 1024);
    assert_ne!(
        gateway.add_user(&long, "user").code,
        Some(0),
        "8 KiB name was taken"
    );
}
