//! What tests about accounts need: calls of the API, letters in a folder, and the links in them.

use std::fs;

use serde_json::{Value, json};

use crate::harness::gateway::session_cookie;
use crate::harness::setup::{Folder, password};
use crate::harness::{Gateway, Response, Setup, eventually};

/// A password that everybody may choose.
pub const FRESH: &str = "orchard lantern 58 quay";

/// A gateway that anybody may register at, with letters in a folder; `rest` goes into `login.password`.
pub fn open(rest: &str) -> Setup {
    let login = format!(
        "{{ password: {{ register: open{rest}, argon2: {{ memory: 8MiB, passes: 1, lanes: 1 }} }} }}"
    );
    Setup::new().set("login", &login).set(
        "mail",
        "{ url: \"file:data/outbox\", from: login@example.test }",
    )
}

/// The same, where addresses must be proved.
pub fn strict() -> Setup {
    open(", verify_email: true")
}

/// A call of the API with a JSON body; `lines` are further header lines.
pub fn call(gateway: &Gateway, method: &str, path: &str, lines: &str, body: &Value) -> Response {
    let body = body.to_string();
    gateway.ask(format!(
        "{method} /auth{path} HTTP/1.1\r\nHost: localhost\r\n{lines}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

pub fn post(gateway: &Gateway, path: &str, body: &Value) -> Response {
    call(gateway, "POST", path, "", body)
}

pub fn get(gateway: &Gateway, path: &str, lines: &str) -> Response {
    gateway.ask(format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"
    ))
}

pub fn register(gateway: &Gateway, username: &str, email: &str, password: &str) -> Response {
    let new = json!({ "username": username, "email": email, "password": password });
    post(gateway, "/register", &new)
}

/// The header line of a session cookie.
pub fn cookie_line(cookie: &str) -> String {
    format!("Cookie: {cookie}\r\n")
}

/// The header line of an access token.
pub fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// An access token and a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub access: String,
    pub refresh: String,
}

impl Pair {
    pub fn of(answer: &Response) -> Self {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let sent = answer.json();
        assert_eq!(sent["token_type"], "bearer", "{sent}");
        let text = |name: &str| sent[name].as_str().unwrap().to_owned();
        Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
        }
    }

    pub fn line(&self) -> String {
        bearer(&self.access)
    }

    /// Whether the API takes the access token.
    pub fn opens(&self, gateway: &Gateway) -> bool {
        opens(gateway, &self.line())
    }
}

/// Whether these header lines say who asks.
pub fn opens(gateway: &Gateway, lines: &str) -> bool {
    match get(gateway, "/auth/me", lines).status {
        200 => true,
        401 => false,
        other => panic!("{other} to GET /auth/me"),
    }
}

pub fn try_tokens(gateway: &Gateway, name: &str, password: &str) -> Response {
    let login = json!({ "username": name, "password": password });
    post(gateway, "/login/simple", &login)
}

pub fn tokens(gateway: &Gateway, name: &str) -> Pair {
    Pair::of(&try_tokens(gateway, name, &password(name)))
}

pub fn try_refresh(gateway: &Gateway, refresh: &str) -> Response {
    post(gateway, "/refresh", &json!({ "refresh_token": refresh }))
}

/// A session of somebody with this password, as a header line.
pub fn session(gateway: &Gateway, name: &str, password: &str) -> String {
    let answer = gateway.try_login(name, password);
    assert_eq!(answer.status, 200, "{}", answer.text());
    cookie_line(&session_cookie(&answer))
}

/// Whether this password lets somebody in.
pub fn lets_in(gateway: &Gateway, name: &str, password: &str) -> bool {
    match gateway.try_login(name, password).status {
        200 => true,
        401 => false,
        other => panic!("{other} to a login"),
    }
}

/// A letter, as its reader sees the text of it.
#[derive(Debug, Clone)]
pub struct Letter {
    pub head: String,
    pub text: String,
}

/// Every letter to this address, oldest first.
pub fn letters(folder: &Folder, to: &str) -> Vec<Letter> {
    let outbox = folder.path().join("data/outbox");
    let Ok(files) = fs::read_dir(outbox) else {
        return Vec::new();
    };
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "eml"));
    files.sort_by_key(|path| {
        (
            fs::metadata(path).unwrap().modified().unwrap(),
            path.clone(),
        )
    });
    let line = format!("To: {to}");
    let all = files
        .iter()
        .map(|path| read(&fs::read_to_string(path).unwrap()));
    all.filter(|letter| letter.head.lines().any(|found| found == line))
        .collect()
}

fn read(file: &str) -> Letter {
    let (head, body) = file.split_once("\r\n\r\n").unwrap();
    // The first part is the text; the second says the same in HTML.
    let text = body.split("Content-Type: text/html").next().unwrap();
    let text = if text.contains("quoted-printable") || head.contains("quoted-printable") {
        text.replace("=\r\n", "").replace("=3D", "=")
    } else {
        text.to_owned()
    };
    Letter {
        head: head.to_owned(),
        text,
    }
}

/// Waits for so many letters to an address.
pub fn wait_for(folder: &Folder, to: &str, count: usize) -> Vec<Letter> {
    eventually(&format!("{count} letters to {to}"), || {
        let found = letters(folder, to);
        (found.len() >= count).then_some(found)
    })
}

impl Letter {
    /// The link to one of our pages in it.
    pub fn link(&self, page: &str) -> String {
        let start = format!("/{page}?token=");
        let link = self
            .text
            .split_whitespace()
            .find(|word| word.contains(&start));
        link.unwrap_or_else(|| panic!("no link to {page} in {}", self.text))
            .to_owned()
    }

    /// The token of that link.
    pub fn token(&self, page: &str) -> String {
        let link = self.link(page);
        link.split_once("?token=").unwrap().1.to_owned()
    }

    pub fn subject(&self) -> &str {
        let line = self.head.lines().find(|line| line.starts_with("Subject: "));
        line.unwrap().trim_start_matches("Subject: ")
    }
}

/// Asks for a letter to choose another password with, waits for it, and gives its token.
pub fn reset_token(gateway: &Gateway, email: &str) -> String {
    let links = || {
        let mut all = letters(gateway, email);
        all.retain(|letter| letter.text.contains("/reset-password?token="));
        all
    };
    let before = links().len();
    let answer = post(gateway, "/forgot-password", &json!({ "email": email }));
    assert_eq!(answer.status, 202, "{}", answer.text());
    let newest = eventually("a link to choose another password", || {
        links().split_off(before).pop()
    });
    newest.token("reset-password")
}

pub fn reset(gateway: &Gateway, token: &str, password: &str) -> Response {
    let wish = json!({ "token": token, "password": password });
    post(gateway, "/reset-password", &wish)
}

pub fn verify(gateway: &Gateway, token: &str) -> Response {
    post(gateway, "/verify", &json!({ "token": token }))
}

/// The code that a refusal tells programs.
pub fn code(answer: &Response) -> String {
    answer.json()["code"].as_str().unwrap().to_owned()
}

/// Asserts a refusal.
pub fn refused(answer: &Response, status: u16, with: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(code(answer), with, "{}", answer.text());
}

/// The password of the superuser that was made at the first start, from the banner.
pub fn first_password(banner: &str) -> &str {
    let told = banner.split("admin  password: ").nth(1).unwrap();
    told.split_whitespace().next().unwrap()
}

/// The number of a user.
pub fn id_of(gateway: &Gateway, name: &str) -> i64 {
    let said = gateway.cli(&["user", "show", name, "--json"], "").fine();
    let user: Value = serde_json::from_str(&said.out).unwrap();
    user["id"].as_i64().unwrap()
}
