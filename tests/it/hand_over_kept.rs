//! What a process that goes, or one that comes, must not take with it: whoever waits behind the port, letters that were
//! promised, files that are in force, and rights (G-13).

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::accounts::{open, post, wait_for};
use crate::hand_over::{Line, is_alive, started};
use crate::harness::process::{Process, binary};
use crate::harness::{Gateway, Raw, Recorder, Reply, Setup, eventually};

const KEPT: &str = "not handed over";
const GONE: &str = "nobody serves";
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

/// Checks begin with the process, and the first ones take their time: requests must not find out what was known.
#[test]
fn g_13_a_server_that_is_unwell_is_sent_nothing_by_the_next_process_either() {
    let (well, ill) = (Recorder::start(), Recorder::start());
    ill.answer(|_| Reply::default().pause(Duration::from_secs(20)));
    let yaml = format!(
        "{{ to: [\"{}\", \"{}\"], timeout: {{ read: 3s }}, eject: never,
            health: {{ path: /healthz, interval: 1h, timeout: 1s }} }}",
        well.url(),
        ill.url()
    );
    let gateway = Setup::before(well.clone()).upstream("web", &yaml).start();
    gateway.says("a server is unhealthy");
    let mut line = Line::of(&gateway);
    line.hand_over();
    for _ in 0..6 {
        assert_eq!(gateway.ask(GET).status, 200);
    }
    let asked = |service: &Recorder| service.with("/public/x").len();
    assert_eq!((asked(&well), asked(&ill)), (6, 0));
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
        eventually("the new process to read its file", || {
            let child = started(&gateway.log())?;
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

/// A gateway by a link, which [`exchange`] leads to another program.
const BY_A_LINK: &str = r#"ln -s "$1" program && shift && exec ./program "$@""#;

fn exchange(gateway: &Gateway, script: &str) {
    gateway.write("next", script);
    let next = gateway.path().join("next");
    std::fs::set_permissions(&next, Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(next, gateway.path().join("program")).unwrap();
}

/// The next process accepts and has not said that it is ready, for whatever reason.
#[test]
fn g_13_who_is_given_up_and_has_accepted_loses_nothing() {
    const UPLOADS: usize = 5;
    let gateway = Setup::new().wrapped(BY_A_LINK).start();
    let real = binary();
    let script = format!(
        "#!/bin/sh\nunset PORTCULLIS_HAND_OVER\nexec {} \"$@\"\n",
        real.display()
    );
    exchange(&gateway, &script);
    gateway.signal("QUIT");
    let count = || gateway.banner().lines().filter(|it| *it == "ready").count();
    eventually("the new process to accept", || (count() == 2).then_some(()));
    // So that all of them are the new one's.
    gateway.signal("STOP");
    let head = "POST /public/up HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n";
    let mut uploads: Vec<Raw> = (0..UPLOADS).map(|_| gateway.connect()).collect();
    for upload in &mut uploads {
        upload.send(format!("{head}hello"));
    }
    eventually("the uploads to begin", || {
        (gateway.recorder().connections() >= UPLOADS as u64).then_some(())
    });
    gateway.signal("TERM");
    gateway.signal("CONT");
    eventually("the word", || {
        let told = gateway.log().matches("stopping: waiting").count();
        (told == 2).then_some(())
    });
    for upload in &mut uploads {
        upload.send("world");
        let answer = upload.try_read();
        assert_eq!(
            answer.as_ref().map(|answer| answer.status),
            Ok(200),
            "{answer:?}"
        );
    }
    assert_eq!(gateway.recorder().count(), UPLOADS);
    let ended = eventually("the old process to end", || gateway.ended());
    assert_eq!(ended.code(), Some(0));
    assert!(!is_alive(started(&gateway.log()).unwrap()));
}

/// Ready, and gone before the old process has heard of it.
#[test]
fn g_13_who_has_gone_takes_nothing_over() {
    let gateway = Setup::new().wrapped(BY_A_LINK).start();
    let script =
        "#!/bin/sh\necho $$ >word\nuntil test -e go; do sleep 0.05; done\nprintf ready >&0\n";
    exchange(&gateway, script);
    gateway.signal("QUIT");
    let pid: u32 = eventually("the new process", || {
        let word = std::fs::read_to_string(gateway.path().join("word")).ok()?;
        word.trim().parse().ok()
    });
    gateway.signal("STOP");
    gateway.write("go", "");
    eventually("its end", || (!is_alive(pid)).then_some(()));
    gateway.signal("CONT");
    gateway.says(KEPT);
    assert_eq!(gateway.ask(GET).status, 200);
    assert!(gateway.ended().is_none());
}

/// Standard output is a pipe that is full and that nobody reads.
#[test]
fn g_13_a_banner_that_nobody_reads_keeps_nobody_from_taking_over() {
    let gateway = Setup::new().wrapped(BY_A_LINK).start();
    let script = format!(
        "#!/usr/bin/env python3
import os, sys
end, pipe = os.pipe()
os.set_inheritable(end, True)
os.set_blocking(pipe, False)
try:
    while True:
        os.write(pipe, b'x' * 4096)
except BlockingIOError:
    os.set_blocking(pipe, True)
os.dup2(pipe, 1)
os.execv({:?}, sys.argv)
",
        binary()
    );
    exchange(&gateway, &script);
    let mut line = Line::of(&gateway);
    line.hand_over();
    assert_eq!(gateway.ask(GET).status, 200);
}

/// The old process cannot serve again. The log says why nobody does, where that was not meant to be.
#[test]
fn g_13_the_end_of_who_took_over_is_told_while_somebody_is_there() {
    for (signal, told) in [("KILL", true), ("TERM", false)] {
        let gateway = Setup::new().start();
        let mut slow = gateway.connect();
        slow.send("POST /public/up HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello");
        eventually("the upload to begin", || {
            (gateway.recorder().connections() >= 1).then_some(())
        });
        gateway.signal("QUIT");
        gateway.says("the new process serves");
        let pid = started(&gateway.log()).unwrap();
        let sent = std::process::Command::new("kill")
            .args([&format!("-{signal}"), &pid.to_string()])
            .status();
        assert!(sent.unwrap().success());
        eventually("its end", || (!is_alive(pid)).then_some(()));
        if told {
            gateway.says(GONE);
        }
        slow.send("world");
        assert_eq!(slow.read().status, 200);
        let ended = eventually("the old process to end", || gateway.ended());
        assert_eq!(ended.code(), Some(0));
        assert_eq!(gateway.log().contains(GONE), told, "{}", gateway.log());
    }
}
