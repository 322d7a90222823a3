//! Rights that change: at once for whoever has them, not at all for whoever comes after under the same name, and never
//! for the last superuser.

use serde_json::{Value, json};

use crate::api::{self, Bench, CHIEF, setup, superuser};
use crate::harness::eventually;
use crate::harness::setup::password;

#[test]
fn ad_14_a_name_made_again_inherits_nothing() {
    let bench = Bench::new();
    bench.gateway.add_user("dora", "reader").fine();
    let (token, cookie) = (bench.token("dora"), bench.gateway.login("dora"));
    let (old, subject) = (bench.number("dora"), subject(&token));
    assert_eq!(bench.call(&token, "GET", "/auth/users", None).status, 200);
    bench.chief("DELETE", &format!("/auth/users/{old}"), None);
    bench.gateway.add_user("dora", "user").fine();
    bench.refused(&token, ("GET", "/auth/users"), &Value::Null, 401);
    bench.refused(&token, ("GET", "/auth/me"), &Value::Null, 401);
    let lines = format!("Cookie: {cookie}\r\n");
    let answer = api::with_lines(&bench.gateway, &lines, "GET", "/auth/sessions", None);
    assert_eq!(answer.status, 401);
    let again = bench.token("dora");
    assert!(bench.number("dora") > old);
    assert_ne!(self::subject(&again), subject);
    let me = bench.call(&again, "GET", "/auth/me", None).json();
    assert_eq!(me["permissions"], json!([]));
    assert_eq!(me["roles"].as_array().unwrap().len(), 1);
}

/// Who a token speaks for.
fn subject(token: &str) -> Value {
    use base64::Engine as _;
    let claims = token.split('.').nth(1).unwrap();
    let claims = base64::prelude::BASE64_URL_SAFE_NO_PAD
        .decode(claims)
        .unwrap();
    serde_json::from_slice::<Value>(&claims).unwrap()["sub"].clone()
}

#[test]
fn c_15_what_is_changed_bites_at_the_next_request() {
    let bench = Bench::new();
    let (id, role) = (bench.number("alice"), bench.role());
    let permission = json!({ "name": "users:read", "resource": "users", "action": "read" });
    assert_eq!(
        bench
            .call(&bench.chief, "POST", "/auth/permissions", Some(&permission))
            .status,
        400
    );
    let list = bench.chief("GET", "/auth/permissions", None);
    let all = list.as_array().unwrap();
    let read = all.iter().find(|it| it["name"] == "users:read").unwrap()["id"].clone();
    let (token, cookie) = (bench.token("alice"), bench.gateway.login("alice"));
    let sees = |status: u16, why: &str| {
        let lines = format!("Cookie: {cookie}\r\n");
        let by_cookie = api::with_lines(&bench.gateway, &lines, "GET", "/auth/users", None);
        let by_token = bench.call(&token, "GET", "/auth/users", None);
        assert_eq!(
            (by_cookie.status, by_token.status),
            (status, status),
            "{why}"
        );
    };
    let of_alice = format!("/auth/users/{id}");
    let of_role = format!("/auth/roles/{}", role.0);
    sees(403, "at first");
    bench.chief("POST", &format!("{of_alice}/roles/{}", role.1), None);
    sees(403, "with a role that gives nothing");
    bench.chief("PUT", &of_role, Some(&json!({ "permission_ids": [read] })));
    sees(200, "the role gives it");
    bench.chief("PUT", &of_role, Some(&json!({ "permission_ids": [] })));
    sees(403, "the role gives it no more");
    bench.chief("PUT", &of_role, Some(&json!({ "permission_ids": [read] })));
    bench.chief("DELETE", &format!("{of_alice}/roles/{}", role.1), None);
    sees(403, "the role is taken");
    bench.chief(
        "POST",
        &format!("{of_alice}/roles"),
        Some(&json!({ "role_ids": [role.0] })),
    );
    sees(200, "the role is given by number");
    bench.chief("DELETE", &of_role, None);
    sees(403, "the role is gone");
    bench.chief("PUT", &of_alice, Some(&json!({ "is_superuser": true })));
    sees(200, "promoted");
    bench.chief("PUT", &of_alice, Some(&json!({ "is_active": false })));
    sees(401, "disabled");
    bench.chief("PUT", &of_alice, Some(&json!({ "is_active": true })));
    sees(401, "enabled again: what was open stays closed");
}

#[test]
fn a_password_that_somebody_else_set_is_changed_first() {
    let bench = Bench::new();
    let (id, token) = (bench.number("alice"), bench.token("alice"));
    let set = json!({ "password": "a password of the office" });
    bench.chief("PUT", &format!("/auth/users/{id}"), Some(&set));
    bench.refused(&token, ("GET", "/auth/me"), &Value::Null, 401);
    let answer = api::login(&bench.gateway, "alice", "a password of the office");
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    bench.refused(&token, ("GET", "/auth/sessions"), &Value::Null, 403);
    let own = json!({ "password": "a password of my own", "current_password": "a password of the office" });
    bench.refused(&token, ("PUT", "/auth/me"), &own, 200);
    let answer = api::login(&bench.gateway, "alice", "a password of my own");
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    bench.refused(&token, ("GET", "/auth/sessions"), &Value::Null, 200);
}

#[test]
fn ad_05_the_last_superuser_stays() {
    let bench = Bench::new();
    let id = bench.number(CHIEF);
    superuser(&bench.gateway, "second");
    let second = bench.token("second");
    bench.chief(
        "PUT",
        &format!("/auth/users/{}", bench.number("second")),
        Some(&json!({ "is_superuser": false })),
    );
    let chief = format!("/auth/users/{id}");
    bench.refused(&second, ("DELETE", &chief), &Value::Null, 403);
    let leave = json!({ "current_password": password(CHIEF) });
    bench.refused(&bench.chief.clone(), ("DELETE", "/auth/me"), &leave, 400);
    assert_eq!(bench.user(id)["is_superuser"], true);
}

#[test]
fn ad_07_a_role_that_a_rule_keeps_people_out_by_stays_what_it_is() {
    let rules = "
  - { path: /app/**, allow: { not: { role: blocked } } }
  - { path: /bills/**, allow: { not: { permission: bills:due } } }
  - { path: /reports/**, allow: { role: auditor } }
";
    let bench = Bench::of(setup().rules(rules));
    let make = |name: &str, gives: &[&str]| {
        let add = ["role", "add", name, "--permissions", &gives.join(",")];
        bench.gateway.cli(&add, "").fine();
        bench.role_number(name)
    };
    let kept = [
        (make("blocked", &[]), "blocked", "/app/x"),
        (make("debtor", &["bills:due"]), "debtor", "/bills/x"),
    ];
    let free = make("auditor", &[]);
    let asks = |path: &str| {
        let cookie = bench.gateway.login("alice");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n");
        bench.gateway.ask(request).status
    };
    for (id, name, closed) in kept {
        let path = format!("/auth/roles/{id}");
        bench
            .gateway
            .cli(&["user", "set-roles", "alice", name], "")
            .fine();
        let chief = &bench.chief;
        let renamed = json!({ "name": "something-else" });
        let mut answers = vec![bench.call(chief, "DELETE", &path, None)];
        if name == "blocked" {
            answers.push(bench.call(chief, "PUT", &path, Some(&renamed)));
        }
        for answer in answers {
            assert_eq!(answer.status, 409, "{name}: {}", answer.text());
            assert_eq!(answer.json()["code"], "RULE_EXCLUDES", "{}", answer.text());
            let told = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(told.contains("line ") && told.contains(name), "{told}");
        }
        let said = bench.gateway.cli(&["role", "delete", name], "");
        assert!(
            said.code != Some(0) && said.err.contains("keeps out"),
            "{said:?}"
        );
        assert_eq!(asks(closed), 403, "{name}");
        assert_eq!(bench.gateway.recorder().count(), 0);
    }
    // The twins: the same of a role that lets people in, and what else is said of the first.
    let said = json!({ "description": "They know why." });
    bench.chief("PUT", &format!("/auth/roles/{}", kept[0].0), Some(&said));
    let path = format!("/auth/roles/{free}");
    bench.chief("PUT", &path, Some(&json!({ "name": "examiner" })));
    bench.chief("DELETE", &path, None);
    bench
        .gateway
        .cli(&["user", "set-roles", "alice", "user"], "")
        .fine();
    assert_eq!((asks("/app/x"), bench.gateway.recorder().count()), (200, 1));
}

#[test]
fn o_01_the_log_tells_who_administered_and_nothing_that_was_typed() {
    let bench = Bench::new();
    let (id, role) = (bench.number("alice"), bench.role());
    let of_alice = format!("/auth/users/{id}");
    let secret = "a password of the office";
    bench.chief("PUT", &of_alice, Some(&json!({ "password": secret })));
    bench.chief("POST", &format!("{of_alice}/roles/{}", role.1), None);
    bench.chief("DELETE", &format!("{of_alice}/sessions"), None);
    let of_role = format!("/auth/roles/{}", role.0);
    bench.chief("PUT", &of_role, Some(&json!({ "description": "said so" })));
    bench.chief("DELETE", &of_role, None);
    bench.gateway.says("role.delete");
    let log = bench.gateway.log();
    let told = |action: &str, on: &str| {
        let mut lines = log.lines().filter(|line| line.contains(action));
        let line = lines
            .next()
            .unwrap_or_else(|| panic!("no {action} in {log}"));
        assert!(line.contains(CHIEF) && line.contains(on), "{line}");
        assert!(lines.next().is_none(), "{action} is told twice: {log}");
    };
    told("user.edit", "alice");
    told("user.roles", "alice");
    told("session.end_all", "alice");
    told("role.edit", &role.1);
    told("role.delete", &role.1);
    assert!(!log.contains(secret) && !log.contains("said so"), "{log}");
    // The access line as well.
    let line = log.lines().find(|line| line.contains("method=\"PUT\""));
    let user = format!("user=\"{CHIEF}\"");
    assert!(line.is_some_and(|line| line.contains(&user)), "{line:?}");
    // What is refused is not said to have been done.
    let reader = bench.token("reader");
    bench.refused(&reader, ("DELETE", &of_alice), &Value::Null, 403);
    // Until a later one is: lines come in order, and late.
    bench.chief("DELETE", &format!("{of_alice}/sessions"), None);
    eventually("the line of the last one", || {
        let log = bench.gateway.log();
        (log.matches("session.end_all").count() == 2).then_some(())
    });
    let deleted = |log: &str| log.matches("user.delete").count();
    assert_eq!(deleted(&bench.gateway.log()), deleted(&log));
}

#[test]
fn what_cannot_be_taken_away_is_not_said_to_be() {
    let bench = Bench::new();
    let path = format!("/auth/users/{}", bench.number("alice"));
    for method in ["PUT", "PATCH"] {
        let none = json!({ "email": null });
        bench.refused(&bench.chief.clone(), (method, &path), &none, 422);
        let nothing = json!({});
        bench.refused(&bench.chief.clone(), (method, &path), &nothing, 200);
    }
}
