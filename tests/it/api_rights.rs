//! Who may do what to whom, beyond the permission itself; and what nobody may send.

use serde_json::{Value, json};

use crate::api::{self, Bench, CHIEF, superuser};
use crate::harness::setup::password;

impl Bench {
    fn refused(&self, token: &str, call: (&str, &str), body: &Value, status: u16) {
        let (method, path) = call;
        let body = (!body.is_null()).then_some(body);
        let answer = self.call(token, method, path, body);
        let text = answer.text();
        assert_eq!(answer.status, status, "{method} {path} {body:?}: {text}");
    }

    fn user(&self, id: i64) -> Value {
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
    assert_eq!(detail["loc"], json!(["body"]));
    assert!(
        detail["msg"].is_string() && detail["type"].is_string(),
        "{detail}"
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
    bench.refused(
        &root,
        ("POST", &roles),
        &json!({ "role_ids": [plain] }),
        200,
    );
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

#[test]
fn ad_11_lists_are_bounded() {
    let bench = Bench::new();
    for _ in 0..3 {
        bench.victim();
    }
    let list = |query: &str| bench.call(&bench.chief, "GET", &format!("/auth/users?{query}"), None);
    for query in [
        "limit=0",
        "limit=-1",
        "limit=1001",
        "limit=1000000000",
        "limit=1e2",
        "limit=",
        "limit=1&limit=2",
        "skip=-1",
        "skip=99999999999999999999",
        "sort=password_hash",
        "sort=id;DROP%20TABLE%20users",
        "sort=--id",
        "sort=",
        &format!("search={}", "x".repeat(255)),
    ] {
        let answer = list(query);
        assert_eq!(answer.status, 422, "{query}: {}", answer.text());
    }
    for query in [
        "search=%27%20OR%201=1--",
        "search=%25",
        "search=%00",
        "search=_",
        "skip=4294967295",
    ] {
        let answer = list(query);
        assert_eq!((answer.status, answer.json()), (200, json!([])), "{query}");
    }
    let names = |query: &str| {
        let answer = list(query);
        let all = answer.json();
        let names = all.as_array().unwrap().iter();
        names
            .map(|user| user["username"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names("search=VICTIM&sort=-username"),
        ["victim3", "victim2", "victim1"]
    );
    assert_eq!(names("search=victim&skip=1&limit=1"), ["victim2"]);
    let total = list("search=victim&limit=1").header("x-total-count");
    assert_eq!(total.as_deref(), Some("3"));
}

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
fn b_09_bodies_that_are_bombs() {
    let bench = Bench::new();
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let nested = format!("{{\"name\":{deep}}}");
    let many: Vec<String> = (0..30_000).map(|n| format!("\"k{n}\":1")).collect();
    let many = format!("{{{}}}", many.join(","));
    let huge = format!("{{\"role_ids\":[1{}]}}", "0".repeat(400));
    let bodies: [(&[u8], &str); 11] = [
        (deep.as_bytes(), "deep"),
        (nested.as_bytes(), "nested"),
        (many.as_bytes(), "many"),
        (huge.as_bytes(), "huge"),
        (b"{\"name\":\"a\",\"name\":\"b\"}", "twice"),
        (b"[\"name\"]", "array"),
        (b"{\"name\":\"\xff\"}", "no UTF-8"),
        (b"{\"name\":\"\\ud800\"}", "half a character"),
        (b"null", "null"),
        (b"{\"name\":\"a\"}x", "more behind it"),
        (b"", "nothing"),
    ];
    for (body, what) in bodies {
        for path in [
            "/auth/roles",
            "/auth/users",
            "/auth/users/1/roles",
            "/auth/permissions",
        ] {
            let mut request = format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                bench.chief,
                body.len()
            )
            .into_bytes();
            request.extend_from_slice(body);
            let answer = bench.gateway.ask(request);
            let fits = [400, 413, 422].contains(&answer.status);
            assert!(
                fits,
                "{what} to {path}: {} {}",
                answer.status,
                answer.text()
            );
        }
    }
    let twin = json!({ "name": "twin" });
    bench.chief("POST", "/auth/roles", Some(&twin));
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
