//! What strangers learn from answers and letters, and what they can make us send.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::accounts::{
    FRESH, call, cookie_line, id_of, lets_in, letters, open, post, refused, register, reset,
    reset_token, strict, try_tokens, verify, wait_for,
};
use crate::harness::message_fields;
use crate::harness::setup::password;
use crate::harness::{Gateway, Response};

/// An answer without what is another in every answer.
fn masked(answer: &Response) -> (u16, BTreeSet<String>, String) {
    let fields = message_fields(&answer.head);
    let fields = fields.into_iter().filter(|(name, _)| {
        let name = name.to_ascii_lowercase();
        name != "x-request-id" && name != "date"
    });
    let fields = fields.map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(&value)));
    (answer.status, fields.collect(), answer.text())
}

/// Asserts that nobody can tell these answers apart.
fn alike(what: &str, answers: &[Response]) {
    let first = masked(&answers[0]);
    for answer in answers {
        assert_eq!(masked(answer), first, "{what}");
    }
}

fn form(gateway: &Gateway, name: &str, password: &str) -> Response {
    let body = format!("username={name}&password={}", password.replace(' ', "+"));
    gateway.ask(format!(
        "POST /auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

#[test]
fn a_07_answers_do_not_tell_whether_there_is_an_account() {
    let gateway = strict().user("carol", "user").start();
    gateway.cli(&["user", "disable", "carol"], "").fine();
    // Registered and never proved; its password is known to who registered.
    assert_eq!(
        register(&gateway, "dave", "dave@example.test", FRESH).status,
        202
    );
    wait_for(&gateway, "dave@example.test", 1);
    let addresses = ["alice", "carol", "dave", "nobody"].map(|name| format!("{name}@example.test"));
    for path in ["/forgot-password", "/request-verify-token"] {
        let answers = addresses
            .clone()
            .map(|email| post(&gateway, path, &json!({ "email": email })));
        assert_eq!(answers[0].status, 202);
        alike(path, &answers);
    }
    let known = register(&gateway, "erin", "alice@example.test", FRESH);
    let unknown = register(&gateway, "frank", "frank@example.test", FRESH);
    alike("/register", &[known, unknown]);
    let attempts = [
        ("alice", "wrong password".to_owned()),
        ("nobody", "wrong password".to_owned()),
        ("carol", password("carol")),
        ("dave", FRESH.to_owned()),
        ("alice@example.test", "wrong password".to_owned()),
        ("nobody@example.test", "wrong password".to_owned()),
        ("dave@example.test", FRESH.to_owned()),
    ];
    for (door, path) in [("session", "/session/login"), ("simple", "/login/simple")] {
        let answers = attempts.clone().map(|(name, password)| {
            post(
                &gateway,
                path,
                &json!({ "username": name, "password": password }),
            )
        });
        assert_eq!(answers[0].status, 401);
        alike(door, &answers);
    }
    let answers = attempts.map(|(name, password)| form(&gateway, name, &password));
    assert_eq!(answers[0].status, 401);
    alike("form", &answers);
    // The twins: each of these doors opens.
    assert_eq!(form(&gateway, "alice", &password("alice")).status, 200);
    assert_eq!(
        try_tokens(&gateway, "alice@example.test", &password("alice")).status,
        200
    );
}

#[test]
fn a_07_what_became_of_a_registration_is_not_to_be_found_out() {
    let gateway = strict().start();
    let (known, unknown) = ("alice@example.test", "grace@example.test");
    for (name, email) in [("erin", known), ("frank", unknown)] {
        assert_eq!(register(&gateway, name, email, FRESH).status, 202);
        wait_for(&gateway, email, 1);
    }
    let both = |what: &str, ask: &dyn Fn(&str, &str) -> Response| {
        let answers = [ask("erin", known), ask("frank", unknown)];
        alike(what, &answers);
        answers[0].status
    };
    // By the password that was chosen.
    assert_eq!(
        both("username", &|name, _| try_tokens(&gateway, name, FRESH)),
        401
    );
    assert_eq!(
        both("address", &|_, email| try_tokens(&gateway, email, FRESH)),
        401
    );
    // By the username, which no account has before its address is proved.
    let again = |name: &str, _: &str| register(&gateway, name, "mallory@example.test", FRESH);
    assert_eq!(both("again", &again), 202);
    // By how often one may guess.
    let guess = |name: &str, _: &str| try_tokens(&gateway, name, FRESH);
    let statuses: Vec<u16> = (0..25).map(|_| both("guesses", &guess)).collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    // The owner of the address proves it, and is in.
    let token = letters(&gateway, unknown)[0].token("verify");
    assert_eq!(verify(&gateway, &token).status, 200);
    assert_eq!(try_tokens(&gateway, unknown, FRESH).status, 200);
}

#[test]
fn a_08_the_owner_of_an_address_is_told_and_nothing_is_changed() {
    let gateway = strict().start();
    let id = id_of(&gateway, "alice");
    // Folded alike, and perhaps another mailbox: the letter goes to the one of the account.
    let answer = register(&gateway, "mallory", "ALICE@example.test", FRESH);
    assert_eq!(answer.status, 202, "{}", answer.text());
    let told = wait_for(&gateway, "alice@example.test", 1);
    assert!(
        told[0].text.contains("http://localhost/auth/login"),
        "{told:?}"
    );
    assert!(told[0].text.contains("/auth/forgot-password"), "{told:?}");
    assert!(
        !told[0].text.contains("mallory") && !told[0].text.contains("token="),
        "{told:?}"
    );
    assert!(lets_in(&gateway, "alice@example.test", &password("alice")));
    assert!(!lets_in(&gateway, "mallory", FRESH) && !lets_in(&gateway, "alice", FRESH));
    assert_eq!(id_of(&gateway, "alice@example.test"), id);
    // A taken username is told, whatever the address.
    for email in ["alice@example.test", "new@example.test"] {
        refused(
            &register(&gateway, "Alice", email, FRESH),
            400,
            "USERNAME_TAKEN",
        );
    }
    let open = open("").start();
    refused(
        &register(&open, "mallory", "Alice@EXAMPLE.test", FRESH),
        400,
        "EMAIL_TAKEN",
    );
    assert_eq!(
        register(&open, "mallory", "mallory@example.test", FRESH).status,
        201
    );
}

#[test]
fn a_18_links_lead_to_the_site_and_nowhere_else() {
    let evil = "X-Forwarded-Host: evil.test\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 666\r\n\
                Forwarded: host=evil.test;proto=https\r\nX-Original-URL: http://evil.test/\r\nX-Forwarded-Prefix: /evil\r\n";
    let new = json!({ "username": "bob", "email": "bob@example.test", "password": FRESH });
    for setup in [strict(), strict().set("trusted_proxies", "[127.0.0.0/8]")] {
        let gateway = setup.set("roles", ROLES).start();
        let root = cookie_line(&gateway.login("root"));
        let ask = |path: &str, lines: &str, body: &Value| {
            let answer = call(&gateway, "POST", path, lines, body);
            assert!(
                [201, 202].contains(&answer.status),
                "{path}: {}",
                answer.text()
            );
        };
        ask("/register", evil, &new);
        ask(
            "/forgot-password",
            evil,
            &json!({ "email": "alice@example.test" }),
        );
        let invited = json!({ "email": "carol@example.test", "roles": ["user"] });
        ask("/invitations", &format!("{evil}{root}"), &invited);
        for (to, page) in [
            ("bob@example.test", "verify"),
            ("alice@example.test", "reset-password"),
            ("carol@example.test", "register"),
        ] {
            let letter = wait_for(&gateway, to, 1).remove(0);
            let start = format!("http://localhost/auth/{page}?token=");
            assert!(letter.link(page).starts_with(&start), "{}", letter.text);
            assert!(
                !letter.text.contains("evil") && !letter.head.contains("evil"),
                "{letter:?}"
            );
        }
        // Another host is not answered at all, and causes no letter.
        let body = json!({ "email": "root@example.test" }).to_string();
        for host in ["evil.test", "localhost.evil.test"] {
            let answer = gateway.ask(format!(
                "POST /auth/forgot-password HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            ));
            assert_eq!(answer.status, 421, "{host}");
        }
        reset_token(&gateway, "alice@example.test");
        assert_eq!(letters(&gateway, "root@example.test").len(), 0);
    }
}

const ROLES: &str = "{ user: [], admin: [user, users:read, users:write] }";

#[test]
fn a_19_an_address_is_one_recipient_or_none() {
    let gateway = strict().start();
    let long = format!("{}@example.test", "a".repeat(320));
    let bad = [
        "",
        "a",
        "@example.test",
        "a@",
        "a b@example.test",
        "a@x.test\r\nBcc: b@y.test",
        "a@x.test\nBcc: b@y.test",
        "a@x.test,b@y.test",
        "a@x.test;b@y.test",
        "<a@x.test>",
        "Bob <a@x.test>",
        "\"a\"@x.test",
        "\"a b\"@x.test",
        "a@[127.0.0.1]",
        "a@x..test",
        "a@-x.test",
        ".a@x.test",
        "a..b@x.test",
        "a@x.test\u{0}",
        "a%b@x.test@y.test",
        &long,
    ];
    for email in bad {
        for path in ["/register", "/forgot-password", "/request-verify-token"] {
            let mut body = json!({ "email": email });
            if path == "/register" {
                body = json!({ "email": email, "username": "bob", "password": FRESH });
            }
            refused(&post(&gateway, path, &body), 422, "VALIDATION_ERROR");
        }
    }
    for (index, (email, to)) in [
        ("Bob.X+tag@Example.Test", "Bob.X+tag@example.test"),
        ("eve@b\u{fc}cher.example", "eve@xn--bcher-kva.example"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = register(&gateway, &format!("bob{index}"), email, FRESH);
        assert_eq!(answer.status, 202, "{}", answer.text());
        let letter = wait_for(&gateway, to, 1).remove(0);
        // Names of letters are random, and may hold any three letters.
        let lines = |name: &str| {
            let lines = letter.head.lines().map(str::to_lowercase);
            lines.filter(|line| line.starts_with(name)).count()
        };
        assert_eq!((lines("to:"), lines("bcc:")), (1, 0), "{}", letter.head);
    }
}

#[test]
fn a_19_which_addresses_are_one() {
    // Letter case does not make another address; a tag and a dot do.
    let open = open("").start();
    assert_eq!(
        register(&open, "bob1", "bob.x@example.test", FRESH).status,
        201
    );
    refused(
        &register(&open, "bob2", "Bob.X@EXAMPLE.test", FRESH),
        400,
        "EMAIL_TAKEN",
    );
    for (name, email) in [
        ("bob3", "bob.x+tag@example.test"),
        ("bob4", "bobx@example.test"),
    ] {
        assert_eq!(register(&open, name, email, FRESH).status, 201);
    }
}

#[test]
fn a_26_nobody_is_sent_more_letters_than_they_can_bear() {
    let gateway = strict().set("trusted_proxies", "[127.0.0.0/8]").start();
    let ask = |email: &str, number: usize| {
        let line = format!(
            "X-Forwarded-For: 10.0.{}.{}\r\n",
            number / 200,
            number % 200 + 1
        );
        call(
            &gateway,
            "POST",
            "/forgot-password",
            &line,
            &json!({ "email": email }),
        )
    };
    for number in 0..12 {
        assert_eq!(ask("alice@example.test", number).status, 202);
    }
    let sent = wait_for(&gateway, "alice@example.test", 5);
    reset_token(&gateway, "root@example.test");
    assert_eq!(letters(&gateway, "alice@example.test").len(), 5);
    // What was not sent has not spoilt what was: the last letter that came is good.
    let good = sent.iter().filter(|letter| {
        let answer = reset(&gateway, &letter.token("reset-password"), FRESH);
        answer.status == 200
    });
    assert_eq!(good.count(), 1);
    assert!(lets_in(&gateway, "alice", FRESH));
    // One place may not cause many letters to many people, and another is not held to account for it.
    let from = "X-Forwarded-For: 203.0.113.1\r\n";
    let statuses = (0..104).map(|number| {
        let body = json!({ "email": format!("somebody{number}@example.test") });
        let path = ["/forgot-password", "/request-verify-token"][number % 2];
        call(&gateway, "POST", path, from, &body).status
    });
    let statuses: Vec<u16> = statuses.collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == 202).count(),
        100
    );
    assert!(
        statuses[100..].iter().all(|status| *status == 429),
        "{statuses:?}"
    );
    let new = json!({ "username": "bob", "email": "bob@example.test", "password": FRESH });
    refused(
        &call(&gateway, "POST", "/register", from, &new),
        429,
        "TOO_MANY_REQUESTS",
    );
    let other = "X-Forwarded-For: 203.0.113.2\r\n";
    assert_eq!(call(&gateway, "POST", "/register", other, &new).status, 202);
}

#[test]
fn a_26_an_account_is_no_way_to_write_to_strangers() {
    let gateway = open("").start();
    let line = cookie_line(&gateway.login("alice"));
    // Taking a stranger's address and giving it up again tells the stranger so, but not without end.
    for round in 0..30 {
        for email in [
            "victim@example.test".to_owned(),
            format!("other{round}@example.test"),
        ] {
            let answer = call(&gateway, "PUT", "/me", &line, &json!({ "email": email }));
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
    wait_for(&gateway, "victim@example.test", 20);
    reset_token(&gateway, "root@example.test");
    assert_eq!(letters(&gateway, "victim@example.test").len(), 20);
}
