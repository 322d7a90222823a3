//! The command line as scripts use it: exit codes (0 fine, 1 the answer is no, 2 misuse), JSON, and accounts
//! that must not be lost.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::Setup;
use crate::harness::process::{Said, binary};
use crate::harness::setup::{Folder, password};

/// A folder with alice (role user) and nobody else; no gateway runs.
pub fn folder() -> Folder {
    let folder = Setup::new().folder();
    folder.add_user("alice", "user").fine();
    folder
}

pub fn json(said: &Said) -> Value {
    assert_eq!(said.code, Some(0), "{}", said.all());
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.out))
}

pub fn show(folder: &Folder, name: &str) -> Value {
    json(&folder.cli(&["user", "show", name, "--json"], ""))
}

pub fn assert_no(said: &Said, what: &str) {
    assert_eq!(said.code, Some(1), "{what}: {}", said.all());
    assert!(!said.err.trim().is_empty(), "{what}: nobody is told why");
    assert!(!said.err.contains("panicked"), "{what}: {}", said.err);
}

const LONG: &str = "a password that is long\n";

#[test]
fn misuse_is_two() {
    let folder = folder();
    for arguments in [
        &["frobnicate"][..],
        &["user"],
        &["user", "frobnicate"],
        &["user", "add"],
        &["user", "add", "bob", "--frobnicate"],
        &["user", "add", "bob", "--password", "secret"],
        &["user", "show"],
        &["user", "list", "extra"],
        &["session", "revoke"],
        &["role", "add"],
        &["migrate"],
        &["check", "--frobnicate"],
        &["explain", "GET"],
    ] {
        let said = folder.cli(arguments, LONG);
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.all());
        assert!(said.out.is_empty(), "{arguments:?}: {}", said.out);
    }
    for arguments in [&["--help"][..], &["--version"], &["user", "--help"]] {
        let said = folder.cli(arguments, "").fine();
        assert!(said.out.contains("portcullis") || said.out.contains("Usage"));
    }
}

#[test]
fn a_file_with_faults_or_none_is_one() {
    let folder = folder();
    folder.write("gateway.yaml", "ruels: []\n");
    for arguments in [
        &["check"][..],
        &["test"],
        &["rules"],
        &["explain", "GET", "/"],
        &["user", "list"],
        &["session", "list"],
        &["migrate", "status"],
        &["serve"],
        &[],
    ] {
        let said = folder.cli(arguments, "");
        assert_eq!(said.code, Some(1), "{arguments:?}: {}", said.all());
        assert!(
            said.all().contains("ruels"),
            "{arguments:?}: {}",
            said.all()
        );
    }
    std::fs::remove_file(folder.config()).unwrap();
    assert_no(&folder.cli(&["user", "list"], ""), "a missing file");
}

/// Whose complaints nobody reads has come to the same.
#[test]
fn the_exit_code_does_not_depend_on_who_listens() {
    let folder = folder();
    for (name, code) in [("gateway.yaml", 0), ("faulty.yaml", 1)] {
        folder.write("faulty.yaml", "ruels: []\n");
        let (nobody, writer) = std::io::pipe().unwrap();
        drop(nobody);
        let status = Command::new(binary())
            .args(["-c", name, "user", "list"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(writer.try_clone().unwrap())
            .stderr(writer)
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(code), "{name}");
    }
}

/// The gateway does not start with it, so it is not fine.
#[test]
fn a_file_whose_tests_fail_is_one_to_check_as_well() {
    let setup = Setup::new().set("tests", "[{ GET: /app/x, expect: login }]");
    let said = setup.folder().cli(&["check", "--offline"], "").fine();
    assert!(said.out.contains("1 test"), "{}", said.all());
    let folder = setup
        .set("tests", "[{ GET: /app/x, expect: allow }]")
        .folder();
    for arguments in [&["check", "--offline"][..], &["test"], &["serve"]] {
        let said = folder.cli(arguments, "");
        assert_eq!(said.code, Some(1), "{arguments:?}: {}", said.all());
        let why = "expected allow, got login";
        assert!(said.all().contains(why), "{arguments:?}: {}", said.all());
    }
    let said = folder.cli(&["check", "--offline", "--json"], "");
    let told: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(told["fine"], false);
    assert_eq!(told["faults"][0]["path"], "tests[0]");
}

#[test]
fn users_are_added_shown_and_listed() {
    let folder = folder();
    let alice = show(&folder, "alice");
    assert_eq!(alice["username"], "alice");
    assert_eq!(alice["email"], "alice@example.test");
    assert_eq!(alice["roles"], serde_json::json!(["user"]));
    assert_eq!(alice["is_active"], true);
    assert_eq!(alice["is_superuser"], false);
    assert!(alice["id"].is_i64());
    assert_eq!(show(&folder, "ALICE@example.test"), alice, "by e-mail");
    let add = ["user", "add", "Bob", "--superuser", "--password-stdin"];
    folder.cli(&add, LONG).fine();
    let bob = show(&folder, "bob");
    assert_eq!(
        (&bob["username"], &bob["is_superuser"]),
        (&"bob".into(), &true.into())
    );
    assert_eq!(bob["email"], Value::Null);
    let all = json(&folder.cli(&["user", "list", "--json"], ""));
    let names: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["username"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["alice", "bob"]);
    let table = folder.cli(&["user", "list"], "").fine();
    assert!(table.out.contains("alice@example.test"), "{}", table.out);
    let shown = folder.cli(&["user", "show", "alice"], "").fine();
    for said in [&table.out, &shown.out, &all.to_string(), &alice.to_string()] {
        assert!(
            !said.contains("argon2") && !said.contains(&password("alice")),
            "{said}"
        );
    }
}

#[test]
fn what_cannot_be_added_is_refused_and_nothing_is_written() {
    let folder = folder();
    let long = "x".repeat(300);
    for (what, name, more, input) in [
        ("a taken name", "alice", &[][..], LONG),
        ("the same in capitals", "ALICE", &[], LONG),
        (
            "a taken e-mail",
            "other",
            &["--email", "Alice@Example.test"],
            LONG,
        ),
        ("an empty name", "", &[], LONG),
        ("a name of spaces", "  ", &[], LONG),
        ("a control character", "a\u{7}b", &[], LONG),
        ("a line break", "a\r\nX-Auth-Roles: admin", &[], LONG),
        ("a long name", &long, &[], LONG),
        ("an at sign", "a@b", &[], LONG),
        ("no e-mail", "other", &["--email", "nonsense"], LONG),
        (
            "two e-mails",
            "other",
            &["--email", "a@x.test,b@y.test"],
            LONG,
        ),
        (
            "an injected e-mail",
            "other",
            &["--email", "a@x.test\r\nBcc: b@y.test"],
            LONG,
        ),
        (
            "an unknown role",
            "other",
            &["--roles", "nobody-knows"],
            LONG,
        ),
        ("a short password", "other", &[], "short\n"),
        ("no password", "other", &[], "\n"),
        ("no input", "other", &[], ""),
    ] {
        let arguments = [&["user", "add", name][..], more, &["--password-stdin"]].concat();
        assert_no(&folder.cli(&arguments, input), what);
    }
    // Without a terminal there is nobody to ask.
    assert_no(&folder.cli(&["user", "add", "other"], LONG), "no terminal");
    let all = json(&folder.cli(&["user", "list", "--json"], ""));
    assert_eq!(all.as_array().unwrap().len(), 1, "{all}");
}

#[test]
fn nobody_can_be_shown_or_changed() {
    let folder = folder();
    for arguments in [
        &["user", "show", "ghost"][..],
        &["user", "show", "ghost", "--json"],
        &["user", "set-password", "ghost", "--password-stdin"],
        &["user", "set-roles", "ghost", "user"],
        &["user", "disable", "ghost"],
        &["user", "enable", "ghost"],
        &["user", "delete", "ghost"],
        &["role", "delete", "ghost"],
        &["session", "revoke", "ghost"],
    ] {
        let said = folder.cli(arguments, LONG);
        assert_no(&said, &arguments.join(" "));
        assert!(said.out.is_empty(), "{}", said.out);
    }
}

#[test]
fn passwords_come_from_standard_input() {
    let gateway = Setup::new().start();
    // One line, with or without its end; spaces and other letters are part of it.
    for (typed, means) in [
        ("the second password", "the second password"),
        ("the third password\n", "the third password"),
        ("the fourth password\r\n", "the fourth password"),
        ("  spaces around it  \n", "  spaces around it  "),
        (
            "p\u{e4}ssw\u{f6}rter sind lang\n",
            "p\u{e4}ssw\u{f6}rter sind lang",
        ),
    ] {
        let set = ["user", "set-password", "alice", "--password-stdin"];
        let said = gateway.cli(&set, typed).fine();
        assert!(!said.all().contains(means), "{}", said.all());
        assert_eq!(gateway.try_login("alice", means).status, 200, "{means:?}");
    }
    assert_eq!(gateway.try_login("alice", &password("alice")).status, 401);
    let set = ["user", "set-password", "alice", "--password-stdin"];
    assert_no(&gateway.cli(&set, "short\n"), "a short password");
    assert!(
        !gateway.log().contains("password that"),
        "{}",
        gateway.log()
    );
}

#[test]
fn ad_05_the_last_superuser_stays() {
    let folder = folder();
    let superuser = |name: &str| {
        let add = ["user", "add", name, "--superuser", "--password-stdin"];
        folder.cli(&add, LONG).fine();
    };
    superuser("one");
    assert_no(&folder.cli(&["user", "delete", "one"], ""), "deleted");
    assert_no(&folder.cli(&["user", "disable", "one"], ""), "disabled");
    assert_eq!(show(&folder, "one")["is_active"], true);
    superuser("two");
    // A disabled one does not count as another.
    folder.cli(&["user", "disable", "two"], "").fine();
    assert_no(&folder.cli(&["user", "delete", "one"], ""), "deleted");
    assert_no(&folder.cli(&["user", "disable", "one"], ""), "disabled");
    folder.cli(&["user", "enable", "two"], "").fine();
    folder.cli(&["user", "delete", "one"], "").fine();
    assert_no(&folder.cli(&["user", "delete", "two"], ""), "deleted");
    // The others may go.
    folder.cli(&["user", "delete", "alice"], "").fine();
    assert_no(&folder.cli(&["user", "show", "alice"], ""), "still there");
}

#[test]
fn ad_05_two_superusers_removed_at_once() {
    let folder = folder();
    for round in 0..4 {
        let names = [format!("left{round}"), format!("right{round}")];
        for name in &names {
            let add = ["user", "add", name, "--superuser", "--password-stdin"];
            folder.cli(&add, LONG).fine();
        }
        // Whoever was left over from the round before goes first.
        if round > 0 {
            let all = json(&folder.cli(&["user", "list", "--json"], ""));
            for user in all.as_array().unwrap() {
                let name = user["username"].as_str().unwrap().to_owned();
                if user["is_superuser"] == true && !names.contains(&name) {
                    folder.cli(&["user", "delete", &name], "").fine();
                }
            }
        }
        let verb = if round % 2 == 0 { "delete" } else { "disable" };
        let codes: Vec<Option<i32>> = std::thread::scope(|scope| {
            let tries: Vec<_> = names
                .iter()
                .map(|name| scope.spawn(|| folder.cli(&["user", verb, name], "").code))
                .collect();
            tries.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let done = codes.iter().filter(|code| **code == Some(0)).count();
        assert_eq!(done, 1, "{verb}: {codes:?}");
        for name in &names {
            folder.cli(&["user", "enable", name], "");
        }
    }
}

#[test]
fn explain_asks_as_an_account_is() {
    let folder = Setup::new().folder();
    folder.add_user("bob", "admin").fine();
    let explain = |arguments: &[&str]| {
        let all = [&["explain", "GET", "/admin/x"][..], arguments].concat();
        folder.cli(&all, "")
    };
    // A name alone is a name.
    let named = explain(&["--as", "user=bob"]).fine();
    assert!(named.out.contains("deny"), "{}", named.out);
    let told = explain(&["--account", "Bob"]).fine();
    assert!(
        told.out.contains("allow") && !told.out.contains("deny"),
        "{}",
        told.out
    );
    assert!(
        told.out.contains("x-auth-roles:      admin"),
        "{}",
        told.out
    );
    assert_eq!(explain(&["--account", "nobody"]).code, Some(1));
    folder.cli(&["user", "disable", "bob"], "").fine();
    let disabled = explain(&["--account", "bob"]);
    assert_eq!(disabled.code, Some(1));
    assert!(disabled.err.contains("is disabled"), "{}", disabled.err);
}

#[test]
fn explain_test_rules_and_schema() {
    let folder = Setup::new()
        .set(
            "tests",
            "\n  - { GET: /public/x, expect: allow }\n  - { GET: /admin, expect: login }",
        )
        .folder();
    folder.cli(&["test"], "").fine();
    let said = folder.cli(
        &["explain", "GET", "/public/../admin/x", "--as", "role=user"],
        "",
    );
    assert_eq!(said.code, Some(0), "{}", said.all());
    assert!(said.out.contains("/admin/**"), "{}", said.out);
    for arguments in [
        &["rules", "--json"][..],
        &["schema"],
        &["test", "--json"],
        &["check", "--json"],
        &["explain", "GET", "/app", "--json"],
    ] {
        json(&folder.cli(arguments, ""));
    }
    let failing = Setup::new()
        .set("tests", "\n  - { GET: /admin, expect: allow }")
        .folder();
    assert_eq!(failing.cli(&["test"], "").code, Some(1));
    let serve = failing.cli(&["serve"], "");
    assert_eq!(serve.code, Some(1), "served although a policy test fails");
}
