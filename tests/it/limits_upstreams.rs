//! Services that are down, slow or many: 502, 504, round-robin, and pages that say nothing about the inside.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::harness::{Gateway, Raw, Recorded, Recorder, Reply, Response, Setup};
use crate::pages_browser::NAVIGATION;
use crate::upstreams_tries::Dead;

/// An address that nobody listens on, held so that nobody will: bound, and never listened on or accepted.
fn dead() -> (String, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    (
        format!("http://{}", listener.local_addr().unwrap()),
        listener,
    )
}

/// An error that a stranger may see: no address, no error text, no name of an upstream, no software.
fn assert_discreet(answer: &Response, inside: &str) {
    let head = String::from_utf8_lossy(&answer.head).to_lowercase();
    let all = format!("{head}{}", answer.text().to_lowercase());
    let port = inside.rsplit(':').next().unwrap();
    for word in [
        inside,
        port,
        "127.0.0.1",
        "pingora",
        "secretname",
        "refused",
        "os error",
        "errno",
        "connectionclosed",
        "timedout",
        "panick",
    ] {
        assert!(!all.contains(word), "{word} in {all}");
    }
    assert!(answer.header("x-request-id").is_some());
    assert_eq!(answer.values("server"), [""; 0]);
}

fn both(gateway: &Gateway, status: u16, inside: &str) {
    let cookie = gateway.cookie("alice");
    for lines in ["", NAVIGATION, "Accept: application/json\r\n"] {
        let answer = gateway.ask(format!(
            "GET /app/x HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n{lines}\r\n"
        ));
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_discreet(&answer, inside);
        let kind = answer.header("content-type").unwrap();
        let page = lines == NAVIGATION;
        assert_eq!(kind.starts_with("text/html"), page, "{kind}");
        if !page {
            assert!(answer.json()["code"].is_string());
        }
        assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    }
}

#[test]
fn g_18_a_service_that_is_down() {
    let gone = Dead::new();
    let url = gone.url();
    let gateway = Setup::new()
        .upstream("web", "{ to: builtin:echo }")
        .upstream("secretname", &format!("{{ to: \"{url}\", timeout: 2s }}"))
        .set("defaults", "{ to: secretname }")
        .start();
    both(&gateway, 502, &url);
    // Denied is denied, whatever the state of the service.
    let anonymous = gateway.ask("GET /app/x HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(anonymous.status, 401);
    let post = gateway.ask(format!(
        "POST /app/x HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\nContent-Length: 5\r\n\r\nhello",
        gateway.cookie("alice")
    ));
    assert_eq!(post.status, 502);
    assert_discreet(&post, &url);
}

#[test]
fn g_18_a_service_that_is_too_slow() {
    let recorder = Recorder::start();
    recorder.answer(|_| Reply::default().pause(Duration::from_secs(20)));
    let url = recorder.url();
    let gateway = Setup::before(recorder)
        .upstream(
            "secretname",
            &format!("{{ to: \"{url}\", timeout: 500ms }}"),
        )
        .set("defaults", "{ to: secretname }")
        .start();
    let begun = Instant::now();
    both(&gateway, 504, &url);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(9), "three of them took {took:?}");
}

#[test]
fn g_18_a_service_that_never_takes_the_connection_on() {
    // Accepted by the kernel, by nobody else: the answer never comes.
    let (url, listener) = dead();
    let gateway = Setup::new()
        .upstream(
            "secretname",
            &format!("{{ to: \"{url}\", timeout: 500ms }}"),
        )
        .set("defaults", "{ to: secretname }")
        .start();
    both(&gateway, 504, &url);
    drop(listener);
}

#[test]
fn g_18_a_service_that_hangs_up() {
    for bytes in [
        "",
        "HTTP/1.1 2",
        "junk\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n",
    ] {
        let recorder = Recorder::start();
        recorder.answer(move |_| Reply::raw(bytes).close());
        let url = recorder.url();
        let gateway = Setup::before(recorder)
            .upstream("secretname", &format!("{{ to: \"{url}\" }}"))
            .set("defaults", "{ to: secretname }")
            .start();
        both(&gateway, 502, &url);
    }
}

#[test]
fn two_servers_take_turns() {
    let servers = [Recorder::start(), Recorder::start()];
    let to = format!("[\"{}\", \"{}\"]", servers[0].url(), servers[1].url());
    let gateway = Setup::new()
        .upstream("web", &format!("{{ to: {to} }}"))
        .start();
    let mut raw = gateway.connect();
    let mut order = Vec::new();
    for number in 0..20 {
        let before = servers[0].count();
        let target = format!("/public/turn{number}");
        let get = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(raw.ask(get).status, 200);
        order.push(servers[0].count() > before);
    }
    assert_eq!((servers[0].count(), servers[1].count()), (10, 10));
    assert!(order.windows(2).all(|pair| pair[0] != pair[1]), "{order:?}");
}

#[test]
fn one_dead_server_of_two_costs_no_request() {
    let alive = Recorder::start();
    let gone = Dead::new();
    let to = format!("[\"{}\", \"{}\"]", gone.url(), alive.url());
    let gateway = Setup::before(alive.clone())
        .upstream("web", &format!("{{ to: {to} }}"))
        .start();
    for number in 0..10 {
        for request in [
            format!("GET /public/a{number} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            format!(
                "POST /public/a{number} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"
            ),
        ] {
            assert_eq!(gateway.ask(request).status, 200);
        }
    }
    assert_eq!(alive.count(), 20);
    let bodies = alive.requests().into_iter().map(|seen| seen.body);
    assert_eq!(bodies.filter(|body| body == b"hello").count(), 10);
}

#[test]
fn rules_choose_the_service() {
    let (api, web) = (Recorder::start(), Recorder::start());
    let gateway = Setup::before(web.clone())
        .upstream("api", &format!("{{ to: \"{}\" }}", api.url()))
        .rules(
            "
  - { path: /api/**, to: api, allow: signed_in }
  - { path: /**, allow: anyone }
",
        )
        .start();
    let cookie = gateway.cookie("alice");
    let get = |target: &str| {
        gateway.ask(format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n"
        ))
    };
    for target in ["/api/x", "/x/../api/y", "/%61pi/z"] {
        assert_eq!(get(target).status, 200);
    }
    assert_eq!(get("/apix").status, 200);
    let paths = |recorder: &Recorder| -> Vec<String> {
        recorder.requests().iter().map(Recorded::path).collect()
    };
    assert_eq!(paths(&api), ["/api/x", "/api/y", "/api/z"]);
    assert_eq!(paths(&web), ["/apix"]);
}

#[test]
fn f_08_a_tls_service_without_a_good_certificate_is_none() {
    // Nobody the machine trusts has signed this one, and it is sent nothing, least of all an identity.
    let inner = Setup::new().tls(&["localhost"]).start();
    let url = format!("https://localhost:{}", inner.https().port());
    let outer = Setup::new()
        .upstream("web", &format!("{{ to: \"{url}\", timeout: 3s }}"))
        .start();
    let answer = outer.ask(format!(
        "GET /app/F-08 HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\n\r\n",
        outer.cookie("alice")
    ));
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_discreet(&answer, &url);
    let mut raw = Raw::over(inner.tls("localhost", &["http/1.1"]));
    let twin = raw.ask("GET /public/F-08 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(twin.status, 200);
    let seen = inner.recorder().wait_for("F-08", 1);
    assert_eq!(seen.len(), 1);
    assert!(!inner.log().contains("/app/F-08"), "{}", inner.log());
}
