//! Who may do what to whom, beyond the permission itself; and what nobody may send.

use serde_json::{Value, json};

use crate::accounts::id_of;
use crate::api::{self, Bench, CHIEF};
use crate::harness::Setup;
use crate::harness::setup::password;

impl Bench {
    pub fn refused(&self, token: &str, call: (&str, &str), body: &Value, status: u16) {
        let (method, path) = call;
        let body = (!body.is_null()).then_some(body);
        let answer = self.call(token, method, path, body);
        let text = answer.text();
        assert_eq!(answer.status, status, "{method} {path} {body:?}: {text}");
    }

    pub fn user(&self, id: i64) -> Value {
        self.chief("GET", &format!("/auth/users/{id}"), None)
    }
}

#[test]
fn ad_02_what_is_others_stays_theirs() {
    let bench = Bench::new();
    let (alice, root) = (bench.token("alice"), bench.token("root"));
    let id = bench.number("root");
    let theirs = bench.chief("GET", &format!("/auth/users/{id}/sessions"), None);
    let sid = theirs[0]["id"].as_str().unwrap();
    let nothing = Value::Null;
    bench.refused(
        &alice,
        ("DELETE", &format!("/auth/sessions/{sid}")),
        &nothing,
        404,
    );
    bench.refused(
        &alice,
        ("DELETE", &format!("/auth/sessions/{}", "0".repeat(32))),
        &nothing,
        404,
    );
    bench.refused(
        &alice,
        ("GET", &format!("/auth/users/{id}/sessions")),
        &nothing,
        403,
    );
    let of_alice = format!("/auth/users/{}/sessions/{sid}", bench.number("alice"));
    bench.refused(&bench.chief, ("DELETE", &of_alice), &nothing, 404);
    for path in [
        "/auth/users/0",
        "/auth/users/-1",
        "/auth/users/9223372036854775807",
    ] {
        bench.refused(&root, ("GET", path), &nothing, 404);
    }
    for path in [
        "/auth/users/9223372036854775808",
        "/auth/users/1%20OR%201",
        "/auth/roles/x",
    ] {
        bench.refused(&root, ("GET", path), &nothing, 422);
    }
    assert_eq!(bench.call(&root, "GET", "/auth/me", None).status, 200);
}

#[test]
fn ad_03_unknown_and_read_only_fields_are_refused() {
    let bench = Bench::new();
    let (alice, root) = (bench.token("alice"), bench.token("root"));
    let (id, _) = bench.victim();
    let before = bench.user(id);
    let fields = [
        ("id", json!(1)),
        ("roles", json!(["admin"])),
        ("role_ids", json!([1])),
        ("is_admin", json!(true)),
        ("tenant", json!("x")),
        ("password_hash", json!("x")),
        ("hashed_password", json!("x")),
        ("email_verified", json!(true)),
        ("created_at", json!("2020-01-01T00:00:00Z")),
        ("must_change_password", json!(false)),
        ("permissions", json!(["users:write"])),
        ("user_id", json!(1)),
    ];
    for (field, value) in fields {
        let body = json!({ field: value });
        bench.refused(&root, ("PUT", &format!("/auth/users/{id}")), &body, 422);
        bench.refused(&alice, ("PUT", "/auth/me"), &body, 422);
        let mut new =
            json!({ "email": "z@example.test", "username": "zed", "password": password("zed") });
        new[field] = value;
        bench.refused("", ("POST", "/auth/register"), &new, 422);
        if field != "roles" {
            bench.refused(&root, ("POST", "/auth/users"), &new, 422);
        }
    }
    assert_eq!(bench.user(id), before);
    let detail = bench.call(
        &root,
        "PUT",
        &format!("/auth/users/{id}"),
        Some(&json!({ "id": 1 })),
    );
    let detail = detail.json()["detail"][0].clone();
    assert_eq!(detail["loc"], json!(["body", "id"]));
    assert!(
        detail["msg"].is_string() && detail["type"].is_string(),
        "{detail}"
    );
}

#[test]
fn ad_06_who_is_let_in_by_name_is_a_superusers_business() {
    let rules = "  - { path: /mine/**, allow: { user: named } }";
    let bench = Bench::of(
        api::setup()
            .rules(rules)
            .user("named", "user")
            .user("plain", "user"),
    );
    let root = bench.token("root");
    for (name, status) in [("plain", 200), ("named", 403)] {
        let id = bench.number(name);
        let own = format!("/auth/users/{id}");
        // Nor does anybody leave a name that a rule may keep out.
        let (token, renamed) = (
            bench.token(name),
            json!({ "username": format!("{name}-1") }),
        );
        let answer = bench.call(&token, "PUT", "/auth/me", Some(&renamed));
        assert_eq!(answer.status, status, "{}", answer.text());
        for body in [
            json!({ "password": "now it is mine 4711" }),
            json!({ "email": format!("{name}@elsewhere.test") }),
            json!({ "username": format!("{name}-2") }),
            json!({ "is_active": false }),
        ] {
            let answer = bench.call(&root, "PUT", &own, Some(&body));
            assert_eq!(answer.status, status, "{body}: {}", answer.text());
        }
        let roles = json!({ "role_ids": [] });
        let answer = bench.call(&root, "POST", &format!("{own}/roles"), Some(&roles));
        assert_eq!(answer.status == 403, status == 403, "{}", answer.text());
        let answer = bench.call(&root, "DELETE", &own, None);
        assert_eq!(answer.status == 403, status == 403, "{}", answer.text());
    }
    bench.chief(
        "PUT",
        &format!("/auth/users/{}", bench.number("named")),
        Some(&json!({ "is_active": false })),
    );
}

#[test]
fn ad_04_nobody_lifts_themselves() {
    let bench = Bench::new();
    let (alice, root) = (bench.token("alice"), bench.token("root"));
    for body in [
        json!({ "is_verified": true }),
        json!({ "is_superuser": true }),
        json!({ "is_active": true }),
    ] {
        bench.refused(&alice, ("PUT", "/auth/me"), &body, 422);
    }
    for (token, name) in [(&root, "root"), (&bench.chief.clone(), CHIEF)] {
        let own = format!("/auth/users/{}", bench.number(name));
        for body in [
            json!({ "is_active": false }),
            json!({ "is_verified": true }),
            json!({ "email": "other@example.test" }),
            json!({ "password": "another long password" }),
        ] {
            bench.refused(token, ("PUT", &own), &body, 403);
        }
        bench.refused(
            token,
            ("POST", &format!("{own}/roles")),
            &json!({ "role_ids": [] }),
            403,
        );
        bench.refused(
            token,
            ("POST", &format!("{own}/roles/reader")),
            &Value::Null,
            403,
        );
        bench.refused(
            token,
            ("DELETE", &format!("{own}/roles/admin")),
            &Value::Null,
            403,
        );
        bench.refused(token, ("DELETE", &own), &Value::Null, 400);
    }
}

#[test]
fn ad_06_nobody_reaches_above_themselves() {
    let bench = Bench::new();
    let root = bench.token("root");
    let (victim, _) = bench.victim();
    let of_victim = format!("/auth/users/{victim}");
    let (plain, _) = bench.role();
    let strong = json!({ "name": "things:break", "resource": "things", "action": "break" });
    let strong = bench.chief("POST", "/auth/permissions", Some(&strong))["id"].clone();
    let strong = json!({ "name": "breaker", "permission_ids": [strong] });
    let strong = bench.chief("POST", "/auth/roles", Some(&strong))["id"].clone();
    let roles = format!("{of_victim}/roles");
    bench.refused(
        &root,
        ("POST", &roles),
        &json!({ "role_ids": [plain, strong] }),
        403,
    );
    bench.refused(
        &root,
        ("POST", &format!("{roles}/breaker")),
        &Value::Null,
        403,
    );
    bench.refused(
        &root,
        ("POST", &format!("{roles}/looker")),
        &Value::Null,
        403,
    );
    bench.refused(
        &root,
        ("POST", &format!("{roles}/superuser")),
        &Value::Null,
        403,
    );
    bench.refused(
        &root,
        ("PUT", &of_victim),
        &json!({ "is_superuser": true }),
        403,
    );
    let draft = json!({ "username": "puppet", "roles": ["breaker"] });
    bench.refused(&root, ("POST", "/auth/users"), &draft, 403);
    let invitation = json!({ "email": "puppet@example.test", "roles": ["breaker"] });
    bench.refused(&root, ("POST", "/auth/invitations"), &invitation, 403);
    // Also where it gives no permission: services are told its name.
    let plain = json!({ "role_ids": [plain] });
    bench.refused(&root, ("POST", &roles), &plain, 403);
    let own = json!({ "role_ids": [bench.role_number("user")] });
    bench.refused(&root, ("POST", &roles), &own, 200);
}

#[test]
fn ad_06_a_role_that_left_the_file_is_still_more_than_others_hold() {
    let setup = Setup::new().set(
        "roles",
        "{ admin: [\"users:read\", \"users:write\"], finance: [\"money:move\"] }",
    );
    let gateway = setup.clone().start();
    gateway
        .cli(&["user", "set-roles", "alice", "finance"], "")
        .fine();
    let root = gateway.login("root");
    let alice = id_of(&gateway, "alice");
    let change = |status: u16, what: &str| {
        let body = json!({ "password": "a password of the intruder" }).to_string();
        let path = format!("/auth/users/{alice}");
        let answer = gateway.ask(format!(
            "PUT {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {root}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
    };
    change(403, "with the role");
    let without = setup
        .clone()
        .set("roles", "{ admin: [\"users:read\", \"users:write\"] }");
    gateway.write("gateway.yaml", &without.yaml());
    assert!(gateway.reload(), "{}", gateway.log());
    change(403, "after it left the file");
    gateway
        .cli(&["user", "set-roles", "alice", "user"], "")
        .fine();
    change(200, "when it was taken away");
}

#[test]
fn ad_06_nobody_lays_hands_on_who_holds_more() {
    let bench = Bench::new();
    let root = bench.token("root");
    let (victim, _) = bench.victim();
    let of_victim = format!("/auth/users/{victim}/roles/looker");
    bench.chief("POST", &of_victim, None);
    for above in [victim, bench.number(CHIEF), bench.number("looker")] {
        let path = format!("/auth/users/{above}");
        for body in [
            json!({ "password": "a password of the intruder" }),
            json!({ "email": "intruder@example.test" }),
            json!({ "is_active": false }),
        ] {
            bench.refused(&root, ("PUT", &path), &body, 403);
        }
        bench.refused(&root, ("DELETE", &path), &Value::Null, 403);
        bench.refused(
            &root,
            ("DELETE", &format!("{path}/sessions")),
            &Value::Null,
            403,
        );
        bench.refused(
            &root,
            ("POST", &format!("{path}/roles")),
            &json!({ "role_ids": [] }),
            403,
        );
    }
}

#[test]
fn ad_06_what_is_fixed_about_roles_stays() {
    let bench = Bench::new();
    let (plain, other) = bench.role();
    let roles = format!("/auth/users/{}/roles", bench.victim().0);
    let list = bench.chief("GET", "/auth/roles", None);
    let number = |name: &str| {
        let all = list.as_array().unwrap();
        all.iter().find(|role| role["name"] == name).unwrap()["id"].clone()
    };
    let chief = bench.chief.clone();
    let rename = |id: &Value, to: &str, status| {
        let call = ("PUT", &*format!("/auth/roles/{id}"));
        bench.refused(&chief, call, &json!({ "name": to }), status);
    };
    rename(&json!(plain), "admin", 400);
    rename(&json!(plain), "superuser", 400);
    let (taken, _) = bench.role();
    rename(&json!(taken), &other, 400);
    rename(&number("admin"), "chief", 400);
    rename(&number("superuser"), "chief", 400);
    rename(&json!(99_999), "other", 404);
    bench.refused(
        &chief,
        ("DELETE", &format!("/auth/roles/{}", number("reader"))),
        &Value::Null,
        400,
    );
    let wrong = json!({ "name": "a:b", "resource": "a", "action": "c" });
    bench.refused(&chief, ("POST", "/auth/permissions"), &wrong, 422);
    let unknown = json!({ "name": "other", "permission_ids": [99_999] });
    bench.refused(&chief, ("POST", "/auth/roles"), &unknown, 400);
    bench.refused(
        &chief,
        ("POST", &roles),
        &json!({ "role_ids": [99_999] }),
        400,
    );
    bench.refused(
        &chief,
        ("POST", &format!("{roles}/nothing")),
        &Value::Null,
        404,
    );
}

#[test]
fn ad_10_the_api_has_one_spelling() {
    let bench = Bench::new();
    for path in [
        "/auth/me/../users",
        "/auth/%2e%2e/auth/users",
        "/AUTH/users",
        "/auth//users",
        "/auth/%75sers",
        "/auth/users%2f1",
        "/auth/users;x=1",
        "/auth/users/",
    ] {
        let answer = bench.call(&bench.token("alice"), "GET", path, None);
        assert!(
            (400..500).contains(&answer.status),
            "{path}: {}",
            answer.status
        );
        let nobody = bench.call("", "GET", path, None);
        assert!(
            (400..500).contains(&nobody.status),
            "{path}: {}",
            nobody.status
        );
    }
    assert!(bench.gateway.recorder().with("GET").is_empty());
}
