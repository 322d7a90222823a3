//! A thief of a session asks for another address: what stops it, and who is told.

use serde_json::{Value, json};

use crate::accounts::{
    FRESH, Letter, call, cookie_line, get, id_of, lets_in, letters, open, opens, post, register,
    reset_token, session, strict, verify, wait_for,
};
use crate::accounts_links::{dead, edit, managed, root};
use crate::harness::Gateway;
use crate::harness::setup::password;

const ALICE: &str = "alice@example.test";

/// Ends the session of this public name.
type End<'a> = &'a dyn Fn(&str);

/// Asks for an address in a session, and gives the token of the letter.
fn asked(gateway: &Gateway, line: &str, to: &str) -> String {
    let count = letters(gateway, to).len();
    let answer = call(gateway, "PUT", "/me", line, &json!({ "email": to }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let found = wait_for(gateway, to, count + 1);
    found.last().unwrap().token("confirm-email")
}

fn confirm(gateway: &Gateway, token: &str) -> u16 {
    post(gateway, "/confirm-email", &json!({ "token": token })).status
}

/// The public name of the session that asks.
fn sid(gateway: &Gateway, line: &str) -> String {
    let all = get(gateway, "/auth/sessions", line).json();
    let all = all.as_array().unwrap();
    let current = all.iter().find(|one| one["current"] == true).unwrap();
    current["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_16_what_was_asked_for_in_a_session_ends_when_somebody_else_ends_it() {
    let gateway = managed(strict()).start();
    let delete = |path: &str, line: &str| {
        let answer = call(&gateway, "DELETE", path, line, &Value::Null);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    };
    let theirs = format!("/users/{}/sessions", id_of(&gateway, "alice"));
    let alice = || cookie_line(&gateway.login("alice"));
    let ends: [(&str, End<'_>); 5] = [
        ("an administrator, all", &|_| {
            delete(&theirs, &root(&gateway));
        }),
        ("an administrator, one", &|sid| {
            delete(&format!("{theirs}/{sid}"), &root(&gateway));
        }),
        ("its owner, all others", &|_| delete("/sessions", &alice())),
        ("its owner, one", &|sid| {
            delete(&format!("/sessions/{sid}"), &alice());
        }),
        ("the command line", &|sid| {
            gateway.cli(&["session", "revoke", sid], "").fine();
        }),
    ];
    for (number, (who, end)) in ends.into_iter().enumerate() {
        let thief = alice();
        let to = format!("thief{number}@example.test");
        let token = asked(&gateway, &thief, &to);
        end(&sid(&gateway, &thief));
        assert_eq!(confirm(&gateway, &token), 400, "{who}");
        assert!(!lets_in(&gateway, &to, &password("alice")), "{who}");
    }
    assert!(lets_in(&gateway, ALICE, &password("alice")));
}

#[test]
fn a_17_a_logout_leaves_the_link_to_a_new_address() {
    let gateway = strict().start();
    let outs: [&dyn Fn(&str); 2] = [
        &|line| {
            let answer = call(&gateway, "POST", "/logout", line, &Value::Null);
            assert!(answer.status < 300, "{}", answer.text());
        },
        &|line| {
            let path = format!("/sessions/{}", sid(&gateway, line));
            let answer = call(&gateway, "DELETE", &path, line, &Value::Null);
            assert_eq!(answer.status, 200, "{}", answer.text());
        },
    ];
    for (number, out) in outs.into_iter().enumerate() {
        let line = cookie_line(&gateway.login("alice"));
        let to = format!("alice{number}@example.test");
        let token = asked(&gateway, &line, &to);
        out(&line);
        assert!(!opens(&gateway, &line));
        assert_eq!(confirm(&gateway, &token), 200);
        assert!(lets_in(&gateway, &to, &password("alice")));
    }
}

#[test]
fn a_20_an_address_is_told_that_another_is_asked_for_though_it_is_taken() {
    let gateway = strict().start();
    let line = cookie_line(&gateway.login("alice"));
    for (count, to) in [(1, "new@example.test"), (2, "root@example.test")] {
        let answer = call(&gateway, "PUT", "/me", &line, &json!({ "email": to }));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let told = wait_for(&gateway, ALICE, count);
        let letter = told.last().unwrap();
        assert_eq!(letter.subject(), "A new e-mail address was asked for");
        assert!(!letter.text.contains(to), "{}", letter.text);
    }
    assert_eq!(letters(&gateway, "root@example.test").len(), 0);
}

#[test]
fn x_05_an_address_that_nobody_proved_is_told_nothing_in_the_words_of_a_stranger() {
    let gateway = managed(open("")).start();
    let name = "won-call-08005551234";
    let victim = "victim@example.test";
    assert_eq!(register(&gateway, name, victim, FRESH).status, 201);
    let line = session(&gateway, name, FRESH);
    let message = "call-08005551234@example.test";
    let moved = call(&gateway, "PUT", "/me", &line, &json!({ "email": message }));
    assert_eq!(moved.status, 200, "{}", moved.text());
    edit(&gateway, name, &json!({ "email": victim }));
    edit(&gateway, name, &json!({ "email": message }));
    edit(
        &gateway,
        name,
        &json!({ "email": victim, "password": "set by root 5522" }),
    );
    reset_token(&gateway, victim);
    let line = session(&gateway, name, "set by root 5522");
    let word = json!({ "current_password": "set by root 5522" });
    let left = call(&gateway, "DELETE", "/me", &line, &word);
    assert_eq!(left.status, 403, "{}", left.text());
    let path = format!("/users/{}", id_of(&gateway, name));
    let root = root(&gateway);
    let deleted = call(&gateway, "DELETE", &path, &root, &Value::Null);
    assert_eq!(deleted.status, 200, "{}", deleted.text());
    let told = wait_for(&gateway, victim, 4);
    let deleted = |letter: &Letter| letter.subject() == "Your account was deleted";
    assert!(told.iter().any(deleted), "{told:?}");
    for letter in told {
        assert!(!letter.text.contains("08005551234"), "{letter:?}");
    }
    // The twin: who has proved theirs is told who they are, and where it went.
    edit(
        &gateway,
        "alice",
        &json!({ "email": message, "is_verified": true }),
    );
    let told = wait_for(&gateway, ALICE, 1).remove(0);
    assert!(
        told.text.contains(message) && told.text.contains("Hello alice,"),
        "{told:?}"
    );
}

#[test]
fn a_password_that_is_set_on_the_command_line_leaves_the_proof_of_an_address() {
    let gateway = managed(strict()).start();
    let made = json!({ "username": "carol", "email": "carol@example.test", "password": FRESH });
    let answer = call(&gateway, "POST", "/users", &root(&gateway), &made);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let proof = wait_for(&gateway, "carol@example.test", 1)[0].token("verify");
    let word = "set on the line 5522";
    let set = ["user", "set-password", "carol", "--password-stdin"];
    let reset = reset_token(&gateway, ALICE);
    gateway.cli(&set, &format!("{word}\n")).fine();
    assert_eq!(verify(&gateway, &proof).status, 200);
    assert!(lets_in(&gateway, "carol", word));
    // What opens the account ends with the password, for whom it was set and nobody else.
    let gone = reset_token(&gateway, "carol@example.test");
    gateway.cli(&set, &format!("{word} again\n")).fine();
    dead(&gateway, &gone, "the password was set");
    let answer = crate::accounts::reset(&gateway, &reset, FRESH);
    assert_eq!(answer.status, 200, "{}", answer.text());
}
