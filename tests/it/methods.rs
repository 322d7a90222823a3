//! Methods: the real one decides, unknown ones are refused, none is a way around (M-01 to M-09).

use std::sync::OnceLock;

use crate::harness::{Gateway, H2, Setup, Trial, h2, marker};

const RULES: &str = "
  - { path: /read/**, methods: [GET], allow: anyone }
  - { path: /write/**, methods: [POST], allow: anyone }
  - { path: /public/**, allow: anyone }
  - { path: /app/**, allow: signed_in }
  - { path: /admin/**, allow: { role: admin } }
";

fn gateway() -> &'static Gateway {
    static GATEWAY: OnceLock<Gateway> = OnceLock::new();
    GATEWAY.get_or_init(|| Setup::new().rules(RULES).start())
}

const OVERRIDES: &[&str] = &[
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-HTTP-Method",
    "x_http_method_override",
    "X.HTTP.Method.Override",
];

#[test]
fn m_01_method_overrides_are_stripped() {
    let mut trial = Trial::new(gateway(), "M-01");
    for name in OVERRIDES {
        let request = trial.post(
            "/write/x?_method=DELETE",
            &format!("{name}: DELETE\r\n"),
            "_method=DELETE",
        );
        let seen = trial.allowed(request);
        assert_eq!(seen.method(), "POST");
        assert_eq!(seen.target(), "/write/x?_method=DELETE");
        assert_eq!(seen.body, b"_method=DELETE");
        assert_eq!(seen.values(name), [""; 0], "{}", seen.text());
        // The other way round: a claim to be a POST opens nothing.
        let line = format!("{name}: POST\r\n");
        trial.closed(trial.head("DELETE", "/write/x?_method=POST", &line));
        let line = format!("{name}: GET\r\nContent-Length: 0\r\n");
        trial.closed(trial.head("POST", "/read/x", &line));
    }
}

#[test]
fn m_02_head_follows_get() {
    let mut trial = Trial::new(gateway(), "M-02");
    let seen = trial.allowed(trial.head("HEAD", "/read/x", ""));
    assert_eq!(seen.method(), "HEAD");
    trial.closed(trial.head("HEAD", "/write/x", ""));
    trial.denied(trial.head("HEAD", "/admin/x", ""), "");
    let alice = gateway().as_user("alice");
    trial.denied(trial.head("HEAD", "/admin/x", &alice), "alice");
    let root = gateway().as_user("root");
    trial.served(&trial.head("HEAD", "/admin/x", &root));
}

#[test]
fn m_03_methods_in_another_case() {
    let gateway = gateway();
    let mut trial = Trial::with_plain_twin(gateway, "M-03");
    for method in ["get", "GeT", "Get", "post", "head", "gET"] {
        for target in ["/admin", "/public/x"] {
            trial.malformed(
                trial.head(method, target, "Content-Length: 0\r\n"),
                &[400, 501],
            );
        }
    }
    for method in ["get", "GeT", "head"] {
        let mark = marker("M-03-h2");
        let mut fields = h2::request(method, "/public/x");
        fields.push(("x-marker", &mark));
        let outcome = gateway.h2().ask(&fields);
        let refused = outcome.is_malformed() || outcome.status() == Some(501);
        assert!(refused, "{method}: {outcome:?}");
        assert!(gateway.recorder().with(&mark).is_empty());
    }
    let mark = marker("M-03-twin");
    let outcome = gateway.h2().get("/public/x", &[("x-marker", &mark)]);
    assert_eq!(outcome.status(), Some(200));
    assert_eq!(gateway.recorder().wait_for(&mark, 1).len(), 1);
}

#[test]
fn m_04_preflights_prove_nothing() {
    let mut trial = Trial::new(gateway(), "M-04");
    let lines = "Origin: https://evil.test\r\nAccess-Control-Request-Method: DELETE\r\n\
                 Access-Control-Request-Headers: x-auth-user\r\nX-Auth-User: root\r\nX-Auth-Roles: admin\r\n";
    let seen = trial.allowed(trial.head("OPTIONS", "/public/x", lines));
    assert_eq!(seen.method(), "OPTIONS");
    for name in ["X-Auth-User", "X-Auth-Roles", "X-Auth-Assertion"] {
        assert_eq!(seen.values(name), [""; 0]);
    }
    for target in ["/app/x", "/admin/x"] {
        trial.denied(trial.head("OPTIONS", target, lines), "");
    }
    trial.closed(trial.head("OPTIONS", "/read/x", lines));
}

#[test]
fn m_04_options_of_the_server_itself() {
    let mut trial = Trial::with_plain_twin(gateway(), "M-04-star");
    let answer = trial
        .refused(trial.head("OPTIONS", "*", ""))
        .answer
        .unwrap();
    assert!(matches!(answer.status, 200 | 204), "{}", answer.status);
    for target in ["/*", "/admin/*"] {
        trial.closed(trial.head("OPTIONS", target, ""));
    }
}

#[test]
fn m_05_connect() {
    let gateway = gateway();
    let mut trial = Trial::with_plain_twin(gateway, "M-05");
    for target in [
        "localhost:80",
        "evil.test:443",
        "/public/x",
        "http://localhost/public/x",
        "*",
        "127.0.0.1:22",
    ] {
        trial.malformed(trial.head("CONNECT", target, ""), &[400, 405]);
    }
    let mark = marker("M-05-h2");
    let tunnel = [
        (":method", "CONNECT"),
        (":authority", "localhost:80"),
        ("x-marker", &mark),
    ];
    let mut extended = h2::request("CONNECT", "/public/x");
    extended.extend_from_slice(&[(":protocol", "websocket"), ("x-marker", &mark)]);
    let mut whole = h2::request("CONNECT", "/public/x");
    whole.push(("x-marker", &mark));
    for fields in [&tunnel[..], &extended, &whole] {
        let mut connection = H2::connect(gateway.http());
        let stream = connection.open(fields, true);
        let outcome = connection.read(stream);
        let refused = outcome.is_malformed() || outcome.status() == Some(405);
        assert!(refused, "{fields:?}: {outcome:?}");
    }
    trial.nothing_came(b"h2 CONNECT");
    assert!(gateway.recorder().with(&mark).is_empty());
}

#[test]
fn m_06_methods_nobody_needs() {
    let gateway = gateway();
    let mut trial = Trial::with_plain_twin(gateway, "M-06");
    let root = gateway.as_user("root");
    for method in ["TRACE", "TRACK"] {
        for target in ["/public/x", "/admin/x"] {
            trial.malformed(trial.head(method, target, &root), &[405]);
        }
    }
    for method in [
        "PROPFIND", "FOO!#$", "FOO", "DEBUG", "PURGE", "GETX", "XGET",
    ] {
        trial.malformed(trial.head(method, "/public/x", &root), &[405, 501]);
    }
    trial.malformed(
        trial.head(&"A".repeat(1024), "/public/x", &root),
        &[405, 501],
    );
    for method in ["G(T", "G\"T", "G,T", "G/T", "{GET}"] {
        trial.malformed(trial.head(method, "/public/x", &root), &[400, 501]);
    }
    // The usual ones are all served.
    for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"] {
        let seen = trial.allowed(trial.head(method, "/public/x", "Content-Length: 0\r\n"));
        assert_eq!(seen.method(), method);
    }
}

#[test]
fn m_07_a_rule_for_other_methods() {
    let mut trial = Trial::new(gateway(), "M-07");
    trial.allowed(trial.get("/read/x", ""));
    let root = gateway().as_user("root");
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let empty = format!("Content-Length: 0\r\n{root}");
        let answer = trial
            .refused(trial.head(method, "/read/x", &empty))
            .answer
            .unwrap();
        assert!(
            matches!(answer.status, 403 | 405),
            "{} to {method}",
            answer.status
        );
        trial.closed(trial.head(method, "/read/x", "Content-Length: 0\r\n"));
    }
}

#[test]
fn m_08_bodies_where_few_expect_them() {
    let gateway = gateway();
    let mut trial = Trial::new(gateway, "M-08");
    for method in ["GET", "DELETE", "OPTIONS"] {
        let mut request = trial.head(method, "/public/x", "Content-Length: 5\r\n");
        request.extend_from_slice(b"hello");
        let seen = trial.allowed(&request);
        assert_eq!(
            (seen.method().as_str(), seen.body.as_slice()),
            (method, &b"hello"[..])
        );
        let mut request = trial.head(method, "/public/x", "Transfer-Encoding: chunked\r\n");
        request.extend_from_slice(b"5\r\nhello\r\n0\r\n\r\n");
        assert_eq!(trial.allowed(&request).body, b"hello");
    }
    // And the connection goes on exactly behind the body.
    let mut raw = gateway.connect();
    let mark = marker("M-08-next");
    let body = format!("GET /public/inner-{mark} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let first = format!(
        "GET /public/a HTTP/1.1\r\nHost: localhost\r\nX-Marker: {mark}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let second = format!("GET /public/b HTTP/1.1\r\nHost: localhost\r\nX-Marker: {mark}\r\n\r\n");
    assert_eq!(raw.ask(first).text(), "seen GET /public/a");
    assert_eq!(raw.ask(second).text(), "seen GET /public/b");
    let seen = gateway.recorder().with(&mark);
    let targets: Vec<String> = seen.iter().map(super::harness::Recorded::target).collect();
    assert_eq!(targets, ["/public/a", "/public/b"]);
}

#[test]
fn m_09_logout_is_no_get() {
    let gateway = gateway();
    let cookie = gateway.login("alice");
    let mut trial = Trial::new(gateway, "M-09");
    let lines = format!("Cookie: {cookie}\r\n");
    trial.allowed(trial.get("/app/x", &lines));
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
        let lines = format!("Content-Length: 0\r\n{lines}");
        let answer = trial
            .refused(trial.head(method, "/auth/logout", &lines))
            .answer
            .unwrap();
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.values("set-cookie"), [""; 0]);
        let allow = answer.header("allow").unwrap_or_default();
        assert!(allow.contains("POST"), "Allow: {allow}");
    }
    for target in ["/auth/session/login", "/auth/logout?_method=POST"] {
        let answer = trial.refused(trial.get(target, &lines)).answer.unwrap();
        assert_eq!(answer.status, 405, "{target}");
    }
    // The session has survived all that (the twin was served each time), and a POST ends it.
    let logout = trial.head(
        "POST",
        "/auth/logout",
        &format!("Content-Length: 0\r\n{lines}"),
    );
    assert_eq!(gateway.ask(logout).status, 200);
    assert!(gateway.ask(trial.get("/app/x", &lines)).denies_anonymous());
}
