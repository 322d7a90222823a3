//! Sessions that several sites share because the file says so: one login, one logout, another name, and nothing else
//! that is shared.

use std::process::Command;
use std::sync::Arc;

use crate::harness::setup::password;
use crate::harness::{Gateway, Raw, Response, Setup, marker, tls};

const SITES: [&str; 3] = ["a.example.test", "b.example.test", "example.test"];
const SHARED: &str = "__Secure-portcullis";
const OWN: &str = "__Host-portcullis";

fn setup() -> Setup {
    Setup::new()
        .tls(&SITES)
        .set("cookie_domain", "example.test")
        .rules("  - { path: /public/**, allow: anyone }\n  - { path: /app/**, allow: signed_in }")
}

fn connect(gateway: &Gateway, site: &str) -> Raw {
    let config = tls::config(gateway.identity(), &["http/1.1"], None);
    Raw::over(tls::over(gateway.https(), Arc::new(config), site).unwrap())
}

fn ask(gateway: &Gateway, site: &str, line: &str, lines: &str, body: &str) -> Response {
    let length = body.len();
    connect(gateway, site).ask(format!(
        "{line} HTTP/1.1\r\nHost: {site}\r\nContent-Length: {length}\r\n{lines}\r\n{body}"
    ))
}

/// Logs in on a site as a program does; the whole `Set-Cookie`, and the session in it.
fn login(gateway: &Gateway, site: &str) -> (String, String) {
    let form = serde_json::json!({ "username": "alice", "password": password("alice") });
    let kind = "Content-Type: application/json\r\n";
    let answer = ask(
        gateway,
        site,
        "POST /auth/session/login",
        kind,
        &form.to_string(),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let cookies = answer.values("set-cookie");
    let cookie = cookies.first().cloned().unwrap();
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    let value = cookie.split(['=', ';']).nth(1).unwrap().to_owned();
    (cookie, value)
}

/// Whether a request with these cookies is somebody's; nothing may arrive that is not.
fn is_alice(gateway: &Gateway, site: &str, cookies: &str) -> bool {
    let mark = marker("shared");
    let lines = format!("X-Marker: {mark}\r\nCookie: {cookies}\r\n");
    let answer = ask(gateway, site, "GET /app/x", &lines, "");
    let seen = gateway.recorder().with(&mark);
    match answer.status {
        200 => {
            let seen = gateway.recorder().wait_for(&mark, 1).pop().unwrap();
            assert_eq!(seen.value("x-auth-user").as_deref(), Some("alice"));
            assert!(!seen.mentions("portcullis="), "{}", seen.text());
            true
        }
        401 => {
            assert!(seen.is_empty());
            false
        }
        other => panic!("{other}: {}", answer.text()),
    }
}

#[test]
fn c_05_one_login_is_good_on_every_site_and_so_is_one_logout() {
    let gateway = setup().start();
    let (cookie, value) = login(&gateway, "a.example.test");
    let attributes: Vec<&str> = cookie.split("; ").skip(1).collect();
    assert!(cookie.starts_with("__Secure-portcullis="), "{cookie}");
    for attribute in [
        "Path=/",
        "HttpOnly",
        "SameSite=Lax",
        "Secure",
        "Domain=example.test",
    ] {
        assert!(attributes.contains(&attribute), "{attribute}: {cookie}");
    }
    let line = format!("{SHARED}={value}");
    for site in SITES {
        assert!(is_alice(&gateway, site, &line), "{site}");
    }
    let header = format!("Cookie: {line}\r\n");
    let out = ask(&gateway, "b.example.test", "POST /auth/logout", &header, "");
    assert_eq!(out.status, 200, "{}", out.text());
    let gone = out.header("set-cookie").unwrap();
    assert!(gone.starts_with("__Secure-portcullis=;"), "{gone}");
    assert!(
        gone.contains("Max-Age=0") && gone.contains("Domain=example.test"),
        "{gone}"
    );
    for site in SITES {
        assert!(!is_alice(&gateway, site, &line), "{site} after the logout");
    }
}

#[test]
fn c_03_c_04_what_others_plant_is_nobody() {
    let gateway = setup().start();
    let (_, value) = login(&gateway, "a.example.test");
    let (_, other) = login(&gateway, "b.example.test");
    let twin = format!("{SHARED}={value}");
    assert!(is_alice(&gateway, "a.example.test", &twin));
    for cookies in [
        // Two of one name: somebody below the domain has planted one.
        format!("{SHARED}={value}; {SHARED}={other}"),
        format!("{SHARED}={value}; {SHARED}={value}"),
        format!("{SHARED}=; {SHARED}={value}"),
        // Other names.
        format!("{OWN}={value}"),
        format!("portcullis={value}"),
        format!("portcullis-shared={value}"),
        format!("__secure-portcullis={value}"),
    ] {
        assert!(!is_alice(&gateway, "a.example.test", &cookies), "{cookies}");
        assert!(is_alice(&gateway, "a.example.test", &twin));
    }
    // One of another kind beside it is nothing to it.
    let both = format!("{OWN}=x; {SHARED}={value}");
    assert!(is_alice(&gateway, "b.example.test", &both));
}

#[test]
fn c_02_a_cookie_of_the_one_kind_is_never_taken_for_one_of_the_other() {
    let shared = setup();
    let own = shared.clone().without("cookie_domain");
    let gateway = own.clone().start();
    let (cookie, old) = login(&gateway, "a.example.test");
    assert!(
        cookie.starts_with("__Host-portcullis=") && !cookie.contains("Domain"),
        "{cookie}"
    );
    assert!(is_alice(
        &gateway,
        "a.example.test",
        &format!("{OWN}={old}")
    ));
    assert!(gateway.reload_with(&shared), "{}", gateway.log());
    for name in [OWN, SHARED] {
        let line = format!("{name}={old}");
        // The session itself lives on; only its new name is heard, which no browser has for it.
        let good = name == SHARED;
        assert_eq!(is_alice(&gateway, "a.example.test", &line), good, "{name}");
    }
    let (_, new) = login(&gateway, "a.example.test");
    assert!(is_alice(
        &gateway,
        "b.example.test",
        &format!("{SHARED}={new}")
    ));
    assert!(gateway.reload_with(&own), "{}", gateway.log());
    assert!(!is_alice(
        &gateway,
        "a.example.test",
        &format!("{SHARED}={new}")
    ));
}

#[test]
fn c_05_what_binds_a_browser_to_its_login_is_not_shared() {
    let gateway = setup().start();
    let html = "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\n";
    let page = ask(&gateway, "a.example.test", "GET /auth/login", html, "");
    let flow = page.header("set-cookie").unwrap();
    assert!(
        flow.starts_with("__Host-portcullis-flow=") && !flow.contains("Domain"),
        "{flow}"
    );
    // Each site has a login page of its own.
    let away = ask(&gateway, "b.example.test", "GET /app/x", html, "");
    let place = away.header("location").unwrap();
    assert_eq!(
        (away.status, place.as_str()),
        (303, "/auth/login?next=%2Fapp%2Fx")
    );
}

/// What a browser says on site `a`, and what it says besides with a form of a page there.
const HTML: &str = "Accept: text/html\r\n";
const FORM: &str = "Accept: text/html\r\nContent-Type: application/x-www-form-urlencoded\r\nOrigin: https://a.example.test\r\n";

/// The token of the form on a page.
fn csrf(page: &Response) -> String {
    let text = page.text();
    let csrf = text.split("name=\"csrf\" value=\"").nth(1).unwrap();
    csrf.split('"').next().unwrap().to_owned()
}

/// What the page of a form lets it lead to.
fn policy(page: &Response) -> String {
    page.header("content-security-policy").unwrap()
}

fn cookie_of(answer: &Response) -> String {
    let cookie = answer.header("set-cookie").unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

/// The page that somebody logs in on, on site `a` with this `next`, and what its form comes to.
fn log_in(gateway: &Gateway, next: &str) -> (Response, Response) {
    let site = "a.example.test";
    let encoded: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    let line = format!("GET /auth/login?next={encoded}");
    let page = ask(gateway, site, &line, HTML, "");
    let form: String = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("username", "alice"),
            ("password", &password("alice")),
            ("csrf", &csrf(&page)),
            ("next", next),
        ])
        .finish();
    let lines = format!("{FORM}Cookie: {}\r\n", cookie_of(&page));
    let answer = ask(gateway, site, "POST /auth/login", &lines, &form);
    assert_eq!(answer.status, 303, "{}", answer.text());
    (page, answer)
}

/// Whether what stands behind the form may redirect wherever it likes. Nothing else is loosened for that.
fn is_free(policy: &str) -> bool {
    let held = [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ];
    !policy.contains("form-action") && held.iter().all(|it| policy.contains(it))
}

/// Where that leads, and what the page lets the form lead to.
fn goes(gateway: &Gateway, next: &str) -> (String, String) {
    let (page, answer) = log_in(gateway, next);
    (answer.header("location").unwrap(), policy(&page))
}

#[test]
fn oc_10_a_password_that_must_be_changed_first_stands_in_nobodys_way() {
    const NEW: &str = "five crows upon a wire";
    let site = "a.example.test";
    let gateway = setup().start();
    let old = password("alice");
    let set = [
        "user",
        "set-password",
        "alice",
        "--must-change",
        "--password-stdin",
    ];
    gateway.cli(&set, &format!("{old}\n")).fine();
    let place = "https://b.example.test/app/x?y=1";
    let (_, answer) = log_in(&gateway, place);
    let form = answer.header("location").unwrap();
    assert!(
        form.starts_with("/auth/account/password?next=https"),
        "{form}"
    );
    let cookies = answer.values("set-cookie");
    let session = cookies.iter().find(|it| it.starts_with(SHARED)).unwrap();
    let cookie = format!("Cookie: {}\r\n", session.split(';').next().unwrap());
    let page = ask(
        &gateway,
        site,
        &format!("GET {form}"),
        &format!("{HTML}{cookie}"),
        "",
    );
    let said = policy(&page);
    assert!(is_free(&said), "{said}");
    let send = |csrf: &str, next: &str, new: &str| {
        let form: String = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("csrf", csrf), ("next", next)])
            .extend_pairs([("current_password", old.as_str()), ("password", new)])
            .finish();
        let lines = format!("{FORM}{cookie}");
        ask(&gateway, site, "POST /auth/account/password", &lines, &form)
    };
    // What is wrong with it loses neither the place nor the way there.
    let again = send(&csrf(&page), place, "short");
    assert_eq!(again.status, 422, "{}", again.text());
    assert_eq!(policy(&again), said);
    assert!(again.text().contains("b.example.test"), "{}", again.text());
    let done = send(&csrf(&again), place, NEW);
    assert_eq!(
        (done.status, done.header("location").unwrap().as_str()),
        (303, place)
    );
}

#[test]
fn oc_10_a_login_leads_to_a_site_of_ours_and_nowhere_else() {
    let gateway = setup().start();
    let (place, policy) = goes(&gateway, "https://b.example.test/app/x?y=1");
    assert_eq!(place, "https://b.example.test/app/x?y=1");
    assert!(is_free(&policy), "{policy}");
    let (place, policy) = goes(&gateway, "/app/x");
    assert_eq!(place, "/app/x");
    assert!(is_free(&policy), "{policy}");
    for next in [
        "https://evil.test/app",
        "https://c.example.test/app",
        "http://b.example.test/app",
        "https://b.example.test",
        "https://b.example.test:444/app",
        "https://b.example.test@evil.test/app",
        "https://b.example.test.evil.test/app",
        "https://b.example.test\\@evil.test/",
        "https://B.example.test/app",
        "https://b.example.test/\r\nX: y",
        "//b.example.test/app",
    ] {
        let (place, policy) = goes(&gateway, next);
        let home = place == "/" || next.starts_with("//") && place == "/b.example.test/app";
        assert!(home, "{next:?} leads to {place}");
        assert!(is_free(&policy), "{policy}");
    }
    // A host that only a rule names is one of ours, and one that it may mean is not.
    let named = "  - { host: c.example.test, path: /app/**, allow: signed_in }\n\
        \x20 - { host: \"*.d.example.test\", path: /app/**, allow: signed_in }";
    let by_rule = setup().rules(named).start();
    let (place, policy) = goes(&by_rule, "https://c.example.test/app");
    assert_eq!(place, "https://c.example.test/app");
    assert!(is_free(&policy), "{policy}");
    assert_eq!(goes(&by_rule, "https://x.d.example.test/app").0, "/");
    assert_eq!(goes(&by_rule, "http://c.example.test/app").0, "/");
    let alone = setup().without("cookie_domain").start();
    assert_eq!(goes(&alone, "https://b.example.test/app/x").0, "/");
}

#[test]
fn c_05_a_cookie_jar_carries_the_session_from_site_to_site() {
    let gateway = setup().start();
    let port = gateway.https().port();
    gateway.write(
        "form.json",
        &serde_json::json!({ "username": "alice", "password": password("alice") }).to_string(),
    );
    let curl = |site: &str, path: &str, more: &[&str]| {
        let mut command = Command::new("curl");
        command.current_dir(gateway.path());
        for site in SITES.iter().chain(&["elsewhere.test"]) {
            command.args(["--resolve", &format!("{site}:{port}:127.0.0.1")]);
        }
        command.args([
            "-sS",
            "-k",
            "-b",
            "jar",
            "-c",
            "jar",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
        ]);
        let said = command
            .args(more)
            .arg(format!("https://{site}:{port}{path}"))
            .output()
            .unwrap();
        assert!(
            said.status.success(),
            "{}",
            String::from_utf8_lossy(&said.stderr)
        );
        String::from_utf8(said.stdout).unwrap()
    };
    assert_eq!(curl("b.example.test", "/app/x", &[]), "401");
    let login = [
        "-H",
        "Content-Type: application/json",
        "--data-binary",
        "@form.json",
    ];
    assert_eq!(curl("a.example.test", "/auth/session/login", &login), "200");
    for site in SITES {
        assert_eq!(curl(site, "/app/x", &[]), "200", "{site}");
    }
    assert_eq!(
        curl("b.example.test", "/auth/logout", &["-X", "POST"]),
        "200"
    );
    for site in SITES {
        assert_eq!(curl(site, "/app/x", &[]), "401", "{site}");
    }
    let jar = std::fs::read_to_string(gateway.path().join("jar")).unwrap();
    assert!(!jar.contains("portcullis"), "{jar}");
}
