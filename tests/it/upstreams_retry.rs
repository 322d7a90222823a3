//! G-18: what is sent again when a service gives no answer, and what never is.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::harness::{Gateway, Recorder, Reply, Setup, marker};

/// Without this, a kept connection may be found closed, and what came to no service is sent again as a matter of
/// course.
const LAST: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\ndone";

/// A service whose first `bad` answers to each path are `reply`.
fn failing(bad: usize, reply: Reply) -> Recorder {
    let recorder = Recorder::start();
    let counts = Mutex::new(BTreeMap::<String, usize>::new());
    recorder.answer(move |request| {
        let mut counts = counts.lock().unwrap();
        let seen = counts.entry(request.path()).or_default();
        *seen += 1;
        if *seen <= bad {
            reply.clone()
        } else {
            Reply::raw(LAST).close()
        }
    });
    recorder
}

fn before(recorder: &Recorder, more: &str) -> Gateway {
    let url = recorder.url();
    Setup::before(recorder.clone())
        .upstream("web", &format!("{{ to: \"{url}\", {more} }}"))
        .start()
}

/// The status, and how often the service was asked.
fn tried(gateway: &Gateway, method: &str, lines: &str, body: &str) -> (u16, usize) {
    let path = format!("/public/{}", marker("retry"));
    let mut raw = gateway.connect();
    raw.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n{body}"
    ));
    let answer = match method {
        "HEAD" => raw.read_head(),
        _ => raw.read(),
    };
    let everything = gateway.recorder().everything();
    let seen = everything.iter().filter(|seen| seen.path() == path).count();
    (answer.status, seen)
}

const HELLO: (&str, &str) = ("Content-Length: 5\r\n", "hello");
const CHUNKS: (&str, &str) = ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n");

#[test]
fn g_18_only_what_may_be_repeated_is_sent_again() {
    let recorder = failing(1, Reply::raw("").close());
    let gateway = before(&recorder, "retry: 1");
    for (method, (lines, body), expected) in [
        ("GET", ("", ""), (200, 2)),
        ("HEAD", ("", ""), (200, 2)),
        ("OPTIONS", ("", ""), (200, 2)),
        ("DELETE", ("", ""), (200, 2)),
        ("PUT", ("Content-Length: 0\r\n", ""), (200, 2)),
        ("POST", HELLO, (502, 1)),
        ("POST", ("Content-Length: 0\r\n", ""), (502, 1)),
        ("PATCH", HELLO, (502, 1)),
        ("PUT", HELLO, (502, 1)),
        ("PUT", CHUNKS, (502, 1)),
        ("DELETE", HELLO, (502, 1)),
    ] {
        let found = tried(&gateway, method, lines, body);
        assert_eq!(found, expected, "{method} {lines:?} {body:?}");
    }
    let metrics = gateway.metrics();
    let sent = metrics.sum(
        "portcullis_upstream_retries_total",
        &[("upstream", "web"), ("result", "sent")],
    );
    assert!((sent - 5.0).abs() < 0.1, "{sent}");
}

#[test]
fn g_18_nothing_is_sent_again_unless_the_file_says_so() {
    for more in ["retry: 0", "timeout: 5s"] {
        let gateway = before(&failing(1, Reply::raw("").close()), more);
        assert_eq!(tried(&gateway, "GET", "", ""), (502, 1), "{more}");
    }
}

#[test]
fn g_18_so_often_and_no_more() {
    let recorder = failing(3, Reply::raw("").close());
    let gateway = before(&recorder, "retry: { times: 2, budget: 100% }");
    assert_eq!(tried(&gateway, "GET", "", ""), (502, 3));
    let gateway = before(&recorder, "retry: { times: 3, budget: 100% }");
    assert_eq!(tried(&gateway, "GET", "", ""), (200, 4));
}

#[test]
fn g_18_an_answer_that_has_begun_is_not_begun_again() {
    let half = Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").close();
    let recorder = failing(1, half);
    let gateway = before(&recorder, "retry: 3");
    let path = format!("/public/{}", marker("retry"));
    let mut raw = gateway.connect();
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert!(raw.closes(), "an answer cut short looks cut short");
    assert_eq!(recorder.with(&path).len(), 1);
}

#[test]
fn g_18_a_head_that_has_begun_is_not_begun_again() {
    let half = Reply::raw("HTTP/1.1 200 OK\r\nX-Done: yes\r\n").close();
    let gateway = before(&failing(1, half), "retry: { times: 3, budget: 100% }");
    assert_eq!(tried(&gateway, "GET", "", ""), (502, 1));
    assert_eq!(tried(&gateway, "GET", "", ""), (502, 1), "another path");
    let gateway = before(&failing(1, Reply::raw("").close()), "retry: 3");
    assert_eq!(tried(&gateway, "GET", "", ""), (200, 2), "its twin");
}

/// Only what ends at once was closed before, as far as one can tell.
#[test]
fn g_18_what_a_service_has_worked_on_is_sent_once_on_a_kept_connection_too() {
    const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";
    let recorder = Recorder::start();
    recorder.answer(|request| match request.path().rsplit('/').next() {
        Some("late") => Reply::default().pause(Duration::from_millis(600)).close(),
        Some("begun") => Reply::raw("HTTP/1.1 200 OK\r\nX-Done: yes\r\n").close(),
        Some("at-once") => Reply::raw("").close(),
        Some("slow") => Reply::default()
            .pause(Duration::from_millis(300))
            .then(GOOD),
        _ => Reply::raw(GOOD),
    });
    let gateway = before(&recorder, "timeout: 10s");
    let get = |path: &str| format!("GET /public/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for (method, path, times) in [
        ("GET", "late", 1),
        ("DELETE", "late", 1),
        ("GET", "begun", 1),
        ("DELETE", "begun", 1),
        // Nothing tells that from one that was closed before; once more, on one that is new.
        ("GET", "at-once", 2),
        ("POST", "at-once", 1),
    ] {
        // Several at a time leave several connections.
        let mut clients: Vec<_> = (0..4).map(|_| gateway.connect()).collect();
        for client in &mut clients {
            client.send(get("slow"));
        }
        for client in &mut clients {
            assert_eq!(client.read().status, 200);
        }
        let before = recorder.count();
        let answer = gateway.ask(get(path).replace("GET", method));
        assert_eq!(answer.status, 502, "{method} {path}");
        let seen = recorder.count() - before;
        assert_eq!(seen, times, "{method} {path}");
    }
}

#[test]
fn g_18_a_request_that_hangs_is_sent_again_within_the_whole_time() {
    let hang = Reply::default().pause(Duration::from_secs(20));
    let recorder = failing(1, hang.clone());
    let gateway = before(&recorder, "retry: 1, timeout: { read: 400ms }");
    assert_eq!(tried(&gateway, "GET", "", ""), (200, 2));
    assert_eq!(tried(&gateway, "POST", HELLO.0, HELLO.1), (504, 1));
    // The time for everything does not begin anew.
    let recorder = failing(9, hang);
    let gateway = before(
        &recorder,
        "retry: 5, timeout: { read: 400ms, total: 600ms }",
    );
    assert_eq!(tried(&gateway, "GET", "", ""), (504, 2));
}

#[test]
fn g_18_each_try_has_the_whole_time_of_its_step() {
    let slow = Duration::from_millis(1_500);
    let recorder = Recorder::start();
    let first = AtomicBool::new(true);
    recorder.answer(move |_| {
        let answer = if first.swap(false, Ordering::Relaxed) {
            ""
        } else {
            LAST
        };
        Reply::default().pause(slow).then(answer).close()
    });
    // Together they take longer than one may.
    let gateway = before(&recorder, "retry: 1, timeout: { read: 2s }");
    assert_eq!(tried(&gateway, "GET", "", ""), (200, 2));
}

#[test]
fn g_18_the_next_try_goes_to_another_server_and_with_the_same_identity() {
    let bad = failing(usize::MAX, Reply::raw("").close());
    let good = Recorder::start();
    good.answer(|_| Reply::raw(LAST).close());
    let to = format!("[\"{}\", \"{}\"]", bad.url(), good.url());
    let gateway = Setup::before(good.clone())
        .upstream(
            "web",
            &format!("{{ to: {to}, retry: {{ times: 1, budget: 100% }}, eject: never }}"),
        )
        .start();
    for _ in 0..10 {
        let answer = gateway.ask(format!(
            "GET /app/x HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
            gateway.as_user("alice")
        ));
        assert_eq!(answer.status, 200);
    }
    assert_eq!((good.count(), bad.count()), (10, 5));
    for seen in good.requests().iter().chain(&bad.requests()) {
        assert_eq!(seen.value("x-auth-user").as_deref(), Some("alice"));
        assert_eq!(seen.value("cookie"), None);
    }
}

#[test]
fn g_18_a_server_that_comes_and_goes_costs_no_request_that_may_be_repeated() {
    let flapping = Recorder::start();
    let count = Mutex::new(0);
    flapping.answer(move |_| {
        let mut count = count.lock().unwrap();
        *count += 1;
        let well = *count / 3 % 2 == 0;
        Reply::raw(if well { LAST } else { "" }).close()
    });
    let steady = Recorder::start();
    let to = format!("[\"{}\", \"{}\"]", flapping.url(), steady.url());
    let eject = "eject: { after: 2, for: 50ms }";
    let gateway = Setup::before(steady.clone())
        .upstream(
            "web",
            &format!("{{ to: {to}, retry: {{ times: 1, budget: 100% }}, {eject} }}"),
        )
        .start();
    for _ in 0..100 {
        let answer = gateway.ask("GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert!(flapping.count() > 3 && steady.count() > 50);
}

#[test]
fn g_18_in_an_outage_a_service_is_not_asked_twice_as_often() {
    let recorder = failing(usize::MAX, Reply::raw("").close());
    let gateway = before(&recorder, "retry: { times: 3, budget: 20% }");
    for _ in 0..100 {
        assert_eq!(
            gateway
                .ask("GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .status,
            502
        );
    }
    // A fifth of what came, and the ten that were saved before.
    let retries = recorder.count() - 100;
    assert!((20..=30).contains(&retries), "{retries}");
    let metrics = gateway.metrics();
    let refused = metrics.sum(
        "portcullis_upstream_retries_total",
        &[("result", "over_budget")],
    );
    assert!(refused >= 70.0, "{refused}");
}
