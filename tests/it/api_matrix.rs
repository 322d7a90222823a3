//! Everybody calls everything (AD-01): the document says what each call needs, and only who has that succeeds.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::api::{self, Bench, CHIEF, PERSONAS, operations, with_lines};
use crate::harness::Response;
use crate::harness::setup::password;

/// What to send, so that nothing but a missing right can refuse it.
pub struct Recipe {
    token: String,
    path: String,
    body: Option<Value>,
}

impl Bench {
    /// How `name` calls an operation.
    pub fn recipe(&self, operation: &str, path: &str, name: &str) -> Recipe {
        let mut recipe = Recipe {
            token: self.token(name),
            path: path.to_owned(),
            body: None,
        };
        recipe.body = match operation {
            "login_simple" | "session_login" => {
                Some(json!({ "username": "alice", "password": password("alice") }))
            }
            "refresh" => Some(json!({ "refresh_token": self.refresh_token() })),
            "create_permission" => {
                let resource = self.fresh("things");
                Some(
                    json!({ "name": format!("{resource}:do"), "resource": resource, "action": "do" }),
                )
            }
            "create_role" => Some(json!({ "name": self.fresh("role") })),
            "update_me" | "patch_me" => Some(json!({})),
            _ => self.with_letters(operation),
        };
        if operation == "delete_me" {
            let name = self.fresh("leaver");
            self.gateway.add_user(&name, "user").fine();
            recipe.body = Some(json!({ "current_password": password(&name) }));
            if !recipe.token.is_empty() {
                recipe.token = self.token(&name);
            }
        }
        if operation == "end_other_sessions" && name == CHIEF {
            let other = self.fresh("other");
            api::superuser(&self.gateway, &other);
            recipe.token = self.token(&other);
        }
        self.place(operation, &mut recipe);
        recipe
    }

    fn refresh_token(&self) -> Value {
        let answer = api::login(&self.gateway, "alice", &password("alice"));
        answer.json()["refresh_token"].clone()
    }

    /// The bodies of what letters are needed for.
    fn with_letters(&self, operation: &str) -> Option<Value> {
        let fresh = |word: &str| format!("{}@example.test", self.fresh(word));
        let asked = |path: &str, word: &str| {
            let (_, name) = self.victim();
            let address = format!("{name}@example.test");
            if !path.is_empty() {
                self.call("", "POST", path, Some(&json!({ "email": address })));
            }
            (self.fresh(word), address)
        };
        Some(match operation {
            "register" => {
                json!({ "email": fresh("comer"), "username": self.fresh("comer"), "password": password("comer") })
            }
            "forgot_password" | "request_verify_token" => json!({ "email": asked("", "").1 }),
            "reset_password" => {
                let (word, address) = asked("/auth/forgot-password", "chosen");
                let token = self.mailed_for("/reset-password", &address);
                json!({ "token": token, "password": password(&word) })
            }
            "verify" => {
                // Sent to whoever an account was made for.
                let (_, address) = asked("", "");
                json!({ "token": self.mailed(&address) })
            }
            "confirm_email" => {
                let name = self.fresh("mover");
                self.gateway.add_user(&name, "user").fine();
                let address = fresh("moved");
                let (token, body) = (self.token(&name), json!({ "email": address }));
                assert_eq!(
                    self.call(&token, "PUT", "/auth/me", Some(&body)).status,
                    200
                );
                json!({ "token": self.mailed_for("/confirm-email", &address) })
            }
            "create_invitation" => json!({ "email": fresh("guest"), "roles": ["user"] }),
            "accept_invitation" => {
                let address = fresh("guest");
                self.chief(
                    "POST",
                    "/auth/invitations",
                    Some(&json!({ "email": address })),
                );
                json!({ "token": self.mailed(&address), "username": self.fresh("guest"), "password": password("guest") })
            }
            "create_user" => {
                json!({ "username": self.fresh("made"), "password": password("made") })
            }
            "update_user" | "patch_user" => json!({ "is_verified": true }),
            "set_user_roles" => json!({ "role_ids": [self.role_number("user")] }),
            "update_role" => json!({ "description": "Another one" }),
            _ => return None,
        })
    }

    /// Puts into the path what it stands for.
    fn place(&self, operation: &str, recipe: &mut Recipe) {
        let path = &recipe.path;
        recipe.path = match operation {
            "get_role" | "update_role" | "delete_role" => {
                path.replace("{id}", &self.role().0.to_string())
            }
            "revoke_invitation" => {
                let guest = json!({ "email": format!("{}@example.test", self.fresh("guest")) });
                let made = self.chief("POST", "/auth/invitations", Some(&guest));
                path.replace("{id}", made["id"].as_str().unwrap())
            }
            "end_session" => {
                let own = self.call(&recipe.token, "GET", "/auth/sessions", None);
                let own: Value = serde_json::from_str(&own.text()).unwrap_or_default();
                let mut all = own.as_array().into_iter().flatten();
                let current = all.find(|session| session["current"] == true);
                let sid = current.and_then(|session| session["id"].as_str());
                path.replace("{sid}", sid.unwrap_or(&"0".repeat(32)))
            }
            "end_user_session" => {
                let name = self.fresh("sitter");
                self.gateway.add_user(&name, "user").fine();
                self.token(&name);
                let id = self.number(&name);
                let theirs = self.chief("GET", &format!("/auth/users/{id}/sessions"), None);
                path.replace("{id}", &id.to_string())
                    .replace("{sid}", theirs[0]["id"].as_str().unwrap())
            }
            _ if path.contains("/users/{id}") => {
                path.replace("{id}", &self.victim().0.to_string()).replace(
                    "{name}",
                    if operation == "grant_role" {
                        "user"
                    } else {
                        "reader"
                    },
                )
            }
            _ => path.clone(),
        };
    }

    pub fn send(&self, operation: &str, method: &str, recipe: &Recipe) -> Response {
        if operation == "login" {
            return api::login(&self.gateway, "alice", &password("alice"));
        }
        self.call(&recipe.token, method, &recipe.path, recipe.body.as_ref())
    }
}

/// What the router has beside the document: pages, their forms and their assets. Who may open which is tried by
/// `pages_console`; a page that is added comes here and there.
pub const PAGES: [&str; 42] = [
    "/",
    "/account",
    "/account/delete",
    "/account/email",
    "/account/password",
    "/account/profile",
    "/account/sessions/end-others",
    "/account/sessions/{sid}/end",
    "/admin",
    "/admin/invitations",
    "/admin/invitations/{id}/revoke",
    "/admin/permissions",
    "/admin/policy",
    "/admin/roles",
    "/admin/roles/new",
    "/admin/roles/{id}",
    "/admin/roles/{id}/delete",
    "/admin/sessions",
    "/admin/users",
    "/admin/users/new",
    "/admin/users/{id}",
    "/admin/users/{id}/delete",
    "/admin/users/{id}/password",
    "/admin/users/{id}/profile",
    "/admin/users/{id}/roles",
    "/admin/users/{id}/sessions/end-all",
    "/admin/users/{id}/sessions/{sid}/end",
    "/confirm-email",
    "/docs",
    "/forgot-password",
    "/login",
    "/openapi.json",
    "/register",
    "/reset-password",
    "/static/brand.css",
    "/static/docs.css",
    "/static/docs.js",
    "/static/icon.svg",
    "/static/logo",
    "/static/style.css",
    "/verify",
    "{prefix}/",
];

#[test]
fn ad_01_every_route_is_described_or_on_the_list() {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web");
    let mut folders = vec![web];
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let names = text.split(".route(").skip(1);
                let names = names.map(|rest| rest.split('"').nth(1).unwrap_or(rest).to_owned());
                found.extend(names);
            }
        }
    }
    assert_eq!(found, PAGES.map(str::to_owned).into());
}

fn may(needed: &str, name: &str) -> bool {
    let held = PERSONAS.iter().find(|(persona, _, _)| *persona == name);
    match (needed, held) {
        ("anyone", _) => true,
        (_, None) => false,
        ("signed_in", Some(_)) => true,
        (needed, Some((_, _, held))) => name == CHIEF || held.contains(&needed),
    }
}

#[test]
fn ad_01_only_who_may_can_and_every_operation_can_be_done() {
    let bench = Bench::new();
    let mut faults = Vec::new();
    for [operation, method, path, needed] in operations(&bench.document()) {
        for name in PERSONAS.iter().map(|(name, _, _)| *name).chain([""]) {
            if needed == "anyone" && !["", "alice"].contains(&name) {
                continue;
            }
            let recipe = bench.recipe(&operation, &path, name);
            let answer = bench.send(&operation, &method, &recipe);
            let fits = match (may(&needed, name), name) {
                (true, _) => (200..300).contains(&answer.status),
                (false, "") => answer.status == 401,
                (false, _) => answer.status == 403,
            };
            if !fits {
                let (status, text) = (answer.status, answer.text());
                faults.push(format!("{operation} as '{name}': {status} {text}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_21_what_is_disabled_or_deleted_opens_nothing() {
    let bench = Bench::new();
    for (name, how) in [("sleeper", "PUT"), ("gone", "DELETE")] {
        api::superuser(&bench.gateway, name);
        let (token, id) = (bench.token(name), bench.number(name));
        let path = format!("/auth/users/{id}");
        assert_eq!(bench.call(&token, "GET", "/auth/users", None).status, 200);
        let body = (how == "PUT").then(|| json!({ "is_active": false }));
        bench.chief(how, &path, body.as_ref());
        for [operation, method, path, needed] in operations(&bench.document()) {
            if needed == "anyone" {
                continue;
            }
            let mut recipe = bench.recipe(&operation, &path, "alice");
            recipe.token.clone_from(&token);
            let answer = bench.send(&operation, &method, &recipe);
            assert_eq!(answer.status, 401, "{operation} by who is {name}");
        }
        let again = api::login(&bench.gateway, name, &password(name));
        assert_eq!(again.status, 401, "{name} logs in");
    }
}

#[test]
fn c_14_another_site_changes_nothing() {
    let bench = Bench::new();
    api::superuser(&bench.gateway, "visitor");
    let cookie = bench.gateway.login("visitor");
    let send = |site: &str, method: &str, recipe: &Recipe| {
        let lines = format!("Cookie: {cookie}\r\n{site}");
        let body = recipe.body.as_ref();
        with_lines(&bench.gateway, &lines, method, &recipe.path, body)
    };
    let mut tried = 0;
    for [operation, method, path, needed] in operations(&bench.document()) {
        // Ends the session, or what it is called for.
        let ends = ["logout", "end_session", "delete_me"].contains(&operation.as_str());
        if method == "GET" || needed == "anyone" {
            continue;
        }
        tried += 1;
        let recipe = bench.recipe(&operation, &path, "alice");
        for site in [
            "Sec-Fetch-Site: cross-site\r\nOrigin: http://evil.test\r\n",
            "Sec-Fetch-Site: same-site\r\n",
            "Origin: http://evil.test\r\n",
            "Origin: null\r\n",
        ] {
            let answer = send(site, &method, &recipe);
            assert_eq!(answer.status, 403, "{operation} from {site:?}");
            assert_eq!(answer.json()["code"], "CROSS_SITE", "{operation}");
        }
        if !ends {
            let twin = send("Sec-Fetch-Site: same-origin\r\n", &method, &recipe);
            assert!(twin.status < 300, "{operation}: {}", twin.text());
        }
    }
    assert!(tried > 15, "{tried}");
    let as_text = bench.gateway.ask(format!(
        "POST /auth/roles HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nContent-Type: text/plain\r\n\
         Content-Length: 15\r\n\r\n{{\"name\":\"evil\"}}",
    ));
    assert_eq!(as_text.status, 415);
}
