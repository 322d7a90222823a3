//! Identity headers: everything that resembles one goes, ours are set last (H-01 to H-04).

use std::collections::BTreeMap;

use crate::harness::{Gateway, Recorded, Recorder, Reply, Setup, Trial, lines_of, marker};

/// What the gateway says about a signed-in user.
pub const OWNED: &[&str] = &[
    "X-Auth-User",
    "X-Auth-User-Id",
    "X-Auth-Email",
    "X-Auth-Roles",
    "X-Auth-Method",
    "X-Auth-Assertion",
];

/// A value no honest header holds.
pub const SPOOF: &str = "mallory-was-here";

/// The spoofed value stands nowhere in what the service received.
pub fn assert_clean(seen: &Recorded) {
    assert!(!seen.mentions(SPOOF), "{}", seen.text());
}

/// Exactly the gateway's words about alice, each once.
pub fn assert_alice(seen: &Recorded) {
    assert_clean(seen);
    assert_eq!(seen.values("X-Auth-User"), ["alice"], "{}", seen.text());
    assert_eq!(seen.values("X-Auth-Email"), ["alice@example.test"]);
    assert_eq!(seen.values("X-Auth-Roles"), ["user"]);
    assert_eq!(seen.values("X-Auth-Method"), ["session"]);
    assert_eq!(seen.values("X-Auth-User-Id").len(), 1);
    assert_eq!(seen.values("X-Auth-Assertion").len(), 1);
}

/// Nothing about anybody.
pub fn assert_nobody(seen: &Recorded) {
    assert_clean(seen);
    for name in OWNED {
        assert_eq!(seen.values(name), [""; 0], "{}", seen.text());
    }
}

pub fn spoofed(names: &[&str]) -> String {
    lines_of(names, SPOOF)
}

#[test]
fn h_01_headers_the_gateway_owns() {
    let gateway = Gateway::shared();
    let mut trial = Trial::new(gateway, "H-01");
    let alice = gateway.as_user("alice");
    let mut names = OWNED.to_vec();
    names.extend_from_slice(&[
        "X-Auth-Groups",
        "X-Auth-Superuser",
        "X-Auth-Decision",
        "X-Auth",
        "X-Request-Id",
    ]);
    let lines = spoofed(&names);
    assert_alice(&trial.allowed(trial.get("/app/x", &format!("{lines}{alice}"))));
    assert_alice(&trial.allowed(trial.get("/app/x", &format!("{alice}{lines}{lines}"))));
    let seen = trial.allowed(trial.get("/app/x", &alice));
    assert_alice(&seen);
    assert_eq!(seen.values("X-Request-Id").len(), 1);
    assert_nobody(&trial.allowed(trial.get("/public/x", &lines)));
    trial.denied(trial.get("/app/x", &lines), "");
    let claims = format!("X-Auth-User: root\r\nX-Auth-Roles: admin\r\n{alice}");
    trial.denied(trial.get("/admin/x", &claims), "alice");
}

#[test]
fn h_01_the_names_that_are_configured() {
    let headers =
        "{ headers: { Remote-User: user.name, Remote-Groups: user.roles }, assertion: X-Proof }";
    let gateway = Setup::new().set("identity", headers).start();
    let mut trial = Trial::new(&gateway, "H-01-own");
    let alice = gateway.as_user("alice");
    let lines = spoofed(&[
        "Remote-User",
        "remote_user",
        "Remote.Groups",
        "X-Proof",
        "x_proof",
    ]);
    let seen = trial.allowed(trial.get("/app/x", &format!("{lines}{alice}")));
    assert_clean(&seen);
    assert_eq!(seen.values("Remote-User"), ["alice"]);
    assert_eq!(seen.values("Remote-Groups"), ["user"]);
    assert_eq!(seen.values("X-Proof").len(), 1);
    assert_eq!(seen.values("X-Auth-User"), [""; 0]);
    let seen = trial.allowed(trial.get("/public/x", &lines));
    assert_clean(&seen);
    assert_eq!(seen.values("Remote-User"), [""; 0]);
}

/// Names as CGI, WSGI and PHP know them: `HTTP_` and everything else but letters and digits an underscore.
fn cgi(seen: &Recorded) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in seen.fields() {
        let name = name
            .to_ascii_uppercase()
            .replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
        let value = String::from_utf8_lossy(&value).into_owned();
        all.entry(name).or_default().push(value);
    }
    all
}

#[test]
fn h_02_other_spellings() {
    let gateway = Gateway::shared();
    let mut trial = Trial::new(gateway, "H-02");
    let alice = gateway.as_user("alice");
    for name in [
        "x_auth_user",
        "X.Auth.User",
        "X-AUTH-USER",
        "X-Auth_User",
        "x-auth.user",
        "X_Auth-User",
        "X--Auth-User",
        "x_auth_roles",
        "X.Auth.Assertion",
        "x_auth_user_id",
        "X-Auth_Email",
        "X_AUTH_METHOD",
        "x_forwarded_for",
        "X_Request_Id",
    ] {
        let line = format!("{name}: {SPOOF}\r\n");
        for lines in [format!("{line}{alice}"), format!("{alice}{line}")] {
            let seen = trial.allowed(trial.get("/app/x", &lines));
            assert_alice(&seen);
            assert_eq!(
                cgi(&seen).get("X_AUTH_USER"),
                Some(&vec!["alice".to_owned()])
            );
        }
        assert_nobody(&trial.allowed(trial.get("/public/x", &line)));
    }
    for name in [
        "X-Auth-User ",
        "X-Auth-User\t",
        " X-Auth-User",
        "X-Auth User",
        "X-Auth-User\x0b",
        "X-Auth-User\0",
    ] {
        trial.malformed(
            trial.get("/public/x", &format!("{name}: {SPOOF}\r\n")),
            &[400],
        );
    }
}

#[test]
fn h_02_spellings_that_only_bridges_confuse() {
    let mut trial = Trial::new(Gateway::shared(), "H-02-bridge");
    for name in [
        "X~Auth~User",
        "X'Auth'User",
        "X!Auth!User",
        "X*Auth*User",
        "X`Auth|User",
    ] {
        // Legal names that some CGI-like bridges would turn into ours.
        let seen = trial.allowed(trial.get("/public/x", &format!("{name}: {SPOOF}\r\n")));
        assert_eq!(cgi(&seen).get("X_AUTH_USER"), None, "{}", seen.text());
    }
}

#[test]
fn h_02_other_spellings_over_h2() {
    let gateway = Gateway::shared();
    let cookie = gateway.cookie("alice");
    for name in [
        "x_auth_user",
        "x.auth.user",
        "x-auth-user",
        "x-auth_roles",
        "x--auth-user",
    ] {
        let mark = marker("H-02-h2");
        let fields = [
            ("x-marker", mark.as_str()),
            (name, SPOOF),
            ("cookie", &cookie),
            (name, SPOOF),
        ];
        let outcome = gateway.h2().get("/app/x", &fields);
        assert_eq!(outcome.status(), Some(200), "{name}: {outcome:?}");
        assert_alice(&gateway.recorder().wait_for(&mark, 1)[0]);
    }
}

#[test]
fn h_03_values_the_gateway_has_not() {
    let gateway = Setup::new().user("bare", "user").start();
    gateway.cli(&["user", "set-roles", "bare", ""], "").fine();
    let mut trial = Trial::new(&gateway, "H-03");
    let bare = gateway.as_user("bare");
    let lines = spoofed(&["X-Auth-Roles", "X-Auth-Email", "x_auth_roles"]);
    let seen = trial.allowed(trial.get("/app/x", &format!("{lines}{bare}{lines}")));
    assert_clean(&seen);
    assert_eq!(seen.values("X-Auth-User"), ["bare"]);
    let roles = seen.values("X-Auth-Roles");
    assert!(roles.is_empty() || roles == [""], "{roles:?}");
}

#[test]
fn h_04_stripped_wherever_a_request_goes() {
    let gateway = Gateway::shared();
    let mut trial = Trial::new(gateway, "H-04");
    let alice = gateway.as_user("alice");
    let mut names = OWNED.to_vec();
    names.extend_from_slice(&["x_auth_user", "X.Auth.Roles"]);
    let lines = spoofed(&names);
    for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"] {
        let more = format!("{lines}Content-Length: 0\r\n");
        for target in [
            "/public/x",
            "/public/healthz",
            "/public/auth/login",
            "/public/x?error=1",
        ] {
            assert_nobody(&trial.allowed(trial.head(method, target, &more)));
        }
        assert_alice(&trial.allowed(trial.head(method, "/app/x", &format!("{more}{alice}"))));
        // On a public page a session still says who is there, and nobody else does.
        assert_alice(&trial.allowed(trial.head(method, "/public/x", &format!("{more}{alice}"))));
    }
    for target in [
        "/auth/login",
        "/auth/github/callback?code=x",
        "/auth/nothing",
        "/healthz",
        "/",
    ] {
        let answer = trial.refused(trial.get(target, &lines)).answer.unwrap();
        assert!(!answer.text().contains(SPOOF), "{target}");
    }
}

#[test]
fn h_04_stripped_on_a_second_try_and_an_error_page() {
    let recorder = Recorder::start();
    // The service hangs up on every request that is not the first of its connection: reused ones are retried.
    let first = std::sync::Mutex::new(std::collections::HashSet::new());
    recorder.answer(move |request| {
        if request.target().contains("fail") {
            return Reply::default().close();
        }
        if first.lock().unwrap().insert(request.connection) {
            Reply::ok("first")
        } else {
            Reply::default().close()
        }
    });
    let gateway = Setup::before(recorder).start();
    let alice = gateway.as_user("alice");
    let lines = spoofed(OWNED);
    let mark = marker("H-04-retry");
    let mut raw = gateway.connect();
    for _ in 0..6 {
        let request = format!(
            "GET /app/x HTTP/1.1\r\nHost: localhost\r\nX-Marker: {mark}\r\n{lines}{alice}\r\n"
        );
        let answer = raw.ask(request);
        assert!(matches!(answer.status, 200 | 502), "{}", answer.status);
    }
    let seen = gateway.recorder().with(&mark);
    assert!(seen.len() >= 6, "{}", seen.len());
    seen.iter().for_each(assert_alice);
    let mark = marker("H-04-error");
    let request = format!(
        "GET /app/fail HTTP/1.1\r\nHost: localhost\r\nX-Marker: {mark}\r\n{lines}{alice}\r\n"
    );
    let answer = gateway.ask(request);
    assert_eq!(answer.status, 502);
    assert!(!answer.text().contains(SPOOF));
    gateway
        .recorder()
        .wait_for(&mark, 1)
        .iter()
        .for_each(assert_alice);
}
