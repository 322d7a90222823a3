//! Accounts that may not be used have no door, and what may be used once is used once.

use std::thread;

use serde_json::{Value, json};

use crate::accounts::{
    FRESH, Pair, call, cookie_line, get, id_of, lets_in, letters, open, opens, post, refused,
    register, reset, reset_token, strict, tokens, try_refresh, try_tokens, verify, wait_for,
};
use crate::accounts_links::{dead, edit, managed, root};
use crate::harness::Gateway;
use crate::harness::setup::password;
use crate::pages_browser::Browser;

const ALICE: &str = "alice@example.test";

/// Everything that somebody may hold of an account.
struct Holdings {
    cookie: String,
    pair: Pair,
    reset: String,
}

fn holdings(gateway: &Gateway, name: &str) -> Holdings {
    Holdings {
        cookie: cookie_line(&gateway.login(name)),
        pair: tokens(gateway, name),
        reset: reset_token(gateway, &format!("{name}@example.test")),
    }
}

/// No door opens: password, session, token, refresh, link.
fn all_closed(gateway: &Gateway, name: &str, held: &Holdings, why: &str) {
    assert_eq!(
        gateway.try_login(name, &password(name)).status,
        401,
        "{why}"
    );
    assert_eq!(
        try_tokens(gateway, name, &password(name)).status,
        401,
        "{why}"
    );
    assert!(!opens(gateway, &held.cookie), "{why}: session");
    assert!(!held.pair.opens(gateway), "{why}: token");
    refused(
        &try_refresh(gateway, &held.pair.refresh),
        401,
        "INVALID_REFRESH_TOKEN",
    );
    dead(gateway, &held.reset, why);
}

#[test]
fn a_21_a_disabled_or_deleted_account_has_no_door() {
    let gateway = managed(open(""))
        .user("bob", "user")
        .user("carol", "user")
        .start();
    let held = holdings(&gateway, "alice");
    edit(&gateway, "alice", &json!({ "is_active": false }));
    all_closed(&gateway, "alice", &held, "disabled");
    let before = letters(&gateway, ALICE).len();
    assert_eq!(
        post(&gateway, "/forgot-password", &json!({ "email": ALICE })).status,
        202
    );
    // Enabled again, the password opens, and nothing that was there before.
    edit(&gateway, "alice", &json!({ "is_active": true }));
    assert!(lets_in(&gateway, "alice", &password("alice")));
    assert!(!opens(&gateway, &held.cookie) && !held.pair.opens(&gateway));
    refused(
        &try_refresh(&gateway, &held.pair.refresh),
        401,
        "INVALID_REFRESH_TOKEN",
    );
    dead(&gateway, &held.reset, "enabled again");
    reset_token(&gateway, "root@example.test");
    assert_eq!(
        letters(&gateway, ALICE).len(),
        before,
        "a letter to a disabled account"
    );
    let held = holdings(&gateway, "bob");
    let path = format!("/users/{}", id_of(&gateway, "bob"));
    let answer = call(&gateway, "DELETE", &path, &root(&gateway), &json!({}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    all_closed(&gateway, "bob", &held, "deleted");
    // Somebody else of that name inherits nothing.
    gateway.add_user("bob", "user").fine();
    assert!(lets_in(&gateway, "bob", &password("bob")));
    assert!(!opens(&gateway, &held.cookie) && !held.pair.opens(&gateway));
    dead(&gateway, &held.reset, "made anew");
    let held = holdings(&gateway, "carol");
    let answer = call(
        &gateway,
        "DELETE",
        "/me",
        &held.cookie,
        &json!({ "current_password": password("carol") }),
    );
    assert_eq!(answer.status, 204, "{}", answer.text());
    all_closed(&gateway, "carol", &held, "left");
}

#[test]
fn a_21_an_account_that_is_not_proved_has_no_door() {
    let gateway = managed(strict()).start();
    let held = holdings(&gateway, "alice");
    edit(&gateway, "alice", &json!({ "is_verified": false }));
    // Told to who knows the password, and to nobody else.
    let answer = gateway.try_login("alice", &password("alice"));
    refused(&answer, 403, "EMAIL_NOT_VERIFIED");
    refused(
        &gateway.try_login("alice", FRESH),
        401,
        "LOGIN_BAD_CREDENTIALS",
    );
    assert!(!opens(&gateway, &held.cookie) && !held.pair.opens(&gateway));
    refused(
        &try_refresh(&gateway, &held.pair.refresh),
        401,
        "INVALID_REFRESH_TOKEN",
    );
    assert_eq!(
        post(
            &gateway,
            "/request-verify-token",
            &json!({ "email": ALICE })
        )
        .status,
        202
    );
    let found = wait_for(&gateway, ALICE, 2);
    let token = found.last().unwrap().token("verify");
    assert_eq!(verify(&gateway, &token).status, 200);
    refused(&verify(&gateway, &token), 400, "LINK_INVALID");
    assert!(lets_in(&gateway, "alice", &password("alice")) && held.pair.opens(&gateway));
    // A link that was sent to an address proves that address alone.
    edit(&gateway, "alice", &json!({ "is_verified": false }));
    assert_eq!(
        post(
            &gateway,
            "/request-verify-token",
            &json!({ "email": ALICE })
        )
        .status,
        202
    );
    let token = wait_for(&gateway, ALICE, 3).pop().unwrap().token("verify");
    edit(
        &gateway,
        "alice",
        &json!({ "email": "alice2@example.test" }),
    );
    refused(&verify(&gateway, &token), 400, "LINK_INVALID");
    let answer = gateway.try_login("alice", &password("alice"));
    refused(&answer, 403, "EMAIL_NOT_VERIFIED");
}

#[test]
fn a_21_an_invitation_lasts_as_long_as_who_made_it_may_make_it() {
    let gateway = managed(open("")).user("helper", "admin").start();
    let invite = |email: &str, roles: &Value| {
        let line = tokens(&gateway, "helper").line();
        call(
            &gateway,
            "POST",
            "/invitations",
            &line,
            &json!({ "email": email, "roles": roles }),
        )
    };
    let accept = |email: &str, name: &str| {
        let token = wait_for(&gateway, email, 1)[0].token("register");
        post(
            &gateway,
            "/invitations/accept",
            &json!({ "token": token, "username": name, "password": FRESH }),
        )
    };
    refused(
        &invite("x@example.test", &json!(["superuser"])),
        403,
        "FORBIDDEN",
    );
    for email in ["bob@example.test", "carol@example.test"] {
        assert_eq!(invite(email, &json!(["admin"])).status, 201);
    }
    let answer = accept("bob@example.test", "bob");
    assert_eq!(answer.status, 201, "{}", answer.text());
    gateway
        .cli(&["user", "set-roles", "helper", "user"], "")
        .fine();
    refused(&accept("carol@example.test", "carol"), 400, "LINK_INVALID");
    // Nor is it shown as one that is good.
    let offered = || {
        let token = wait_for(&gateway, "carol@example.test", 1)[0].token("register");
        let mut browser = Browser::new(&gateway);
        browser.get(&format!("/auth/register?token={token}"));
        browser.get("/auth/register").text()
    };
    assert!(!offered().contains("You are invited"), "{}", offered());
    gateway
        .cli(&["user", "set-roles", "helper", "admin"], "")
        .fine();
    assert!(offered().contains("You are invited"), "{}", offered());
    gateway.cli(&["user", "disable", "helper"], "").fine();
    refused(&accept("carol@example.test", "carol"), 400, "LINK_INVALID");
    gateway.cli(&["user", "enable", "helper"], "").fine();
    // What is refused for its name or its password stays good.
    refused(
        &accept("carol@example.test", "alice"),
        400,
        "USERNAME_TAKEN",
    );
    assert_eq!(accept("carol@example.test", "carol").status, 201);
}

/// The statuses and codes of one call made by twenty at once.
fn crowd(ask: impl Fn(usize) -> crate::harness::Response + Sync) -> Vec<(u16, String)> {
    thread::scope(|scope| {
        let ask = &ask;
        let all: Vec<_> = (0..20)
            .map(|number| scope.spawn(move || ask(number)))
            .collect();
        let all = all.into_iter().map(|one| one.join().unwrap());
        all.map(|answer| (answer.status, answer.text())).collect()
    })
}

#[test]
fn r_02_one_invitation_makes_one_user() {
    let gateway = managed(open("")).start();
    for round in 0..5 {
        let email = format!("guest{round}@example.test");
        let invited = json!({ "email": email, "roles": ["user"] });
        assert_eq!(
            call(&gateway, "POST", "/invitations", &root(&gateway), &invited).status,
            201
        );
        let token = wait_for(&gateway, &email, 1)[0].token("register");
        let all = crowd(|number| {
            let name = format!("guest{round}x{number}");
            post(
                &gateway,
                "/invitations/accept",
                &json!({ "token": token, "username": name, "password": FRESH }),
            )
        });
        assert_eq!(all.iter().filter(|one| one.0 == 201).count(), 1, "{all:?}");
        assert!(all.iter().all(|one| [201, 400].contains(&one.0)), "{all:?}");
        let list = get(
            &gateway,
            &format!("/auth/users?search=guest{round}x"),
            &root(&gateway),
        );
        assert_eq!(list.json().as_array().unwrap().len(), 1, "{}", list.text());
    }
}

#[test]
fn r_03_one_reset_link_sets_one_password() {
    let gateway = open("").start();
    for round in 0..5 {
        let token = reset_token(&gateway, ALICE);
        let chosen = |number: usize| format!("{FRESH} {round} {number}");
        let all = crowd(|number| reset(&gateway, &token, &chosen(number)));
        let winners: Vec<usize> = (0..20).filter(|&number| all[number].0 == 200).collect();
        assert_eq!(winners.len(), 1, "{all:?}");
        assert!(all.iter().all(|one| [200, 400].contains(&one.0)), "{all:?}");
        assert!(lets_in(&gateway, "alice", &chosen(winners[0])));
        let loser = (winners[0] + 1) % 20;
        assert!(!lets_in(&gateway, "alice", &chosen(loser)));
    }
}

#[test]
fn a_21_a_link_makes_no_account_where_registration_was_closed_meanwhile() {
    let gateway = strict().start();
    let address = "bob@example.test";
    assert_eq!(register(&gateway, "bob", address, FRESH).status, 202);
    let token = wait_for(&gateway, address, 1)[0].token("verify");
    let open = std::fs::read_to_string(gateway.config()).unwrap();
    gateway.write(
        "gateway.yaml",
        &open.replace("register: open", "register: closed"),
    );
    let gateway = gateway.restart();
    refused(&verify(&gateway, &token), 403, "REGISTRATION_CLOSED");
    refused(&verify(&gateway, "of-nothing"), 400, "LINK_INVALID");
    assert!(!lets_in(&gateway, "bob", FRESH));
    gateway.write("gateway.yaml", &open);
    let gateway = gateway.restart();
    assert_eq!(verify(&gateway, &token).status, 200);
    assert!(lets_in(&gateway, "bob", FRESH));
}

#[test]
fn a_18_what_is_refused_has_changed_nothing() {
    let gateway = strict().start();
    let line = tokens(&gateway, "alice").line();
    let ask = |at: usize| {
        let change = json!({ "email": format!("a{at}@example.test"), "current_password": password("alice") });
        call(&gateway, "PUT", "/me", &line, &change).status
    };
    let refused = (0..100).find(|at| ask(*at) == 429);
    assert!(refused.is_some_and(|at| at > 2), "{refused:?}");
    let change = json!({
        "email": "last@example.test", "username": "alicia",
        "password": FRESH, "current_password": password("alice"),
    });
    assert_eq!(call(&gateway, "PUT", "/me", &line, &change).status, 429);
    assert!(opens(&gateway, &line) && lets_in(&gateway, "alice", &password("alice")));
}
