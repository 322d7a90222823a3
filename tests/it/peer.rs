//! The calls of `fastapi-auth-plugin`, as its own tests make them from outside: a client of its, with the base URL
//! changed, finds what it knows.

use std::process::Command;

use serde_json::{Value, json};

use crate::api::{Bench, login, setup};
use crate::harness::Response;
use crate::harness::setup::password;

fn bench() -> Bench {
    Bench::of(setup().set(
        "login",
        "{ password: { register: open, blocklist: false, argon2: { memory: 8MiB, passes: 1, lanes: 1 } } }",
    ))
}

impl Bench {
    fn post(&self, token: &str, path: &str, body: &Value) -> Response {
        self.call(token, "POST", path, Some(body))
    }

    fn put(&self, token: &str, path: &str, body: &Value) -> Response {
        self.call(token, "PUT", path, Some(body))
    }

    fn get(&self, token: &str, path: &str) -> Response {
        self.call(token, "GET", path, None)
    }

    fn register(&self, email: &str, username: &str, password: &str) -> Response {
        let body = json!({ "email": email, "username": username, "password": password });
        self.post("", "/auth/register", &body)
    }
}

fn detail(answer: &Response) -> String {
    answer.json()["detail"]
        .as_str()
        .unwrap_or_default()
        .to_lowercase()
}

#[test]
fn peer_registration() {
    let bench = bench();
    let made = bench.register("newuser@example.com", "newuser", "newpassword123");
    assert_eq!(made.status, 201, "{}", made.text());
    let user = made.json();
    assert_eq!(user["email"], "newuser@example.com");
    assert_eq!(user["username"], "newuser");
    assert_eq!(user["is_active"], true);
    assert_eq!(user["is_superuser"], false);
    assert_eq!(user["roles"][0]["name"], "user");
    assert!(
        user["id"].is_i64() && user.get("hashed_password").is_none(),
        "{user}"
    );
    let email = bench.register("newuser@example.com", "different", "password of another");
    assert_eq!(email.status, 400);
    assert!(detail(&email).contains("email"), "{}", email.text());
    let name = bench.register("different@example.com", "newuser", "password of another");
    assert_eq!(name.status, 400);
    assert!(detail(&name).contains("username"), "{}", name.text());
    let wrong = bench.register("not-an-email", "another", "password of another");
    assert_eq!(wrong.status, 422);
    assert!(wrong.json()["detail"][0]["loc"].is_array());
}

#[test]
fn peer_login_and_refresh() {
    let bench = bench();
    for name in ["alice", "alice@example.test"] {
        let answer = login(&bench.gateway, name, &password("alice"));
        let tokens = answer.json();
        assert_eq!(answer.status, 200);
        assert_eq!(tokens["token_type"], "bearer");
        assert!(tokens["access_token"].is_string() && tokens["refresh_token"].is_string());
    }
    let simple = json!({ "username": "alice", "password": password("alice") });
    let simple = bench.post("", "/auth/login/simple", &simple);
    assert_eq!(simple.status, 200);
    for name in ["alice", "nonexistent"] {
        assert_eq!(login(&bench.gateway, name, "wrongpassword").status, 401);
    }
    let refresh = json!({ "refresh_token": simple.json()["refresh_token"] });
    let again = bench.post("", "/auth/refresh", &refresh);
    assert_eq!(
        (again.status, &again.json()["token_type"]),
        (200, &json!("bearer"))
    );
    let wrong = json!({ "refresh_token": "invalid_token" });
    assert_eq!(bench.post("", "/auth/refresh", &wrong).status, 401);
}

#[test]
fn peer_profile_and_logout() {
    let bench = bench();
    let token = bench.token("alice");
    let me = bench.get(&token, "/auth/me");
    assert_eq!(me.status, 200);
    assert_eq!(me.json()["username"], "alice");
    assert_eq!(me.json()["email"], "alice@example.test");
    assert!(me.json()["permissions"].is_array());
    assert_eq!(bench.get("", "/auth/me").status, 401);
    let moved = bench.put(
        &token,
        "/auth/me",
        &json!({ "email": "newemail@example.com" }),
    );
    assert_eq!(moved.status, 200, "{}", moved.text());
    assert_eq!(moved.json()["email"], "newemail@example.com");
    let lifted = bench.put(&token, "/auth/me", &json!({ "is_superuser": true }));
    assert_eq!(lifted.status, 422);
    let out = bench.call(&token, "POST", "/auth/logout", None);
    assert_eq!(out.status, 200);
    assert!(out.json()["message"].is_string());
    assert_eq!(bench.get(&token, "/auth/me").status, 401);
}

#[test]
fn peer_users() {
    let bench = bench();
    let (alice, root) = (bench.token("alice"), bench.token("root"));
    let list = bench.get(&root, "/auth/users");
    assert_eq!(list.status, 200);
    assert!(!list.json().as_array().unwrap().is_empty());
    let id = bench.number("alice");
    let path = format!("/auth/users/{id}");
    let one = bench.get(&root, &path).json();
    assert_eq!(
        (&one["id"], &one["username"]),
        (&json!(id), &json!("alice"))
    );
    let changed = bench.put(&root, &path, &json!({ "email": "updated@example.com" }));
    assert_eq!(changed.status, 200);
    assert_eq!(changed.json()["email"], "updated@example.com");
    assert_eq!(bench.get(&alice, "/auth/users").status, 403);
    assert_eq!(bench.call(&alice, "DELETE", &path, None).status, 403);
    assert_eq!(bench.get(&bench.chief, "/auth/users").status, 200);
    let gone = bench.call(&root, "DELETE", &path, None);
    assert_eq!(gone.status, 200);
    assert!(gone.json()["message"].is_string());
    assert_eq!(bench.get(&root, &path).status, 404);
    let own = format!("/auth/users/{}", bench.number("root"));
    assert_eq!(bench.call(&root, "DELETE", &own, None).status, 400);
    let nobody = "/auth/users/99999";
    let email = json!({ "email": "new@example.com" });
    assert_eq!(bench.put(&bench.chief, nobody, &email).status, 404);
    assert_eq!(bench.call(&bench.chief, "DELETE", nobody, None).status, 404);
    assert_eq!(bench.get(&bench.chief, nobody).status, 404);
}

#[test]
fn peer_roles_of_users() {
    let bench = bench();
    let (alice, root) = (bench.token("alice"), bench.token("root"));
    let made = json!({ "name": "tester", "description": "Tester role" });
    let role = bench.post(&bench.chief, "/auth/roles", &made).json()["id"].clone();
    let roles = format!("/auth/users/{}/roles", bench.number("alice"));
    // Of what they hold themselves, and services are told names: not as the plugin has it, which lets administrators.
    let above = bench.post(&root, &roles, &json!({ "role_ids": [role] }));
    assert_eq!(above.status, 403);
    let given = bench.post(&bench.chief, &roles, &json!({ "role_ids": [role] }));
    assert_eq!(given.status, 200, "{}", given.text());
    assert_eq!(
        given.json()["roles"],
        json!([{ "id": role, "name": "tester", "description": "Tester role", "origin": "local", "permissions": [] }])
    );
    assert_eq!(
        bench
            .post(&alice, &roles, &json!({ "role_ids": [1] }))
            .status,
        403
    );
    let unknown = bench.post(&bench.chief, &roles, &json!({ "role_ids": [99999] }));
    assert_eq!(unknown.status, 400);
    let named = bench.call(&bench.chief, "POST", &format!("{roles}/user"), None);
    assert_eq!(named.status, 200);
    assert_eq!(named.json()["roles"].as_array().unwrap().len(), 2);
    let taken = bench.call(&bench.chief, "DELETE", &format!("{roles}/tester"), None);
    assert_eq!(taken.json()["roles"][0]["name"], "user");
    for method in ["POST", "DELETE"] {
        let path = format!("{roles}/nothing");
        assert_eq!(bench.call(&root, method, &path, None).status, 404);
    }
}

#[test]
fn peer_roles() {
    let bench = bench();
    let alice = bench.token("alice");
    let made = json!({ "name": "manager", "description": "Manager role" });
    let answer = bench.post(&bench.chief, "/auth/roles", &made);
    assert_eq!(answer.status, 201);
    let role = answer.json();
    assert_eq!(
        (&role["name"], &role["description"]),
        (&json!("manager"), &json!("Manager role"))
    );
    assert_eq!(bench.post(&bench.chief, "/auth/roles", &made).status, 400);
    assert!(bench.get(&bench.chief, "/auth/roles").json().is_array());
    assert_eq!(bench.get(&alice, "/auth/roles").status, 403);
    assert_eq!(
        bench
            .post(&alice, "/auth/roles", &json!({ "name": "hacker" }))
            .status,
        403
    );
    let path = format!("/auth/roles/{}", role["id"]);
    let change = json!({ "name": "new_name", "description": "New description" });
    let changed = bench.put(&bench.chief, &path, &change).json();
    assert_eq!(changed["name"], "new_name");
    assert_eq!(changed["description"], "New description");
    assert_eq!(bench.call(&bench.chief, "DELETE", &path, None).status, 200);
    assert_eq!(bench.call(&bench.chief, "DELETE", &path, None).status, 404);
    assert_eq!(bench.get(&bench.chief, &path).status, 404);
}

#[test]
fn peer_permissions() {
    let bench = bench();
    let alice = bench.token("alice");
    let made = json!({ "name": "reports:generate", "resource": "reports", "action": "generate", "description": "Generate reports" });
    let answer = bench.post(&bench.chief, "/auth/permissions", &made);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let permission = answer.json();
    assert_eq!(permission["name"], "reports:generate");
    assert_eq!(permission["resource"], "reports");
    assert_eq!(permission["action"], "generate");
    assert_eq!(
        bench.post(&bench.chief, "/auth/permissions", &made).status,
        400
    );
    assert!(
        bench
            .get(&bench.chief, "/auth/permissions")
            .json()
            .is_array()
    );
    let path = format!("/auth/permissions/{}", permission["id"]);
    assert_eq!(bench.call(&bench.chief, "DELETE", &path, None).status, 404);
    assert_eq!(bench.post(&alice, "/auth/permissions", &made).status, 403);
}

#[test]
fn the_readme_calls_what_there_is() {
    let bench = bench();
    let readme = include_str!("../../README.md");
    let part = readme.split("## The API").nth(1).unwrap();
    let script = part.split("```sh").nth(1).unwrap();
    let script = script.split("```").next().unwrap();
    let url = format!("http://{}/auth", bench.gateway.http());
    let script = script
        .replace("http://localhost:8080/auth", &url)
        .replace("username=admin", "username=chief");
    let said = Command::new("sh")
        .args(["-euc", &script])
        .env("PASSWORD", password("chief"))
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&said.stdout);
    assert!(
        said.status.success(),
        "{out}{}",
        String::from_utf8_lossy(&said.stderr)
    );
    for told in [
        "\"username\":\"carol\"",
        "\"name\":\"admin\"",
        "\"is_active\":false",
        "\"ended\":0",
    ] {
        assert!(out.contains(told), "no {told} in {out}");
    }
}
