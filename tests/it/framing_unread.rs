//! S-07 where the service does not read a body, and takes it for the next request on its connection.

use crate::framing_servers::{Kind, Server};
use crate::harness::{Gateway, Raw, Setup, eventually};

/// What a service runs with the next request behind it, whoever sends that.
const PREFIX: &str = "GET /admin/inner HTTP/1.1\r\nX-Rest: ";
/// What it runs at once.
const WHOLE: &str = "GET /admin/inner HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A service that reads no bodies, behind the gateway.
fn unread(more: &str) -> (Server, Gateway) {
    let server = Server::start(Kind::Unread);
    let upstream = format!("{{ to: \"{}\"{more} }}", server.url());
    let gateway = Setup::new().upstream("web", &upstream).start();
    (server, gateway)
}

/// Sends a body that nobody reads, and then what other people would. Answers the targets that the service ran.
fn hide((server, gateway): &(Server, Gateway), method: &str, body: &str, turn: usize) {
    let place = format!("/public/{method}-{turn}");
    let head = format!("{method} {place} HTTP/1.1\r\nHost: localhost\r\n");
    let mut raw = gateway.connect();
    raw.send(format!(
        "{head}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let answer = if method == "HEAD" {
        raw.read_head()
    } else {
        raw.read()
    };
    assert_eq!(answer.status, 200, "{method}");
    let next = format!("{place}-next");
    let asked = format!("GET {next} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(gateway.ask(&asked).status, 200);
    eventually("what came next at the service", || {
        let seen = server.seen();
        let all = [&place, &next].map(|it| seen.iter().any(|(_, target, _)| target == it));
        all.iter().all(|it| *it).then_some(())
    });
    let seen = server.seen();
    let hidden = seen.iter().find(|(_, target, _)| target.contains("admin"));
    assert_eq!(hidden, None, "behind {method} {body:?}");
}

#[test]
fn s_07_a_body_that_a_service_does_not_read_is_no_request() {
    let parties = unread("");
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        for (turn, body) in [PREFIX, WHOLE].into_iter().enumerate() {
            hide(&parties, method, body, turn);
        }
    }
}

#[test]
fn s_07_nor_is_any_other_where_no_connection_is_kept() {
    let parties = unread(", keep_alive: never");
    for method in ["GET", "POST", "PUT", "PATCH"] {
        for (turn, body) in [PREFIX, WHOLE].into_iter().enumerate() {
            hide(&parties, method, body, turn);
        }
    }
}

#[test]
fn s_07_only_those_connections_end() {
    let gateway = Setup::new().start();
    // On one connection, so that the next request is read only once the service's own is free again.
    let mut raw: Raw = gateway.connect();
    let mut ask = |method: &str, body: &str| {
        let length = body.len();
        let more = if body == "expected" {
            "Expect: 100-continue\r\n"
        } else {
            ""
        };
        let head = format!("{method} /public/x HTTP/1.1\r\nHost: localhost\r\n{more}");
        let answer = raw.ask(format!("{head}Content-Length: {length}\r\n\r\n{body}"));
        assert_eq!(answer.status, 200);
        gateway.recorder().connections()
    };
    for (method, body, made) in [
        ("GET", "", 1),
        ("GET", "", 1),
        ("POST", "hello", 1),
        ("DELETE", "", 1),
        ("DELETE", "hello", 1),
        ("GET", "hello", 2),
        ("GET", "", 3),
        ("PUT", "hello", 3),
        ("PUT", "expected", 3),
        ("GET", "", 4),
    ] {
        assert_eq!(ask(method, body), made, "{method} {body:?}");
    }
    let said = |at: usize| gateway.recorder().requests()[at].values("connection");
    assert_eq!((said(3), said(4)), (vec![], vec!["close".to_owned()]));
}
