//! What a gateway does not start with (G-05, G-06), and what it does without its store (G-09).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rusqlite::Connection;

use crate::harness::setup::{Folder, password};
use crate::harness::{Gateway, Raw, Recorded, Setup, Trial, eventually, within};

/// Whether `check` and `serve` refuse this folder, with exit code 1 and a word of why.
fn assert_refused(folder: &Folder, what: &str, names: &str) {
    let check = folder.cli(&["check"], "");
    assert_eq!(check.code, Some(1), "check of {what}: {}", check.all());
    assert!(
        check.all().contains(names),
        "check of {what} does not name {names}: {}",
        check.all()
    );
    let serve = folder.cli(&["serve"], "");
    assert_eq!(serve.code, Some(1), "serve with {what}: {}", serve.all());
    assert!(!serve.out.contains("ready"), "{what}: {}", serve.out);
}

fn assert_fine(folder: &Folder, what: &str) {
    let check = folder.cli(&["check"], "");
    assert_eq!(check.code, Some(0), "{what}: {}", check.all());
}

/// What it is, the key, its value, and what the report must name.
const UNSAFE: [[&str; 4]; 16] = [
    [
        "everybody trusted",
        "trusted_proxies",
        "[0.0.0.0/0]",
        "0.0.0.0/0",
    ],
    ["everybody on IPv6", "trusted_proxies", "[\"::/0\"]", "::/0"],
    [
        "one among others",
        "trusted_proxies",
        "[10.0.0.0/8, 0.0.0.0/0]",
        "0.0.0.0/0",
    ],
    [
        "cookies in the clear",
        "site",
        "http://app.example.com",
        "site",
    ],
    [
        "a private network in the clear",
        "site",
        "http://192.168.1.1",
        "site",
    ],
    [
        "one site of two",
        "site",
        "[http://localhost, http://app.example.com]",
        "site",
    ],
    [
        "a public admin listener",
        "listen",
        "{ http: \"127.0.0.1:0\", admin: \"0.0.0.0:0\" }",
        "admin",
    ],
    [
        "the same on IPv6",
        "listen",
        "{ http: \"127.0.0.1:0\", admin: \"[::]:0\" }",
        "admin",
    ],
    [
        "the same without a host",
        "listen",
        "{ http: \"127.0.0.1:0\", admin: \":9901\" }",
        "admin",
    ],
    ["a weak key", "key", "file:weak.key", "key"],
    [
        "cheap hashes",
        "login",
        "{ password: { argon2: { memory: 1MiB } } }",
        "memory",
    ],
    [
        "a short password",
        "bootstrap",
        "{ username: boss, password: file:short }",
        "password",
    ],
    [
        "a password in the file",
        "bootstrap",
        "{ username: boss, password: hunter22hunter22 }",
        "password",
    ],
    ["a prefix that owns all", "prefix", "/", "prefix"],
    [
        "what is not built yet",
        "issuers",
        "{}",
        "not supported yet",
    ],
    [
        "a shared store without a shared key",
        "store",
        "postgres://gate@db/x",
        "key",
    ],
];

#[test]
fn g_05_unsafe_combinations_do_not_start() {
    assert_fine(&Setup::new().folder(), "the twin");
    for [what, key, yaml, names] in UNSAFE {
        let folder = Setup::new().on_sqlite().set(key, yaml).folder();
        folder.write("weak.key", "0123456789abcdef");
        folder.write("short", "abc\n");
        assert_refused(&folder, what, names);
    }
}

#[test]
fn g_05_weakening_has_a_name_and_is_logged() {
    let open = r#"{ http: "127.0.0.1:0", admin: "0.0.0.0:0", admin_public: true }"#;
    let gateway = Setup::new().set("listen", open).try_start();
    let gateway = gateway.unwrap_or_else(|said| panic!("{said}"));
    gateway.says("admin");
    let cheap = "{ password: { argon2: { memory: 8MiB, passes: 1 } } }";
    let gateway = Setup::new().set("login", cheap).start();
    gateway.says("hashes are cheaper");
}

#[test]
fn g_06_secrets_that_cannot_be_used() {
    let tls = || Setup::new().tls(&["localhost"]);
    assert_fine(&tls().folder(), "the twin");
    let key = || Setup::new().set("key", "file:my.key");
    let good = "5f".repeat(32);
    let folder = key().folder();
    folder.write("my.key", &good);
    assert_fine(&folder, "a key of one's own");
    for (what, text) in [
        ("missing", None),
        ("empty", Some("")),
        ("a line break", Some("\n")),
        ("no key", Some("hello")),
        ("too short", Some(&good[..62])),
    ] {
        let folder = key().folder();
        if let Some(text) = text {
            folder.write("my.key", text);
        }
        assert_refused(&folder, what, "key");
    }
    for file in ["tls.crt", "tls.key"] {
        for (what, text) in [("empty", ""), ("junk", "-----BEGIN NOTHING-----\n")] {
            let folder = tls().folder();
            folder.write(file, text);
            assert_refused(&folder, &format!("{what} {file}"), "tls");
        }
        let folder = tls().folder();
        fs::remove_file(folder.path().join(file)).unwrap();
        assert_refused(&folder, &format!("missing {file}"), file);
        let folder = tls().folder();
        fs::remove_file(folder.path().join(file)).unwrap();
        fs::create_dir(folder.path().join(file)).unwrap();
        assert_refused(&folder, &format!("a directory as {file}"), file);
    }
    let folder = tls().folder();
    let other = crate::harness::tls::Identity::new(&["localhost"]);
    folder.write("tls.key", &other.key);
    assert_refused(&folder, "the key of another certificate", "tls");
    for bootstrap in ["file:nowhere", "env:PORTCULLIS_TEST_NOT_SET", "file:empty"] {
        let yaml = format!("{{ username: boss, password: {bootstrap} }}");
        let folder = Setup::new().set("bootstrap", &yaml).folder();
        folder.write("empty", "");
        assert_refused(&folder, bootstrap, "bootstrap");
    }
}

#[test]
fn g_06_a_damaged_key_is_never_replaced_by_a_new_one() {
    let gateway = Setup::new().on_sqlite().start();
    let folder = gateway.path().join("data/gateway.key");
    let key = fs::read(&folder).unwrap();
    let mode = fs::metadata(&folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "others may read the key: {mode:o}");
    let database = gateway.path().join("data/portcullis.db");
    let mode = fs::metadata(&database).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "others may read the store: {mode:o}");
    for junk in [&b""[..], b"junk", &key[..key.len() / 2 - 1]] {
        fs::write(&folder, junk).unwrap();
        let check = gateway.cli(&["check"], "");
        assert_eq!(check.code, Some(1), "{}", check.all());
        assert!(!gateway.reload(), "taken over");
        assert_eq!(fs::read(&folder).unwrap(), junk, "replaced");
        // What is in force stays in force.
        let mut trial = Trial::with_plain_twin(&gateway, "G-06");
        trial.denied(trial.get("/app/x", ""), "");
        trial.served(&trial.get("/app/x", &gateway.as_user("alice")));
    }
    fs::write(&folder, &key).unwrap();
    assert!(gateway.reload());
}

#[test]
fn g_06_a_lost_key_is_asked_for_and_not_replaced() {
    let gateway = Setup::new().on_sqlite().start();
    let key = gateway.path().join("data/gateway.key");
    let elsewhere = gateway.path().join("kept.key");
    assert!(gateway.stop().success());
    fs::rename(&key, &elsewhere).unwrap();
    let said = gateway.cli(&["serve"], "");
    assert_eq!(said.code, Some(1), "{}", said.all());
    let told = "the store was sealed with a key that is not at";
    assert!(said.all().contains(told), "{}", said.all());
    assert!(said.all().contains("data/gateway.key"), "{}", said.all());
    assert!(!key.exists(), "another one was made");
    fs::rename(&elsewhere, &key).unwrap();
    let gateway = gateway.restart();
    let mut trial = Trial::new(&gateway, "G-06");
    trial.allowed(trial.get("/app/x", &gateway.as_user("alice")));
}

#[test]
fn g_06_secrets_that_everybody_may_read_are_warned_of() {
    let folder = Setup::new().tls(&["localhost"]).folder();
    let quiet = folder.cli(&["check"], "").fine();
    let key = folder.path().join("tls.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let loud = folder.cli(&["check"], "").fine();
    assert!(
        loud.all().contains("tls.key") && loud.all().len() > quiet.all().len(),
        "{}",
        loud.all()
    );
}

fn database(gateway: &Gateway) -> Connection {
    let connection = Connection::open(gateway.path().join("data/portcullis.db")).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    connection
}

/// Nothing protected is served, everything public is, and no answer tells more than that.
fn assert_closed(gateway: &Gateway, cookie: &str, seen: usize) {
    let line = format!("Cookie: {cookie}\r\n");
    for (target, lines) in [("/app/x?G-09", &line), ("/admin/x?G-09", &line)] {
        let answer = gateway.ask(format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"
        ));
        let status = answer.status;
        assert_eq!(status, 503, "{target} without a store: {}", answer.text());
        assert!(answer.header("retry-after").is_some());
        let text = answer.text().to_lowercase();
        for inside in ["sqlite", "table", "database", "locked", ".db", "volatile"] {
            assert!(!text.contains(inside), "{text}");
        }
    }
    let tunnel = format!("{line}Connection: upgrade\r\nUpgrade: websocket\r\n");
    // Whoever logged in lately has a cookie, and reads what strangers read. What changes something is nobody's.
    for (method, lines, expected) in [
        ("GET", "", 200),
        ("GET", &*line, 200),
        ("POST", &line, 503),
        ("GET", &tunnel, 503),
    ] {
        let head = format!("{method} /public/x?G-09 HTTP/1.1\r\nHost: localhost\r\n");
        let status = gateway.ask(format!("{head}{lines}\r\n")).status;
        assert_eq!(status, expected, "{method} of a public page: {lines}");
    }
    let anonymous = "GET /app/x?G-09 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert!(gateway.ask(anonymous).denies_anonymous());
    let recorded = gateway.recorder().wait_for("G-09", seen + 2);
    let paths: Vec<String> = recorded[seen..].iter().map(Recorded::path).collect();
    assert_eq!(paths, ["/public/x"; 2], "forwarded without a store");
    let named = recorded[seen..]
        .iter()
        .filter(|it| it.value("x-auth-user").is_some());
    assert_eq!(named.count(), 0, "in somebody's name");
}

#[test]
fn g_09_without_its_store_the_gate_is_closed() {
    let gateway = Setup::new().on_sqlite().start();
    let (alice, root) = (gateway.login("alice"), gateway.login("root"));
    let mut trial = Trial::new(&gateway, "twin");
    trial.allowed(trial.get("/app/x", &format!("Cookie: {alice}\r\n")));
    // The sessions' table is gone, as after a disk fault; another process's write empties the cache, too.
    let store = database(&gateway);
    let table = "ALTER TABLE volatile_entries RENAME TO gone";
    store.execute_batch(table).unwrap();
    eventually("the cache to be emptied", || {
        let answer = gateway.ask(format!(
            "GET /app/y HTTP/1.1\r\nHost: localhost\r\nCookie: {alice}\r\n\r\n"
        ));
        (answer.status == 503).then_some(())
    });
    for cookie in [&alice, &root] {
        let seen = gateway.recorder().with("G-09").len();
        assert_closed(&gateway, cookie, seen);
    }
    let login = gateway.try_login("alice", &password("alice"));
    assert_eq!(login.status, 503, "{}", login.text());
    assert_eq!(login.values("set-cookie"), [""; 0]);
    let logout = format!(
        "POST /auth/logout HTTP/1.1\r\nHost: localhost\r\nCookie: {alice}\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(gateway.ask(logout).status, 503, "a logout that was none");
    // And comes back by itself.
    store
        .execute_batch("ALTER TABLE gone RENAME TO volatile_entries")
        .unwrap();
    let back = within(Duration::from_secs(10), || {
        let answer = gateway.ask(format!(
            "GET /app/y HTTP/1.1\r\nHost: localhost\r\nCookie: {alice}\r\n\r\n"
        ));
        (answer.status == 200).then_some(())
    });
    assert!(back.is_some(), "did not recover");
    trial.served(&trial.get("/app/x", &format!("Cookie: {root}\r\n")));
    assert_eq!(gateway.try_login("alice", &password("alice")).status, 200);
}

#[test]
fn g_09_without_the_accounts_the_gate_is_closed() {
    let gateway = Setup::new().on_sqlite().start();
    let alice = gateway.login("alice");
    let store = database(&gateway);
    store
        .execute_batch("PRAGMA legacy_alter_table = ON; ALTER TABLE users RENAME TO gone")
        .unwrap();
    eventually("the cache to be emptied", || {
        let answer = gateway.ask(format!(
            "GET /app/y HTTP/1.1\r\nHost: localhost\r\nCookie: {alice}\r\n\r\n"
        ));
        (answer.status == 503).then_some(())
    });
    assert_closed(&gateway, &alice, 0);
    let login = gateway.try_login("alice", &password("alice"));
    assert_eq!(login.status, 503, "{}", login.text());
    store
        .execute_batch("ALTER TABLE gone RENAME TO users")
        .unwrap();
    let back = within(Duration::from_secs(10), || {
        let answer = gateway.ask(format!(
            "GET /app/y HTTP/1.1\r\nHost: localhost\r\nCookie: {alice}\r\n\r\n"
        ));
        (answer.status == 200).then_some(())
    });
    assert!(back.is_some(), "did not recover");
}

#[test]
fn g_09_while_another_process_holds_the_store() {
    let gateway = Setup::new().on_sqlite().start();
    let alice = gateway.login("alice");
    let root = gateway.login("root");
    let get = |target: &str, cookie: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n")
    };
    let store = database(&gateway);
    store.execute_batch("BEGIN EXCLUSIVE").unwrap();
    // Nobody can be logged in now. That is said within the time a client waits, and it is no 401.
    let body = serde_json::json!({ "username": "alice", "password": password("alice") });
    let body = body.to_string();
    let mut login = Raw::connect(gateway.http());
    login.send(format!(
        "POST /auth/session/login HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    // What only reads goes on: this one is cached, that one is not, and the third is public.
    let mut raw = gateway.connect();
    for _ in 0..20 {
        for request in [
            get("/app/x", &alice),
            get("/app/x", &root),
            get("/public/x", "a=b"),
        ] {
            assert_eq!(raw.ask(request).status, 200);
        }
        assert!(raw.ask(get("/app/x", "a=b")).denies_anonymous());
    }
    let refused = login.read();
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.values("set-cookie"), [""; 0]);
    store.execute_batch("ROLLBACK").unwrap();
    let back = within(Duration::from_secs(10), || {
        let answer = gateway.try_login("alice", &password("alice"));
        (answer.status == 200).then_some(())
    });
    assert!(back.is_some(), "nobody can log in after the lock is gone");
    assert_eq!(raw.ask(get("/app/x", &alice)).status, 200);
}
