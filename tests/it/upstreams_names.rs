//! G-18: names of servers whose addresses change, and what is never sent to a server of another upstream.
//!
//! The gateway runs with Debian's libnss-wrapper, which makes its name look-ups read a hosts file of the test's own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::hand_over::{KEPT, Line};
use crate::harness::{Gateway, Recorder, Setup, eventually};

/// The wrapper reads its file anew while another thread is reading it, which ends the process it is in now and then. So
/// names are looked up one after the other.
const ONE_AT_A_TIME: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    pthread_mutex_lock(&turn);
    *(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
    int result = next(node, service, hints, found);
    pthread_mutex_unlock(&turn);
    return result;
}
"#;

/// A name server's answers, for one process.
struct Names {
    _folder: TempDir,
    path: PathBuf,
    changes: u64,
}

impl Names {
    fn new(lines: &str) -> Self {
        let folder = TempDir::with_prefix("portcullis-it-").unwrap();
        let path = folder.path().join("hosts");
        let mut names = Self {
            _folder: folder,
            path,
            changes: 0,
        };
        names.say(lines);
        names.build();
        names
    }

    fn turns(&self) -> PathBuf {
        self.path.with_extension("so")
    }

    fn build(&self) {
        let source = self.path.with_extension("c");
        fs::write(&source, ONE_AT_A_TIME).unwrap();
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&self.turns(), &source])
            .arg("-ldl")
            .status();
        assert!(built.unwrap().success());
    }

    fn say(&mut self, lines: &str) {
        let next = self.path.with_extension("next");
        fs::write(&next, lines).unwrap();
        // The wrapper looks again when the file's time in seconds is another one.
        self.changes += 10;
        let time = SystemTime::now() + Duration::from_secs(self.changes);
        File::options()
            .write(true)
            .open(&next)
            .unwrap()
            .set_modified(time)
            .unwrap();
        fs::rename(next, &self.path).unwrap();
    }

    fn of(&self, setup: Setup) -> Setup {
        setup
            .env(
                "LD_PRELOAD",
                &format!("{}:libnss_wrapper.so", self.turns().display()),
            )
            .env("NSS_WRAPPER_HOSTS", self.path.to_str().unwrap())
    }
}

/// Two services with one port, at two addresses of this machine.
fn neighbours() -> (Recorder, Recorder, u16) {
    for _ in 0..20 {
        let first = TcpListener::bind("127.0.0.2:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if let Ok(second) = TcpListener::bind(("127.0.0.3", port)) {
            return (Recorder::on(first), Recorder::on(second), port);
        }
    }
    panic!("no port is free at both addresses");
}

fn ask(gateway: &Gateway, target: &str) -> u16 {
    let lines = gateway.as_user("alice");
    let answer = gateway.ask(format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"
    ));
    answer.status
}

/// The audience of an assertion: the upstream it is meant for.
fn audience(assertion: &str) -> String {
    use base64::Engine;
    let claims = assertion.split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(claims)
        .unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    claims["aud"].as_str().unwrap().to_owned()
}

/// Every request carries the assertion of the upstream it was for, and no connection was used for two.
fn one_upstream_for_each_connection(recorder: &Recorder) {
    let mut connections: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for seen in recorder.requests() {
        let meant = audience(&seen.value("x-auth-assertion").unwrap());
        assert_eq!(
            seen.path(),
            format!("/{meant}/x"),
            "an assertion of another upstream"
        );
        connections
            .entry(seen.connection)
            .or_default()
            .insert(meant);
    }
    assert!(
        connections.values().all(|meant| meant.len() == 1),
        "one connection spoke for two upstreams: {connections:?}"
    );
    assert!(connections.len() >= 2);
}

#[test]
fn g_18_a_changed_address_is_taken_up_and_the_old_one_left() {
    let (old, new, port) = neighbours();
    let mut names = Names::new("127.0.0.2 web.wrapped.test\n");
    let to = format!("http://web.wrapped.test:{port}");
    let setup =
        Setup::before(old.clone()).upstream("web", &format!("{{ to: \"{to}\", resolve: 100ms }}"));
    let gateway = names.of(setup).start();
    assert_eq!(ask(&gateway, "/app/first"), 200);
    assert_eq!((old.count(), new.count()), (1, 0));
    names.say("127.0.0.3 web.wrapped.test\n");
    eventually("the new address to be used", || {
        assert_eq!(ask(&gateway, "/app/second"), 200);
        (new.count() > 0).then_some(())
    });
    let before = old.count();
    for _ in 0..10 {
        assert_eq!(ask(&gateway, "/app/third"), 200);
    }
    assert_eq!(old.count(), before, "nothing goes to the old address");
    // A name that is not known any more keeps what it had: better than nothing at all.
    names.say("127.0.0.9 other.wrapped.test\n");
    eventually("a look-up that fails", || {
        gateway
            .log()
            .contains("could not look up a server")
            .then_some(())
    });
    assert_eq!(ask(&gateway, "/app/fourth"), 200);
    assert_eq!(new.with("/app/fourth").len(), 1);
}

#[test]
fn g_18_a_name_without_an_address_is_shown_as_unwell() {
    let (web, _, port) = neighbours();
    let mut names = Names::new("127.0.0.9 other.wrapped.test\n");
    let to = format!("http://web.wrapped.test:{port}");
    let setup = Setup::before(web).upstream("web", &format!("{{ to: \"{to}\", resolve: 100ms }}"));
    let gateway = names.of(setup).start();
    let shown = || {
        let metrics = gateway.metrics();
        let mut all = metrics.labels_of("portcullis_upstream_healthy").into_iter();
        let labels = all.next().expect("nothing is shown");
        let value = metrics.exactly("portcullis_upstream_healthy", &labels);
        assert!(all.next().is_none(), "one server is shown as more");
        (labels["address"].clone(), value > 0.5)
    };
    assert_eq!(shown(), (format!("web.wrapped.test:{port}"), false));
    assert_eq!(ask(&gateway, "/app/x"), 502);
    names.say("127.0.0.2 web.wrapped.test\n");
    eventually("the address to be known", || {
        (ask(&gateway, "/app/x") == 200).then_some(())
    });
    assert_eq!(shown(), (format!("127.0.0.2:{port}"), true));
}

/// The old process has addresses, and goes on with them. One name that is known is as good as a start has it.
#[test]
fn g_13_who_knows_no_server_of_an_upstream_takes_nothing_over() {
    let (web, _, port) = neighbours();
    let mut names = Names::new("127.0.0.2 web.wrapped.test\n127.0.0.2 also.wrapped.test\n");
    let to = |name: &str| format!("http://{name}.wrapped.test:{port}");
    let both = format!("{{ to: [\"{}\", \"{}\"] }}", to("web"), to("also"));
    let gateway = names
        .of(Setup::before(web.clone()).upstream("web", &both))
        .start();
    let mut line = Line::of(&gateway);
    assert_eq!((ask(&gateway, "/app/x"), web.count()), (200, 1));
    names.say("127.0.0.9 other.wrapped.test\n");
    assert!(line.signal("QUIT"));
    gateway.says(KEPT);
    let log = gateway.log();
    for part in ["the upstream web", "web.wrapped.test, also.wrapped.test"] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert!(gateway.ended().is_none());
    assert_eq!((ask(&gateway, "/app/x"), web.count()), (200, 2));
    names.say("127.0.0.2 also.wrapped.test\n");
    line.hand_over();
    assert_eq!((ask(&gateway, "/app/x"), web.count()), (200, 3));
}

#[test]
fn g_18_an_address_that_goes_over_to_another_upstream_gets_that_one_s_identity_only() {
    let (first, second, port) = neighbours();
    let mut names = Names::new("127.0.0.2 a.wrapped.test\n127.0.0.3 b.wrapped.test\n");
    let upstream =
        |name: &str| format!("{{ to: \"http://{name}.wrapped.test:{port}\", resolve: 100ms }}");
    let setup = Setup::before(first.clone())
        .upstream("a", &upstream("a"))
        .upstream("b", &upstream("b"))
        .rules("  - { path: /a/**, to: a, allow: signed_in }\n  - { path: /b/**, to: b, allow: signed_in }");
    let gateway = names.of(setup).start();
    let both = || {
        for target in ["/a/x", "/b/x"] {
            assert_eq!(ask(&gateway, target), 200);
        }
    };
    for _ in 0..4 {
        both();
    }
    assert!(first.requests().iter().all(|seen| seen.path() == "/a/x"));
    // The two change places, as addresses do among containers that are started anew.
    names.say("127.0.0.3 a.wrapped.test\n127.0.0.2 b.wrapped.test\n");
    eventually("the addresses to change places", || {
        both();
        let newest = first.last().unwrap().path() == "/b/x";
        (newest && second.last().unwrap().path() == "/a/x").then_some(())
    });
    for _ in 0..10 {
        both();
    }
    for recorder in [&first, &second] {
        one_upstream_for_each_connection(recorder);
    }
}

#[test]
fn g_18_servers_that_change_places_in_the_file_do_so_whole() {
    let (first, second, _) = neighbours();
    let setup = |a: &Recorder, b: &Recorder| {
        Setup::before(first.clone())
            .upstream("a", &format!("{{ to: \"{}\" }}", a.url()))
            .upstream("b", &format!("{{ to: \"{}\" }}", b.url()))
            .rules("  - { path: /a/**, to: a, allow: signed_in }\n  - { path: /b/**, to: b, allow: signed_in }")
    };
    let gateway = setup(&first, &second).start();
    for round in 0..6 {
        let (a, b) = if round % 2 == 0 {
            (&first, &second)
        } else {
            (&second, &first)
        };
        assert!(gateway.reload_with(&setup(a, b)));
        for _ in 0..3 {
            let before = (a.count(), b.count());
            assert_eq!((ask(&gateway, "/a/x"), ask(&gateway, "/b/x")), (200, 200));
            assert_eq!((a.count(), b.count()), (before.0 + 1, before.1 + 1));
            assert_eq!(a.last().unwrap().path(), "/a/x");
        }
    }
    for recorder in [&first, &second] {
        one_upstream_for_each_connection(recorder);
    }
}

#[test]
fn f_04_nothing_of_a_request_names_the_server() {
    let (known, other, port) = neighbours();
    let gateway = Setup::before(known.clone())
        .upstream(
            "web",
            &format!("{{ to: \"http://127.0.0.2:{port}\", host: upstream }}"),
        )
        .set("site", "[\"http://localhost\", \"http://127.0.0.3\"]")
        .start();
    let there = format!("127.0.0.3:{port}");
    let requests = [
        format!("GET /public/1 HTTP/1.1\r\nHost: {there}\r\n\r\n"),
        format!("GET http://{there}/public/2 HTTP/1.1\r\nHost: {there}\r\n\r\n"),
        format!(
            "GET /public/3 HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Host: {there}\r\nForwarded: host={there}\r\nX-Original-Host: {there}\r\nX-Host: {there}\r\n\r\n"
        ),
        format!("GET /public/http://{there}/4 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        format!("GET /public/5?to=http://{there} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        format!("GET //{there}/public/6 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ];
    let mut served = 0;
    for request in &requests {
        served += usize::from(gateway.ask(request).status == 200);
    }
    assert!(served >= 4, "most of them are fine requests");
    assert_eq!((known.count(), other.count()), (served, 0));
    assert_eq!(other.connections(), 0);
}
