//! What `PORTCULLIS_LOG` lets through.

use std::time::Duration;

use crate::harness::h2::request;
use crate::harness::{Gateway, Raw, Recorder, Reply, Setup, eventually};
use crate::sessions_ends::logout;

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

/// What a proxy in front that does not fit `trusted_proxies` does to its clients is an endless redirect, and theirs to see:
/// the log says why to those who can mend it, once for all of them.
#[test]
fn a_proxy_whose_https_is_not_believed_is_told_of_once() {
    let direct = "X-Forwarded-Proto: http\r\n";
    let through = "X-Forwarded-Proto: https\r\n";
    let other = "Forwarded: for=192.0.2.7;proto=https\r\n";
    // trusted_proxies, what a request holds, what is said of it
    for (trusted, lines, said) in [
        (
            "[]",
            through,
            "127.0.0.1 says https and is not in trusted_proxies",
        ),
        (
            "[]",
            other,
            "127.0.0.1 says https and is not in trusted_proxies",
        ),
        (
            "[127.0.0.1]",
            "",
            "127.0.0.1 is in trusted_proxies and sends no X-Forwarded-Proto",
        ),
    ] {
        let gateway = Setup::new()
            .tls(&["localhost"])
            .set("trusted_proxies", trusted)
            .start();
        let ask = |path: &str, lines: &str| {
            gateway.ask(format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"
            ))
        };
        let twin = "GET /public/twin HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let mut secure = Raw::over(gateway.tls("localhost", &["http/1.1"]));
        assert_eq!(secure.ask(twin).status, 200);
        // Somebody who came in the clear is just sent on.
        assert_eq!(ask("/public/clear", direct).status, 308);
        gateway.says("path=\"/public/clear\" status=308");
        assert!(
            !gateway.log().contains("trusted_proxies"),
            "{}",
            gateway.log()
        );
        for number in 0..3 {
            let path = format!("/public/{number}");
            assert_eq!(ask(&path, lines).status, 308, "{lines}");
            gateway.says(&format!("path=\"{path}\" status=308"));
        }
        let log = gateway.log();
        let told: Vec<&str> = log.lines().filter(|line| line.contains(said)).collect();
        assert_eq!(told.len(), 1, "{log}");
        assert!(told[0].contains("WARN"), "{}", told[0]);
        assert_eq!(secure.ask(twin).status, 200);
        let served = gateway.recorder().requests();
        assert!(served.iter().all(|seen| seen.path() == "/public/twin"));
    }
}

/// Another head stands in the place of one that is refused, and is not what is told of.
#[test]
fn a_head_that_is_refused_is_told_of_as_it_came() {
    let gateway = Setup::new()
        .set("log", "{ format: json }")
        .set("limits", "{ target: 256B }")
        .start();
    let long = "x".repeat(400);
    let cases = [
        ("PROPFIND /a HTTP/1.1", "", 501, "PROPFIND"),
        ("TRACE /b HTTP/1.1", "", 405, "TRACE"),
        ("CONNECT evil.test:443 HTTP/1.1", "", 405, "CONNECT"),
        (
            "POST /c HTTP/1.1",
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            400,
            "POST",
        ),
        (&format!("HEAD /{long} HTTP/1.1"), "", 414, "HEAD"),
        ("G(T /d HTTP/1.1", "", 400, "-"),
    ];
    for (line, fields, status, method) in cases {
        let before = gateway.log().len();
        let answer = gateway.ask(format!("{line}\r\nHost: LocalHost\r\n{fields}\r\n"));
        assert_eq!(answer.status, status, "{line}");
        let told = eventually("the access line", || {
            let log = gateway.log();
            let mut lines = log.get(before..)?.lines().filter_map(|line| {
                let told: serde_json::Value = serde_json::from_str(line).ok()?;
                (told["status"] == status).then_some(told)
            });
            lines.next()
        });
        assert_eq!(told["method"], method, "{told}");
        assert_eq!(told["host"], "localhost", "{told}");
        assert_eq!(told["path"], "-", "{told}");
    }
    assert!(gateway.recorder().requests().is_empty());
    // And one that is not refused.
    let answer =
        gateway.ask("PUT /public/e HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(answer.status, 200);
    gateway.says(r#""method":"PUT","host":"localhost","path":"/public/e""#);
}

/// The line of a request that was broken off tells what it was, and what its client has of the answer.
#[test]
fn what_is_cut_is_told_with_what_came_of_it() {
    let recorder = Recorder::start();
    recorder.answer(|request| match request.path().as_str() {
        "/app/large" => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
            .then("x".repeat(5_000))
            .pause(Duration::from_mins(1)),
        _ => Reply::raw("HTTP/1.1 202 Accepted\r\nContent-Length: 4\r\n\r\ndone").early(),
    });
    let gateway = Setup::before(recorder)
        .set("limits", "{ stall: 300ms }")
        .start();
    let line = |what: &str| {
        eventually("the access line", || {
            let log = gateway.log();
            let mut lines = log.lines().filter(|line| line.contains("status="));
            lines.find(|line| line.contains(what)).map(str::to_owned)
        })
    };
    // Its session ends in the middle of the answer.
    let cookie = gateway.login("alice");
    let mut raw = gateway.connect();
    raw.send(format!(
        "PUT /app/large HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nContent-Length: 0\r\n\r\n"
    ));
    assert!(raw.wait_for(&"x".repeat(5_000)));
    assert_eq!(logout(&gateway, &cookie), 200);
    let said = line("/app/large");
    for part in [
        "method=\"PUT\"",
        "status=200",
        "reason=\"cut\"",
        "bytes=5000",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // It never ends its body, though it has its answer.
    let mut client = gateway.h2();
    let mut fields = request("DELETE", "/public/quiet");
    fields.push(("content-length", "9"));
    let stream = client.open(&fields, false);
    assert_eq!(client.read(stream).status(), Some(202));
    let said = line("/public/quiet");
    for part in ["method=\"DELETE\"", "status=202", "bytes=4"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// What a service broke off began well; neither its line nor the warning says that it ended so, or that something else was
/// sent.
#[test]
fn what_a_service_broke_off_is_told_of_as_broken() {
    let recorder = Recorder::start();
    recorder.answer(|request| match request.path().as_str() {
        "/public/half" => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\nhalf").close(),
        "/public/none" => Reply::default().close(),
        _ => Reply::ok("whole"),
    });
    let gateway = Setup::before(recorder).start();
    let lines = |path: &str| {
        let mut raw = gateway.connect();
        raw.send(format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ));
        assert!(raw.closes(), "{path}");
        let access = eventually("the access line", || {
            let log = gateway.log();
            let mut lines = log.lines().filter(|line| line.contains("status="));
            lines.find(|line| line.contains(path)).map(str::to_owned)
        });
        let id = access.split("id=").nth(1).unwrap();
        let id = id.split_whitespace().next().unwrap().to_owned();
        let log = gateway.log();
        let mut warnings = log.lines().filter(|line| line.contains("a request failed"));
        let warning = warnings.find(|line| line.contains(&id)).map(str::to_owned);
        (access, warning.unwrap_or_default())
    };
    let (access, warning) = lines("/public/half");
    assert!(access.contains("status=200"), "{access}");
    assert!(access.contains("reason=\"broken\""), "{access}");
    assert!(warning.contains("status=200"), "{warning}");
    let (access, warning) = lines("/public/none");
    assert!(access.contains("status=502"), "{access}");
    assert!(!access.contains("broken"), "{access}");
    assert!(warning.contains("status=502"), "{warning}");
    let (access, warning) = lines("/public/whole");
    assert!(access.contains("status=200"), "{access}");
    assert!(access.contains("reason=\"-\""), "{access}");
    assert_eq!(warning, "");
}

#[test]
fn a_reload_that_is_refused_is_one_line() {
    let setup = Setup::new();
    let gateway = setup.clone().start();
    let faulty = format!("{}ruels: []\nthreads: many\n", setup.yaml());
    gateway.write("gateway.yaml", &faulty);
    assert!(!gateway.reload());
    gateway.says("configuration not reloaded");
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("not reloaded"));
    let line = line.unwrap();
    for part in ["ruels", "did you mean 'rules'", "; ", "threads"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(gateway.reload_with(&setup));
}
