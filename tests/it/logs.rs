//! What `PORTCULLIS_LOG` lets through.

use crate::harness::{Gateway, Setup, eventually};

/// Pingora says it of the first connection to a service.
const OF_PINGORA: &str = "No reusable connection found";

/// A gateway with this filter, once it has forwarded a request and told of it.
fn after_a_request(filter: Option<&str>) -> Gateway {
    let setup = Setup::new();
    let gateway = match filter {
        Some(filter) => setup.env("PORTCULLIS_LOG", filter).start(),
        None => setup.start(),
    };
    let alice = gateway.as_user("alice");
    let answer = gateway.ask(format!(
        "GET /app/marked HTTP/1.1\r\nHost: localhost\r\n{alice}\r\n"
    ));
    assert_eq!(answer.status, 200);
    eventually("the access line", || {
        gateway.log().contains("/app/marked").then_some(())
    });
    gateway
}

// Lines come in order, and Pingora's is said before the request is answered.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "release builds leave it out")]
fn what_pingora_says_is_for_those_who_ask() {
    for (filter, heard) in [
        (None, false),
        (Some("debug"), false),
        (Some("info,pingora=debug"), true),
        (Some("info,pingora_core=debug"), true),
        (Some("not=a=filter"), false),
    ] {
        let gateway = after_a_request(filter);
        let log = gateway.log();
        assert_eq!(log.contains(OF_PINGORA), heard, "{filter:?}: {log}");
    }
}

#[test]
fn a_filter_that_is_empty_is_none() {
    for filter in [Some(""), Some("  "), None] {
        let gateway = after_a_request(filter);
        let log = gateway.log();
        assert!(!log.contains("PORTCULLIS_LOG"), "{filter:?}: {log}");
    }
}

#[test]
fn whoever_is_turned_away_is_told_of_with_the_host_that_was_asked() {
    let gateway = Setup::new().start();
    let answer = gateway.ask("GET /x HTTP/1.1\r\nHost: Elsewhere.Test\r\n\r\n");
    assert_eq!(answer.status, 421);
    eventually("the access line", || {
        let log = gateway.log();
        let line = log.lines().find(|line| line.contains("status=421"))?;
        line.contains("host=\"elsewhere.test\"").then_some(())
    });
}
