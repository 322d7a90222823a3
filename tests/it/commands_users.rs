//! Passwords that are refused, waiting that is forgiven, pages of users, permissions.

use serde_json::Value;

use crate::commands::{assert_no, folder, json, show};
use crate::harness::Setup;
use crate::harness::setup::password;
use crate::logins::{PAIR, WRONG, attempt, gateway};

#[test]
fn a_15_guessable_passwords_are_refused_with_the_reason() {
    let folder = folder();
    for (typed, reason) in [
        ("seven77", "the password must have at least 8 characters"),
        (
            "Password1",
            "the password is one of the most common passwords",
        ),
        (
            "bob-lastname 1990",
            "must hold more than your username, digits and signs",
        ),
        (
            "example.test!",
            "must hold more than your e-mail address, digits and signs",
        ),
        (
            "localhost8080",
            "must hold more than the name of this site, digits and signs",
        ),
        (
            "gateway2026",
            "must hold more than the name of this gateway, digits and signs",
        ),
    ] {
        let add = [
            "user",
            "add",
            "bob.lastname",
            "--email",
            "bob@example.test",
            "--password-stdin",
        ];
        let said = folder.cli(&add, &format!("{typed}\n"));
        assert_no(&said, typed);
        assert!(said.err.contains(reason), "{typed}: {}", said.err);
        assert!(
            !said.err.contains(typed),
            "the password is repeated: {}",
            said.err
        );
    }
    let set = ["user", "set-password", "alice", "--password-stdin"];
    assert_no(&folder.cli(&set, "alice2026\n"), "set");
    let lenient = "{ password: { blocklist: false, argon2: { memory: 8MiB, passes: 1 } } }";
    folder.write("gateway.yaml", &Setup::new().set("login", lenient).yaml());
    folder.cli(&set, "alice2026\n").fine();
}

#[test]
fn a_password_that_somebody_else_set_may_have_to_be_changed() {
    let folder = folder();
    let must_change = |name: &str| show(&folder, name)["must_change_password"].clone();
    let add = ["user", "add", "bob", "--must-change", "--password-stdin"];
    folder.cli(&add, "a password that is long\n").fine();
    assert_eq!(
        (must_change("alice"), must_change("bob")),
        (false.into(), true.into())
    );
    let set = [
        "user",
        "set-password",
        "alice",
        "--must-change",
        "--password-stdin",
    ];
    folder.cli(&set, "another password that is long\n").fine();
    assert_eq!(must_change("alice"), Value::Bool(true));
    let listed = folder.cli(&["user", "list", "--search", "ALI"], "").fine();
    assert!(
        listed.out.contains("must change password"),
        "{}",
        listed.out
    );
}

#[test]
fn an_unlocked_account_need_not_wait() {
    let gateway = gateway().start();
    let from = "203.0.113.9";
    for _ in 0..PAIR {
        assert_eq!(attempt(&gateway, "alice", WRONG, from).status, 401);
    }
    let right = password("alice");
    assert_eq!(attempt(&gateway, "alice", &right, from).status, 429);
    gateway.cli(&["user", "unlock", "alice"], "").fine();
    assert_eq!(attempt(&gateway, "alice", &right, from).status, 200);
    assert_no(&gateway.cli(&["user", "unlock", "ghost"], ""), "nobody");
    gateway.cli(&["user", "disable", "alice"], "").fine();
    let said = gateway.cli(&["user", "unlock", "alice"], "").fine();
    assert!(said.out.contains("disabled"), "{}", said.out);
    let memory = Setup::new().set("volatile", "memory").folder();
    memory.add_user("alice", "user").fine();
    assert_no(&memory.cli(&["user", "unlock", "alice"], ""), "in memory");
}

#[test]
fn users_are_listed_by_the_page() {
    let folder = folder();
    for name in ["bob", "carol", "dave"] {
        folder.add_user(name, "user").fine();
    }
    let page = |more: &[&str]| {
        let all = json(&folder.cli(&[&["user", "list", "--json"], more].concat(), ""));
        let name = |user: &Value| user["username"].as_str().unwrap().to_owned();
        all.as_array()
            .unwrap()
            .iter()
            .map(name)
            .collect::<Vec<_>>()
            .join(" ")
    };
    for (more, wanted) in [
        (&[][..], "alice bob carol dave"),
        (&["--skip", "1", "--limit", "2"], "bob carol"),
        (&["--skip", "3"], "dave"),
        (&["--skip", "9"], ""),
        (&["--limit", "0"], ""),
        (&["--limit", "1", "--search", "A", "--skip", "1"], "bob"),
    ] {
        assert_eq!(page(more), wanted, "{more:?}");
    }
}

#[test]
fn sessions_of_one_user() {
    let gateway = Setup::new().start();
    let sessions = |name: &str| {
        let all = json(&gateway.cli(&["user", "sessions", name, "--json"], ""));
        all.as_array().unwrap().len()
    };
    gateway.login("root");
    assert_eq!((sessions("alice"), sessions("root")), (0, 1));
    gateway.login("alice");
    gateway.login("alice");
    assert_eq!((sessions("alice"), sessions("root")), (2, 1));
    let table = gateway.cli(&["user", "sessions", "alice"], "").fine();
    assert_eq!(table.out.lines().count(), 3, "{}", table.out);
    assert_no(&gateway.cli(&["user", "sessions", "ghost"], ""), "nobody");
}

#[test]
fn permissions_are_declared_and_given() {
    let folder = folder();
    folder
        .cli(
            &[
                "permission",
                "add",
                "orders:ship",
                "--description",
                "Sends them",
            ],
            "",
        )
        .fine();
    assert_no(
        &folder.cli(&["permission", "add", "orders:ship"], ""),
        "twice",
    );
    assert_no(
        &folder.cli(&["permission", "add", "nonsense"], ""),
        "no name",
    );
    folder.cli(&["role", "add", "clerk"], "").fine();
    folder
        .cli(&["user", "set-roles", "alice", "clerk"], "")
        .fine();
    let set =
        |permissions: &str| folder.cli(&["role", "set-permissions", "clerk", permissions], "");
    set("orders:ship,orders:read").fine();
    let may = || {
        let shown = folder.cli(&["user", "show", "alice"], "").fine().out;
        let line = shown.lines().find(|line| line.starts_with("may ")).unwrap();
        line.split_once(' ').unwrap().1.trim().to_owned()
    };
    assert_eq!(may(), "orders:read, orders:ship");
    let listed = json(&folder.cli(&["permission", "list", "--json"], ""));
    let ship = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "orders:ship");
    assert_eq!(
        ship.unwrap(),
        &serde_json::json!({ "name": "orders:ship", "description": "Sends them", "roles": 1 })
    );
    set("").fine();
    assert_eq!(may(), "-");
    assert_no(&set("nonsense"), "no permission");
    let file = ["role", "set-permissions", "admin", "a:b"];
    assert_no(&folder.cli(&file, ""), "a role of the file");
}
