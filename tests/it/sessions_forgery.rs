//! Requests that a browser was made to send, forms that were forged, cookies over plain http: C-11, C-14, C-16.

use crate::harness::gateway::session_cookie;
use crate::harness::setup::password;
use crate::harness::{Gateway, Raw, Response, Setup, Trial};
use crate::pages_browser::{Browser, Form, OWN_FORM, encode};

/// What a browser sends when another site's page makes it ask, one row per way.
const FOREIGN: [&str; 10] = [
    "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nOrigin: https://evil.test\r\n",
    "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: navigate\r\nOrigin: http://app.localhost\r\n",
    "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nOrigin: null\r\n",
    "Sec-Fetch-Site: cross-site\r\nOrigin: http://localhost\r\n",
    "Sec-Fetch-Site: evil\r\n",
    "Origin: https://evil.test\r\nReferer: https://evil.test/\r\n",
    "Origin: null\r\n",
    "Origin: https://localhost\r\n",
    "Origin: http://localhost.evil.test\r\n",
    "Origin: http://evil.test/http://localhost\r\n",
];

/// And what it sends when it is our own page, or nobody's.
const OWN: [&str; 4] = [
    "",
    "Sec-Fetch-Site: same-origin\r\nOrigin: http://localhost\r\n",
    "Sec-Fetch-Site: none\r\n",
    "Origin: http://localhost\r\n",
];

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

fn post(gateway: &Gateway, path: &str, lines: &str, body: &str) -> Response {
    gateway.ask(format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\n{lines}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn sets_a_session(answer: &Response) -> bool {
    let cookies = answer.values("set-cookie");
    cookies
        .iter()
        .any(|cookie| cookie.starts_with("portcullis=") && !cookie.starts_with("portcullis=;"))
}

#[test]
fn c_11_every_changed_bit_of_the_form_token_gets_the_same_answer() {
    let gateway = Gateway::shared();
    let mut browser = Browser::new(gateway);
    let form = browser.form("/auth/login");
    let token = form.hidden["csrf"].clone();
    let mut answers = Vec::new();
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let bad = form.with("csrf", Some(std::str::from_utf8(&bytes).unwrap()));
        answers.push(seen(&mut browser, &bad));
    }
    for bad in [
        form.with("csrf", None),
        form.with("csrf", Some("")),
        form.with("csrf", Some(&token[1..])),
        form.with("csrf", Some(&format!("{token}A"))),
        form.with("csrf", Some(&"A".repeat(10_000))),
    ] {
        answers.push(seen(&mut browser, &bad));
    }
    // Another browser's token, and ours without our cookie.
    let foreign = Browser::new(gateway).form("/auth/login");
    answers.push(seen(
        &mut browser,
        &form.with("csrf", foreign.hidden.get("csrf").map(String::as_str)),
    ));
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
    }
    assert_eq!(answers[0].0, 403);
    let without = Browser::new(gateway).submit(&form, "alice", &password("alice"));
    assert_eq!(
        (without.status, sets_a_session(&without)),
        (403, false),
        "without the flow cookie"
    );
    let twin = browser.submit(&form, "alice", &password("alice"));
    assert_eq!((twin.status, sets_a_session(&twin)), (303, true));
}

/// Status and page, the parts that differ by design taken out.
fn seen(browser: &mut Browser<'_>, form: &Form) -> (u16, String) {
    let answer = browser.submit(form, "alice", &password("alice"));
    assert!(!sets_a_session(&answer), "logged in by {:?}", form.hidden);
    let page = answer.text();
    let token = Form::read(&page).hidden["csrf"].clone();
    (answer.status, page.replace(&token, "TOKEN"))
}

#[test]
fn c_14_login_by_another_site() {
    let gateway = Gateway::shared();
    let json = serde_json::json!({ "username": "alice", "password": password("alice") });
    let json = json.to_string();
    let form = encode(&[("username", "alice"), ("password", &password("alice"))]);
    for (kind, body) in [("Content-Type: application/json\r\n", &json), (FORM, &form)] {
        for lines in OWN {
            let answer = post(
                gateway,
                "/auth/session/login",
                &format!("{lines}{kind}"),
                body,
            );
            assert_eq!(answer.status, 200, "{lines:?}");
        }
        for lines in FOREIGN {
            let answer = post(
                gateway,
                "/auth/session/login",
                &format!("{lines}{kind}"),
                body,
            );
            assert_eq!(
                (answer.status, sets_a_session(&answer)),
                (403, false),
                "{lines:?}"
            );
        }
    }
    // JSON that needs no preflight is no JSON.
    for kind in [
        "text/plain",
        "text/plain; charset=utf-8",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
    ] {
        let answer = post(
            gateway,
            "/auth/session/login",
            &format!("Content-Type: {kind}\r\n"),
            &json,
        );
        let fits = matches!(answer.status, 400 | 415 | 422) && !sets_a_session(&answer);
        assert!(fits, "{} for {kind}", answer.status);
    }
    let answer = post(gateway, "/auth/session/login", "", &json);
    assert!(
        matches!(answer.status, 400 | 415 | 422),
        "{}",
        answer.status
    );
}

#[test]
fn c_14_the_login_form_of_another_site() {
    let gateway = Gateway::shared();
    for lines in FOREIGN {
        let mut browser = Browser::new(gateway);
        let form = browser.form("/auth/login");
        let fields = [
            ("csrf", form.hidden["csrf"].as_str()),
            ("username", "alice"),
            ("password", &password("alice")),
        ];
        let lines = format!("Accept: text/html\r\n{lines}");
        let answer = browser.post("/auth/login", &lines, &fields);
        assert_eq!(
            (answer.status, sets_a_session(&answer)),
            (403, false),
            "{lines:?}"
        );
        let twin = browser.post("/auth/login", OWN_FORM, &fields);
        assert_eq!((twin.status, sets_a_session(&twin)), (303, true));
    }
}

/// By the port that was asked, which HTTP/2 tells in its request line, and no site in the file knows.
#[test]
fn c_14_forms_behind_a_mapped_port_over_http_2() {
    let gateway = Gateway::shared();
    for (origin, status) in [
        ("http://localhost:9998", 403),
        ("http://evil.test", 403),
        ("http://localhost:9999", 200),
    ] {
        let answer = gateway.h2().ask(&[
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "localhost:9999"),
            (":path", "/auth/logout"),
            ("cookie", &gateway.login("alice")),
            ("origin", origin),
        ]);
        assert_eq!(answer.status(), Some(status), "{origin}: {answer:?}");
    }
}

#[test]
fn c_14_logout_by_another_site() {
    let gateway = Gateway::shared();
    let cookie = gateway.login("alice");
    let line = format!("Cookie: {cookie}\r\n");
    let mut trial = Trial::new(gateway, "C-14");
    trial.allowed(trial.get("/app/x", &line));
    for lines in FOREIGN {
        for accept in ["Accept: text/html\r\n", ""] {
            let answer = post(
                gateway,
                "/auth/logout",
                &format!("{line}{accept}{lines}"),
                "",
            );
            assert_eq!(answer.status, 403, "{lines:?}");
            assert_eq!(answer.values("set-cookie"), [""; 0], "{lines:?}");
        }
    }
    // Nor by an image or a link.
    for method in ["GET", "HEAD"] {
        let mut raw = gateway.connect();
        raw.send(format!(
            "{method} /auth/logout HTTP/1.1\r\nHost: localhost\r\n{line}\r\n"
        ));
        assert_eq!(raw.read_head().status, 405, "{method}");
    }
    trial.served(&trial.get("/app/x", &line));
    let own = format!("{line}Sec-Fetch-Site: same-origin\r\nOrigin: http://localhost\r\n");
    assert_eq!(post(gateway, "/auth/logout", &own, "").status, 200);
    let mut after = Trial::with_plain_twin(gateway, "C-14-after");
    after.denied(after.get("/app/x", &line), "");
}

#[test]
fn c_16_a_cookie_over_plain_http_is_never_accepted() {
    let gateway = Setup::new().tls(&["localhost"]).start();
    let json = serde_json::json!({ "username": "alice", "password": password("alice") });
    let json = json.to_string();
    let login = format!(
        "POST /auth/session/login HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{json}",
        json.len()
    );
    let secure = || Raw::over(gateway.tls("localhost", &["http/1.1"]));
    let cookie = session_cookie(&secure().ask(&login));
    let token = cookie.split_once('=').unwrap().1;
    let twin = format!("GET /app/x?C-16 HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n");
    assert_eq!(secure().ask(&twin).status, 200);
    let mut served = gateway.recorder().wait_for("C-16", 1).len();
    for name in ["__Host-portcullis", "portcullis"] {
        for (method, status) in [
            ("GET", 308),
            ("HEAD", 308),
            ("POST", 403),
            ("PUT", 403),
            ("DELETE", 403),
            ("OPTIONS", 403),
        ] {
            for target in ["/app/x?C-16", "/public/x?C-16", "/auth/login?C-16"] {
                let mut raw = gateway.connect();
                raw.send(format!(
                    "{method} {target} HTTP/1.1\r\nHost: localhost\r\nCookie: {name}={token}\r\nContent-Length: 0\r\n\r\n"
                ));
                let answer = if method == "HEAD" {
                    raw.read_head()
                } else {
                    raw.read()
                };
                assert_eq!(answer.status, status, "{method} {target}");
                assert_eq!(answer.values("set-cookie"), [""; 0]);
                if status == 308 {
                    let place = answer.header("location").unwrap();
                    let (site, rest) = place.split_at("https://localhost".len());
                    assert_eq!(site, "https://localhost");
                    assert!(rest.ends_with(target), "{place}");
                }
            }
        }
        assert_eq!(secure().ask(&twin).status, 200);
        served += 1;
        gateway.recorder().wait_for("C-16", served);
        assert_eq!(gateway.recorder().with("C-16").len(), served);
    }
}

#[test]
fn c_16_nobody_else_says_that_it_was_https() {
    let gateway = Setup::new().tls(&["localhost"]).start();
    let json = serde_json::json!({ "username": "alice", "password": password("alice") });
    let json = json.to_string();
    let login = format!(
        "POST /auth/session/login HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{json}",
        json.len()
    );
    let secure = || Raw::over(gateway.tls("localhost", &["http/1.1"]));
    let cookie = session_cookie(&secure().ask(&login));
    let twin = format!("GET /app/x?C-16 HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n");
    assert_eq!(secure().ask(&twin).status, 200);
    gateway.recorder().wait_for("C-16", 1);
    for lines in [
        "X-Forwarded-Proto: https\r\n",
        "X-Forwarded-Ssl: on\r\n",
        "Forwarded: proto=https\r\n",
        "X-Forwarded-Scheme: https\r\n",
        "Front-End-Https: on\r\n",
    ] {
        let claimed = gateway.ask(format!(
            "GET /app/x?C-16 HTTP/1.1\r\nHost: localhost\r\n{lines}Cookie: {cookie}\r\n\r\n"
        ));
        assert_eq!(claimed.status, 308, "{lines}");
    }
    // A password over plain http is not looked at, either.
    let answer = gateway.ask(&login);
    assert_eq!((answer.status, sets_a_session(&answer)), (403, false));
    assert_eq!(gateway.recorder().with("C-16").len(), 1);
}

#[test]
fn c_16_a_trusted_proxy_may_say_that_it_was_https() {
    let gateway = Setup::new()
        .tls(&["localhost"])
        .set("trusted_proxies", "[127.0.0.0/8]")
        .start();
    let json = serde_json::json!({ "username": "alice", "password": password("alice") });
    let json = json.to_string();
    let login = |lines: &str| {
        post(
            &gateway,
            "/auth/session/login",
            &format!("{lines}Content-Type: application/json\r\n"),
            &json,
        )
    };
    assert_eq!(login("").status, 403);
    let answer = login("X-Forwarded-Proto: https\r\n");
    let cookie = session_cookie(&answer);
    assert!(cookie.starts_with("__Host-portcullis="));
    let mut trial = Trial::new(&gateway, "C-16-proxy");
    let line = format!("Cookie: {cookie}\r\n");
    trial.allowed(trial.get("/app/x", &format!("X-Forwarded-Proto: https\r\n{line}")));
    for lines in ["", "X-Forwarded-Proto: http\r\n"] {
        let refused = trial.refused(trial.get("/app/x", &format!("{lines}{line}")));
        assert_eq!(refused.answer.unwrap().status, 308, "{lines}");
    }
}
