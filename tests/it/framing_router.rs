//! Bodies that nobody reads, behind everything that the gateway answers itself (S-16).

use std::collections::BTreeSet;

use crate::api::{self, Bench, CHIEF, operations};
use crate::api_matrix::PAGES;
use crate::framing_queue::{Framed, hide};
use crate::harness::raw::Silence;
use crate::harness::{Raw, Setup, Trial};
use crate::logins::PAIR;
use crate::upstreams_tries::Dead;

const JSON: &str = "Content-Type: application/json\r\n";
const FORM: &str = "Accept: text/html\r\nContent-Type: application/x-www-form-urlencoded\r\n";

/// Every path of the router with its methods and what it is sent. What is in braces stands for nothing that exists.
fn routes(bench: &Bench) -> Vec<(String, String, &'static str)> {
    let filled = |path: &str| {
        let mut path = path.replace("{prefix}", "/auth");
        while let Some((before, rest)) = path.split_once('{') {
            let rest = rest.split_once('}').unwrap().1;
            path = format!("{before}999999{rest}");
        }
        path
    };
    let described = operations(&bench.document());
    let calls = described
        .iter()
        .map(|[_, method, path, _]| (method.clone(), filled(path), JSON));
    let pages = PAGES.iter().flat_map(|page| {
        let rooted = page.starts_with('{');
        let path = filled(&if rooted {
            (*page).to_owned()
        } else {
            format!("/auth{page}")
        });
        ["GET", "POST", "PUT", "OPTIONS"].map(|method| (method.to_owned(), path.clone(), FORM))
    });
    calls.chain(pages).collect()
}

#[test]
fn s_16_unread_bodies_of_the_whole_router() {
    let bench = Bench::of(api::setup().set("limits", "{ body: 64KiB }"));
    let gateway = &bench.gateway;
    Trial::with_plain_twin(gateway, "S-16");
    let mut seen = BTreeSet::new();
    for (method, path, kind) in routes(&bench) {
        for name in ["", CHIEF] {
            // Some calls end the session that they are made with.
            let token = bench.token(name);
            let lines = match name {
                "" => kind.to_owned(),
                _ => format!("{kind}Authorization: Bearer {token}\r\n"),
            };
            let route = (method.as_str(), path.as_str(), lines.as_str());
            for (framed, size) in [
                (Framed::Chunked, 1),
                (Framed::Length, 32 * 1024),
                (Framed::Chunked, 300 * 1024),
            ] {
                let status = hide(gateway, "S-16", route, "", framed, size);
                // An answer may be lost where much was left unread.
                assert!(
                    status.is_none_or(|status| status < 500),
                    "{status:?} to {method} {path} of '{name}'"
                );
                seen.extend(status);
            }
        }
    }
    for status in [200, 303, 401, 403, 404, 405, 413, 422] {
        assert!(seen.contains(&status), "{status}: {seen:?}");
    }
    Trial::with_plain_twin(gateway, "S-16-after");
}

#[test]
fn s_16_unread_bodies_of_who_is_told_to_come_back() {
    let dead = Dead::new();
    let rules =
        "  - { path: /dead/**, to: dead, allow: anyone }\n  - { path: /public/**, allow: anyone }";
    let gateway = Setup::new()
        .upstream("dead", &format!("{{ to: \"{}\" }}", dead.url()))
        .rules(rules)
        .start();
    let attempt = "username=alice&password=";
    let mut seen = BTreeSet::new();
    let mut tried = |route, lead, framed| {
        for size in [1, 32 * 1024] {
            seen.insert(hide(&gateway, "S-16", route, lead, framed, size));
        }
    };
    for _ in 0..=PAIR {
        tried(
            ("POST", "/auth/session/login", FORM),
            attempt,
            Framed::Length,
        );
    }
    for framed in [Framed::Length, Framed::Chunked] {
        tried(("POST", "/dead/x", ""), "", framed);
        tried(("GET", "/dead/x", "Accept: text/html\r\n"), "", framed);
    }
    for status in [401, 429, 502] {
        assert!(seen.contains(&Some(status)), "{status}: {seen:?}");
    }
    Trial::with_plain_twin(&gateway, "S-16-after");
}

#[test]
fn s_16_unread_bodies_of_who_is_sent_to_https() {
    let gateway = Setup::new().tls(&["localhost"]).start();
    let lines = "HTTP/1.1\r\nHost: localhost\r\n";
    let inner = format!("GET /public/inner {lines}\r\n");
    let chunk = format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    let origin = "https://localhost";
    for body in [
        format!("Content-Length: {}\r\n\r\n{inner}", inner.len()),
        format!("Transfer-Encoding: chunked\r\n\r\n{chunk}"),
    ] {
        // What is not safe to repeat is not sent there.
        for (method, status) in [("GET", 308), ("POST", 403)] {
            let mut raw = Raw::connect(gateway.http());
            let answer = raw.ask(format!("{method} /public/first {lines}{body}"));
            let place = answer.header("location");
            assert_eq!(answer.status, status);
            assert_eq!(
                place,
                (status == 308).then(|| format!("{origin}/public/first"))
            );
            let second = raw
                .send(format!("GET /public/second {lines}\r\n"))
                .try_read();
            match second {
                Ok(answer) => assert_eq!(
                    answer.header("location").unwrap(),
                    format!("{origin}/public/second")
                ),
                Err(why) => assert_eq!(why, Silence::Closed),
            }
        }
    }
    assert_eq!(gateway.recorder().count(), 0);
    let mut twin = Raw::over(gateway.tls("localhost", &["http/1.1"]));
    assert_eq!(twin.ask(inner).status, 200);
    assert_eq!(gateway.recorder().count(), 1);
}
