//! What is written is never read back (AD-07): every operation, every page and every command is asked by somebody who
//! may do everything, and none of the gateway's own secrets is in any answer.

use std::fs;

use crate::api::{self, Bench, CHIEF, operations};
use crate::api_matrix::PAGES;
use crate::harness::{Response, holds};
use crate::pages_browser::NAVIGATION;

const HOOK: &str = "whsec_dW5taXN0YWthYmxlIGhvb2sgc2VjcmV0IQ==";
const MAIL: &str = "unmistakable mail password";

/// Everything that was answered, and by what.
struct Heard(Vec<(String, Vec<u8>)>);

impl Heard {
    fn operations(&mut self, bench: &Bench) {
        for [operation, method, path, _] in operations(&bench.document()) {
            let recipe = bench.recipe(&operation, &path, CHIEF);
            let answer = bench.send(&operation, &method, &recipe);
            assert!(answer.status < 300, "{operation}: {}", answer.text());
            self.0.push((operation, whole(&answer)));
        }
    }

    fn pages(&mut self, bench: &Bench) {
        let cookie = bench.gateway.as_user(CHIEF);
        let number = bench.number("alice").to_string();
        for page in PAGES {
            let path = page.replace("{prefix}", "").replace("{id}", &number);
            let request =
                format!("GET /auth{path} HTTP/1.1\r\nHost: localhost\r\n{NAVIGATION}{cookie}\r\n");
            let answer = bench.gateway.ask(request);
            assert!(answer.status < 500, "{page}: {}", answer.status);
            self.0.push((page.to_owned(), whole(&answer)));
        }
        for path in ["/metrics", "/healthz", "/readyz"] {
            let answer = bench.gateway.ask_admin(path);
            self.0.push((path.to_owned(), whole(&answer)));
        }
    }

    fn commands(&mut self, bench: &Bench) {
        for command in [
            "user list --json",
            "user show alice --json",
            "user show alice",
            "user sessions alice --json",
            "role list --json",
            "permission list --json",
            "session list --json",
            "hook list --json",
            "migrate status",
            "check",
            "rules --json",
            "explain GET /admin --as role=admin",
        ] {
            let arguments: Vec<&str> = command.split(' ').collect();
            let said = bench.gateway.cli(&arguments, "");
            assert_ne!(said.code, Some(2), "{command}: {}", said.all());
            self.0.push((command.to_owned(), said.all().into_bytes()));
        }
    }

    fn with(&self, text: &str) -> Vec<&str> {
        let found = self.0.iter();
        let found = found.filter(|(_, answer)| holds(answer, text.as_bytes()));
        found.map(|(what, _)| what.as_str()).collect()
    }
}

fn whole(answer: &Response) -> Vec<u8> {
    [answer.head.as_slice(), &answer.body].concat()
}

#[test]
fn ad_07_secrets_are_written_and_never_read() {
    let hooks =
        "{ crm: { url: \"http://127.0.0.1:1/\", private: allow, secret: file:hook.secret } }";
    let setup = || api::setup().asset("hook.secret", HOOK).set("hooks", hooks);
    let bench = Bench::of(setup());
    let mut heard = Heard(Vec::new());
    heard.operations(&bench);
    // Once more with a mail server that has a password; nobody listens on port 1.
    bench.gateway.write("mail.secret", MAIL);
    let mail = "{ url: \"smtps://localhost:1\", from: login@example.com, username: gw, password: file:mail.secret }";
    assert!(bench.gateway.reload_with(&setup().set("mail", mail)));
    heard.pages(&bench);
    heard.commands(&bench);
    let hash = "SELECT password_hash FROM users WHERE username = 'alice'";
    let hash = bench.gateway.stored(hash);
    let key = fs::read_to_string(bench.gateway.path().join("data/gateway.key")).unwrap();
    // The twin: what may be seen is found.
    for shown in ["list_users", "/admin/users", "user show alice"] {
        assert!(heard.with("alice@example.test").contains(&shown), "{shown}");
    }
    assert!(!heard.with("crm").is_empty());
    for secret in [
        HOOK,
        HOOK.trim_start_matches("whsec_"),
        "unmistakable hook secret!",
        MAIL,
        &hash,
        "$argon2",
        key.trim(),
        "PRIVATE KEY",
        // The private part of a JWK (RFC 7518 section 6.2.2).
        "\"d\":",
    ] {
        assert_eq!(heard.with(secret), [""; 0], "{secret}");
    }
}
