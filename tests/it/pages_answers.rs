//! What every answer of our own carries, and how the API refuses: headers (X-01, X-08), methods (M-09),
//! bodies that do not validate.

use crate::harness::setup::password;
use crate::harness::{Gateway, Raw, Response, Setup};
use crate::pages_browser::{Browser, NAVIGATION, OWN_FORM};

const JSON: &str = "Content-Type: application/json\r\n";

fn ask(gateway: &Gateway, method: &str, path: &str, lines: &str, body: &str) -> Response {
    let mut raw = gateway.connect();
    raw.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{lines}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    if method == "HEAD" {
        raw.read_head()
    } else {
        raw.read()
    }
}

/// What every answer of our own carries.
pub fn assert_protected(answer: &Response, what: &str) {
    let one = |name: &str| {
        let values = answer.values(name);
        assert_eq!(values.len(), 1, "{name} of {what}: {values:?}");
        values[0].to_lowercase()
    };
    let policy = one("content-security-policy");
    assert!(policy.contains("default-src 'none'"), "{what}: {policy}");
    assert!(
        policy.contains("frame-ancestors 'none'"),
        "{what}: {policy}"
    );
    assert!(policy.contains("base-uri 'none'"), "{what}: {policy}");
    assert!(!policy.contains("unsafe"), "{what}: {policy}");
    assert_eq!(one("x-content-type-options"), "nosniff", "{what}");
    let refers = one("referrer-policy");
    // A form says where it comes from, or browsers without Fetch Metadata could send none.
    if answer.text().contains("<form") {
        assert_eq!(refers, "same-origin", "{what}");
    } else if !answer
        .header("content-type")
        .is_some_and(|kind| kind.contains("html"))
    {
        assert_eq!(refers, "no-referrer", "{what}");
    }
    assert!(
        ["no-referrer", "same-origin"].contains(&&*refers),
        "{what}: {refers}"
    );
    assert_eq!(one("cache-control"), "no-store", "{what}");
    assert!(one("x-request-id").len() >= 16, "{what}");
    for name in ["server", "x-powered-by", "via"] {
        let values = answer.values(name);
        assert!(values.is_empty(), "{what} says {name}: {values:?}");
    }
}

#[test]
fn x_01_headers_of_pages_and_errors() {
    let gateway = Gateway::shared();
    let cases = [
        ("the login page", "GET", "/auth/login", NAVIGATION, 200),
        ("its head", "HEAD", "/auth/login", NAVIGATION, 200),
        ("an unknown page", "GET", "/auth/nothing", NAVIGATION, 404),
        ("an unknown call", "GET", "/auth/nothing", "", 404),
        ("a wrong method", "DELETE", "/auth/login", "", 405),
        ("a logout by nobody", "POST", "/auth/logout", "", 401),
        ("a program's login", "POST", "/auth/login", "", 415),
        (
            "a foreign login",
            "POST",
            "/auth/session/login",
            "Origin: https://evil.test\r\n",
            403,
        ),
        ("an empty login", "POST", "/auth/session/login", JSON, 400),
        ("a denial", "GET", "/app/x", "", 401),
        ("a denied page", "GET", "/app/y", NAVIGATION, 303),
        ("a path without a rule", "GET", "/nowhere", NAVIGATION, 403),
        ("a malformed path", "GET", "/a%00b", NAVIGATION, 400),
        ("an unknown method", "FOO", "/public/x", "", 501),
    ];
    for (what, method, path, lines, status) in cases {
        let answer = ask(gateway, method, path, lines, "");
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        if status != 303 {
            assert_protected(&answer, what);
        }
        assert_eq!(answer.values("x-request-id").len(), 1, "{what}");
        assert_eq!(
            answer.header("cache-control").as_deref(),
            Some("no-store"),
            "{what}"
        );
    }
    let lacking = ask(gateway, "GET", "/admin/x", &gateway.as_user("alice"), "");
    assert_eq!(lacking.status, 403);
    assert_protected(&lacking, "a lack of rights");
    let mut browser = Browser::new(gateway);
    let form = browser.form("/auth/login");
    let wrong = browser.submit(&form, "alice", "wrong");
    assert_eq!(wrong.status, 401);
    assert_protected(&wrong, "a wrong password");
    let welcome = browser.submit(&form, "alice", &password("alice"));
    assert_eq!(welcome.status, 303);
    assert_eq!(welcome.header("cache-control").as_deref(), Some("no-store"));
    assert_protected(&browser.get("/auth/"), "the page at the prefix");
}

#[test]
fn x_01_frames_openers_and_transport_security() {
    let gateway = Setup::new().tls(&["localhost"]).start();
    let page = Raw::over(gateway.tls("localhost", &["http/1.1"])).ask(format!(
        "GET /auth/login HTTP/1.1\r\nHost: localhost\r\n{NAVIGATION}\r\n"
    ));
    assert_eq!(page.status, 200);
    assert_protected(&page, "the login page over TLS");
    let hsts = page.header("strict-transport-security").unwrap();
    let age: u64 = hsts
        .strip_prefix("max-age=")
        .and_then(|rest| rest.split(';').next()?.parse().ok())
        .unwrap();
    assert!(age >= 31_536_000, "{hsts}");
    assert_eq!(page.header("x-frame-options").as_deref(), Some("DENY"));
    for name in ["cross-origin-opener-policy", "cross-origin-resource-policy"] {
        assert_eq!(page.header(name).as_deref(), Some("same-origin"), "{name}");
    }
    // Over plain http the header means nothing, and on a loopback site it would lock developers out.
    let plain = Browser::new(Gateway::shared()).get("/auth/login");
    assert_eq!(plain.values("strict-transport-security"), [""; 0]);
}

#[test]
fn x_01_every_site_says_what_is_true_of_it_after_a_reload_too() {
    let one = Setup::new().tls(&["localhost", "app.localhost"]);
    let mixed = one
        .clone()
        .set("site", "[\"https://localhost\", \"http://app.localhost\"]");
    let gateway = mixed.clone().start();
    let told = |host: &str, tls: bool| {
        let get = format!("GET /auth/login HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = if tls {
            Raw::over(gateway.tls(host, &["http/1.1"])).ask(get)
        } else {
            gateway.ask(get)
        };
        (
            answer.status,
            answer.values("strict-transport-security").len(),
        )
    };
    for _ in 0..2 {
        assert_eq!(told("localhost", true), (200, 1));
        assert_eq!(told("app.localhost", false), (200, 0));
        assert!(gateway.reload_with(&one));
        assert_eq!(told("app.localhost", true), (200, 1));
        assert!(gateway.reload_with(&mixed));
    }
}

#[test]
fn m_09_own_pages_know_their_methods() {
    let gateway = Gateway::shared();
    let pages: [(&str, &[&str]); 5] = [
        ("/auth/login", &["GET", "HEAD", "POST"]),
        ("/auth/logout", &["POST"]),
        ("/auth/session/login", &["POST"]),
        ("/auth/jwks.json", &["GET", "HEAD"]),
        ("/auth/static/style.css", &["GET", "HEAD"]),
    ];
    for (path, allowed) in pages {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
            let answer = ask(gateway, method, path, "", "");
            let refused = answer.status == 405;
            assert_eq!(refused, !allowed.contains(&method), "{method} {path}");
            if refused {
                let allow = answer.header("allow").unwrap_or_default();
                assert!(allow.contains(allowed[0]), "{method} {path}: {allow:?}");
            }
        }
        for method in ["TRACE", "CONNECT"] {
            assert_eq!(
                ask(gateway, method, path, "", "").status,
                405,
                "{method} {path}"
            );
        }
        assert_eq!(ask(gateway, "BREW", path, "", "").status, 501, "{path}");
    }
    let head = ask(gateway, "HEAD", "/auth/login", NAVIGATION, "");
    let get = ask(gateway, "GET", "/auth/login", NAVIGATION, "");
    assert_eq!(head.header("content-type"), get.header("content-type"));
    assert_eq!(head.header("content-length"), get.header("content-length"));
}

#[test]
fn programs_are_given_tokens_and_no_cookie() {
    let gateway = Gateway::shared();
    let form = format!(
        "username=alice&password={}",
        password("alice").replace(' ', "+")
    );
    for accept in ["", "Accept: */*\r\n", "Accept: application/json\r\n"] {
        let lines = format!("{accept}Content-Type: application/x-www-form-urlencoded\r\n");
        let answer = ask(gateway, "POST", "/auth/login", &lines, &form);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.values("set-cookie"), [""; 0]);
        let body = answer.json();
        assert_eq!(body["token_type"], "bearer", "{body}");
        assert_eq!(body["expires_in"], 1800, "{body}");
        let access = body["access_token"].as_str().unwrap();
        assert_eq!(access.split('.').count(), 3, "{body}");
        let lines = format!("Authorization: Bearer {access}\r\n");
        let me = ask(gateway, "GET", "/auth/me", &lines, "");
        assert_eq!(me.status, 200, "{}", me.text());
        assert_eq!(me.json()["username"], "alice");
    }
}

/// Bodies of a login, and how they may be refused.
const BODIES: [(&str, &[u16]); 18] = [
    ("", &[400, 422]),
    ("{", &[400]),
    ("null", &[422]),
    ("[]", &[422]),
    ("[\"alice\",\"x\"]", &[422]),
    ("\"alice\"", &[422]),
    ("1", &[422]),
    ("{}", &[422]),
    (r#"{"username":"alice"}"#, &[422]),
    (r#"{"username":"alice","password":null}"#, &[422]),
    (r#"{"username":["alice"],"password":"x"}"#, &[422]),
    (r#"{"username":1,"password":"x"}"#, &[422]),
    (
        r#"{"username":"alice","password":"x","is_superuser":true}"#,
        &[422],
    ),
    (
        r#"{"username":"alice","password":"x","remember":1}"#,
        &[422],
    ),
    (r#"{"username":"alice","password":"x"} tail"#, &[400]),
    (r#"{"username":"alice","password":"x"}{}"#, &[400]),
    (r#"{"username":"\ud800","password":"x"}"#, &[400]),
    (r#"{"username":"alice","password":1e400}"#, &[400, 422]),
];

#[test]
fn bodies_that_do_not_validate() {
    let gateway = Gateway::shared();
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let nested = format!("{{\"username\":{deep}}}");
    let deep: [(&str, &[u16]); 2] = [(&deep, &[400, 413, 422]), (&nested, &[400, 413, 422])];
    for (body, statuses) in BODIES.iter().chain(&deep) {
        let answer = ask(gateway, "POST", "/auth/session/login", JSON, body);
        let shown: String = body.chars().take(60).collect();
        assert!(
            statuses.contains(&answer.status),
            "{} to {shown}",
            answer.status
        );
        let json = answer.json();
        assert!(json["code"].is_string(), "{json}");
        if answer.status == 422 {
            let first = &json["detail"][0];
            assert!(
                first["loc"].is_array() && first["msg"].is_string(),
                "{json}"
            );
            assert!(first["type"].is_string(), "{json}");
        }
        assert_eq!(answer.values("set-cookie"), [""; 0]);
    }
    let right = serde_json::json!({ "username": "alice", "password": password("alice") });
    let twin = ask(
        gateway,
        "POST",
        "/auth/session/login",
        JSON,
        &right.to_string(),
    );
    assert_eq!(twin.status, 200);
    let body = twin.json();
    assert_eq!(body["user"]["username"], "alice");
    assert!(body["expires_at"].is_string() || body["expires_at"].is_number());
    assert!(!twin.text().contains("argon2"), "{body}");
}

#[test]
fn forms_that_do_not_validate() {
    let gateway = Gateway::shared();
    let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
    let mut browser = Browser::new(gateway);
    let form = browser.form("/auth/login");
    let csrf = form.hidden["csrf"].clone();
    let lines = format!("{OWN_FORM}{kind}{}", browser.cookie_line());
    for (body, statuses) in [
        (String::new(), &[403, 422][..]),
        (format!("csrf={csrf}"), &[422]),
        (format!("csrf={csrf}&username=alice"), &[422]),
        (
            format!("csrf={csrf}&username=alice&username=root&password=x"),
            &[400, 422],
        ),
        (
            format!("csrf={csrf}&username=alice&password=x&is_superuser=1"),
            &[422],
        ),
        (
            format!("csrf={csrf}&username=%ff%fe&password=x"),
            &[400, 401, 422],
        ),
        (
            format!("csrf={csrf}&username=%00&password=%00"),
            &[400, 401, 422],
        ),
        (
            format!("{}&csrf={csrf}", "a=b&".repeat(200_000)),
            &[400, 413, 422],
        ),
    ] {
        let answer = ask(gateway, "POST", "/auth/login", &lines, &body);
        let shown: String = body.chars().take(90).collect();
        assert!(
            statuses.contains(&answer.status),
            "{} to {shown}",
            answer.status
        );
        assert!(
            !answer
                .values("set-cookie")
                .iter()
                .any(|c| c.starts_with("portcullis=")),
            "signed in by {shown}"
        );
    }
}

#[test]
fn forms_of_another_kind() {
    let gateway = Gateway::shared();
    let mut browser = Browser::new(gateway);
    browser.form("/auth/login");
    for (kind, body) in [
        ("multipart/form-data; boundary=x", "--x\r\n\r\n--x--\r\n"),
        ("application/json", r#"{"username":"alice","password":"x"}"#),
        ("text/plain", "username=alice&password=x"),
    ] {
        let lines = format!(
            "{OWN_FORM}Content-Type: {kind}\r\n{}",
            browser.cookie_line()
        );
        let answer = ask(gateway, "POST", "/auth/login", &lines, body);
        assert!(
            matches!(answer.status, 400 | 415 | 422),
            "{} for {kind}",
            answer.status
        );
    }
}

#[test]
fn b_11_compressed_bodies_are_not_unpacked() {
    let gateway = Gateway::shared();
    let right = serde_json::json!({ "username": "alice", "password": password("alice") });
    for coding in ["gzip", "br", "deflate", "zstd", "gzip, gzip"] {
        let lines = format!("{JSON}Content-Encoding: {coding}\r\n");
        let answer = ask(
            gateway,
            "POST",
            "/auth/session/login",
            &lines,
            &right.to_string(),
        );
        assert_eq!(answer.status, 415, "{coding}: {}", answer.text());
    }
}
