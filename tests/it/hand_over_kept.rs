//! What a process that goes, or one that comes, must not take with it: whoever waits behind the port, letters that were
//! promised, files that are in force, and rights (G-13).

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::accounts::{open, post, wait_for};
use crate::hand_over::Line;
use crate::harness::process::Process;
use crate::harness::{Gateway, Raw, Recorder, Setup, eventually};

const KEPT: &str = "not handed over";
const GET: &str = "GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn get(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

/// More than a runtime lets a task accept at once, behind a process that is stopped until all of them are there.
#[test]
fn g_13_all_who_wait_behind_the_port_are_answered() {
    const CLIENTS: usize = 600;
    let gateway = Setup::new()
        .set(
            "limits",
            "{ connections_per_address: 2000, requests_per_address: 2000 }",
        )
        .start();
    assert_eq!(gateway.ask(GET).status, 200);
    gateway.signal("STOP");
    let mut clients: Vec<Raw> = (0..CLIENTS).map(|_| gateway.connect()).collect();
    for client in &mut clients {
        client.send(GET);
    }
    gateway.signal("TERM");
    gateway.signal("CONT");
    for (number, client) in clients.iter_mut().enumerate() {
        let answer = client.try_read();
        let status = answer.as_ref().map(|answer| answer.status);
        assert_eq!(status, Ok(200), "the {number}th: {answer:?}");
    }
}

#[test]
fn g_13_a_letter_that_was_promised_is_sent_by_the_next_process() {
    let gateway = open("").start();
    let address = "alice@example.test";
    let answer = post(&gateway, "/forgot-password", &json!({ "email": address }));
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(gateway.stop().code(), Some(0));
    let gateway = gateway.restart();
    wait_for(&gateway, address, 1);
}

/// The new process has read the file of before, and takes its time.
#[test]
fn g_13_a_reload_during_a_hand_over_is_not_taken_back() {
    let rules = "  - { path: /app/**, allow: signed_in }\n";
    let open = format!("{rules}  - {{ path: /public/**, allow: anyone }}\n");
    let recorder = Recorder::start();
    let setup = |rules: &str| Setup::before(recorder.clone()).on_sqlite().rules(rules);
    let gateway = setup(&open).start();
    let mut line = Line::of(&gateway);
    assert_eq!(gateway.ask(GET).status, 200);
    let lock = rusqlite::Connection::open(gateway.path().join("data/portcullis.db")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    thread::scope(|scope| {
        let handed = scope.spawn(|| line.hand_over());
        eventually("the new process to start", || {
            gateway.log().contains("handing over").then_some(())
        });
        // It has read its file once it has the store open.
        let old = gateway.pid();
        eventually("the new process to read its file", || {
            let children =
                std::fs::read_to_string(format!("/proc/{old}/task/{old}/children")).ok()?;
            let child = children.split_whitespace().next()?.to_owned();
            let files = std::fs::read_dir(format!("/proc/{child}/fd")).ok()?;
            let mut names = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
            names
                .any(|name| name.ends_with("portcullis.db"))
                .then_some(())
        });
        gateway.write("gateway.yaml", &setup(rules).yaml());
        gateway.signal("HUP");
        eventually("the file to be in force", || {
            (gateway.ask(GET).status == 403).then_some(())
        });
        lock.execute_batch("ROLLBACK").unwrap();
        handed.join().unwrap();
    });
    eventually("the file to be in force again", || {
        (gateway.ask(GET).status == 403).then_some(())
    });
    let until = Instant::now() + Duration::from_millis(500);
    while Instant::now() < until {
        assert_eq!(gateway.ask(GET).status, 403);
    }
}

/// A process that does not come up has given nobody a right by the roles of its file.
#[test]
fn g_13_what_does_not_come_up_gives_nobody_anything() {
    let setup = |roles: &str, rule: &str| {
        let rules = format!("  - {{ path: /app/**, allow: {{ permission: \"{rule}\" }} }}\n");
        Setup::new().set("roles", roles).rules(&rules)
    };
    let strict = "{ user: [], viewer: [\"reports:read\"] }";
    let lax = "{ user: [], viewer: [\"reports:read\", \"reports:write\"] }";
    let before = setup(strict, "reports:write");
    let folder = before.folder();
    folder.add_user("carol", "viewer").fine();
    let gateway = Gateway::launch(folder, before.recorder().clone(), None, &[]).unwrap();
    let carol = format!("Cookie: {}\r\n", gateway.login("carol"));
    assert_eq!(gateway.ask(get("/app/x", &carol)).status, 403);
    gateway.write("other.key", &"5f".repeat(32));
    let broken = setup(lax, "reports:approve").set("key", "file:other.key");
    gateway.write("gateway.yaml", &broken.yaml());
    gateway.signal("QUIT");
    gateway.says(KEPT);
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        assert_eq!(gateway.ask(get("/app/x", &carol)).status, 403);
    }
    // Nor does one with another file that stands beside it, on the same store.
    let beside = setup(lax, "reports:approve");
    gateway.write("beside.yaml", &beside.yaml());
    let path = gateway.path().join("beside.yaml");
    let arguments = ["-c", path.to_str().unwrap(), "serve"];
    let other = Process::start(gateway.path(), &arguments, &[]);
    other.wait_for_line("ready").unwrap();
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        assert_eq!(gateway.ask(get("/app/x", &carol)).status, 403);
    }
    // By a file of its own that says so it does.
    gateway.write("gateway.yaml", &setup(lax, "reports:write").yaml());
    assert!(gateway.reload(), "{}", gateway.log());
    assert_eq!(gateway.ask(get("/app/x", &carol)).status, 200);
}
