//! How sessions end, and how soon that is noticed: C-06, C-07, C-15.

use std::time::{Duration, Instant};

use crate::accounts;
use crate::harness::setup::password;
use crate::harness::{Gateway, Setup, Trial, marker, within};

/// How soon a change made by another process must be felt.
const NOTICED: Duration = Duration::from_secs(2);

pub fn line(cookie: &str) -> String {
    format!("Cookie: {cookie}\r\n")
}

pub fn request(target: &str, cookie: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n")
}

/// A trial whose twin is root's session, which outlives everything done to alice.
fn beside_root<'a>(gateway: &'a Gateway, id: &str) -> Trial<'a> {
    let mut trial = Trial::new(gateway, id);
    trial.allowed(trial.get("/app/twin", &gateway.as_user("root")));
    trial
}

/// Waits until a request is answered with one of these, and fails when that takes longer than [`NOTICED`].
/// A request under way when its session ends may be cut.
pub fn soon(gateway: &Gateway, target: &str, cookie: &str, statuses: &[u16]) {
    let mut raw = gateway.connect();
    let mut last = 0;
    let noticed = within(NOTICED, || {
        match raw.send(request(target, cookie)).try_read() {
            Ok(answer) => last = answer.status,
            Err(_) => raw = gateway.connect(),
        }
        statuses.contains(&last).then_some(())
    });
    assert!(
        noticed.is_some(),
        "still {last} instead of {statuses:?} after {NOTICED:?}"
    );
}

pub fn logout(gateway: &Gateway, cookie: &str) -> u16 {
    let post = format!(
        "POST /auth/logout HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nContent-Length: 0\r\n\r\n"
    );
    gateway.ask(post).status
}

/// The live sessions as `session list --json` shows them.
pub fn listed(gateway: &Gateway) -> Vec<serde_json::Value> {
    let said = gateway.cli(&["session", "list", "--json"], "").fine();
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.out))
}

pub fn user_id(gateway: &Gateway, name: &str) -> i64 {
    let said = gateway.cli(&["user", "show", name, "--json"], "").fine();
    let user: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    user["id"].as_i64().unwrap()
}

#[test]
fn c_06_logout_is_at_once_and_everywhere() {
    let gateway = Setup::new().start();
    let mut trial = beside_root(&gateway, "C-06-logout");
    let (first, second) = (gateway.login("alice"), gateway.login("alice"));
    let mut open = gateway.connect();
    assert_eq!(open.ask(request("/app/x", &first)).status, 200);
    assert_eq!(logout(&gateway, &first), 200);
    // Also on a connection that was open, and without any delay: it was this very process.
    assert!(open.ask(request("/app/x", &first)).denies_anonymous());
    trial.denied(trial.get("/app/x", &line(&first)), "");
    trial.served(&trial.get("/app/x", &line(&second)));
    assert_eq!(logout(&gateway, &first), 401, "logged out twice");
    let alice = user_id(&gateway, "alice");
    let left = listed(&gateway)
        .iter()
        .filter(|session| session["user_id"] == alice)
        .count();
    assert_eq!(left, 1, "the row is still there");
}

/// What is remembered of a connection is what its last cookies said, and never who was let in by them.
#[test]
fn c_06_people_take_turns_on_one_connection() {
    let gateway = Gateway::shared();
    let (alice, root) = (gateway.login("alice"), gateway.login("root"));
    let turns = [
        (line(&alice), Some(("alice", None))),
        (line(&alice), Some(("alice", None))),
        (line(&root), Some(("root", None))),
        (String::new(), None),
        (line(&format!("a=1; {alice}")), Some(("alice", Some("a=1")))),
        (line(&format!("a=1; {alice}")), Some(("alice", Some("a=1")))),
        (line(&format!("{alice}; {root}")), None),
        (line(&format!("{alice}; {root}")), None),
        (line(&root), Some(("root", None))),
    ];
    let mut raw = gateway.connect();
    for (cookies, expected) in &turns {
        let mark = marker("C-06");
        let head = format!("GET /app/{mark} HTTP/1.1\r\nHost: localhost\r\n{cookies}\r\n");
        let status = raw.ask(head).status;
        assert_eq!(status, if expected.is_some() { 200 } else { 401 });
        let seen = gateway.recorder().with(&mark);
        let told = |name: &str| seen.first().and_then(|seen| seen.value(name));
        let (user, left) = (told("x-auth-user"), told("cookie"));
        assert_eq!(user.as_deref(), expected.map(|(user, _)| user));
        assert_eq!(left.as_deref(), expected.and_then(|(_, left)| left));
    }
    let (mark, after) = (marker("C-06"), marker("C-06"));
    assert_eq!(raw.ask(request(&format!("/app/{mark}"), &root)).status, 200);
    let logout = format!(
        "POST /auth/logout HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: 0\r\n\r\n",
        line(&root)
    );
    assert_eq!(gateway.ask(logout).status, 200);
    assert_eq!(
        raw.ask(request(&format!("/app/{after}"), &root)).status,
        401
    );
    assert!(gateway.recorder().with(&after).is_empty());
}

#[test]
fn c_06_revoked_from_the_command_line() {
    let gateway = Setup::new().start();
    let mut trial = beside_root(&gateway, "C-06-revoke");
    let alice = user_id(&gateway, "alice");
    let victim = gateway.login("alice");
    trial.served(&trial.get("/app/x", &line(&victim)));
    let session = listed(&gateway)
        .into_iter()
        .find(|session| session["user_id"] == alice)
        .unwrap();
    let sid = session["sid"].as_str().unwrap();
    assert!(!victim.contains(sid), "the public name opens the door");
    let kept = gateway.login("alice");
    gateway.cli(&["session", "revoke", sid], "").fine();
    soon(&gateway, "/app/x", &victim, &[401]);
    trial.denied(trial.get("/app/x", &line(&victim)), "");
    trial.served(&trial.get("/app/x", &line(&kept)));
    let again = gateway.cli(&["session", "revoke", sid], "");
    assert_eq!(again.code, Some(1), "{}", again.all());
}

#[test]
fn c_06_disabled_accounts() {
    let gateway = Setup::new().start();
    let mut trial = beside_root(&gateway, "C-06-disable");
    let victim = gateway.login("alice");
    trial.served(&trial.get("/app/x", &line(&victim)));
    gateway.cli(&["user", "disable", "alice"], "").fine();
    soon(&gateway, "/app/x", &victim, &[401]);
    trial.denied(trial.get("/app/x", &line(&victim)), "");
    let refused = gateway.try_login("alice", &password("alice"));
    assert_eq!(refused.status, 401, "a disabled user logs in");
    gateway.cli(&["user", "enable", "alice"], "").fine();
    // The old session stays dead; a new one may be had.
    trial.denied(trial.get("/app/x", &line(&victim)), "");
    let fresh = gateway.login("alice");
    trial.served(&trial.get("/app/x", &line(&fresh)));
}

#[test]
fn c_06_a_new_password_ends_every_session() {
    let gateway = Setup::new().start();
    let mut trial = beside_root(&gateway, "C-06-password");
    let sessions = [gateway.login("alice"), gateway.login("alice")];
    for cookie in &sessions {
        trial.served(&trial.get("/app/x", &line(cookie)));
    }
    let new = "another password that is long";
    let set = ["user", "set-password", "alice", "--password-stdin"];
    gateway.cli(&set, &format!("{new}\n")).fine();
    for cookie in &sessions {
        soon(&gateway, "/app/x", cookie, &[401]);
        trial.denied(trial.get("/app/x", &line(cookie)), "");
    }
    assert_eq!(gateway.try_login("alice", &password("alice")).status, 401);
    assert_eq!(gateway.try_login("alice", new).status, 200);
}

#[test]
fn c_06_deleted_accounts() {
    let gateway = Setup::new().start();
    let mut trial = beside_root(&gateway, "C-06-delete");
    let victim = gateway.login("alice");
    let old = trial.served(&trial.get("/app/x", &line(&victim))).0;
    gateway.cli(&["user", "delete", "alice"], "").fine();
    soon(&gateway, "/app/x", &victim, &[401]);
    // Whoever gets the name next is somebody else, and inherits nothing.
    gateway.add_user("alice", "").fine();
    trial.denied(trial.get("/app/x", &line(&victim)), "");
    let fresh = gateway.login("alice");
    let new = trial.served(&trial.get("/app/x", &line(&fresh))).0;
    assert_ne!(new.value("x-auth-user-id"), old.value("x-auth-user-id"));
}

#[test]
fn c_06_a_dead_session_stays_dead_over_a_restart() {
    let gateway = Setup::new().start();
    let (dead, alive) = (gateway.login("alice"), gateway.login("alice"));
    assert_eq!(logout(&gateway, &dead), 200);
    let gateway = gateway.restart();
    let mut trial = Trial::new(&gateway, "C-06-restart");
    trial.allowed(trial.get("/app/x", &line(&alive)));
    trial.denied(trial.get("/app/x", &line(&dead)), "");
}

/// Waits until the gateway counts no live session: looking there uses none of them.
fn none_active(gateway: &Gateway) {
    let none = within(Duration::from_secs(10), || {
        let active = gateway.metrics().sum("portcullis_sessions_active", &[]);
        (active < 0.5).then_some(())
    });
    assert!(none.is_some(), "sessions that nobody uses live on");
}

#[test]
fn c_07_idle_sessions_end() {
    let gateway = Setup::new()
        .set("session", "{ idle: 700ms, max: 1h }")
        .start();
    let cookie = gateway.login("alice");
    none_active(&gateway);
    let mut trial = Trial::with_plain_twin(&gateway, "C-07-idle");
    trial.denied(trial.get("/app/x", &line(&cookie)), "");
    trial.denied(trial.get("/app/x", &line(&cookie)), "");
    let fresh = gateway.login("alice");
    trial.allowed(trial.get("/app/x", &line(&fresh)));
    assert_ne!(fresh, cookie);
    none_active(&gateway);
    let gateway = gateway.restart();
    let mut trial = Trial::with_plain_twin(&gateway, "C-07-restart");
    trial.denied(trial.get("/app/x", &line(&fresh)), "");
}

#[test]
fn c_07_use_keeps_a_session_but_not_for_ever() {
    let (idle, longest) = (Duration::from_millis(1_500), Duration::from_secs(4));
    let gateway = Setup::new()
        .set("session", "{ idle: 1500ms, max: 4s }")
        .start();
    let begun = Instant::now();
    let cookie = gateway.login("alice");
    let mut raw = gateway.connect();
    let ended = within(longest * 3, || {
        let answer = raw.ask(request("/app/x", &cookie));
        assert!(answer.status == 200 || answer.denies_anonymous());
        (answer.status != 200).then(|| begun.elapsed())
    });
    let lived = ended.expect("the session outlives its maximum");
    assert!(
        lived > idle + idle / 2,
        "ended after {lived:?} though it was used"
    );
    assert!(
        lived < longest + Duration::from_secs(2),
        "lived for {lived:?}"
    );
    let mut trial = Trial::with_plain_twin(&gateway, "C-07-max");
    trial.denied(trial.get("/app/x", &line(&cookie)), "");
}

#[test]
fn c_07_a_shortened_maximum_bites_sessions_that_live() {
    let setup = Setup::new().set("session", "{ idle: 1h, max: 14d }");
    let shorter = setup.clone().set("session", "{ idle: 1s, max: 1s }");
    let gateway = setup.start();
    let mut trial = Trial::new(&gateway, "C-07-reload");
    let cookie = gateway.login("alice");
    trial.allowed(trial.get("/app/x", &line(&cookie)));
    assert!(gateway.reload_with(&shorter));
    soon(&gateway, "/app/x", &cookie, &[401]);
}

#[test]
fn c_15_roles_that_are_taken_and_given() {
    let gateway = Setup::new()
        .user("carol", "user,admin")
        .user("boss", "admin")
        .start();
    let carol = gateway.login("carol");
    let mut trial = Trial::new(&gateway, "C-15");
    let boss = gateway.login("boss");
    trial.allowed(trial.get("/admin/twin", &line(&boss)));
    trial.served(&trial.get("/admin/x", &line(&carol)));
    gateway
        .cli(&["user", "set-roles", "carol", "user"], "")
        .fine();
    soon(&gateway, "/admin/y", &carol, &[403]);
    trial.denied(trial.get("/admin/x", &line(&carol)), "carol");
    // Still signed in, and the service is told the new roles.
    let (seen, _) = trial.served(&trial.get("/app/x", &line(&carol)));
    assert_eq!(seen.value("x-auth-roles").as_deref(), Some("user"));
    gateway
        .cli(&["user", "set-roles", "carol", "user,admin"], "")
        .fine();
    soon(&gateway, "/admin/y", &carol, &[200]);
    trial.served(&trial.get("/admin/x", &line(&carol)));
}

#[test]
fn c_15_a_deleted_role_gives_nothing() {
    let rules = "
  - { path: /public/**, allow: anyone }
  - { path: /app/**, allow: signed_in }
  - { path: /audit/**, allow: { role: auditor } }
  - { path: /reports/**, allow: { permission: reports:read } }
";
    let gateway = Setup::new().rules(rules).start();
    let add = ["role", "add", "auditor", "--permissions", "reports:read"];
    gateway.cli(&add, "").fine();
    gateway
        .cli(&["user", "set-roles", "alice", "user,auditor"], "")
        .fine();
    let alice = gateway.login("alice");
    let mut trial = beside_root(&gateway, "C-15-role");
    for target in ["/audit/x", "/reports/x"] {
        soon(&gateway, target, &alice, &[200]);
        trial.served(&trial.get(target, &line(&alice)));
    }
    gateway.cli(&["role", "delete", "auditor"], "").fine();
    for target in ["/audit/x", "/reports/x"] {
        soon(&gateway, target, &alice, &[403]);
        trial.denied(trial.get(target, &line(&alice)), "alice");
    }
    trial.served(&trial.get("/app/x", &line(&alice)));
}

/// A browser that sends what another service of the same origin asked it for, and a program that sends both.
#[test]
fn c_06_logout_whatever_else_comes_along() {
    let gateway = Setup::new().start();
    let ask = |cookie: &str, more: &str| {
        gateway.ask(format!(
            "POST /auth/logout HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n\
             Cookie: {cookie}\r\n{more}Content-Length: 0\r\n\r\n"
        ))
    };
    let opens = |cookie: &str, more: &str| {
        let line = format!("Cookie: {cookie}\r\n{more}");
        accounts::opens(&gateway, &line)
    };
    let basic = "Authorization: Basic YTpi\r\n";
    let cookie = gateway.login("alice");
    assert!(opens(&cookie, basic));
    let out = ask(&cookie, basic);
    assert_eq!(out.status, 200);
    // What services let the browser keep is not for whoever sits there next.
    assert_eq!(out.values("clear-site-data"), ["\"cache\""]);
    assert!(!opens(&cookie, ""));
    let (cookie, pair) = (gateway.login("alice"), accounts::tokens(&gateway, "alice"));
    assert!(opens(&cookie, "") && pair.opens(&gateway));
    assert_eq!(ask(&cookie, &pair.line()).status, 200);
    assert!(!opens(&cookie, "") && !pair.opens(&gateway));
    let cookie = gateway.login("alice");
    let dead = ask(&cookie, &pair.line());
    assert_eq!(dead.status, 401);
    assert!(
        dead.values("set-cookie")
            .iter()
            .any(|line| line.contains("Max-Age=0"))
    );
    assert!(!opens(&cookie, ""));
}
