//! When tokens end, and how they are renewed (C-15, R-04, A-21).

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::accounts::{
    FRESH, Pair, call, cookie_line, get, letters, open, opens, post, refused, reset, reset_token,
    tokens, try_refresh, try_tokens,
};
use crate::harness::setup::password;
use crate::harness::{Gateway, PATIENCE, Setup, Trial, within};

const RULES: &str = "
  - { path: /public/**, allow: anyone }
  - { path: /program/**, auth: [jwt], allow: signed_in }
  - { path: /boss/**, auth: [jwt], allow: { role: admin } }
  - { path: /app/**, allow: signed_in }
";

fn setup() -> Setup {
    open("").rules(RULES)
}

fn at(gateway: &Gateway, path: &str, pair: &Pair) -> u16 {
    get(gateway, path, &pair.line()).status
}

/// Waits until a token opens nothing, and fails when that takes more than the second that is promised, with
/// as much again for a machine that is busy.
fn dies(gateway: &Gateway, pair: &Pair, why: &str) {
    let begun = Instant::now();
    let dead = within(PATIENCE, || {
        let line = pair.line();
        let mut raw = gateway.connect();
        raw.send(format!(
            "GET /program/x HTTP/1.1\r\nHost: localhost\r\n{line}\r\n"
        ));
        // Under way when the session ends, a request is cut.
        let answer = raw.try_read().ok()?;
        (answer.status == 401).then_some(())
    });
    assert!(dead.is_some(), "{why}: the token lives");
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{why}: {:?}",
        begun.elapsed()
    );
    assert!(!pair.opens(gateway), "{why}: our API takes it");
    refused(
        &try_refresh(gateway, &pair.refresh),
        401,
        "INVALID_REFRESH_TOKEN",
    );
}

#[test]
fn r_04_a_refresh_token_is_good_once_and_parallel_refreshes_agree() {
    let gateway = setup().start();
    for _ in 0..10 {
        let first = tokens(&gateway, "alice");
        let answers = thread::scope(|scope| {
            let all: Vec<_> = (0..20)
                .map(|_| scope.spawn(|| Pair::of(&try_refresh(&gateway, &first.refresh))))
                .collect();
            let all: Vec<Pair> = all.into_iter().map(|one| one.join().unwrap()).collect();
            all
        });
        let successors: BTreeSet<&str> = answers.iter().map(|pair| &*pair.refresh).collect();
        assert_eq!(successors.len(), 1, "{successors:?}");
        assert_ne!(answers[0].refresh, first.refresh);
        let access: BTreeSet<&str> = answers.iter().map(|pair| &*pair.access).collect();
        assert_eq!(access.len(), 20, "an access token was given twice");
        assert!(answers.iter().all(|pair| pair.opens(&gateway)));
        let next = Pair::of(&try_refresh(&gateway, &answers[0].refresh));
        assert!(next.opens(&gateway));
        assert!(!successors.contains(&*next.refresh));
    }
    // A refresh is no login: one session each.
    let sessions = gateway.cli(&["session", "list", "--json"], "").fine();
    let sessions: serde_json::Value = serde_json::from_str(&sessions.out).unwrap();
    assert_eq!(sessions.as_array().unwrap().len(), 10, "{sessions}");
}

#[test]
fn r_04_logging_out_wins_over_refreshes() {
    let gateway = setup().start();
    for _ in 0..12 {
        let pair = tokens(&gateway, "alice");
        let last = thread::scope(|scope| {
            let refresher = scope.spawn(|| {
                let (mut pair, mut count) = (pair.clone(), 0);
                loop {
                    let answer = try_refresh(&gateway, &pair.refresh);
                    if answer.status != 200 {
                        refused(&answer, 401, "INVALID_REFRESH_TOKEN");
                        return (pair, count);
                    }
                    pair = Pair::of(&answer);
                    count += 1;
                }
            });
            let out = call(&gateway, "POST", "/logout", &pair.line(), &json!({}));
            assert_eq!(out.status, 200, "{}", out.text());
            refresher.join().unwrap()
        });
        for one in [&pair, &last.0] {
            assert!(!one.opens(&gateway), "after {} refreshes", last.1);
            refused(
                &try_refresh(&gateway, &one.refresh),
                401,
                "INVALID_REFRESH_TOKEN",
            );
        }
    }
}

#[test]
fn c_15_tokens_end_with_what_they_stand_for() {
    let gateway = setup().start();
    let mut trial = Trial::new(&gateway, "C-15");
    let root = tokens(&gateway, "root");
    trial.allowed(trial.get("/boss/x", &root.line()));
    let other = tokens(&gateway, "alice");
    // Logging out ends this one.
    let pair = tokens(&gateway, "alice");
    trial.served(&trial.get("/program/x", &pair.line()));
    assert_eq!(
        call(&gateway, "POST", "/logout", &pair.line(), &json!({})).status,
        200
    );
    dies(&gateway, &pair, "logout");
    assert!(other.opens(&gateway));
    // Another password, set by a link, ends all of them.
    let token = reset_token(&gateway, "alice@example.test");
    assert_eq!(reset(&gateway, &token, FRESH).status, 200);
    trial.denied(trial.get("/program/x", &other.line()), "");
    dies(&gateway, &other, "reset");
    trial.served(&trial.get("/boss/x", &root.line()));
}

#[test]
fn c_15_what_the_command_line_does_is_seen_within_a_second() {
    for volatile in ["store", "memory"] {
        let gateway = setup().set("volatile", volatile).start();
        let cli = |arguments: &[&str], input: &str| drop(gateway.cli(arguments, input).fine());
        let pair = tokens(&gateway, "alice");
        assert_eq!(at(&gateway, "/boss/x", &pair), 403, "{volatile}");
        cli(&["user", "set-roles", "alice", "admin"], "");
        let promoted = within(Duration::from_secs(2), || {
            (at(&gateway, "/boss/x", &pair) == 200).then_some(())
        });
        assert!(promoted.is_some(), "{volatile}: promoted");
        cli(&["user", "set-roles", "alice", "user"], "");
        let line = pair.line();
        let demoted = within(Duration::from_secs(2), || {
            let mut raw = gateway.connect();
            raw.send(format!(
                "GET /boss/x HTTP/1.1\r\nHost: localhost\r\n{line}\r\n"
            ));
            // Under way when the role is lost, a request is cut.
            let answer = raw.try_read().ok()?;
            (answer.status == 403).then_some(())
        });
        assert!(demoted.is_some(), "{volatile}: demoted");
        assert_eq!(at(&gateway, "/program/x", &pair), 200);
        cli(
            &["user", "set-password", "alice", "--password-stdin"],
            &format!("{FRESH}\n"),
        );
        dies(&gateway, &pair, volatile);
        let pair = Pair::of(&try_tokens(&gateway, "alice", FRESH));
        assert!(pair.opens(&gateway));
        cli(&["user", "disable", "alice"], "");
        dies(&gateway, &pair, volatile);
        assert_eq!(try_tokens(&gateway, "alice", FRESH).status, 401);
        let root = tokens(&gateway, "root");
        assert!(root.opens(&gateway));
        cli(&["user", "delete", "root"], "");
        dies(&gateway, &root, volatile);
    }
}

#[test]
fn a_password_that_somebody_else_set_opens_nothing_but_the_way_to_another() {
    let gateway = setup().start();
    let given = "given by somebody else 7";
    let set = [
        "user",
        "set-password",
        "alice",
        "--must-change",
        "--password-stdin",
    ];
    gateway.cli(&set, &format!("{given}\n")).fine();
    let mut trial = Trial::new(&gateway, "must-change");
    trial.allowed(trial.get("/app/x", &gateway.as_user("root")));
    let pair = Pair::of(&try_tokens(&gateway, "alice", given));
    let cookie = crate::accounts::session(&gateway, "alice", given);
    // Proxied routes, the API, a refresh, leaving.
    trial.denied(trial.get("/app/x", &cookie), "");
    trial.denied(trial.get("/program/x", &pair.line()), "");
    let must = |answer| refused(&answer, 403, "PASSWORD_CHANGE_REQUIRED");
    for line in [&cookie, &pair.line()] {
        must(get(&gateway, "/auth/users", line));
        must(get(&gateway, "/auth/sessions", line));
        must(call(&gateway, "DELETE", "/sessions", line, &json!({})));
        must(call(
            &gateway,
            "DELETE",
            "/me",
            line,
            &json!({ "current_password": given }),
        ));
        must(call(
            &gateway,
            "PUT",
            "/me",
            line,
            &json!({ "username": "other" }),
        ));
        let change = json!({ "password": FRESH, "username": "other", "current_password": given });
        must(call(&gateway, "PUT", "/me", line, &change));
        must(call(
            &gateway,
            "PUT",
            "/me",
            line,
            &json!({ "current_password": given }),
        ));
    }
    must(try_refresh(&gateway, &pair.refresh));
    // The same one again is no other.
    let same = json!({ "password": given, "current_password": given });
    let answer = call(&gateway, "PUT", "/me", &pair.line(), &same);
    refused(&answer, 400, "FIXED");
    // Another one ends what the one before had opened, and opens everything.
    let change = json!({ "password": FRESH, "current_password": given });
    let answer = call(&gateway, "PUT", "/me", &pair.line(), &change);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!opens(&gateway, &cookie) && !pair.opens(&gateway));
    let pair = Pair::of(&try_tokens(&gateway, "alice", FRESH));
    trial.served(&trial.get("/program/x", &pair.line()));
    assert!(Pair::of(&try_refresh(&gateway, &pair.refresh)).opens(&gateway));
    let cookie = crate::accounts::session(&gateway, "alice", FRESH);
    trial.served(&trial.get("/app/x", &cookie));
}

#[test]
fn a_20_another_password_ends_every_session_but_this_one() {
    let gateway = setup().start();
    let old = password("alice");
    let mine = cookie_line(&gateway.login("alice"));
    let (elsewhere, pair) = (
        cookie_line(&gateway.login("alice")),
        tokens(&gateway, "alice"),
    );
    let root = cookie_line(&gateway.login("root"));
    let change = json!({ "password": FRESH, "current_password": old });
    let answer = call(&gateway, "PUT", "/me", &mine, &change);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let renewed = cookie_line(&crate::harness::gateway::session_cookie(&answer));
    assert_ne!(renewed, mine);
    assert!(opens(&gateway, &renewed) && opens(&gateway, &root));
    for line in [&mine, &elsewhere, &pair.line()] {
        assert!(!opens(&gateway, line), "{line}");
    }
    refused(
        &try_refresh(&gateway, &pair.refresh),
        401,
        "INVALID_REFRESH_TOKEN",
    );
    assert_eq!(gateway.try_login("alice", &old).status, 401);
    let told = crate::accounts::wait_for(&gateway, "alice@example.test", 1);
    assert!(told[0].subject().contains("password"), "{told:?}");
    // By a token: it ends as well, since whoever holds a copy could not be told from its owner.
    let pair = Pair::of(&try_tokens(&gateway, "alice", FRESH));
    let change = json!({ "password": old, "current_password": FRESH });
    assert_eq!(
        call(&gateway, "PUT", "/me", &pair.line(), &change).status,
        200
    );
    assert!(!pair.opens(&gateway) && !opens(&gateway, &renewed));
    let pair = tokens(&gateway, "alice");
    assert_eq!(letters(&gateway, "root@example.test").len(), 0);
    // The twin: a wrong current password changes nothing.
    let wrong = json!({ "password": FRESH, "current_password": "nonsense" });
    refused(
        &call(&gateway, "PUT", "/me", &pair.line(), &wrong),
        400,
        "WRONG_PASSWORD",
    );
    assert_eq!(
        post(
            &gateway,
            "/login/simple",
            &json!({ "username": "alice", "password": old })
        )
        .status,
        200
    );
}
