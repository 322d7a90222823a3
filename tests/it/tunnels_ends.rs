//! How tunnels end, and what keeps them open: W-01.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::api::token;
use crate::harness::metrics::Labels;
use crate::harness::{Gateway, Raw, Setup, Trial, eventually, within};
use crate::sessions_ends::{line, listed, logout, user_id};
use crate::tunnels::{agreeing, lines, open, open_on, round_trip};

/// How soon the end of a session must be felt, when another process brought it about.
const NOTICED: Duration = Duration::from_secs(2);

/// Waits for the end, and fails when it takes longer than [`NOTICED`].
fn ends(raw: Raw) {
    let mut raw = raw.patience(NOTICED);
    assert!(raw.closes(), "still open after {NOTICED:?}");
    assert_eq!(raw.left(), "", "something came first");
}

fn ended(gateway: &Gateway, reason: &str) -> f64 {
    let labels: Labels = BTreeMap::from([("reason".to_owned(), reason.to_owned())]);
    gateway
        .metrics()
        .exactly("portcullis_tunnels_ended_total", &labels)
}

fn open_now(gateway: &Gateway) -> f64 {
    gateway.metrics().sum("portcullis_tunnels", &[])
}

#[test]
fn w_01_logout_ends_the_tunnels_of_that_session_alone() {
    let gateway = Setup::before(agreeing()).tls(&["localhost"]).start();
    let over_tls = |cookie: &str| {
        let wire = gateway.tls("localhost", &["http/1.1"]);
        open_on(Raw::over(wire), "/app/ws", &line(cookie))
    };
    let login = |name| {
        let mut raw = Raw::over(gateway.tls("localhost", &["http/1.1"]));
        let form = serde_json::json!({ "username": name, "password": crate::harness::setup::password(name) }).to_string();
        let answer = raw.ask(format!(
            "POST /auth/session/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        ));
        crate::harness::gateway::session_cookie(&answer)
    };
    let (first, second, root) = (login("alice"), login("alice"), login("root"));
    let (doomed, also) = (over_tls(&first), over_tls(&first));
    let (mut other, mut theirs) = (over_tls(&second), over_tls(&root));
    let mut raw = Raw::over(gateway.tls("localhost", &["http/1.1"]));
    let out = format!(
        "POST /auth/logout HTTP/1.1\r\nHost: localhost\r\nCookie: {first}\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(raw.ask(out).status, 200);
    ends(doomed);
    ends(also);
    round_trip(&mut other, "still here");
    round_trip(&mut theirs, "and here");
    eventually("the service to be told", || {
        (gateway.recorder().ended() >= 2).then_some(())
    });
    eventually("the count of open tunnels", || {
        ((open_now(&gateway) - 2.0).abs() < 0.5 && ended(&gateway, "cut") > 1.5).then_some(())
    });
    eventually("the access line", || {
        let log = gateway.log();
        let of_it = |line: &str| line.contains("101") && line.contains("cut");
        let line = log.lines().find(|line| of_it(line))?;
        assert!(line.contains("alice"), "{log}");
        Some(())
    });
}

#[test]
fn w_01_revoked_disabled_and_deleted() {
    let gateway = Setup::before(agreeing())
        .user("carol", "user")
        .user("dave", "user")
        .start();
    let cookies = ["alice", "carol", "dave"].map(|name| gateway.login(name));
    let tunnels = cookies
        .each_ref()
        .map(|cookie| open(&gateway, "/app/ws", &line(cookie)));
    let [revoked, disabled, deleted] = tunnels;
    let mut twin = open(&gateway, "/app/ws", &gateway.as_user("root"));
    let alice = user_id(&gateway, "alice");
    let session = listed(&gateway)
        .into_iter()
        .find(|session| session["user_id"] == alice);
    gateway
        .cli(
            &[
                "session",
                "revoke",
                session.unwrap()["sid"].as_str().unwrap(),
            ],
            "",
        )
        .fine();
    ends(revoked);
    gateway.cli(&["user", "disable", "carol"], "").fine();
    ends(disabled);
    gateway.cli(&["user", "delete", "dave"], "").fine();
    ends(deleted);
    round_trip(&mut twin, "still here");
    let mut trial = Trial::with_plain_twin(&gateway, "W-01");
    for cookie in &cookies {
        trial.denied(trial.get("/app/ws", &(lines() + &line(cookie))), "");
    }
}

#[test]
fn w_01_a_role_that_is_taken() {
    let gateway = Setup::before(agreeing())
        .user("carol", "user,admin")
        .start();
    let carol = line(&gateway.login("carol"));
    let mut alice = open(&gateway, "/app/ws", &gateway.as_user("alice"));
    let (admins, users) = (
        open(&gateway, "/admin/ws", &carol),
        open(&gateway, "/app/ws", &carol),
    );
    // More rights end nothing.
    gateway
        .cli(&["user", "set-roles", "alice", "user,admin"], "")
        .fine();
    gateway
        .cli(&["user", "set-roles", "carol", "user"], "")
        .fine();
    ends(admins);
    // The service was told at the handshake what carol was; what she is now, it is told at the next.
    ends(users);
    round_trip(&mut alice, "still here");
    let mut again = open(&gateway, "/app/ws", &carol);
    let seen = gateway.recorder().last().unwrap();
    assert_eq!(seen.value("x-auth-roles").as_deref(), Some("user"));
    round_trip(&mut again, "signed in still");
    let mut trial = Trial::with_plain_twin(&gateway, "W-01-role");
    trial.denied(trial.get("/admin/ws", &(lines() + &carol)), "carol");
}

#[test]
fn w_01_an_idle_session_ends_and_bytes_of_the_client_are_use() {
    let (idle, longest) = (Duration::from_millis(1_500), Duration::from_secs(5));
    let gateway = Setup::before(agreeing())
        .set("session", "{ idle: 1500ms, max: 5s }")
        .start();
    let (still, used) = (gateway.login("alice"), gateway.login("alice"));
    let begun = Instant::now();
    let mut busy = open(&gateway, "/app/ws", &line(&used));
    let mut unused = open(&gateway, "/app/ws", &line(&still)).patience(NOTICED);
    let mut unused_lived = None;
    let lived = within(longest * 2, || {
        busy.send("x");
        let _ = busy.drain(Duration::from_millis(20));
        if unused_lived.is_none() && ended(&gateway, "cut") > 0.5 {
            unused_lived = Some(begun.elapsed());
        }
        (!busy.all_sent()).then(|| begun.elapsed())
    });
    assert!(unused.closes());
    let unused_lived = unused_lived.expect("an idle session's tunnel is kept");
    assert!(unused_lived < idle + NOTICED, "{unused_lived:?}");
    let lived = lived.expect("it outlives its session's maximum");
    assert!(lived > idle * 2, "ended after {lived:?} though it was used");
    assert!(lived < longest + NOTICED, "lived for {lived:?}");
    let mut trial = Trial::with_plain_twin(&gateway, "W-01-expiry");
    trial.denied(trial.get("/app/ws", &(lines() + &line(&used))), "");
}

#[test]
fn w_01_what_rests_on_a_token_ends_with_its_session() {
    let rules = "
  - { path: /public/**, allow: anyone }
  - { path: /app/**, allow: signed_in, auth: [session, jwt] }
";
    let gateway = Setup::before(agreeing()).rules(rules).start();
    let bearer = token(&gateway, "alice");
    let with = format!("Authorization: Bearer {bearer}\r\n");
    let tunnel = open(&gateway, "/app/ws", &with);
    let seen = gateway.recorder().last().unwrap();
    assert_eq!(seen.value("authorization"), None);
    assert_eq!(seen.value("x-auth-method").as_deref(), Some("jwt"));
    let mut twin = open(&gateway, "/app/ws", &gateway.as_user("alice"));
    let out =
        format!("POST /auth/logout HTTP/1.1\r\nHost: localhost\r\n{with}Content-Length: 0\r\n\r\n");
    assert_eq!(gateway.ask(out).status, 200);
    ends(tunnel);
    round_trip(&mut twin, "another session of hers");
    let mut trial = Trial::with_plain_twin(&gateway, "W-01-token");
    trial.denied(trial.get("/app/ws", &(lines() + &with)), "");
}

#[test]
fn w_01_either_side_may_close() {
    let gateway = Setup::before(agreeing()).start();
    let mut raw = open(&gateway, "/public/ws", "");
    round_trip(&mut raw, "hello");
    raw.finish();
    assert!(raw.closes());
    eventually("the service to be told", || {
        (gateway.recorder().ended() == 1).then_some(())
    });
    eventually("the end to be counted", || {
        (ended(&gateway, "closed") > 0.5 && open_now(&gateway) < 0.5).then_some(())
    });
    // Its connection is of no more use, and others are as before.
    let before = gateway.login("alice");
    assert_eq!(logout(&gateway, &before), 200);
}

#[test]
fn w_06_a_tunnel_that_is_silent_for_too_long() {
    let rules = "
  - { path: /public/short/**, allow: anyone, idle: 600ms }
  - { path: /public/**, allow: anyone }
";
    let gateway = Setup::before(agreeing()).rules(rules).start();
    let (mut silent, mut talks, mut default) = (
        open(&gateway, "/public/short/ws", ""),
        open(&gateway, "/public/short/ws", ""),
        open(&gateway, "/public/ws", ""),
    );
    let begun = Instant::now();
    let closed = within(Duration::from_secs(5), || {
        // A ping now and then is traffic.
        round_trip(&mut talks, "ping");
        let _ = talks.drain(Duration::from_millis(50));
        (ended(&gateway, "idle") > 0.5).then(|| begun.elapsed())
    });
    let lasted = closed.expect("a silent tunnel is kept");
    assert!(lasted >= Duration::from_millis(550), "{lasted:?}");
    assert!(silent.closes());
    round_trip(&mut talks, "still here");
    round_trip(&mut default, "and here");
    assert!(ended(&gateway, "cut") < 0.5 && ended(&gateway, "broken") < 0.5);
}
