//! Guessing passwords: budgets by account, by origin, and by both.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::harness::setup::password;
use crate::harness::{Gateway, Raw, Response, Setup};

/// Attempts for one account from one origin.
pub const PAIR: usize = 20;
/// Failures of one origin over all accounts.
const ORIGIN: usize = 200;
/// Failures for one account from all origins.
const ACCOUNT: usize = 100;

pub const WRONG: &str = "certainly not the password";

/// A gateway that believes where its clients say they come from.
pub fn gateway() -> Setup {
    Setup::new().set("trusted_proxies", "[127.0.0.0/8]")
}

fn attempt_on(raw: &mut Raw, name: &str, password: &str, from: &str) -> Response {
    let body = serde_json::json!({ "username": name, "password": password }).to_string();
    raw.ask(format!(
        "POST /auth/session/login HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {from}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

pub fn attempt(gateway: &Gateway, name: &str, password: &str, from: &str) -> Response {
    attempt_on(&mut gateway.connect(), name, password, from)
}

/// A throttled answer says when to come back, and sets no cookie.
pub fn assert_throttled(answer: &Response) {
    assert_eq!(answer.status, 429, "{}", answer.text());
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3_600).contains(&wait), "Retry-After: {wait}");
    assert_eq!(answer.values("set-cookie"), [""; 0]);
}

/// The status of each of these attempts, made on several connections at once.
fn crowd(gateway: &Gateway, count: usize, who: impl Fn(usize) -> (String, String) + Sync) -> Tally {
    let next = AtomicUsize::new(0);
    let (refused, throttled) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut raw = gateway.connect();
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= count {
                        return;
                    }
                    let (name, from) = who(number);
                    let answer = attempt_on(&mut raw, &name, WRONG, &from);
                    match answer.status {
                        401 => refused.fetch_add(1, Ordering::SeqCst),
                        429 => throttled.fetch_add(1, Ordering::SeqCst),
                        other => panic!("{other}: {}", answer.text()),
                    };
                }
            });
        }
    });
    Tally {
        refused: refused.into_inner(),
        throttled: throttled.into_inner(),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Tally {
    refused: usize,
    throttled: usize,
}

fn tally(refused: usize, throttled: usize) -> Tally {
    Tally { refused, throttled }
}

#[test]
fn a_01_guessing_from_one_place_locks_that_place_out_and_nobody_else() {
    let gateway = gateway().start();
    let mut raw = gateway.connect();
    for number in 0..PAIR {
        let answer = attempt_on(&mut raw, "alice", WRONG, "203.0.113.1");
        assert_eq!(answer.status, 401, "attempt {number}");
    }
    assert_throttled(&attempt_on(&mut raw, "alice", WRONG, "203.0.113.1"));
    let rest = crowd(&gateway, 979, |_| ("alice".into(), "203.0.113.1".into()));
    assert_eq!(rest, tally(0, 979));
    // The right password is not looked at from there, and opens everywhere else.
    assert_throttled(&attempt(
        &gateway,
        "alice",
        &password("alice"),
        "203.0.113.1",
    ));
    for from in ["203.0.113.2", "198.51.100.1", "2001:db8::1"] {
        assert_eq!(
            attempt(&gateway, "alice", &password("alice"), from).status,
            200
        );
    }
    // Nor does it cost others at that place their login.
    assert_eq!(
        attempt(&gateway, "root", &password("root"), "203.0.113.1").status,
        200
    );
    let metrics = gateway.metrics();
    let lockouts = metrics.sum("portcullis_lockouts_total", &[]);
    assert!(lockouts > 980.5, "{lockouts} lockouts counted");
    let failed = metrics.sum("portcullis_logins_total", &[("result", "refused")]);
    assert!((failed - 20.0).abs() < 0.5, "{failed} refusals counted");
}

#[test]
fn a_01_a_client_does_not_choose_where_it_comes_from() {
    // No proxy is trusted: each attempt claims another address, and all come from one.
    let gateway = Setup::new().start();
    let all = crowd(&gateway, 60, |n| ("alice".into(), format!("203.0.113.{n}")));
    assert_eq!(all, tally(PAIR, 60 - PAIR));
}

#[test]
fn a_01_limits_survive_a_restart() {
    let gateway = gateway().start();
    let all = crowd(&gateway, PAIR, |_| ("alice".into(), "203.0.113.1".into()));
    assert_eq!(all, tally(PAIR, 0));
    let gateway = gateway.restart();
    assert_throttled(&attempt(
        &gateway,
        "alice",
        &password("alice"),
        "203.0.113.1",
    ));
    assert_eq!(
        attempt(&gateway, "alice", &password("alice"), "203.0.113.2").status,
        200
    );
}

#[test]
fn a_01_success_forgives_what_went_before() {
    let gateway = gateway().start();
    for _ in 0..2 {
        let errors = crowd(&gateway, PAIR - 1, |_| {
            ("alice".into(), "203.0.113.1".into())
        });
        assert_eq!(errors, tally(PAIR - 1, 0));
        assert_eq!(
            attempt(&gateway, "alice", &password("alice"), "203.0.113.1").status,
            200
        );
    }
}

#[test]
fn a_02_one_password_over_many_accounts() {
    let gateway = gateway().start();
    let spray = crowd(&gateway, ORIGIN + 60, |n| {
        (format!("somebody{n}"), "203.0.113.1".into())
    });
    // Four connections at once may pass the check of the wide budget together, but no more than they are.
    assert!(
        (ORIGIN..ORIGIN + 4).contains(&spray.refused),
        "{spray:?} of one origin"
    );
    assert_throttled(&attempt(
        &gateway,
        "alice",
        &password("alice"),
        "203.0.113.1",
    ));
    assert_eq!(
        attempt(&gateway, "alice", &password("alice"), "203.0.113.2").status,
        200
    );
}

#[test]
fn a_02_an_ipv6_network_counts_as_one() {
    let gateway = gateway().start();
    let rotating = crowd(&gateway, 60, |n| {
        ("alice".into(), format!("2001:db8:1:2:{n:x}:{n:x}::{n:x}"))
    });
    assert_eq!(rotating, tally(PAIR, 60 - PAIR));
    let mapped = crowd(&gateway, PAIR, |n| {
        let from = if n % 2 == 0 { "" } else { "::ffff:" };
        ("root".into(), format!("{from}203.0.113.9"))
    });
    assert_eq!(mapped, tally(PAIR, 0));
    assert_throttled(&attempt(&gateway, "root", WRONG, "::ffff:203.0.113.9"));
    assert_throttled(&attempt(&gateway, "root", WRONG, "203.0.113.9"));
    assert_eq!(
        attempt(&gateway, "alice", &password("alice"), "2001:db8:1:3::1").status,
        200
    );
}

#[test]
fn a_02_many_places_for_one_account() {
    let gateway = gateway().start();
    let botnet = crowd(&gateway, ACCOUNT + 60, |n| {
        ("alice".into(), format!("10.1.{}.{}", n / 200, n % 200 + 1))
    });
    assert!(
        (ACCOUNT..ACCOUNT + 4).contains(&botnet.refused),
        "{botnet:?} for one account"
    );
    assert_throttled(&attempt(&gateway, "alice", WRONG, "10.9.9.9"));
    assert_eq!(
        attempt(&gateway, "root", &password("root"), "10.9.9.9").status,
        200,
        "another account pays"
    );
}

#[test]
fn a_04_parallel_attempts_do_not_slip_past_the_limit() {
    let gateway = gateway().start();
    // One origin has a part of the queue; who finds it full is not looked at, not counted, and comes again.
    let insist = || {
        let mut tries =
            (0..10_000).map(|_| attempt(&gateway, "alice", WRONG, "203.0.113.1").status);
        tries.find(|status| *status != 503).expect("never its turn")
    };
    let all = thread::scope(|scope| {
        let attempts: Vec<_> = (0..50).map(|_| scope.spawn(insist)).collect();
        let statuses: Vec<u16> = attempts.into_iter().map(|a| a.join().unwrap()).collect();
        statuses
    });
    let count = |wanted: u16| all.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(401), count(429)), (PAIR, 50 - PAIR), "{all:?}");
}
