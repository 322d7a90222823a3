//! Links in letters: good once, for whom and for what they were made, and no longer than that holds.

use serde_json::{Value, json};

use crate::accounts::{
    FRESH, Pair, call, cookie_line, get, id_of, lets_in, letters, open, post, refused, register,
    reset, reset_token, strict, tokens, try_tokens, verify, wait_for,
};
use crate::harness::setup::password;
use crate::harness::{Gateway, Setup};

const ALICE: &str = "alice@example.test";

/// With a role that may look after users; root has it.
pub fn managed(setup: Setup) -> Setup {
    setup.set(
        "roles",
        "{ user: [], admin: [user, users:read, users:write, users:delete] }",
    )
}

pub fn root(gateway: &Gateway) -> String {
    cookie_line(&gateway.login("root"))
}

pub fn dead(gateway: &Gateway, token: &str, why: &str) {
    let answer = reset(gateway, token, "another password 77");
    assert_eq!(answer.status, 400, "{why}: {}", answer.text());
    refused(&answer, 400, "LINK_INVALID");
}

pub fn edit(gateway: &Gateway, name: &str, change: &Value) {
    let path = format!("/users/{}", id_of(gateway, name));
    let answer = call(gateway, "PUT", &path, &root(gateway), change);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A letter for a new address of alice's, and its token.
fn move_token(gateway: &Gateway, to: &str) -> String {
    let count = letters(gateway, to).len();
    let line = tokens(gateway, "alice").line();
    let answer = call(gateway, "PUT", "/me", &line, &json!({ "email": to }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["email"], ALICE, "taken before it was proved");
    let found = wait_for(gateway, to, count + 1);
    found.last().unwrap().token("confirm-email")
}

fn confirm(gateway: &Gateway, token: &str) -> u16 {
    post(gateway, "/confirm-email", &json!({ "token": token })).status
}

#[test]
fn a_16_a_reset_link_is_good_once_and_only_as_it_was_sent() {
    let gateway = open("").start();
    let token = reset_token(&gateway, ALICE);
    let cut = &token[..token.len() - 1];
    for guess in [
        "",
        "x",
        cut,
        &format!("{token}A"),
        &format!(" {token}"),
        &token.to_uppercase(),
        &"A".repeat(43),
    ] {
        dead(&gateway, guess, "a guess");
    }
    // A password that may not be chosen does not cost the link.
    refused(&reset(&gateway, &token, "short"), 422, "VALIDATION_ERROR");
    refused(
        &reset(&gateway, &token, "password123"),
        422,
        "VALIDATION_ERROR",
    );
    assert_eq!(reset(&gateway, &token, FRESH).status, 200);
    dead(&gateway, &token, "used");
    assert!(lets_in(&gateway, "alice", FRESH) && !lets_in(&gateway, "alice", &password("alice")));
    assert!(lets_in(&gateway, "root", &password("root")));
}

#[test]
fn a_16_a_reset_link_ends_with_what_it_was_made_for() {
    let gateway = managed(open("")).start();
    let older = reset_token(&gateway, ALICE);
    let newer = reset_token(&gateway, ALICE);
    dead(&gateway, &older, "a newer one was sent");
    // Another person's link is another person's.
    let roots = reset_token(&gateway, "root@example.test");
    let change = json!({ "password": FRESH, "current_password": password("alice") });
    let line = tokens(&gateway, "alice").line();
    assert_eq!(call(&gateway, "PUT", "/me", &line, &change).status, 200);
    dead(&gateway, &newer, "the password was changed");
    let line = Pair::of(&try_tokens(&gateway, "alice", FRESH)).line();
    let token = reset_token(&gateway, ALICE);
    let change = json!({ "email": "alice2@example.test", "current_password": FRESH });
    assert_eq!(call(&gateway, "PUT", "/me", &line, &change).status, 200);
    dead(&gateway, &token, "the address was changed");
    let token = reset_token(&gateway, "alice2@example.test");
    edit(&gateway, "alice", &json!({ "email": ALICE }));
    dead(&gateway, &token, "an administrator changed the address");
    let token = reset_token(&gateway, ALICE);
    edit(
        &gateway,
        "alice",
        &json!({ "password": "set by root 5522" }),
    );
    dead(&gateway, &token, "an administrator set the password");
    assert_eq!(reset(&gateway, &roots, FRESH).status, 200);
    let deleted = gateway.cli(&["user", "delete", "root"], "");
    deleted.fine();
    assert!(lets_in(&gateway, "alice", "set by root 5522"));
}

#[test]
fn a_26_an_invitation_that_is_not_sent_is_none() {
    let gateway = managed(strict()).start();
    let root = root(&gateway);
    let invited = json!({ "email": "carol@example.test", "roles": ["user"] });
    let invite = || call(&gateway, "POST", "/invitations", &root, &invited).status;
    let waiting = || {
        let answer = get(&gateway, "/auth/invitations", &root);
        answer.json().as_array().unwrap().len()
    };
    let mut sent = 0;
    while invite() == 201 {
        sent += 1;
        assert_eq!(waiting(), sent);
        assert!(sent < 100, "as many letters as somebody likes");
    }
    assert_eq!((invite(), waiting()), (429, sent));
}

/// A role of our own that lets somebody write users, beside others of theirs.
fn make_clerk(gateway: &Gateway, name: &str, roles: &str) {
    let add = ["role", "add", "clerk", "--permissions", "users:write"];
    gateway.cli(&add, "").fine();
    gateway.cli(&["user", "set-roles", name, roles], "").fine();
}

#[test]
fn ad_06_names_of_offices_are_given_by_superusers() {
    let gateway = managed(open("")).start();
    make_clerk(&gateway, "root", "admin,clerk");
    let (alice, root) = (cookie_line(&gateway.login("alice")), root(&gateway));
    // The last is `ADMIN` to services that compare capitals.
    for name in ["administrator", "System", "NULL", "adm\u{131}n"] {
        refused(
            &register(&gateway, name, "new@example.test", FRESH),
            400,
            "USERNAME_TAKEN",
        );
        let named = json!({ "username": name });
        let renamed = call(&gateway, "PUT", "/me", &alice, &named);
        refused(&renamed, 400, "USERNAME_TAKEN");
        let made = json!({ "username": name, "password": FRESH });
        refused(
            &call(&gateway, "POST", "/users", &root, &made),
            400,
            "USERNAME_TAKEN",
        );
    }
    // Nor may a name be somebody's folder.
    for name in ["..", ".", "alice/photos", "..\\root"] {
        let named = json!({ "username": name });
        let made = json!({ "username": name, "password": FRESH });
        for answer in [
            register(&gateway, name, "new@example.test", FRESH),
            call(&gateway, "PUT", "/me", &alice, &named),
            call(&gateway, "POST", "/users", &root, &made),
        ] {
            assert_eq!(answer.status, 422, "{name}: {}", answer.text());
        }
    }
    let twin = json!({ "username": "administratrix" });
    assert_eq!(call(&gateway, "PUT", "/me", &alice, &twin).status, 200);
    // Who runs the gateway calls people what they like.
    gateway
        .cli(
            &["user", "add", "system", "--password-stdin"],
            &format!("{FRESH}\n"),
        )
        .fine();
    // And whoever looks after them may leave it at that.
    let path = format!("/users/{}", id_of(&gateway, "system"));
    let kept = json!({ "username": "system", "email": "system@example.test" });
    let answer = call(&gateway, "PUT", &path, &root, &kept);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn ad_06_nobody_takes_back_who_is_to_hold_more() {
    let gateway = managed(strict()).start();
    make_clerk(&gateway, "alice", "clerk,user");
    let (alice, root) = (cookie_line(&gateway.login("alice")), root(&gateway));
    for (role, status) in [("admin", 403), ("user", 204)] {
        let invited = json!({ "email": format!("{role}@example.test"), "roles": [role] });
        let made = call(&gateway, "POST", "/invitations", &root, &invited);
        let id = made.json()["id"].as_str().unwrap().to_owned();
        let path = format!("/invitations/{id}");
        let answer = call(&gateway, "DELETE", &path, &alice, &Value::Null);
        assert_eq!(answer.status, status, "{role}: {}", answer.text());
    }
}

#[test]
fn a_16_links_of_one_kind_are_no_links_of_another() {
    let gateway = managed(strict()).start();
    assert_eq!(
        register(&gateway, "bob", "bob@example.test", FRESH).status,
        202
    );
    let verify_token = wait_for(&gateway, "bob@example.test", 1)[0].token("verify");
    let reset_token = reset_token(&gateway, ALICE);
    let move_token = move_token(&gateway, "alice2@example.test");
    let invited = json!({ "email": "carol@example.test", "roles": ["user"] });
    let answer = call(&gateway, "POST", "/invitations", &root(&gateway), &invited);
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert!(!answer.text().contains("token="), "{}", answer.text());
    let invitation = wait_for(&gateway, "carol@example.test", 1)[0].token("register");
    let accept = |token: &str| {
        post(
            &gateway,
            "/invitations/accept",
            &json!({ "token": token, "username": "carol", "password": FRESH }),
        )
    };
    for token in [&verify_token, &move_token, &invitation] {
        dead(&gateway, token, "another kind");
    }
    for token in [&reset_token, &move_token, &invitation] {
        refused(&verify(&gateway, token), 400, "LINK_INVALID");
    }
    for token in [&reset_token, &verify_token, &invitation] {
        assert_eq!(confirm(&gateway, token), 400);
    }
    for token in [&reset_token, &verify_token, &move_token] {
        refused(&accept(token), 400, "LINK_INVALID");
    }
    // The twins: each is good for its own.
    assert_eq!(verify(&gateway, &verify_token).status, 200);
    assert_eq!(confirm(&gateway, &move_token), 200);
    assert_eq!(accept(&invitation).status, 201);
    for token in [&verify_token, &invitation] {
        refused(&verify(&gateway, token), 400, "LINK_INVALID");
        refused(&accept(token), 400, "LINK_INVALID");
    }
    assert_eq!(confirm(&gateway, &move_token), 400);
    // Its address is another by now.
    dead(&gateway, &reset_token, "the address was changed");
}

#[test]
fn a_16_a_link_to_a_new_address_ends_with_the_old_one() {
    let gateway = managed(strict()).start();
    let first = move_token(&gateway, "alice2@example.test");
    let second = move_token(&gateway, "alice3@example.test");
    assert_eq!(confirm(&gateway, &first), 400, "a newer one was sent");
    edit(
        &gateway,
        "alice",
        &json!({ "email": "desk@example.test", "is_verified": true }),
    );
    assert_eq!(
        confirm(&gateway, &second),
        400,
        "an administrator changed the address"
    );
    edit(
        &gateway,
        "alice",
        &json!({ "email": ALICE, "is_verified": true }),
    );
    let token = move_token(&gateway, "alice2@example.test");
    let link = reset_token(&gateway, ALICE);
    assert_eq!(reset(&gateway, &link, &password("alice")).status, 200);
    assert_eq!(confirm(&gateway, &token), 400, "the password was changed");
    let token = move_token(&gateway, "alice2@example.test");
    assert_eq!(confirm(&gateway, &token), 200);
    assert!(lets_in(&gateway, "alice2@example.test", &password("alice")));
    let told = wait_for(&gateway, ALICE, 1);
    assert!(
        told.iter()
            .any(|letter| letter.subject() == "Your e-mail address was changed")
    );
}

#[test]
fn a_16_a_letter_goes_to_the_address_of_the_account_and_not_to_what_was_typed() {
    let gateway = open("").user("kim", "user").start();
    // The Kelvin sign is folded to a k, and may be another mailbox.
    for typed in ["\u{212a}im@example.test", "KIM@EXAMPLE.TEST"] {
        let before = letters(&gateway, "kim@example.test").len();
        let answer = post(&gateway, "/forgot-password", &json!({ "email": typed }));
        if answer.status == 202 {
            wait_for(&gateway, "kim@example.test", before + 1);
        }
        let typed = typed.to_lowercase();
        assert_eq!(typed, "kim@example.test");
    }
    let all = std::fs::read_dir(gateway.path().join("data/outbox")).unwrap();
    for file in all {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(text.contains("\r\nTo: kim@example.test\r\n"), "{text}");
    }
}

#[test]
fn a_17_looking_at_a_link_does_not_use_it() {
    let gateway = strict().start();
    assert_eq!(
        register(&gateway, "bob", "bob@example.test", FRESH).status,
        202
    );
    let letter = wait_for(&gateway, "bob@example.test", 1).remove(0);
    let token = letter.token("verify");
    let reset_token = reset_token(&gateway, ALICE);
    for (page, token) in [("verify", &token), ("reset-password", &reset_token)] {
        for _ in 0..3 {
            let path = format!("/auth/{page}?token={token}");
            let answer = get(&gateway, &path, "Accept: text/html\r\n");
            assert!(answer.status < 500, "{}", answer.text());
            assert_eq!(
                answer.header("referrer-policy").as_deref(),
                Some("no-referrer")
            );
            assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
            // A token belongs into the body of a POST, and nowhere else.
            let answer = call(
                &gateway,
                "POST",
                &format!("/{page}?token={token}"),
                "",
                &json!({}),
            );
            assert_eq!(answer.status, 422, "{}", answer.text());
        }
    }
    assert_eq!(verify(&gateway, &token).status, 200);
    assert_eq!(reset(&gateway, &reset_token, FRESH).status, 200);
    for secret in [&token, &reset_token] {
        assert!(!gateway.log().contains(&**secret), "a token in the log");
    }
}
