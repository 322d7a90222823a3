//! What `PORTCULLIS_LOG` lets through.

use crate::harness::{Setup, eventually};

/// Pingora says it of the first connection to a service.
const OF_PINGORA: &str = "No reusable connection found";

#[test]
#[cfg_attr(not(debug_assertions), ignore = "release builds leave it out")]
fn what_pingora_says_is_for_those_who_ask() {
    let chatty = Setup::new()
        .env("PORTCULLIS_LOG", "info,pingora_core=debug")
        .start();
    let quiet = Setup::new().start();
    for gateway in [&chatty, &quiet] {
        let alice = gateway.as_user("alice");
        let answer = gateway.ask(format!(
            "GET /app/marked HTTP/1.1\r\nHost: localhost\r\n{alice}\r\n"
        ));
        assert_eq!(answer.status, 200);
        eventually("the access line", || {
            gateway.log().contains("/app/marked").then_some(())
        });
    }
    // Lines come in order, and this one is said before the request is answered.
    assert!(chatty.log().contains(OF_PINGORA), "{}", chatty.log());
    assert!(!quiet.log().contains(OF_PINGORA), "{}", quiet.log());
}
