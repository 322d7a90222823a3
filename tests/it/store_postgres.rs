//! PostgreSQL behind the gateway: a server that goes away and comes back (G-09), several nodes on one database
//! and what is said about it all.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::postgres::{Database, PASSWORD, Server};
use crate::harness::raw::Silence;
use crate::harness::relay::Relay;
use crate::harness::setup::{Folder, password};
use crate::harness::{Gateway, Recorder, Setup, eventually, within};
use crate::streams::{HEAD, Told, events_over_http1};

/// A setup whose store is the file `url`, with a key that every node shares.
fn setup() -> Setup {
    Setup::new()
        .set("store", "file:url")
        .set("key", "file:shared.key")
}

fn folder(setup: &Setup, url: &str) -> Folder {
    let folder = setup.folder();
    folder.write("url", url);
    folder.write("shared.key", &"5f".repeat(32));
    folder
}

fn started(folder: Folder, recorder: &Recorder) -> Gateway {
    Gateway::launch(folder, recorder.clone(), None, &[]).unwrap_or_else(|said| panic!("{said}"))
}

fn with_alice(url: &str) -> Gateway {
    let setup = setup();
    let folder = folder(&setup, url);
    folder.add_user("alice", "user").fine();
    started(folder, setup.recorder())
}

fn status(gateway: &Gateway, path: &str, cookie: &str) -> u16 {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n");
    gateway.ask(request).status
}

fn assert_recovers(gateway: &Gateway, cookie: &str) {
    let back = within(Duration::from_secs(10), || {
        (status(gateway, "/app/x", cookie) == 200).then_some(())
    });
    assert!(back.is_some(), "did not recover: {}", gateway.log());
    assert_eq!(gateway.try_login("alice", &password("alice")).status, 200);
    eventually("to be ready", || {
        (gateway.ask_admin("/readyz").status == 200).then_some(())
    });
}

#[test]
fn g_09_without_its_server_the_gate_is_closed() {
    let database = Database::new();
    let relay = Relay::to(Server::shared().port());
    let gateway = with_alice(&database.url_at(relay.port()));
    let alice = gateway.login("alice");
    for _ in 0..2 {
        assert_eq!(status(&gateway, "/app/x", &alice), 200);
        relay.cut();
        eventually("the cache to be emptied", || {
            (status(&gateway, "/app/x", &alice) == 503).then_some(())
        });
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            assert_eq!(status(&gateway, "/app/x", &alice), 503);
            assert_eq!(status(&gateway, "/admin/x", &alice), 503);
            assert_eq!(status(&gateway, "/public/x", "a=b"), 200);
            assert_eq!(status(&gateway, "/app/x", "a=b"), 401);
        }
        assert_eq!(gateway.try_login("alice", &password("alice")).status, 503);
        assert_eq!(gateway.ask_admin("/readyz").status, 503);
        assert_eq!(gateway.ask_admin("/healthz").status, 200);
        relay.mend();
        assert_recovers(&gateway, &alice);
    }
    assert!(!gateway.log().contains(PASSWORD), "the password in the log");
}

/// Worse than a server that is gone: one that says nothing.
#[test]
fn g_09_with_a_silent_server_the_gate_is_closed() {
    let database = Database::new();
    let relay = Relay::to(Server::shared().port());
    let gateway = with_alice(&database.url_at(relay.port()));
    let alice = gateway.login("alice");
    assert_eq!(status(&gateway, "/app/x", &alice), 200);
    relay.silence();
    eventually("the gate to be closed", || {
        (status(&gateway, "/app/x", &alice) == 503).then_some(())
    });
    assert_eq!(status(&gateway, "/public/x", "a=b"), 200);
    relay.mend();
    assert_recovers(&gateway, &alice);
}

/// A gateway, and the cookies of two who are served.
fn with_two(url: &str) -> (Gateway, String, String) {
    let setup = setup();
    let folder = folder(&setup, url);
    folder.add_user("alice", "user").fine();
    folder.add_user("bob", "user").fine();
    let gateway = started(folder, setup.recorder());
    let (alice, bob) = (gateway.login("alice"), gateway.login("bob"));
    for cookie in [&alice, &bob] {
        assert_eq!(status(&gateway, "/app/x", cookie), 200);
    }
    (gateway, alice, bob)
}

/// Refused, and nothing of it has reached the service.
fn assert_refused(gateway: &Gateway, cookie: &str) {
    let before = gateway.recorder().count();
    assert_eq!(status(gateway, "/app/x", cookie), 401);
    assert_eq!(gateway.recorder().count(), before, "it has reached it");
}

/// One that has frozen takes connections still, for the kernel does, and says nothing.
#[test]
fn g_09_of_several_servers_one_that_has_frozen_keeps_nobody_from_the_next() {
    let database = Database::new();
    let relay = Relay::to(Server::shared().port());
    let [one, both] = [
        format!("127.0.0.1:{}/", relay.port()),
        format!(
            "127.0.0.1:{},127.0.0.1:{}/",
            relay.port(),
            Server::shared().port()
        ),
    ];
    let url = database.url_at(relay.port()).replacen(&one, &both, 1);
    let (gateway, alice, bob) = with_two(&url);
    relay.silence();
    gateway.cli(&["user", "disable", "alice"], "").fine();
    let gone = within(Duration::from_secs(30), || {
        is_refused(&gateway, &alice).then_some(())
    });
    assert!(gone.is_some(), "the next is not asked: {}", gateway.log());
    assert_refused(&gateway, &alice);
    let served = within(Duration::from_secs(10), || {
        (status(&gateway, "/app/x", &bob) == 200).then_some(())
    });
    assert!(served.is_some(), "{}", gateway.log());
}

/// Somebody waits for the page, whoever of them notices first that nothing is answered.
#[test]
fn g_09_with_a_silent_server_nobody_waits_long() {
    let database = Database::new();
    let relay = Relay::to(Server::shared().port());
    let gateway = with_alice(&database.url_at(relay.port()));
    let alice = gateway.login("alice");
    assert_eq!(status(&gateway, "/app/x", &alice), 200);
    relay.silence();
    eventually("the gate to be closed", || {
        let began = Instant::now();
        let status = status(&gateway, "/app/x", &alice);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(7), "{status} after {took:?}");
        (status == 503).then_some(())
    });
    relay.mend();
    assert_recovers(&gateway, &alice);
}

/// Whoever asks how the gateway does is told before they give up.
#[test]
fn g_09_with_a_silent_server_the_admin_port_answers_in_time() {
    let database = Database::new();
    let relay = Relay::to(Server::shared().port());
    let gateway = with_alice(&database.url_at(relay.port()));
    gateway.login("alice");
    let sessions = |gateway: &Gateway| gateway.metrics().sum("portcullis_sessions_active", &[]);
    assert!((sessions(&gateway) - 1.0).abs() < 0.1);
    assert_eq!(gateway.ask_admin("/readyz").status, 200);
    relay.silence();
    for _ in 0..2 {
        let began = Instant::now();
        assert_eq!(gateway.ask_admin("/readyz").status, 503);
        // The last that is known.
        assert!((sessions(&gateway) - 1.0).abs() < 0.1);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(6), "{took:?}");
    }
    relay.mend();
    eventually("to be ready", || {
        (gateway.ask_admin("/readyz").status == 200).then_some(())
    });
}

/// The one that led before goes on answering whoever is connected to it, and knows of nothing that is written to the other one.
#[test]
fn g_09_a_failover_that_leaves_the_old_server_up_leaves_nobody_there() {
    let database = Database::new();
    let relay = Relay::to(Server::shared().port());
    let (gateway, alice, bob) = with_two(&database.url_at(relay.port()));
    let follower = Server::following();
    follower.promote();
    relay.lead(follower.port());
    gateway.cli(&["user", "disable", "alice"], "").fine();
    // Nobody asks for anything meanwhile that would need another connection.
    let gone = within(Duration::from_secs(20), || {
        is_refused(&gateway, &alice).then_some(())
    });
    assert!(gone.is_some(), "still served: {}", gateway.log());
    assert_refused(&gateway, &alice);
    assert_eq!(status(&gateway, "/app/x", &bob), 200);
    // What is written there is heard of.
    gateway.cli(&["user", "disable", "bob"], "").fine();
    let heard = within(Duration::from_secs(2), || {
        is_refused(&gateway, &bob).then_some(())
    });
    assert!(heard.is_some(), "no word of it: {}", gateway.log());
    let at_the_old_one = "SELECT COUNT(*) FROM pg_stat_activity \
                          WHERE datname = current_database() AND pid <> pg_backend_pid()";
    assert_eq!(database.sql(at_the_old_one), "0");
}

#[test]
fn r_14_a_25_nodes_that_start_at_once_are_one_gateway() {
    let database = Database::new();
    let setup = setup();
    let nodes: Vec<Gateway> = thread::scope(|scope| {
        let start = || started(folder(&setup, &database.url()), setup.recorder());
        let nodes: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
        nodes.into_iter().map(|node| node.join().unwrap()).collect()
    });
    let first: Vec<&Gateway> = nodes
        .iter()
        .filter(|node| node.banner().contains("password:"))
        .collect();
    assert_eq!(first.len(), 1, "one node makes the first superuser");
    assert_eq!(database.sql("SELECT COUNT(*) FROM users"), "1");
    let banner = first[0].banner();
    let word = banner.split("password:").nth(1).unwrap();
    let answer = nodes[3].try_login("admin", word.split_whitespace().next().unwrap());
    assert_eq!(answer.status, 200);
    let cookie = crate::harness::gateway::session_cookie(&answer);
    for node in &nodes {
        assert_eq!(status(node, "/app/x", &cookie), 200);
    }
}

/// Whether this session is at its end there. One whose end comes while the service is asked has its connection cut;
/// that says nothing of the next request.
fn is_refused(node: &Gateway, cookie: &str) -> bool {
    let request = format!("GET /app/x HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n");
    match node.connect().send(request).try_read() {
        Ok(answer) => answer.status == 401,
        Err(Silence::Closed) => false,
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn r_02_an_end_on_one_node_is_an_end_on_all() {
    let database = Database::new();
    let one = with_alice(&database.url());
    let two = started(folder(&setup(), &database.url()), one.recorder());
    let ended = |cookie: &str, what: &str| {
        let done = within(Duration::from_secs(1), || {
            let ended = [&one, &two].map(|node| is_refused(node, cookie));
            (ended == [true; 2]).then_some(())
        });
        assert!(done.is_some(), "{what}");
    };
    let cookie = one.login("alice");
    for node in [&one, &two, &one, &two] {
        assert_eq!(status(node, "/app/x", &cookie), 200);
    }
    let logout = format!(
        "POST /auth/logout HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nContent-Length: 0\r\n\r\n"
    );
    assert!(two.ask(logout).status < 400);
    ended(&cookie, "logged out on the other node");
    let cookie = two.login("alice");
    for node in [&one, &two] {
        assert_eq!(status(node, "/app/x", &cookie), 200);
    }
    one.cli(&["user", "disable", "alice"], "").fine();
    ended(&cookie, "disabled by command line");
}

/// With a database next door every session is looked at within a second, one after the other or not.
#[test]
fn r_02_many_streams_end_soon_where_the_database_is_far_away() {
    const ENDING: usize = 10;
    const GOING_ON: usize = 90;
    let database = Database::new();
    let relay = Relay::to(Server::shared().port());
    let told = Told::start();
    let setup = told.setup("");
    let setup = setup
        .set("store", "file:url")
        .set("key", "file:shared.key")
        .set("limits", "{ connections_per_address: 300 }");
    let folder = folder(&setup, &database.url_at(relay.port()));
    folder.add_user("alice", "user").fine();
    folder.add_user("bob", "user").fine();
    let gateway = started(folder, setup.recorder());
    let open = |name: &str| {
        let cookie = gateway.login(name);
        events_over_http1(&told, gateway.connect(), &cookie, HEAD)
    };
    let mut going_on: Vec<_> = (0..GOING_ON).map(|_| open("bob")).collect();
    let ending: Vec<_> = (0..ENDING).map(|_| open("alice")).collect();
    // The command is next door.
    std::fs::write(gateway.path().join("url"), database.url()).unwrap();
    relay.lengthen(Duration::from_millis(25));
    gateway.cli(&["user", "disable", "alice"], "").fine();
    let by = Instant::now() + Duration::from_secs(3);
    for (number, (raw, _call)) in ending.into_iter().enumerate() {
        let left = by.saturating_duration_since(Instant::now());
        let mut raw = raw.patience(left.max(Duration::from_millis(1)));
        assert!(raw.closes(), "the {number}th goes on");
    }
    for (raw, call) in &mut going_on {
        call.say("data: still\n\n");
        assert!(raw.wait_for("still"));
    }
}

#[test]
fn what_is_said_names_the_database_and_no_password() {
    let database = Database::new();
    let gateway = with_alice(&database.url());
    let banner = gateway.banner();
    let store = banner.lines().find(|line| line.contains("store")).unwrap();
    let shown = database.url().split_once('@').unwrap().1.to_owned();
    assert!(store.contains(&format!("postgres://{shown}")), "{banner}");
    assert!(!banner.contains("gate:"), "{banner}");
    let url = database.url();
    let (wrong, missing) = (url.replace("own", "wrong"), format!("{url}_not"));
    for (what, url) in [("a wrong password", wrong), ("no such database", missing)] {
        let folder = folder(&setup(), &url);
        for command in [&["serve"][..], &["user", "list"]] {
            let said = folder.cli(command, "");
            assert_eq!(said.code, Some(1), "{what}: {}", said.all());
            for secret in [PASSWORD, "wrong%", "a%20test"] {
                assert!(!said.all().contains(secret), "{what}: {}", said.all());
            }
        }
    }
}

#[test]
fn g_05_an_unsafe_address_is_refused() {
    let check = |setup: Setup| {
        let folder = setup.folder();
        folder.write("shared.key", &"5f".repeat(32));
        folder.cli(&["check"], "")
    };
    let at = |url: &str| setup().set("store", &format!("\"{url}\""));
    let fine = check(at("postgres://gate@db.example.com/gate"));
    assert_eq!(fine.code, Some(0), "{}", fine.all());
    let cases = [
        (at("postgres://gate@db/gate").without("key"), "key"),
        (
            at("postgres://gate:hunter22@db/gate?sslmode=prefer"),
            "sslmode",
        ),
        (at("postgres://gate:hunter22@db/"), "database"),
        (at("postgres://gate:hunter22@x@db/gate"), "percent-encoded"),
    ];
    for (setup, names) in cases {
        let said = check(setup);
        assert_eq!(said.code, Some(1), "{}", said.all());
        assert!(said.all().contains(names), "{}", said.all());
        assert!(!said.all().contains("hunter22"), "{}", said.all());
    }
    let warned = [
        (at("postgres://gate:hunter22@db/gate"), "password"),
        (at("postgres://gate@db/gate?sslmode=disable"), "on its way"),
    ];
    for (setup, names) in warned {
        let said = check(setup);
        assert_eq!(said.code, Some(0), "{}", said.all());
        assert!(said.all().contains(names), "{}", said.all());
        assert!(!said.all().contains("hunter22"), "{}", said.all());
    }
}
