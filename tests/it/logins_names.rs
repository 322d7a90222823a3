//! One account, one counter: every spelling and every door, and answers that tell nothing.

use crate::harness::setup::password;
use crate::harness::{Gateway, Response};
use crate::logins::{PAIR, WRONG, assert_throttled, attempt, gateway};
use crate::pages_browser::{Browser, OWN_FORM};

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
