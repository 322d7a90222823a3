//! Guessing passwords: budgets by account and origin, one counter for every spelling and every door (A-01,
//! ), and answers that tell nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::harness::setup::password;
use crate::harness::{Gateway, Raw, Response, Setup};
use crate::pages_browser::{Browser, OWN_FORM};

/// Attempts for one account from one origin.
const PAIR: usize = 20;
/// Failures of one origin over all accounts.
const ORIGIN: usize = 200;
/// Failures for one account from all origins.
const ACCOUNT: usize = 100;

const WRONG: &str = "certainly not the password";

/// A gateway that believes where its clients say they come from.
fn gateway() -> Setup {
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

fn attempt(gateway: &Gateway, name: &str, password: &str, from: &str) -> Response {
    attempt_on(&mut gateway.connect(), name, password, from)
}

/// A throttled answer says when to come back, and sets no cookie.
fn assert_throttled(answer: &Response) {
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
    let all = thread::scope(|scope| {
        let attempts: Vec<_> = (0..50)
            .map(|_| scope.spawn(|| attempt(&gateway, "alice", WRONG, "203.0.113.1").status))
            .collect();
        let statuses: Vec<u16> = attempts.into_iter().map(|a| a.join().unwrap()).collect();
        statuses
    });
    let count = |wanted: u16| all.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(401), count(429)), (PAIR, 50 - PAIR), "{all:?}");
}

/// One attempt at the page's form.
fn at_the_page(gateway: &Gateway, name: &str, password: &str, from: &str) -> Response {
    let mut browser = Browser::new(gateway);
    let form = browser.form("/auth/login");
    let lines = format!("{OWN_FORM}X-Forwarded-For: {from}\r\n");
    let fields = [
        ("csrf", form.hidden["csrf"].as_str()),
        ("username", name),
        ("password", password),
    ];
    browser.post("/auth/login", &lines, &fields)
}

#[test]
fn a_05_one_counter_for_every_door() {
    let gateway = gateway().start();
    let from = "203.0.113.1";
    for number in 0..PAIR {
        let answer = match number % 4 {
            0 => attempt(&gateway, "alice", WRONG, from),
            1 => attempt(&gateway, "alice@example.test", WRONG, from),
            2 => at_the_page(&gateway, "alice", WRONG, from),
            _ => at_the_page(&gateway, "ALICE@example.test", WRONG, from),
        };
        assert_eq!(answer.status, 401, "attempt {number}");
    }
    for name in ["alice", "alice@example.test"] {
        assert_throttled(&attempt(&gateway, name, &password("alice"), from));
        let page = at_the_page(&gateway, name, &password("alice"), from);
        assert_throttled(&page);
        assert!(page.text().contains("role=\"alert\""), "{}", page.text());
    }
    // Whoever is signed in already is not bothered.
    let cookie = gateway.cookie("root");
    let app = format!(
        "GET /app/x HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {from}\r\nCookie: {cookie}\r\n\r\n"
    );
    assert_eq!(gateway.ask(app).status, 200);
}

#[test]
fn a_06_every_spelling_of_a_name_is_one_account() {
    let gateway = gateway().user("bob", "user").start();
    let same = [
        "bob",
        "Bob",
        "BOB",
        "bob ",
        " bob",
        "\u{ff42}\u{ff4f}\u{ff42}",
        "bob@example.test",
        "Bob@example.test",
        "bob@EXAMPLE.test",
    ];
    for (number, name) in same.iter().enumerate() {
        let from = format!("10.0.0.{}", number + 1);
        let answer = attempt(&gateway, name, &password("bob"), &from);
        assert_eq!(answer.status, 200, "{name:?}");
        assert_eq!(answer.json()["user"]["username"], "bob", "{name:?}");
    }
    for number in 0..PAIR {
        let answer = attempt(&gateway, same[number % same.len()], WRONG, "203.0.113.1");
        assert_eq!(answer.status, 401, "attempt {number}");
    }
    for name in same {
        assert_throttled(&attempt(&gateway, name, &password("bob"), "203.0.113.1"));
    }
    // These are others, or nobody: never bob, and never an error.
    for name in [
        "b\u{43e}b",
        "bob\0",
        "bob%00",
        "b\u{301}ob",
        "bo\u{200b}b",
        "bob\u{202e}",
        "",
        "bob@example.test\0",
    ] {
        let answer = attempt(&gateway, name, &password("bob"), "203.0.113.2");
        let fits = matches!(answer.status, 400 | 401 | 422);
        assert!(fits, "{} for {name:?}", answer.status);
    }
}

#[test]
fn a_06_no_second_account_in_another_spelling() {
    let gateway = gateway().user("bob", "user").start();
    for name in [
        "bob",
        "BOB",
        "Bob",
        "\u{ff42}\u{ff4f}\u{ff42}",
        "\u{ff22}\u{ff2f}\u{ff22}",
    ] {
        let said = gateway.cli(
            &["user", "add", name, "--password-stdin"],
            "a password that is long\n",
        );
        assert_eq!(said.code, Some(1), "{name:?}: {}", said.all());
    }
    for email in ["bob@example.test", "BOB@EXAMPLE.TEST", "Bob@example.TEST"] {
        let add = ["user", "add", "other", "--email", email, "--password-stdin"];
        let said = gateway.cli(&add, "a password that is long\n");
        assert_eq!(said.code, Some(1), "{email:?}: {}", said.all());
    }
}

#[test]
fn a_06_names_that_nobody_has_are_throttled_alike() {
    let gateway = gateway().start();
    let names = ["ghost", "GHOST", "Ghost ", "\u{ff47}host"];
    for number in 0..PAIR {
        let answer = attempt(&gateway, names[number % 4], WRONG, "203.0.113.1");
        assert_eq!(answer.status, 401, "attempt {number}");
    }
    for name in names {
        assert_throttled(&attempt(&gateway, name, WRONG, "203.0.113.1"));
    }
}

#[test]
fn a_07_answers_do_not_tell_who_exists() {
    let gateway = gateway().user("off", "user").start();
    gateway.cli(&["user", "disable", "off"], "").fine();
    let masked = |answer: &Response| -> (u16, Vec<String>, String) {
        let head = String::from_utf8_lossy(&answer.head).to_lowercase();
        let lines = head.split("\r\n").filter(|line| {
            !line.starts_with("x-request-id:")
                && !line.starts_with("date:")
                && !line.starts_with("set-cookie:")
        });
        (
            answer.status,
            lines.map(str::to_owned).collect(),
            answer.text(),
        )
    };
    let cases = [
        ("alice", WRONG.to_owned()),
        ("ghost", WRONG.to_owned()),
        ("off", WRONG.to_owned()),
        ("off", password("off")),
        ("alice@example.test", WRONG.to_owned()),
        ("ghost@example.test", WRONG.to_owned()),
        ("alice", "x".repeat(2_000)),
        ("ghost", "x".repeat(2_000)),
    ];
    let answers: Vec<_> = cases
        .iter()
        .map(|(name, password)| masked(&attempt(&gateway, name, password, "203.0.113.1")))
        .collect();
    for (case, answer) in cases.iter().zip(&answers) {
        assert_eq!(answer, &answers[0], "{case:?}");
        assert_eq!(answer.0, 401);
    }
}

#[test]
fn a_11_passwords_of_every_size_are_answered() {
    let gateway = gateway().start();
    for (length, statuses) in [
        (0, &[401, 422][..]),
        (1, &[401]),
        (1_024, &[401]),
        (1_025, &[401]),
        (32 * 1_024, &[401, 413]),
        (1_048_576, &[401, 413]),
        (8 * 1_048_576, &[413]),
    ] {
        let answer = attempt(&gateway, "alice", &"p".repeat(length), "203.0.113.1");
        let status = answer.status;
        assert!(statuses.contains(&status), "{status} for {length} bytes");
    }
    // Not shortened on the way: the right password with a tail is a wrong one.
    for tail in ["x", "\0", " ", "\n"] {
        let long = format!("{}{tail}", password("alice"));
        assert_eq!(
            attempt(&gateway, "alice", &long, "203.0.113.2").status,
            401,
            "{tail:?}"
        );
    }
    assert_eq!(
        attempt(&gateway, "alice", &password("alice"), "203.0.113.2").status,
        200
    );
}
