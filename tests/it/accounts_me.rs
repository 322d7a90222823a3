//! Names and passwords that people choose, and guesses at them.

use std::thread;

use serde_json::{Value, json};

use crate::accounts::{
    FRESH, call, cookie_line, first_password, lets_in, letters, open, opens, post, refused,
    register, reset, reset_token, strict, try_tokens, wait_for,
};
use crate::harness::setup::password;
use crate::harness::{Gateway, Response};
use crate::logins::PAIR;

const WRONG: &str = "certainly not the password";

#[test]
fn a_05_every_door_counts_against_the_same_account() {
    let gateway = open("").start();
    let line = cookie_line(&gateway.login("alice"));
    let form = |name: &str| {
        let body = format!("username={name}&password=wrong");
        gateway.ask(format!(
            "POST /auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    let me = |method: &str, body: &Value| call(&gateway, method, "/me", &line, body);
    let doors: [&dyn Fn() -> Response; 10] = [
        &|| gateway.try_login("alice", WRONG),
        &|| gateway.try_login("ALICE", WRONG),
        &|| gateway.try_login(" Alice ", WRONG),
        &|| gateway.try_login("alice@example.test", WRONG),
        &|| gateway.try_login("Alice@EXAMPLE.test", WRONG),
        &|| try_tokens(&gateway, "alice", WRONG),
        &|| try_tokens(&gateway, "\u{ff21}lice", WRONG),
        &|| form("alice%40example.test"),
        &|| {
            me(
                "PUT",
                &json!({ "password": FRESH, "current_password": WRONG }),
            )
        },
        &|| me("DELETE", &json!({ "current_password": WRONG })),
    ];
    for number in 0..PAIR {
        let answer = doors[number % doors.len()]();
        assert!(
            [400, 401].contains(&answer.status),
            "{number}: {}",
            answer.text()
        );
    }
    for (number, door) in doors.iter().enumerate() {
        refused(&door(), 429, "TOO_MANY_ATTEMPTS");
        assert!(opens(&gateway, &line), "{number}");
    }
    // The right one is not looked at either, and nobody else pays.
    let change = json!({ "password": FRESH, "current_password": password("alice") });
    refused(&me("PUT", &change), 429, "TOO_MANY_ATTEMPTS");
    assert!(lets_in(&gateway, "root", &password("root")));
}

/// What became of registrations that were sent at once, by status.
fn at_once(gateway: &Gateway, all: &[(String, &str)]) -> Vec<u16> {
    thread::scope(|scope| {
        let sent: Vec<_> = all
            .iter()
            .map(|(name, email)| scope.spawn(move || register(gateway, name, email, FRESH).status))
            .collect();
        sent.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn r_06_a_06_two_spellings_are_one_name() {
    let gateway = open("").start();
    for round in 0..5 {
        let (plain, loud) = (
            format!("r{round}@example.test"),
            format!("R{round}@EXAMPLE.Test"),
        );
        let emails = [&*plain, &*loud, &*plain, &*loud];
        let by_email: Vec<_> = (0..4)
            .map(|n| (format!("e{round}n{n}"), emails[n]))
            .collect();
        let mut statuses = at_once(&gateway, &by_email);
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 400, 400, 400], "one address");
        let names = ["zo\u{eb}", "ZO\u{cb}", " zoe\u{308} ", "\u{ff3a}o\u{eb}"];
        let addresses: Vec<String> = (0..4)
            .map(|n| format!("z{round}n{n}@example.test"))
            .collect();
        let by_name: Vec<_> = (0..4)
            .map(|n| (format!("{}{round}", names[n]), &*addresses[n]))
            .collect();
        // The space is inside of this one, and no name.
        let by_name: Vec<_> = by_name
            .into_iter()
            .map(|(name, to)| (name.replace("\u{308} ", "\u{308}"), to))
            .collect();
        let mut statuses = at_once(&gateway, &by_name);
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 400, 400, 400], "one username");
    }
    // Letters of another script make another name.
    for (name, email) in [("bob", "b1@example.test"), ("b\u{43e}b", "b2@example.test")] {
        assert_eq!(register(&gateway, name, email, FRESH).status, 201);
    }
    for name in [
        "",
        " ",
        "bob\u{0}",
        "a b",
        "a@b",
        "a\u{ff20}b",
        "a\r\nb",
        &"x".repeat(65),
    ] {
        refused(
            &register(&gateway, name, "b3@example.test", FRESH),
            422,
            "VALIDATION_ERROR",
        );
    }
}

#[test]
fn a_11_passwords_are_taken_whole_and_as_they_are() {
    let gateway = open("").start();
    let mut count = 0;
    let mut choose = |password: &str| {
        count += 1;
        let name = format!("user{count}");
        let answer = register(&gateway, &name, &format!("{name}@example.test"), password);
        (name, answer)
    };
    let long = "r\u{e9}sum\u{e9} 7 ".repeat(200);
    let whole: String = long.chars().take(900).collect();
    let bytes = "q8".repeat(512);
    let (nfc, nfd) = ("caf\u{e9} lantern quay", "cafe\u{301} lantern quay");
    let good: [(&str, &str); 7] = [
        ("x9$kqlmz", "x9$kqlm"),
        (&bytes, &bytes[..1_023]),
        (
            "\u{1f9c0}\u{1f980}\u{1f9e6}\u{1fa90}\u{1f9ff}\u{1f9ed}\u{1f9f5}\u{1f9e9}",
            "\u{1f9c0}",
        ),
        ("  spaces around 41  ", "spaces around 41"),
        (nfc, "cafe lantern quay"),
        ("Upper Lower 4177", "upper lower 4177"),
        ("tab\there is one 9", "tab here is one 9"),
    ];
    for (password, other) in good {
        let (name, answer) = choose(password);
        assert_eq!(answer.status, 201, "{password:?}: {}", answer.text());
        assert!(lets_in(&gateway, &name, password), "{password:?}");
        assert!(
            !lets_in(&gateway, &name, other),
            "{other:?} for {password:?}"
        );
    }
    // Composed or not is the same letter.
    assert!(lets_in(&gateway, "user5", nfd));
    let too_long = "q8".repeat(513);
    for bad in [
        "",
        "short 7",
        "nul\u{0}inside here",
        &too_long,
        &whole,
        &long,
    ] {
        let (name, answer) = choose(bad);
        refused(&answer, 422, "VALIDATION_ERROR");
        assert_eq!(gateway.try_login(&name, bad).status, 401);
    }
    let (_, answer) = choose(&"q8".repeat(1 << 19));
    assert!([413, 422].contains(&answer.status), "{}", answer.status);
}

#[test]
fn a_15_what_anybody_would_guess_is_refused_everywhere() {
    let gateway = open("").start();
    let line = cookie_line(&gateway.login("alice"));
    let token = reset_token(&gateway, "alice@example.test");
    let weak = [
        "password",
        "Password123",
        "12345678",
        "qwertyuiop",
        "gateway2026",
        "Portcullis!",
        "localhost99",
    ];
    let of_alice = ["alice1234", "alice@example.test", "Alice.2026!"];
    for bad in weak.iter().chain(&of_alice) {
        let change = json!({ "password": bad, "current_password": password("alice") });
        for answer in [
            call(&gateway, "PUT", "/me", &line, &change),
            reset(&gateway, &token, bad),
        ] {
            refused(&answer, 422, "VALIDATION_ERROR");
            let why = answer.json()["detail"][0]["msg"]
                .as_str()
                .unwrap()
                .to_owned();
            assert!(why.starts_with("the password "), "{bad}: {why}");
        }
    }
    for bad in weak
        .into_iter()
        .chain(["newcomer7", "carol.smith@example.test", "CarolSmith1"])
    {
        let answer = register(&gateway, "newcomer", "carol.smith@example.test", bad);
        refused(&answer, 422, "VALIDATION_ERROR");
    }
    assert_eq!(
        register(&gateway, "newcomer", "carol.smith@example.test", FRESH).status,
        201
    );
    assert_eq!(reset(&gateway, &token, FRESH).status, 200);
}

#[test]
fn a_20_another_address_is_proved_first_and_the_old_one_is_told() {
    let gateway = strict().start();
    let line = cookie_line(&gateway.login("alice"));
    let me = |body: &Value| call(&gateway, "PUT", "/me", &line, body);
    let wrong = json!({ "email": "new@example.test", "current_password": WRONG });
    refused(&me(&wrong), 400, "WRONG_PASSWORD");
    // Somebody else's address is answered alike, and its owner is left alone.
    for email in ["root@example.test", "new@example.test"] {
        let answer = me(&json!({ "email": email, "current_password": password("alice") }));
        assert_eq!(
            (answer.status, answer.json()["email"].as_str()),
            (200, Some("alice@example.test"))
        );
    }
    let letter = wait_for(&gateway, "new@example.test", 1).remove(0);
    assert!(!lets_in(&gateway, "new@example.test", &password("alice")));
    assert_eq!(letters(&gateway, "root@example.test").len(), 0);
    // The old one hears of both wishes, and of nothing else yet.
    let asked = wait_for(&gateway, "alice@example.test", 2);
    assert_eq!(asked.len(), 2);
    for letter in asked {
        assert_eq!(letter.subject(), "A new e-mail address was asked for");
        assert!(!letter.text.contains("new@example.test"), "{letter:?}");
    }
    let token = letter.token("confirm-email");
    assert_eq!(
        post(&gateway, "/confirm-email", &json!({ "token": token })).status,
        200
    );
    let told = wait_for(&gateway, "alice@example.test", 3);
    let changed = told
        .iter()
        .find(|letter| letter.subject() == "Your e-mail address was changed");
    assert!(
        changed.unwrap().text.contains("new@example.test"),
        "{told:?}"
    );
    assert!(opens(&gateway, &line));
    assert!(lets_in(&gateway, "new@example.test", &password("alice")));
    assert!(!lets_in(&gateway, "alice@example.test", &password("alice")));
}

#[test]
fn a_20_both_changes_at_once_are_told_to_the_old_address() {
    let gateway = open("").start();
    let line = cookie_line(&gateway.login("alice"));
    let both = json!({ "email": "new@example.test", "password": FRESH, "current_password": password("alice") });
    assert_eq!(call(&gateway, "PUT", "/me", &line, &both).status, 200);
    let told = wait_for(&gateway, "alice@example.test", 2);
    let subjects: Vec<&str> = told.iter().map(crate::accounts::Letter::subject).collect();
    assert!(
        subjects.contains(&"Your e-mail address was changed"),
        "{subjects:?}"
    );
    assert!(
        subjects.iter().any(|subject| subject.contains("password")),
        "{subjects:?}"
    );
    // All or nothing: where the address is taken, the password stays what it was.
    let line = cookie_line(&gateway.login("root"));
    let both = json!({ "email": "new@example.test", "password": FRESH, "current_password": password("root") });
    refused(
        &call(&gateway, "PUT", "/me", &line, &both),
        400,
        "EMAIL_TAKEN",
    );
    assert!(lets_in(&gateway, "root", &password("root")) && opens(&gateway, &line));
}

#[test]
fn a_person_cannot_leave_the_gateway_without_a_superuser() {
    let gateway = open("").start();
    let banner = gateway.banner();
    let chief = first_password(&banner);
    let line = crate::accounts::session(&gateway, "admin", chief);
    let leave = |line: &str, word: &str| {
        call(
            &gateway,
            "DELETE",
            "/me",
            line,
            &json!({ "current_password": word }),
        )
    };
    refused(&leave(&line, chief), 400, "LAST_SUPERUSER");
    assert!(opens(&gateway, &line));
    gateway
        .cli(
            &["user", "add", "deputy", "--superuser", "--password-stdin"],
            &format!("{FRESH}\n"),
        )
        .fine();
    refused(&leave(&line, WRONG), 400, "WRONG_PASSWORD");
    assert_eq!(leave(&line, chief).status, 204);
    assert!(!opens(&gateway, &line) && !lets_in(&gateway, "admin", chief));
    let deputy = crate::accounts::session(&gateway, "deputy", FRESH);
    refused(&leave(&deputy, FRESH), 400, "LAST_SUPERUSER");
}
