//! Authority confusion: which host is meant, and what becomes of the others (P-17, P-18, P-21, P-22).

use std::sync::OnceLock;

use crate::harness::{Gateway, H2, Raw, Setup, Trial, h2, marker};

const SITES: &str = "[\"http://localhost\", \"http://app.localhost\", \"http://b.localhost\"]";

const RULES: &str = "
  - { host: app.localhost, path: /**, allow: { role: admin } }
  - { host: b.localhost, path: /only-b, allow: anyone }
  - { path: /team/:name/page, allow: anyone }
  - { path: /one/*, allow: anyone }
  - { path: /public/**, allow: anyone }
";

fn gateway() -> &'static Gateway {
    static GATEWAY: OnceLock<Gateway> = OnceLock::new();
    GATEWAY.get_or_init(|| Setup::new().set("site", SITES).rules(RULES).start())
}

/// `GET target` for this host.
fn get(trial: &Trial<'_>, host: &str, target: &str, lines: &str) -> String {
    let marker = trial.line();
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{marker}{lines}\r\n")
}

/// Status and twin for one request of this trial.
fn status(trial: &mut Trial<'_>, request: &str) -> u16 {
    trial.refused(request).answer.unwrap().status
}

#[test]
fn p_17_one_host_in_every_spelling() {
    let gateway = gateway();
    let mut trial = Trial::new(gateway, "P-17");
    trial.allowed(get(&trial, "localhost", "/public/x", ""));
    let root = gateway.login("root");
    for host in [
        "app.localhost",
        "APP.LOCALHOST",
        "App.LocalHost",
        "app.localhost.",
        "app.localhost:80",
        "app.localhost:8443",
        "APP.LOCALHOST.:80",
    ] {
        // The rule of this host wins over the public one below it, whatever the spelling.
        trial.denied(get(&trial, host, "/public/x", ""), "");
        let as_root = get(&trial, host, "/public/x", &format!("Cookie: {root}\r\n"));
        trial.served(as_root.as_bytes());
    }
    for host in [
        "localhost.",
        "LOCALHOST",
        "127.0.0.1",
        "[::1]",
        "localhost:1",
        "127.0.0.1:8080",
        "[::1]:8080",
    ] {
        trial.served(get(&trial, host, "/public/x", "").as_bytes());
    }
}

#[test]
fn p_17_unknown_hosts() {
    let mut trial = Trial::new(gateway(), "P-17-unknown");
    trial.allowed(get(&trial, "localhost", "/public/x", ""));
    for host in [
        "evil.test",
        "xn--bcher-kva.localhost",
        "10.0.0.1",
        "[::2]",
        "[2001:db8::1]",
        "localhost.evil.test",
        "com",
    ] {
        let request = get(&trial, host, "/public/x", "");
        let answer = trial.malformed(request, &[421]);
        assert_eq!(
            answer.json()["detail"].as_str().map(str::is_empty),
            Some(false)
        );
    }
    for host in [
        "xn--app-.localhost",
        "app.localhost.xn--",
        "xn--app-.test",
        "app.localhost..",
        "2130706433",
        "0x7f.1",
        "[0:0:0:0:0:0:0:2]",
    ] {
        let request = get(&trial, host, "/public/x", "");
        trial.malformed(request, &[400, 421]);
    }
}

#[test]
fn p_18_matchers_are_anchored() {
    let mut trial = Trial::new(gateway(), "P-18");
    trial.allowed(get(&trial, "localhost", "/public/x", ""));
    for host in [
        "evil-app.localhost",
        "evil-app.localhost.evil.org",
        "app.localhost.evil.org",
        "xapp.localhost",
        "app.localhostx",
        "app.localhost.evil",
        "app-localhost",
        "appXlocalhost",
        "a.app.localhost",
    ] {
        let request = get(&trial, host, "/public/x", "");
        trial.malformed(request, &[421]);
    }
    trial.served(get(&trial, "b.localhost", "/only-b", "").as_bytes());
    for (host, target) in [
        ("localhost", "/only-b"),
        ("b.localhost", "/only-b/x"),
        ("b.localhost", "/x/only-b"),
        ("b.localhost", "/only-bx"),
        ("localhost", "/one"),
        ("localhost", "/one/"),
        ("localhost", "/one/a/b"),
        ("localhost", "/x/one/a"),
        ("localhost", "/team/page"),
        ("localhost", "/team//page"),
        ("localhost", "/team/a/b/page"),
        ("localhost", "/team/a/page/x"),
        ("localhost", "/x/team/a/page"),
    ] {
        let request = get(&trial, host, target, "");
        let status = status(&mut trial, &request);
        assert!(matches!(status, 401 | 403), "{status} to {host}{target}");
    }
    for target in ["/one/a", "/one/a/", "/team/a/page"] {
        trial.served(get(&trial, "localhost", target, "").as_bytes());
    }
}

#[test]
fn p_21_hosts_that_are_none() {
    let mut trial = Trial::new(gateway(), "P-21");
    trial.allowed(get(&trial, "localhost", "/public/x", ""));
    let marker = trial.line();
    let start = "GET /public/x HTTP/1.1\r\n";
    for lines in [
        "",
        "Host: localhost\r\nHost: localhost\r\n",
        "Host: localhost\r\nHost: app.localhost\r\n",
        "Host: app.localhost\r\nhost: localhost\r\n",
        "Host: \r\n",
        "Host:\r\n",
        "Host: localhost/evil\r\n",
        "Host: localhost/evil?x#y\r\n",
        "Host: localhost?x\r\n",
        "Host: localhost#x\r\n",
        "Host: localhost, evil.test\r\n",
        "Host: localhost,localhost\r\n",
        "Host: user@localhost\r\n",
        "Host: user:pw@localhost\r\n",
        "Host: local host\r\n",
        "Host: localhost evil\r\n",
        "Host: localhost:0\r\n",
        "Host: localhost:70000\r\n",
        "Host: localhost:\u{661}\r\n",
        "Host: localhost:80:80\r\n",
        "Host: localhost:http\r\n",
        "Host: localhost:-1\r\n",
        "Host: localhost:+80\r\n",
        "Host: http://localhost\r\n",
        "Host: .\r\n",
        "Host: :80\r\n",
        "Host: [::1\r\n",
        "Host: ::1\r\n",
        "Host: [::1]x\r\n",
        "Host: [v1.x]\r\n",
        "Host: local%68ost\r\n",
        "Host: localhost\\evil\r\n",
        "Host: localh\u{f6}st\r\n",
        "Host: localhost\x01\r\n",
    ] {
        // An empty label or an IP literal of a future kind may also count as a host nobody serves.
        trial.malformed(format!("{start}{marker}{lines}\r\n"), &[400, 421]);
        if !lines.contains("[v1") && !lines.contains(": .") {
            trial.malformed(format!("{start}{lines}{marker}\r\n"), &[400]);
        }
    }
}

/// An HTTP/2 request with these fields and a marker of its own; whether the recorder saw it.
fn over_h2(gateway: &Gateway, mut connection: H2, fields: &[h2::Field<'_>]) -> (h2::Outcome, bool) {
    let mark = marker("P-22");
    let mut fields = fields.to_vec();
    fields.push(("x-marker", &mark));
    let outcome = connection.ask(&fields);
    Trial::with_plain_twin(gateway, "P-22-after");
    (outcome, !gateway.recorder().with(&mark).is_empty())
}

#[test]
fn p_22_h2_authority() {
    let gateway = gateway();
    let scheme = (":scheme", "http");
    let rest = [(":method", "GET"), (":path", "/public/x")];
    let with = |more: &[h2::Field<'static>]| {
        let fields = [&[scheme], &rest[..], more].concat();
        over_h2(gateway, gateway.h2(), &fields)
    };
    for twin in [
        &[(":authority", "localhost")][..],
        &[(":authority", "LOCALHOST:80")],
        &[(":authority", "localhost"), ("host", "localhost")],
        &[("host", "localhost")],
    ] {
        let (outcome, seen) = with(twin);
        assert_eq!(
            (outcome.status(), seen),
            (Some(200), true),
            "{twin:?}: {outcome:?}"
        );
    }
    for hostile in [
        &[(":authority", "localhost"), ("host", "app.localhost")][..],
        &[(":authority", "app.localhost"), ("host", "localhost")],
        &[(":authority", "localhost:1"), ("host", "localhost:2")],
        &[
            (":authority", "localhost"),
            ("host", "localhost"),
            ("host", "app.localhost"),
        ],
        &[("host", "localhost"), ("host", "localhost")],
        &[(":authority", "localhost"), (":authority", "localhost")],
        &[(":authority", "")],
        &[(":authority", ""), ("host", "app.localhost, localhost")],
        &[(":authority", "user@localhost")],
        &[(":authority", "localhost/x")],
        &[(":authority", "localhost:70000")],
        &[],
    ] {
        let (outcome, seen) = with(hostile);
        assert!(outcome.is_malformed() && !seen, "{hostile:?}: {outcome:?}");
    }
    let (outcome, seen) = with(&[(":authority", "evil.test")]);
    assert_eq!((outcome.status(), seen), (Some(421), false));
    let (outcome, seen) = with(&[(":authority", "app.localhost")]);
    assert_eq!(
        (outcome.status(), seen),
        (Some(401), false),
        "the rule of that host"
    );
}

#[test]
fn p_22_hosts_take_turns_on_one_h2_connection() {
    let gateway = gateway();
    let mut connection = gateway.h2();
    let answers = [
        ("localhost", 200),
        ("app.localhost", 401),
        ("localhost", 200),
        ("localhost:8080", 200),
        ("app.localhost:8080", 401),
        ("APP.localhost", 401),
        ("evil.test", 421),
        ("app.localhost", 401),
        ("localhost", 200),
    ];
    for (host, status) in answers {
        let mark = marker("P-22-turns");
        let outcome = connection.ask(&[
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", host),
            (":path", "/public/x"),
            ("x-marker", &mark),
        ]);
        assert_eq!(outcome.status(), Some(status), "{host}: {outcome:?}");
        let seen = !gateway.recorder().with(&mark).is_empty();
        assert_eq!(seen, status == 200, "{host}");
    }
}

/// Whoever stands in front and is believed speaks for many, by whichever name it shook hands.
#[test]
fn p_22_a_trusted_proxy_names_whom_it_likes() {
    let sites = "[\"https://one.test\", \"https://three.test\"]";
    let setup = || Setup::new().tls(&["one.test"]).set("site", sites);
    for (setup, status, seen) in [
        (setup(), 421, 0),
        (setup().set("trusted_proxies", "[127.0.0.0/8]"), 200, 1),
    ] {
        let gateway = setup.start();
        let mark = marker("P-22-trusted");
        let mut raw = Raw::over(gateway.tls("one.test", &["http/1.1"]));
        let answer = raw.ask(format!(
            "GET /public/x HTTP/1.1\r\nHost: three.test\r\nX-Marker: {mark}\r\n\r\n"
        ));
        assert_eq!(answer.status, status);
        assert_eq!(gateway.recorder().with(&mark).len(), seen);
    }
}

#[test]
fn p_22_the_name_of_the_handshake() {
    let gateway = Setup::new()
        .tls(&["one.test", "two.test"])
        .set(
            "site",
            "[\"https://one.test\", \"https://two.test\", \"https://three.test\"]",
        )
        .start();
    let ask = |name: &str, host: &str| {
        let mark = marker("P-22-sni");
        let mut raw = Raw::over(gateway.tls(name, &["http/1.1"]));
        let answer = raw.ask(format!(
            "GET /public/x HTTP/1.1\r\nHost: {host}\r\nX-Marker: {mark}\r\n\r\n"
        ));
        let mut h2 = H2::over(gateway.tls(name, &["h2"]));
        let fields = [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", host),
            (":path", "/public/x"),
            ("x-marker", &mark),
        ];
        let second = h2.ask(&fields);
        (
            answer.status,
            second.status(),
            gateway.recorder().with(&mark).len(),
        )
    };
    assert_eq!(ask("one.test", "one.test"), (200, Some(200), 2));
    assert_eq!(ask("one.test", "ONE.test:443"), (200, Some(200), 2));
    // The certificate covers both names: browsers reuse the connection, and may.
    assert_eq!(ask("one.test", "two.test"), (200, Some(200), 2));
    // A site of ours, but not one that this certificate vouches for.
    assert_eq!(ask("one.test", "three.test"), (421, Some(421), 0));
    assert_eq!(ask("one.test", "evil.test"), (421, Some(421), 0));
}
