//! G-18, H-19: servers that are not well, by checks and by what becomes of requests; what is shown while none is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::{Gateway, Recorder, Reply, Setup, Trial, eventually};
use crate::pages_browser::NAVIGATION;

/// A service that can be told to be unwell.
struct Service {
    recorder: Recorder,
    well: Arc<AtomicBool>,
}

impl Service {
    /// Unwell means: `/healthz` is 500, and everything else is cut off without an answer.
    fn start() -> Self {
        let (recorder, well) = (Recorder::start(), Arc::new(AtomicBool::new(true)));
        let is_well = Arc::clone(&well);
        recorder.answer(move |request| {
            let well = is_well.load(Ordering::SeqCst);
            match (request.path().as_str(), well) {
                ("/healthz", false) => {
                    Reply::raw("HTTP/1.1 500 Unwell\r\nContent-Length: 0\r\n\r\n")
                }
                (_, true) => Reply::ok("well"),
                (_, false) => Reply::raw("").close(),
            }
        });
        Self { recorder, well }
    }

    fn is_well(&self, well: bool) {
        self.well.store(well, Ordering::SeqCst);
    }

    /// Requests but for checks.
    fn served(&self) -> usize {
        let all = self.recorder.requests().into_iter();
        all.filter(|seen| seen.path() != "/healthz").count()
    }

    fn checks(&self) -> usize {
        self.recorder.with("GET /healthz").len()
    }

    fn is_shown(&self, gateway: &Gateway) -> f64 {
        let labels = BTreeMap::from([
            ("upstream".to_owned(), "web".to_owned()),
            ("address".to_owned(), self.recorder.address().to_string()),
        ]);
        let metrics = gateway.metrics();
        assert!(
            metrics
                .labels_of("portcullis_upstream_healthy")
                .contains(&labels)
        );
        metrics.exactly("portcullis_upstream_healthy", &labels)
    }

    fn becomes(&self, gateway: &Gateway, healthy: bool) {
        let wanted = f64::from(u8::from(healthy));
        eventually("the metric of a server to change", || {
            ((self.is_shown(gateway) - wanted).abs() < 0.1).then_some(())
        });
    }
}

fn two(more: &str) -> ([Service; 2], String) {
    let services = [Service::start(), Service::start()];
    let [a, b] = [&services[0], &services[1]].map(|one| one.recorder.url());
    let yaml = format!("{{ to: [\"{a}\", \"{b}\"], {more} }}");
    (services, yaml)
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

fn said(gateway: &Gateway, words: &str) -> usize {
    gateway.log().matches(words).count()
}

/// The log is written by a thread of its own: the line may come a little after what it tells of.
fn says_once(gateway: &Gateway, words: &str) {
    eventually(words, || (said(gateway, words) > 0).then_some(()));
    assert_eq!(said(gateway, words), 1, "{}", gateway.log());
}

const QUICK: &str = "health: { path: /healthz, interval: 50ms, down_after: 2, up_after: 2 }";

#[test]
fn g_18_a_server_that_fails_its_checks_is_sent_nothing_until_it_passes_them() {
    let ([a, b], yaml) = two(QUICK);
    let gateway = Setup::new().upstream("web", &yaml).start();
    for service in [&a, &b] {
        service.becomes(&gateway, true);
    }
    b.is_well(false);
    b.becomes(&gateway, false);
    let before = b.served();
    for _ in 0..10 {
        assert_eq!(gateway.ask(get("/public/x")).status, 200);
    }
    assert_eq!((a.served(), b.served()), (10, before));
    b.is_well(true);
    b.becomes(&gateway, true);
    for _ in 0..10 {
        assert_eq!(gateway.ask(get("/public/x")).status, 200);
    }
    assert_eq!((a.served(), b.served()), (15, before + 5));
    says_once(&gateway, "is unhealthy");
    says_once(&gateway, "is healthy again");
}

#[test]
fn g_18_while_no_server_is_healthy_people_see_a_page_and_programs_json() {
    let ([a, b], yaml) = two(&format!("{QUICK}, maintenance: page.html"));
    let gateway = Setup::new()
        .upstream("web", &yaml)
        .asset("page.html", "<!doctype html><h1>Back at noon</h1>")
        .start();
    let user = gateway.as_user("alice");
    let ask = |lines: &str| {
        gateway.ask(format!(
            "GET /app/x HTTP/1.1\r\nHost: localhost\r\n{user}{lines}\r\n"
        ))
    };
    assert_eq!(ask("").status, 200);
    for service in [&a, &b] {
        service.is_well(false);
        service.becomes(&gateway, false);
    }
    let served = (a.served(), b.served());
    let program = ask("Accept: application/json\r\n");
    assert_eq!(
        (program.status, program.json()["code"].as_str()),
        (503, Some("UPSTREAM_UNAVAILABLE"))
    );
    let person = ask(NAVIGATION);
    assert_eq!(
        (person.status, person.text().contains("Back at noon")),
        (503, true)
    );
    for answer in [&program, &person] {
        let pause = answer.header("retry-after").unwrap();
        assert!(pause.parse::<u32>().unwrap() >= 1);
        assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
        assert!(answer.header("x-request-id").is_some());
    }
    let policy = person.header("content-security-policy").unwrap();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("script"),
        "{policy}"
    );
    // The gate stays what it is.
    assert!(gateway.ask(get("/app/x")).denies_anonymous());
    assert_eq!((a.served(), b.served()), served, "nothing reached a server");
    a.is_well(true);
    a.becomes(&gateway, true);
    assert_eq!(ask("").status, 200);
    assert_eq!(a.served() + b.served(), served.0 + served.1 + 1);
}

#[test]
fn g_18_without_a_page_of_ones_own_there_is_one_of_ours() {
    let service = Service::start();
    let url = service.recorder.url();
    let gateway = Setup::new()
        .upstream("web", &format!("{{ to: \"{url}\", {QUICK} }}"))
        .start();
    service.is_well(false);
    service.becomes(&gateway, false);
    let answer = gateway.ask(format!(
        "GET /public/x HTTP/1.1\r\nHost: localhost\r\n{NAVIGATION}\r\n"
    ));
    assert_eq!(answer.status, 503);
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
}

#[test]
fn h_19_checks_carry_nothing_of_any_client() {
    let ([a, b], yaml) = two(QUICK);
    let gateway = Setup::before(a.recorder.clone())
        .upstream("web", &yaml)
        .start();
    let trial = Trial::new(&gateway, "H-19");
    let lines = format!(
        "{}Authorization: Basic eDp5\r\nX-Secret: {}\r\n",
        gateway.as_user("alice"),
        trial.marker
    );
    for _ in 0..4 {
        assert_eq!(gateway.ask(trial.get("/app/x", &lines)).status, 200);
    }
    let checks = (a.checks(), b.checks());
    eventually("checks after requests", || {
        (a.checks() > checks.0 + 2 && b.checks() > checks.1 + 2).then_some(())
    });
    let seen = |service: &Service| service.recorder.with(&trial.marker).len();
    assert_eq!(seen(&a) + seen(&b), 4);
    for service in [&a, &b] {
        for check in service.recorder.with("GET /healthz") {
            let names: Vec<_> = check
                .fields()
                .into_iter()
                .map(|(name, _)| name.to_lowercase())
                .collect();
            assert_eq!(
                names,
                ["host", "user-agent", "accept", "connection"],
                "{}",
                check.text()
            );
            assert_eq!(
                check.value("host").unwrap(),
                service.recorder.address().to_string()
            );
            assert!(check.body.is_empty());
        }
    }
}

#[test]
fn g_18_a_server_whose_requests_fail_is_left_alone_while_there_is_another() {
    let ([a, b], yaml) = two("eject: { after: 2, for: 1h }");
    let gateway = Setup::new().upstream("web", &yaml).start();
    b.is_well(false);
    let mut failed = 0;
    for _ in 0..20 {
        match gateway.ask(get("/public/x")).status {
            200 => {}
            502 => failed += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(
        (failed, b.served()),
        (2, 2),
        "two failures in a row are enough"
    );
    assert_eq!(a.served(), 18);
    assert!(b.is_shown(&gateway) < 0.5 && a.is_shown(&gateway) > 0.5);
    says_once(&gateway, "left alone");
    // Nothing is left but servers that fail: better one of them than none.
    a.is_well(false);
    for _ in 0..6 {
        assert_eq!(gateway.ask(get("/public/x")).status, 502);
    }
    b.is_well(true);
    eventually("a server that answers again", || {
        (gateway.ask(get("/public/x")).status == 200).then_some(())
    });
}

#[test]
fn g_18_after_a_while_it_is_tried_again() {
    let ([a, b], yaml) = two("eject: { after: 2, for: 300ms }");
    let gateway = Setup::new().upstream("web", &yaml).start();
    b.is_well(false);
    b.becomes_ejected(&gateway);
    b.is_well(true);
    let before = b.served();
    eventually("the server to be tried again", || {
        assert_eq!(gateway.ask(get("/public/x")).status, 200);
        (b.served() > before).then_some(())
    });
    b.becomes(&gateway, true);
    says_once(&gateway, "answers again");
    assert!(a.served() > 0);
}

/// Services that are asked for nothing else, and wait for nobody who sends no body.
#[test]
fn g_18_it_is_tried_by_requests_with_bodies_where_there_are_no_others() {
    let ([a, b], yaml) = two("eject: { after: 2, for: 200ms }");
    let gateway = Setup::new().upstream("web", &yaml).start();
    b.is_well(false);
    b.becomes_ejected(&gateway);
    b.is_well(true);
    let (before, post) = (
        b.served(),
        "POST /public/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi",
    );
    eventually("the server to be tried again", || {
        assert_eq!(gateway.ask(post).status, 200);
        (b.served() > before).then_some(())
    });
    assert!(a.served() > 0);
}

impl Service {
    fn becomes_ejected(&self, gateway: &Gateway) {
        eventually("a server to be left alone", || {
            gateway.ask(get("/public/x"));
            (self.is_shown(gateway) < 0.5).then_some(())
        });
    }
}

#[test]
fn g_18_the_only_server_is_never_left_alone() {
    let service = Service::start();
    let url = service.recorder.url();
    let gateway = Setup::new()
        .upstream(
            "web",
            &format!("{{ to: \"{url}\", eject: {{ after: 1, for: 1h }} }}"),
        )
        .start();
    service.is_well(false);
    for _ in 0..5 {
        assert_eq!(gateway.ask(get("/public/x")).status, 502);
    }
    service.is_well(true);
    assert_eq!(gateway.ask(get("/public/x")).status, 200);
}

#[test]
fn g_18_what_is_known_of_servers_outlives_a_reload() {
    let ([a, b], _) = two("");
    let yaml = |more: &str| {
        let [a, b] = [&a, &b].map(|one| one.recorder.url());
        format!(
            "{{ to: [\"{a}\", \"{b}\"], health: {{ path: /healthz, interval: 1h, up_after: 2 }}{more} }}"
        )
    };
    b.is_well(false);
    let setup = Setup::before(a.recorder.clone()).upstream("web", &yaml(""));
    let gateway = setup.clone().start();
    b.becomes(&gateway, false);
    b.is_well(true);
    // Nothing changed for the upstream: not even another check.
    assert!(gateway.reload_with(&setup.clone().set("limits", "{ fields: 99 }")));
    assert!(b.is_shown(&gateway) < 0.5);
    assert_eq!(b.checks(), 1);
    // Something changed, but not this server: one good check does not undo what was known.
    assert!(gateway.reload_with(&setup.upstream("web", &yaml(", timeout: 7s"))));
    eventually("a check by the new keeper", || {
        (b.checks() == 2).then_some(())
    });
    assert!(b.is_shown(&gateway) < 0.5);
    let before = b.served();
    for _ in 0..6 {
        assert_eq!(gateway.ask(get("/public/x")).status, 200);
    }
    assert_eq!(b.served(), before);
}

#[test]
fn a_service_is_checked_by_the_name_that_it_answers_to() {
    for (more, host) in [
        ("", None),
        (", host: app.example.com", Some("app.example.com")),
    ] {
        let setup = Setup::new();
        let url = setup.recorder().url();
        let checks = QUICK.replace(" }", &format!("{more} }}"));
        let gateway = setup
            .upstream("web", &format!("{{ to: \"{url}\", {checks} }}"))
            .start();
        let seen = &gateway.recorder().wait_for("GET /healthz", 1)[0];
        let own = url.trim_start_matches("http://");
        assert_eq!(seen.values("host"), [host.unwrap_or(own)]);
    }
}

#[test]
fn a_service_that_speaks_http_2_is_checked_in_http_2() {
    let inner = Setup::new()
        .rules("  - { path: /healthz, allow: anyone }\n  - { path: /public/**, allow: anyone }")
        .start();
    let to = format!("h2c://localhost:{}", inner.http().port());
    let gateway = Setup::new()
        .upstream("web", &format!("{{ to: \"{to}\", {QUICK} }}"))
        .start();
    inner.recorder().wait_for("GET /healthz", 3);
    assert_eq!(gateway.ask(get("/public/x")).status, 200);
    assert_eq!(said(&gateway, "unhealthy"), 0, "{}", gateway.log());
}
