//! The command line as scripts use it: exit codes (0 fine, 1 the answer is no, 2 misuse), JSON, and accounts
//! that must not be lost.

use serde_json::Value;

use crate::harness::process::Said;
use crate::harness::setup::{Folder, password};
use crate::harness::{Gateway, Setup};

/// A folder with alice (role user) and nobody else; no gateway runs.
fn folder() -> Folder {
    let folder = Setup::new().folder();
    folder.add_user("alice", "user").fine();
    folder
}

fn json(said: &Said) -> Value {
    assert_eq!(said.code, Some(0), "{}", said.all());
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.out))
}

fn show(folder: &Folder, name: &str) -> Value {
    json(&folder.cli(&["user", "show", name, "--json"], ""))
}

fn assert_no(said: &Said, what: &str) {
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
            !said.contains("argon2") && !said.contains("password"),
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
fn roles_are_replaced_as_a_whole() {
    let folder = folder();
    for (roles, held) in [
        ("admin", &["admin"][..]),
        ("admin,user", &["admin", "user"]),
        ("user,user", &["user"]),
        ("", &[]),
        ("user", &["user"]),
    ] {
        folder
            .cli(&["user", "set-roles", "alice", roles], "")
            .fine();
        assert_eq!(show(&folder, "alice")["roles"], serde_json::json!(held));
    }
    let said = folder.cli(&["user", "set-roles", "alice", "admin,ghost"], "");
    assert_no(&said, "an unknown role among known ones");
    assert_eq!(show(&folder, "alice")["roles"], serde_json::json!(["user"]));
}

#[test]
fn roles_of_the_file_and_of_the_store() {
    let folder = folder();
    let list = |folder: &Folder| json(&folder.cli(&["role", "list", "--json"], ""));
    let names = |all: &Value| -> Vec<String> {
        let all = all.as_array().unwrap().iter();
        all.map(|role| role["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let before = names(&list(&folder));
    for name in ["user", "admin"] {
        assert!(before.contains(&name.to_owned()), "{before:?}");
        // The file's roles are changed in the file.
        assert_no(
            &folder.cli(&["role", "delete", name], ""),
            "a role of the file",
        );
        assert_no(
            &folder.cli(&["role", "add", name], ""),
            "a name of the file",
        );
    }
    let add = [
        "role",
        "add",
        "auditor",
        "--permissions",
        "reports:read,logs:read",
        "--description",
        "looks",
    ];
    folder.cli(&add, "").fine();
    assert_no(&folder.cli(&["role", "add", "auditor"], ""), "a taken name");
    assert_no(
        &folder.cli(&["role", "add", "x", "--permissions", "nonsense"], ""),
        "no permission",
    );
    assert_no(&folder.cli(&["role", "add", "a b,c"], ""), "no name");
    folder
        .cli(&["user", "set-roles", "alice", "auditor"], "")
        .fine();
    let all = list(&folder);
    let auditor = all
        .as_array()
        .unwrap()
        .iter()
        .find(|role| role["name"] == "auditor");
    let auditor = auditor.unwrap();
    assert_eq!(auditor["users"], 1);
    assert!(auditor.to_string().contains("reports:read"), "{auditor}");
    folder.cli(&["role", "list"], "").fine();
    folder.cli(&["role", "delete", "auditor"], "").fine();
    assert_eq!(names(&list(&folder)), before);
    assert_eq!(show(&folder, "alice")["roles"], serde_json::json!([]));
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
fn sessions_are_listed_and_revoked() {
    let gateway = Setup::new().start();
    assert_eq!(
        json(&gateway.cli(&["session", "list", "--json"], "")),
        serde_json::json!([])
    );
    let agent = gateway.ask(format!(
        "POST /auth/session/login HTTP/1.1\r\nHost: localhost\r\nUser-Agent: <b>Mosaic</b>\u{1b}[31m\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
        login_body().len(),
        login_body()
    ));
    // A control character in a header is refused outright or cleaned; it is never printed.
    if agent.status == 200 {
        let said = gateway.cli(&["session", "list"], "").fine();
        assert!(!said.out.contains('\u{1b}'), "{}", said.out);
    }
    let before = json(&gateway.cli(&["session", "list", "--json"], ""));
    gateway.login("alice");
    let all = json(&gateway.cli(&["session", "list", "--json"], ""));
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), before.as_array().unwrap().len() + 1);
    for session in all {
        for field in [
            "sid",
            "user_id",
            "created_at",
            "seen_at",
            "expires_at",
            "ip",
        ] {
            assert!(!session[field].is_null(), "{field} in {session}");
        }
    }
    let sid = all.last().unwrap()["sid"].as_str().unwrap();
    gateway.cli(&["session", "revoke", sid], "").fine();
    assert_no(
        &gateway.cli(&["session", "revoke", sid], ""),
        "revoked twice",
    );
    let left = json(&gateway.cli(&["session", "list", "--json"], ""));
    assert_eq!(left.as_array().unwrap().len(), all.len() - 1);
}

fn login_body() -> String {
    serde_json::json!({ "username": "alice", "password": password("alice") }).to_string()
}

#[test]
fn sessions_in_memory_cannot_be_seen_from_outside() {
    let gateway = Setup::new().set("volatile", "memory").start();
    let cookie = gateway.login("alice");
    let app = format!("GET /app/x HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n");
    assert_eq!(gateway.ask(&app).status, 200);
    assert_no(&gateway.cli(&["session", "list"], ""), "seen");
    // Disabling somebody ends them all the same.
    gateway.cli(&["user", "disable", "alice"], "").fine();
    crate::harness::eventually("the session to end", || {
        gateway.ask(&app).denies_anonymous().then_some(())
    });
}

#[test]
fn migrations_are_applied_once() {
    let folder = Setup::new().folder();
    let fresh = folder.cli(&["migrate", "status"], "");
    assert_eq!(fresh.code, Some(1), "{}", fresh.all());
    assert!(fresh.out.contains("missing"), "{}", fresh.out);
    folder.cli(&["migrate", "apply"], "").fine();
    let again = folder.cli(&["migrate", "apply"], "").fine();
    assert!(!again.out.contains("applied 1"), "{}", again.out);
    let status = folder.cli(&["migrate", "status"], "").fine();
    assert!(!status.out.contains("missing"), "{}", status.out);
}

#[test]
fn a_store_of_a_later_version_is_left_alone() {
    let folder = folder();
    let store = rusqlite::Connection::open(folder.path().join("data/portcullis.db")).unwrap();
    let columns: Vec<String> = store
        .prepare("SELECT name FROM pragma_table_info('migrations')")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(columns.contains(&"checksum".to_owned()), "{columns:?}");
    // A script that was changed after it was applied is not the one this program knows.
    store
        .execute_batch("UPDATE migrations SET checksum = zeroblob(32) WHERE version = 1")
        .unwrap();
    assert_no(&folder.cli(&["user", "list"], ""), "a changed migration");
    assert_no(
        &folder.cli(&["migrate", "apply"], ""),
        "a changed migration",
    );
    let serve = folder.cli(&["serve"], "");
    assert_no(&serve, "served");
}

#[test]
fn the_first_superuser_is_printed_once() {
    let gateway = Setup::new().nobody().start();
    let banner = gateway.banner();
    let line = banner
        .lines()
        .find(|line| line.trim().starts_with("user "))
        .expect("no first user");
    let mut words = line.split_whitespace().skip(1);
    let name = words.next().unwrap().to_owned();
    assert_eq!(words.next(), Some("password:"));
    let password = words.next().unwrap().to_owned();
    assert!(password.len() >= 16, "{line}");
    assert_eq!(gateway.try_login(&name, &password).status, 200);
    for default in ["admin", "password", "portcullis", "changeme", ""] {
        let refused = gateway.try_login(&name, default);
        assert!(matches!(refused.status, 401 | 422), "{default:?}");
    }
    assert!(!gateway.log().contains(&password), "in the log");
    let gateway = gateway.restart();
    assert!(
        !gateway.banner().contains("password"),
        "{}",
        gateway.banner()
    );
    assert_eq!(gateway.try_login(&name, &password).status, 200);
    let other = Setup::new().nobody().start();
    assert!(!other.banner().contains(&password), "not random");
}

#[test]
fn bootstrap_names_the_first_superuser() {
    let setup = Setup::new()
        .nobody()
        .set(
            "bootstrap",
            "{ username: boss, password: env:PORTCULLIS_IT_BOSS }",
        )
        .env("PORTCULLIS_IT_BOSS", "the password of the boss");
    let gateway: Gateway = setup.start();
    assert!(
        !gateway.banner().contains("the password of"),
        "{}",
        gateway.banner()
    );
    let answer = gateway.try_login("boss", "the password of the boss");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["user"]["is_superuser"], true);
    // A superuser satisfies every role and permission, nothing else.
    let cookie = crate::harness::gateway::session_cookie(&answer);
    let get = |target: &str| {
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n");
        gateway.ask(request).status
    };
    assert_eq!((get("/admin/x"), get("/elsewhere")), (200, 403));
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
