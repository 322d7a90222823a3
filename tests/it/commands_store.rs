//! The rest of the store by command line: roles, sessions, migrations, the first superuser.

use serde_json::Value;

use crate::commands::{assert_no, folder, json, show};
use crate::harness::setup::{Folder, password};
use crate::harness::{Gateway, Setup};
use crate::sessions_ends::soon;

/// An edited file is put in force by a reload, or by giving a role of it; not by looking.
#[test]
fn looking_puts_no_edited_file_in_force() {
    let folder = folder();
    let roles = || -> Vec<String> {
        let all = json(&folder.cli(&["role", "list", "--json"], ""));
        let all = all.as_array().unwrap().iter();
        let in_force = all.filter(|role| role["origin"] != "file, not in force yet");
        in_force
            .map(|role| role["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let before = roles();
    let is_told = || {
        let all = json(&folder.cli(&["role", "list", "--json"], ""));
        let mut all = all.as_array().unwrap().iter();
        all.any(|role| role["name"] == "fresh" && role["origin"] == "file, not in force yet")
    };
    let edited = Setup::new().set("roles", "{ user: [], admin: [user], fresh: [\"x:y\"] }");
    folder.write("gateway.yaml", &edited.yaml());
    for command in [
        "user list",
        "user show alice",
        "role list",
        "permission list",
    ] {
        let arguments: Vec<&str> = command.split(' ').collect();
        folder.cli(&arguments, "").fine();
        assert_eq!(roles(), before, "{command}");
        assert!(is_told(), "{command}");
    }
    folder
        .cli(&["user", "set-roles", "alice", "fresh"], "")
        .fine();
    assert!(roles().contains(&"fresh".to_owned()) && !is_told());
    assert_eq!(
        show(&folder, "alice")["roles"],
        serde_json::json!(["fresh"])
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
        let in_force = all.filter(|role| role["origin"] != "file, not in force yet");
        in_force
            .map(|role| role["name"].as_str().unwrap().to_owned())
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
    soon(&gateway, "/app/x", &cookie, &[401]);
}

#[test]
fn migrations_are_applied_once() {
    let folder = Setup::new().folder();
    let fresh = folder.cli(&["migrate", "status"], "");
    assert_eq!(fresh.code, Some(1), "{}", fresh.all());
    assert!(fresh.out.contains("missing"), "{}", fresh.out);
    // It has looked, and made nothing.
    assert!(!folder.path().join("data/portcullis.db").exists());
    folder.cli(&["migrate", "apply"], "").fine();
    let again = folder.cli(&["migrate", "apply"], "").fine();
    assert!(!again.out.contains("applied 1"), "{}", again.out);
    let status = folder.cli(&["migrate", "status"], "").fine();
    assert!(!status.out.contains("missing"), "{}", status.out);
}

#[test]
fn a_store_of_a_later_version_is_left_alone() {
    let folder = Setup::new().on_sqlite().folder();
    folder.add_user("alice", "user").fine();
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

/// An import, say. Whoever only looks does not wait for its end.
#[test]
fn looking_waits_for_nobody_who_writes() {
    let folder = Setup::new().on_sqlite().folder();
    folder.add_user("alice", "user").fine();
    let other = rusqlite::Connection::open(folder.path().join("data/portcullis.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let looks: [&[&str]; 4] = [
        &["user", "show", "alice"],
        &["session", "list"],
        &["migrate", "status"],
        &["explain", "GET", "/app/x", "--account", "alice"],
    ];
    for look in looks {
        folder.cli(look, "").fine();
    }
    assert_no(&folder.cli(&["user", "disable", "alice"], ""), "wrote");
    other.execute_batch("ROLLBACK").unwrap();
    folder.cli(&["user", "disable", "alice"], "").fine();
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
