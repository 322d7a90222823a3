//! `kill -9` in the middle of logins and of writes by the command line: whatever was acknowledged is there
//! afterwards, and the database is whole (G-08). And a database file that is exchanged under a running gateway (G-09).

use std::fs;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;

use crate::harness::dice::{self, Dice};
use crate::harness::gateway::session_cookie;
use crate::harness::setup::{Folder, password};
use crate::harness::{Gateway, PATIENCE, Raw, Setup, eventually, within};

const CYCLES: usize = 18;

/// What was acknowledged before the process died.
#[derive(Default)]
struct Acknowledged {
    sessions: Mutex<Vec<String>>,
    ended: Mutex<Vec<String>>,
    users: Mutex<Vec<String>>,
}

#[test]
fn g_08_nothing_acknowledged_is_lost() {
    let seed = dice::seed();
    let mut dice = Dice::new(seed);
    let mut gateway = Setup::new().on_sqlite().start();
    let kept = Acknowledged::default();
    let number = AtomicUsize::new(0);
    for cycle in 0..CYCLES {
        let moment = Moment {
            logins: kept.logins() + 2 + dice.roll(6),
            users: count(&kept.users) + usize::from(cycle % 2 == 0),
            after: Duration::from_millis(dice.roll(60) as u64),
        };
        disturb(&gateway, &kept, &number, &moment);
        gateway = gateway.restart();
        check_store(&gateway, &format!("seed {seed}, cycle {cycle}"));
        check_acknowledged(&gateway, &kept, &format!("seed {seed}, cycle {cycle}"));
    }
    let (sessions, users) = (count(&kept.sessions), count(&kept.users));
    assert!(
        sessions > CYCLES,
        "only {sessions} logins were acknowledged"
    );
    assert!(users > CYCLES / 3, "only {users} users were acknowledged");
    assert!(count(&kept.ended) > 0, "no logout was acknowledged");
}

/// When to kill: so much has been acknowledged by then, however slow the machine is, and a moment later.
struct Moment {
    logins: usize,
    users: usize,
    after: Duration,
}

impl Acknowledged {
    fn logins(&self) -> usize {
        count(&self.sessions) + count(&self.ended)
    }
}

fn count(list: &Mutex<Vec<String>>) -> usize {
    list.lock().unwrap().len()
}

/// Logs in and out and adds users until the gateway has been killed.
fn disturb(gateway: &Gateway, kept: &Acknowledged, number: &AtomicUsize, moment: &Moment) {
    let dead = AtomicBool::new(false);
    let address = gateway.http();
    let folder: &Folder = gateway;
    thread::scope(|scope| {
        for name in ["alice", "root"] {
            let dead = &dead;
            scope.spawn(move || sign_in_and_out(address, name, kept, dead));
        }
        scope.spawn(|| {
            while !dead.load(Ordering::Acquire) {
                let name = format!("user{}", number.fetch_add(1, Ordering::SeqCst));
                if folder.add_user(&name, "user").code == Some(0) {
                    kept.users.lock().unwrap().push(name);
                }
            }
        });
        let enough = within(PATIENCE, || {
            (kept.logins() >= moment.logins && count(&kept.users) >= moment.users).then_some(())
        });
        // Anywhere in what they do next; this is no wait for anything.
        within(moment.after, || None::<()>);
        gateway.signal("KILL");
        dead.store(true, Ordering::Release);
        assert!(enough.is_some(), "not enough was acknowledged in time");
    });
}

/// One login after the other; every third session is logged out again.
fn sign_in_and_out(address: SocketAddr, name: &str, kept: &Acknowledged, dead: &AtomicBool) {
    let body = serde_json::json!({ "username": name, "password": password(name) }).to_string();
    let login = format!(
        "POST /auth/session/login HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut round = 0;
    while !dead.load(Ordering::Acquire) {
        let Some(mut raw) = Raw::try_connect(address) else {
            return;
        };
        let Ok(answer) = raw.send(&login).try_read() else {
            return;
        };
        if answer.status != 200 {
            continue;
        }
        let cookie = session_cookie(&answer);
        round += 1;
        if round % 3 > 0 {
            kept.sessions.lock().unwrap().push(cookie);
            continue;
        }
        raw.send(format!(
            "POST /auth/logout HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nContent-Length: 0\r\n\r\n"
        ));
        if raw.try_read().is_ok_and(|answer| answer.status == 200) {
            kept.ended.lock().unwrap().push(cookie);
        }
    }
}

fn check_store(gateway: &Gateway, when: &str) {
    let store = Connection::open(gateway.path().join("data/portcullis.db")).unwrap();
    let whole: String = store
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(whole, "ok", "{when}");
    let dangling: usize = store
        .prepare("PRAGMA foreign_key_check")
        .unwrap()
        .query_map([], |_| Ok(()))
        .unwrap()
        .count();
    assert_eq!(dangling, 0, "{when}: rows that point nowhere");
}

fn check_acknowledged(gateway: &Gateway, kept: &Acknowledged, when: &str) {
    let mut raw = gateway.connect();
    let mut app = |cookie: &str| {
        raw.ask(format!(
            "GET /app/x HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n"
        ))
        .status
    };
    for cookie in kept.sessions.lock().unwrap().iter() {
        assert_eq!(app(cookie), 200, "{when}: a session is lost");
    }
    for cookie in kept.ended.lock().unwrap().iter() {
        assert_eq!(app(cookie), 401, "{when}: a session is back");
    }
    let said = gateway.cli(&["user", "list", "--json"], "").fine();
    let all: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let users = all.as_array().unwrap();
    for name in kept.users.lock().unwrap().iter() {
        let user = users.iter().find(|user| user["username"] == name.as_str());
        let user = user.unwrap_or_else(|| panic!("{when}: {name} is lost"));
        assert_eq!(user["roles"], serde_json::json!(["user"]), "{when}: {name}");
    }
    // Half a user would be one without a role.
    for user in users {
        let name = user["username"].as_str().unwrap();
        let whole = !name.starts_with("user") || user["roles"] == serde_json::json!(["user"]);
        assert!(whole, "{when}: half of {name}");
    }
}

/// As who restores a copy, or cleans up: the command line and the next start use another file than the one that is open.
#[test]
fn g_09_a_database_file_that_was_exchanged_is_not_believed() {
    for exchanged in [true, false] {
        let gateway = Setup::new().on_sqlite().start();
        let alice = gateway.login("alice");
        let ask = || {
            let head = format!("GET /app/x HTTP/1.1\r\nHost: localhost\r\nCookie: {alice}\r\n\r\n");
            gateway.ask(head).status
        };
        assert_eq!((ask(), gateway.ask_admin("/readyz").status), (200, 200));
        let file = gateway.path().join("data/portcullis.db");
        if exchanged {
            let copy = gateway.path().join("data/copy.db");
            fs::copy(&file, &copy).unwrap();
            fs::rename(&copy, &file).unwrap();
        } else {
            fs::remove_file(&file).unwrap();
        }
        eventually("that to be noticed", || (ask() == 503).then_some(()));
        assert_eq!(gateway.ask_admin("/readyz").status, 503);
        assert_eq!(gateway.try_login("alice", &password("alice")).status, 503);
        gateway.says("was replaced or removed");
    }
}
