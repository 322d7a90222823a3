//! Names that were somebody's: services keep things under them.

use serde_json::{Value, json};

use crate::accounts::{
    FRESH, call, cookie_line, first_password, lets_in, open, refused, register, session,
};

const TAKEN: &str = "USERNAME_TAKEN";

#[test]
fn a_name_that_was_somebodys_is_given_again_by_superusers_only() {
    let roles = "{ user: [], admin: [user, \"users:write\"] }";
    let gateway = open("").set("roles", roles).start();
    let banner = gateway.banner();
    let chief = session(&gateway, "admin", first_password(&banner));
    let manager = cookie_line(&gateway.login("root"));
    assert_eq!(
        register(&gateway, "carol", "c@example.test", FRESH).status,
        201
    );
    assert_eq!(
        register(&gateway, "mallory", "m@example.test", FRESH).status,
        201
    );
    let carol = session(&gateway, "carol", FRESH);
    let gone = json!({ "current_password": FRESH });
    assert_eq!(call(&gateway, "DELETE", "/me", &carol, &gone).status, 204);

    let mallory = session(&gateway, "mallory", FRESH);
    let rename =
        |line: &str, name: &str| call(&gateway, "PUT", "/me", line, &json!({ "username": name }));
    let draft =
        |name: &str| json!({ "username": name, "email": null, "password": "for the first day" });
    let create = |line: &str, draft: &Value| call(&gateway, "POST", "/users", line, draft);
    refused(&rename(&mallory, "Carol"), 400, TAKEN);
    refused(
        &register(&gateway, "carol", "x@example.test", FRESH),
        400,
        TAKEN,
    );
    refused(&create(&manager, &draft("carol")), 400, TAKEN);
    let id = create(&manager, &draft("dave")).json()["id"].clone();
    let edit = |line: &str| {
        call(
            &gateway,
            "PUT",
            &format!("/users/{id}"),
            line,
            &json!({ "username": "carol" }),
        )
    };
    refused(&edit(&manager), 400, TAKEN);
    // Nothing of it has happened, and other names are free.
    assert!(!lets_in(&gateway, "carol", FRESH));
    assert_eq!(rename(&mallory, "molly").status, 200);

    assert_eq!(edit(&chief).status, 200);
    refused(&create(&chief, &draft("carol")), 400, TAKEN);
    assert_eq!(create(&chief, &draft("mallory")).status, 201);
    assert!(lets_in(&gateway, "carol", "for the first day"));
    gateway.cli(&["user", "delete", "carol"], "").fine();
    let password = format!("{FRESH}\n");
    let added = gateway
        .cli(&["user", "add", "carol", "--password-stdin"], &password)
        .fine();
    assert!(added.out.contains(&format!("user {id}'s")), "{added:?}");
}

#[test]
fn somebody_keeps_five_names_from_others_at_most() {
    let gateway = open("").start();
    let line = cookie_line(&gateway.login("alice"));
    let rename = |name: &str| call(&gateway, "PUT", "/me", &line, &json!({ "username": name }));
    for name in ["a1", "a2", "alice", "a3", "a4", "a5"] {
        assert_eq!(rename(name).status, 200, "{name}");
    }
    refused(&rename("a6"), 403, "FORBIDDEN");
    assert_eq!(rename("alice").status, 200, "it is theirs still");
    let banner = gateway.banner();
    let chief = session(&gateway, "admin", first_password(&banner));
    let own = |name: &str| call(&gateway, "PUT", "/me", &chief, &json!({ "username": name }));
    for number in 0..7 {
        assert_eq!(own(&format!("chief{number}")).status, 200);
    }
    assert_eq!(
        register(&gateway, "a6", "a6@example.test", FRESH).status,
        201
    );
}

#[test]
fn a_06_a_name_that_could_not_be_read_back_is_none() {
    let gateway = open("").start();
    let line = cookie_line(&gateway.login("alice"));
    for name in ["q\u{13a0}", "\u{915}\u{952}\u{94d}\u{200d}\u{937}"] {
        let renamed = call(&gateway, "PUT", "/me", &line, &json!({ "username": name }));
        assert_eq!(renamed.status, 422, "{}", renamed.text());
        assert_eq!(
            register(&gateway, name, "q@example.test", FRESH).status,
            422
        );
    }
    assert_eq!(
        call(
            &gateway,
            "PUT",
            "/me",
            &line,
            &json!({ "username": "q\u{e9}" })
        )
        .status,
        200
    );
}

#[test]
fn somebody_changes_their_name_twenty_times_an_hour() {
    let gateway = open("").start();
    let line = cookie_line(&gateway.login("alice"));
    for number in 0..21 {
        let name = ["alice", "alicia"][(number + 1) % 2];
        let renamed = call(&gateway, "PUT", "/me", &line, &json!({ "username": name }));
        match number {
            20 => refused(&renamed, 429, "TOO_MANY_REQUESTS"),
            _ => assert_eq!(renamed.status, 200, "{number}: {}", renamed.text()),
        }
    }
}

/// A service that compares capitals takes `k\u{131}m` for whom the rule names.
#[test]
fn a_06_a_name_that_folds_to_one_that_a_rule_names_is_given_by_superusers_only() {
    let rules = "
  - { path: /app/**, allow: signed_in }
  - { path: /kims/**, allow: { user: kim } }
";
    let roles = "{ user: [], admin: [user, \"users:write\"] }";
    let gateway = open("").set("roles", roles).rules(rules).start();
    let banner = gateway.banner();
    let chief = session(&gateway, "admin", first_password(&banner));
    let manager = cookie_line(&gateway.login("root"));
    let create = |line: &str, name: &str| {
        let draft = json!({ "username": name, "email": null, "password": "for the first day" });
        call(&gateway, "POST", "/users", line, &draft)
    };
    for name in ["kim", "k\u{131}m"] {
        let own = register(&gateway, name, "k@example.test", FRESH);
        refused(&own, 400, TAKEN);
        refused(&create(&manager, name), 400, TAKEN);
    }
    assert_eq!(create(&manager, "kam").status, 201);
    for name in ["kim", "k\u{131}m"] {
        assert_eq!(create(&chief, name).status, 201, "{name}");
    }
}
