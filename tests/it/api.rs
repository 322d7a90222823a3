//! The API as programs call it: people with this role or that, and what each call needs to be sent.

use std::cell::Cell;
use std::fs;

use serde_json::{Value, json};

use crate::harness::setup::password;
use crate::harness::{Gateway, Response, Setup, eventually};

/// Somebody who calls: name, role, and what that role gives.
pub type Persona = (&'static str, &'static str, &'static [&'static str]);

/// Everybody who calls, beside whoever is nobody.
pub const PERSONAS: [Persona; 8] = [
    ("alice", "user", &[]),
    ("reader", "reader", &["users:read"]),
    ("writer", "writer", &["users:write"]),
    ("deleter", "deleter", &["users:delete"]),
    ("lister", "lister", &["roles:read"]),
    ("looker", "looker", &["permissions:read"]),
    (
        "root",
        "admin",
        &["users:read", "users:write", "users:delete", "roles:read"],
    ),
    (CHIEF, "user", &["superuser"]),
];

/// The superuser.
pub const CHIEF: &str = "chief";

/// A gateway with everybody in it.
pub struct Bench {
    /// The gateway.
    pub gateway: Gateway,
    /// The superuser's token.
    pub chief: String,
    next: Cell<u32>,
}

/// Open registration, letters in a folder, and a role for each permission.
pub fn setup() -> Setup {
    let mut setup = Setup::new()
        .nobody()
        .set(
            "login",
            "{ password: { register: open, verify_email: true, argon2: { memory: 8MiB, passes: 1, lanes: 1 } } }",
        )
        .set("mail", "{ url: \"file:data/outbox\", from: login@example.com }")
        .set(
            "roles",
            "{ user: [], reader: [\"users:read\"], writer: [\"users:write\"], deleter: [\"users:delete\"], \
               lister: [\"roles:read\"], looker: [\"permissions:read\"], \
               admin: [user, \"users:read\", \"users:write\", \"users:delete\", \"roles:read\"] }",
        );
    for (name, role, _) in PERSONAS.iter().filter(|(name, _, _)| *name != CHIEF) {
        setup = setup.user(name, role);
    }
    setup
}

impl Bench {
    /// Starts it.
    pub fn new() -> Self {
        Self::of(setup())
    }

    /// Starts it with another setup.
    pub fn of(setup: Setup) -> Self {
        let gateway = setup.start();
        superuser(&gateway, CHIEF);
        let chief = token(&gateway, CHIEF);
        let next = Cell::new(0);
        let bench = Self {
            gateway,
            chief,
            next,
        };
        // Made at the first start, since nobody else was there.
        let first = bench.number("admin");
        bench.chief("DELETE", &format!("/auth/users/{first}"), None);
        bench
    }

    /// A word that nobody has used.
    pub fn fresh(&self, word: &str) -> String {
        self.next.set(self.next.get() + 1);
        format!("{word}{}", self.next.get())
    }

    /// A fresh access token of somebody; none for `""`.
    pub fn token(&self, name: &str) -> String {
        match name {
            "" => String::new(),
            name => token(&self.gateway, name),
        }
    }

    /// Calls as whoever has this token.
    pub fn call(&self, token: &str, method: &str, path: &str, body: Option<&Value>) -> Response {
        call(&self.gateway, token, method, path, body)
    }

    /// Calls as superuser, which must succeed.
    pub fn chief(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = self.call(&self.chief, method, path, body);
        let text = answer.text();
        assert!(answer.status < 300, "{method} {path}: {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// A user that nobody else uses; their number.
    pub fn victim(&self) -> (i64, String) {
        let name = self.fresh("victim");
        let draft = json!({ "username": name, "email": format!("{name}@example.test") });
        let made = self.chief("POST", "/auth/users", Some(&draft));
        (made["id"].as_i64().unwrap(), name)
    }

    /// A role of our own that gives nothing.
    pub fn role(&self) -> (i64, String) {
        let name = self.fresh("role");
        let made = self.chief("POST", "/auth/roles", Some(&json!({ "name": name })));
        (made["id"].as_i64().unwrap(), name)
    }

    /// The number of a role.
    pub fn role_number(&self, name: &str) -> i64 {
        let found = self.chief("GET", "/auth/roles", None);
        let all = found.as_array().unwrap();
        let role = all.iter().find(|role| role["name"] == name).unwrap();
        role["id"].as_i64().unwrap()
    }

    /// The number of a user.
    pub fn number(&self, name: &str) -> i64 {
        let found = self.chief("GET", &format!("/auth/users?search={name}"), None);
        let all = found.as_array().unwrap();
        let user = all.iter().find(|user| user["username"] == name).unwrap();
        user["id"].as_i64().unwrap()
    }

    /// The token of the link that was sent to an address.
    pub fn mailed(&self, address: &str) -> String {
        self.mailed_for("", address)
    }

    /// The same, of a link to this page of ours.
    pub fn mailed_for(&self, page: &str, address: &str) -> String {
        let page = format!("{page}?token=");
        let outbox = self.gateway.path().join("data/outbox");
        eventually("a letter", || {
            let files = fs::read_dir(&outbox).ok()?;
            let texts = files.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok());
            texts
                .filter(|text| text.contains(&format!("To: {address}\r\n")))
                .map(|text| text.replace("=\r\n", "").replace("=3D", "="))
                .filter(|text| text.contains(&page))
                .find_map(|text| link_token(&text))
        })
    }

    /// The document.
    pub fn document(&self) -> Value {
        self.call("", "GET", "/auth/openapi.json", None).json()
    }
}

/// Every operation of the document: id, method, path, and what it needs.
pub fn operations(document: &Value) -> Vec<[String; 4]> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let text = |key: &str| operation[key].as_str().unwrap_or_default().to_owned();
            let method = method.to_uppercase();
            all.push([
                text("operationId"),
                method,
                path.clone(),
                text("x-permission"),
            ]);
        }
    }
    assert!(all.len() > 30, "{all:?}");
    all
}

fn link_token(letter: &str) -> Option<String> {
    let rest = letter.split("?token=").nth(1)?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')?;
    Some(rest[..end].to_owned())
}

/// Makes a superuser by the command line.
pub fn superuser(gateway: &Gateway, name: &str) {
    let email = format!("{name}@example.test");
    let arguments = [
        "user",
        "add",
        name,
        "--email",
        &email,
        "--superuser",
        "--password-stdin",
    ];
    gateway
        .cli(&arguments, &format!("{}\n", password(name)))
        .fine();
}

/// What a login answers.
pub fn login(gateway: &Gateway, name: &str, password: &str) -> Response {
    let form = format!("username={name}&password={}", password.replace(' ', "+"));
    gateway.ask(format!(
        "POST /auth/login HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    ))
}

/// An access token.
pub fn token(gateway: &Gateway, name: &str) -> String {
    let answer = login(gateway, name, &password(name));
    assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

/// One call, as JSON. No answer ever shows a hash.
pub fn call(
    gateway: &Gateway,
    token: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Response {
    let bearer = match token {
        "" => String::new(),
        token => format!("Authorization: Bearer {token}\r\n"),
    };
    with_lines(gateway, &bearer, method, path, body)
}

/// One call with these header lines.
pub fn with_lines(
    gateway: &Gateway,
    lines: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Response {
    let body = body.map(Value::to_string);
    let kind = match &body {
        Some(text) => format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            text.len()
        ),
        None if method == "GET" => String::new(),
        None => "Content-Length: 0\r\n".to_owned(),
    };
    let body = body.unwrap_or_default();
    let answer = gateway.ask(format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{lines}{kind}\r\n{body}"
    ));
    let text = answer.text();
    assert!(
        !text.contains("$argon2"),
        "a hash in {method} {path}: {text}"
    );
    answer
}
