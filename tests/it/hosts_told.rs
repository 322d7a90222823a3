//! What becomes of a host once it was judged: what services are told of it, whatever the client wrote, and hosts that
//! only a rule names, which are sites like any other.

use std::sync::Arc;

use crate::harness::gateway::session_cookie;
use crate::harness::setup::password;
use crate::harness::{Gateway, H2, Raw, Response, Setup, marker, tls};
use crate::tunnels::{agreeing, lines};

const NAMES: [&str; 4] = ["one.test", "two.test", "three.test", "a.below.test"];

/// Two sites, and two hosts that are named by rules alone.
const RULES: &str = "
  - { host: one.test, path: /**, allow: { role: admin } }
  - { host: two.test, path: /app/**, allow: signed_in }
  - { host: two.test, path: /**, allow: anyone }
  - { host: three.test, path: /app/**, allow: signed_in }
  - { host: three.test, path: /**, allow: anyone }
  - { host: \"*.below.test\", path: /**, allow: anyone }
";

fn setup() -> Setup {
    Setup::before(agreeing())
        .tls(&NAMES)
        .set("site", "[\"https://one.test\", \"https://two.test:8443\"]")
        .rules(RULES)
}

fn connect(gateway: &Gateway, name: &str, alpn: &str) -> crate::harness::Wire {
    let config = Arc::new(tls::config(gateway.identity(), &[alpn], None));
    tls::over(gateway.https(), config, name).unwrap()
}

fn ask(gateway: &Gateway, name: &str, request: &str) -> Response {
    Raw::over(connect(gateway, name, "http/1.1")).ask(request)
}

/// The two headers in which a service is told of the host.
fn told(gateway: &Gateway, mark: &str) -> Vec<String> {
    let seen = gateway.recorder().wait_for(mark, 1).pop().unwrap();
    let both = [seen.values("host"), seen.values("x-forwarded-host")];
    both.concat()
}

#[test]
fn p_17_services_are_told_the_host_that_was_judged() {
    let gateway = setup().start();
    let main = ["one.test", "ONE.TEST", "one.test.", "one.test:1"];
    for host in main {
        let request = format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(ask(&gateway, "one.test", &request).status, 401, "{host}");
    }
    for (name, host, expected) in [
        ("two.test", "two.test:8443", "two.test:8443"),
        ("two.test", "two.test", "two.test:8443"),
        ("two.test", "TWO.TEST", "two.test:8443"),
        ("two.test", "Two.test.:443", "two.test:8443"),
        ("two.test", "two.test:1", "two.test:8443"),
        ("three.test", "three.test", "three.test"),
        ("three.test", "Three.Test.:1", "three.test"),
        ("a.below.test", "A.BELOW.test:443", "a.below.test"),
    ] {
        let mark = marker("P-17-told");
        let request = format!("GET /x HTTP/1.1\r\nHost: {host}\r\nX-Marker: {mark}\r\n\r\n");
        assert_eq!(ask(&gateway, name, &request).status, 200, "{host}");
        assert_eq!(told(&gateway, &mark), [expected; 2], "{host}");
        let mark = marker("P-17-h2");
        let outcome = H2::over(connect(&gateway, name, "h2")).ask(&[
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", host),
            (":path", "/x"),
            ("x-marker", &mark),
        ]);
        assert_eq!(outcome.status(), Some(200), "{host}");
        assert_eq!(told(&gateway, &mark), [expected; 2], "{host}");
    }
}

#[test]
fn p_17_this_machines_names_keep_their_port() {
    let rules = "  - { path: /public/**, allow: anyone }";
    let gateway = Setup::new()
        .set("site", "[\"http://localhost\", \"http://app.localhost\"]")
        .rules(rules)
        .start();
    for (host, expected) in [
        ("localhost", "localhost"),
        ("LocalHost.:08080", "localhost:8080"),
        ("localhost:9", "localhost:9"),
        ("127.0.0.1:9", "127.0.0.1:9"),
        ("[::1]:9", "[::1]:9"),
        ("APP.localhost.", "app.localhost"),
    ] {
        let mark = marker("P-17-here");
        let answer = gateway.ask(format!(
            "GET /public/x HTTP/1.1\r\nHost: {host}\r\nX-Marker: {mark}\r\n\r\n"
        ));
        assert_eq!(answer.status, 200, "{host}");
        assert_eq!(told(&gateway, &mark), [expected; 2], "{host}");
    }
}

#[test]
fn p_17_a_service_spoken_to_in_http_2_is_told_the_same() {
    let inner = Setup::new().start();
    let url = format!("h2c://{}", inner.http());
    let gateway = Setup::new()
        .upstream("web", &format!("{{ to: \"{url}\" }}"))
        .start();
    let mark = marker("P-17-h2c");
    let outcome = gateway.h2().ask(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "LOCALHOST."),
        (":path", "/public/x"),
        ("x-marker", &mark),
    ]);
    assert_eq!(outcome.status(), Some(200));
    assert_eq!(told(&inner, &mark), ["localhost"; 2]);
}

#[test]
fn a_host_that_a_rule_names_is_led_to_itself() {
    let gateway = setup().start();
    for (host, origin) in [
        ("one.test", "https://one.test"),
        ("two.test", "https://two.test:8443"),
        ("three.test", "https://three.test"),
        ("THREE.test.:80", "https://three.test"),
        ("a.below.test", "https://a.below.test"),
    ] {
        let answer = gateway.ask(format!("GET /x?y=1 HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answer.status, 308, "{host}");
        let location = format!("{origin}/x?y=1");
        assert_eq!(answer.header("location"), Some(location));
    }
}

/// Logs in as a page of this origin does in a browser that tells no more than that; the cookie line.
fn login(gateway: &Gateway, host: &str, origin: &str) -> Response {
    let form = serde_json::json!({ "username": "alice", "password": password("alice") });
    let form = form.to_string();
    ask(
        gateway,
        host,
        &format!(
            "POST /auth/session/login HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        ),
    )
}

#[test]
fn w_03_a_page_of_one_site_is_foreign_to_another() {
    let gateway = setup().start();
    let pages = [
        ("one.test", "https://one.test"),
        ("two.test", "https://two.test:8443"),
        ("three.test", "https://three.test"),
    ];
    for (host, own) in &pages[1..] {
        let cookie = session_cookie(&login(&gateway, host, own));
        for (_, origin) in &pages {
            let is_own = own == origin;
            let answer = login(&gateway, host, origin);
            assert_eq!(
                answer.status,
                if is_own { 200 } else { 403 },
                "{host} {origin}"
            );
            let mark = marker("W-03-sites");
            let (lines, form) = (lines(), format!("Cookie: {cookie}\r\nOrigin: {origin}\r\n"));
            let request = format!(
                "GET /app/ws HTTP/1.1\r\nHost: {host}\r\nX-Marker: {mark}\r\n{form}{lines}\r\n"
            );
            let answer = ask(&gateway, host, &request);
            assert_eq!(
                answer.status,
                if is_own { 101 } else { 403 },
                "{host} {origin}"
            );
            assert_eq!(gateway.recorder().with(&mark).len(), usize::from(is_own));
        }
    }
}

#[test]
fn w_03_a_page_of_one_site_is_another_ones_own_where_they_share_sessions() {
    let names = ["a.example.test", "b.example.test", "c.example.test"];
    let gateway = Setup::before(agreeing())
        .tls(&names)
        .set(
            "site",
            "[\"https://a.example.test\", \"https://b.example.test\"]",
        )
        .set("cookie_domain", "example.test")
        .rules(
            "  - { host: c.example.test, path: /**, allow: signed_in }
  - { host: \"*.example.test\", path: /public/**, allow: anyone }
  - { path: /app/**, allow: signed_in }",
        )
        .start();
    let answer = login(&gateway, names[0], "https://a.example.test");
    let said = answer.header("set-cookie").unwrap();
    let (cookie, _) = said.split_once(';').unwrap();
    for host in names {
        for (origin, status) in [
            ("https://a.example.test", 101),
            ("https://b.example.test", 101),
            ("https://c.example.test", 101),
            ("https://d.example.test", 403),
            ("https://example.test", 403),
            ("http://a.example.test", 403),
            ("https://a.example.test:1", 403),
        ] {
            let form = format!("Cookie: {cookie}\r\nOrigin: {origin}\r\n{}", lines());
            let request = format!("GET /app/ws HTTP/1.1\r\nHost: {host}\r\n{form}\r\n");
            assert_eq!(
                ask(&gateway, host, &request).status,
                status,
                "{host} {origin}"
            );
        }
    }
}
