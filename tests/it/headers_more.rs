//! Addresses, forwarding headers, cookies and credentials on their way to the service (H-10 to H-16).

use std::sync::OnceLock;

use crate::harness::{Gateway, Setup, Trial, lines_of};

const RULES: &str = "
  - { path: /local/**, from: [127.0.0.0/8], allow: anyone }
  - { path: /inside/**, from: [10.0.0.0/8], allow: anyone }
  - { path: /public/**, allow: anyone }
";

fn gateway() -> &'static Gateway {
    static GATEWAY: OnceLock<Gateway> = OnceLock::new();
    GATEWAY.get_or_init(|| Setup::new().rules(RULES).start())
}

#[test]
fn h_10_the_address_is_the_sockets() {
    let mut trial = Trial::new(gateway(), "H-10");
    let thousand = format!("X-Forwarded-For: {}\r\n", vec!["10.0.0.1"; 1000].join(", "));
    for lines in [
        "X-Forwarded-For: 10.0.0.1\r\n",
        "X-Real-IP: 10.0.0.1\r\n",
        "CF-Connecting-IP: 10.0.0.1\r\n",
        "True-Client-IP: 10.0.0.1\r\n",
        "X-Client-IP: 10.0.0.1\r\nX-Cluster-Client-IP: 10.0.0.1\r\n",
        "Forwarded: for=10.0.0.1\r\n",
        "X-Forwarded-For: ::ffff:10.0.0.1\r\n",
        "X-Forwarded-For: junk, , 10.0.0.1:80, \"[::1]\"\r\n",
        "x_forwarded_for: 10.0.0.1\r\n",
        &thousand,
    ] {
        let seen = trial.allowed(trial.get("/local/x", lines));
        assert_eq!(
            seen.values("X-Forwarded-For"),
            ["127.0.0.1"],
            "after {lines}"
        );
        assert!(!seen.mentions("10.0.0.1"), "{}", seen.text());
        let answer = trial.refused(trial.get("/inside/x", lines)).answer.unwrap();
        assert!(
            matches!(answer.status, 401 | 403),
            "{} to {lines}",
            answer.status
        );
    }
}

#[test]
fn h_10_trusted_proxies_name_the_client() {
    let rules = "
  - { path: /inside/**, from: [10.0.0.0/8], allow: anyone }
  - { path: /six/**, from: [\"2001:db8::/32\"], allow: anyone }
  - { path: /public/**, allow: anyone }
";
    let gateway = Setup::new()
        .set("trusted_proxies", "[127.0.0.0/8, 192.168.0.0/16]")
        .rules(rules)
        .start();
    let mut trial = Trial::new(&gateway, "H-10-trusted");
    for (target, list) in [
        ("/inside/x", "10.0.0.1"),
        ("/inside/x", "8.8.8.8, 10.0.0.1"),
        ("/inside/x", "8.8.8.8, 10.0.0.1, 192.168.1.1"),
        ("/inside/x", "junk, 10.0.0.1"),
        ("/inside/x", "::ffff:10.0.0.1"),
        ("/six/x", "2001:db8::1"),
    ] {
        trial.allowed(trial.get(target, &format!("X-Forwarded-For: {list}\r\n")));
    }
    for list in [
        "8.8.8.8",
        "10.0.0.1, 8.8.8.8",
        "10.0.0.1, 8.8.8.8, 192.168.1.1",
        "10.0.0.1, junk",
        "",
        "192.168.1.1",
    ] {
        let request = trial.get("/inside/x", &format!("X-Forwarded-For: {list}\r\n"));
        let answer = trial.refused(request).answer.unwrap();
        assert!(
            matches!(answer.status, 400 | 401 | 403),
            "{} to {list}",
            answer.status
        );
    }
    let answer = trial.refused(trial.get(
        "/inside/x",
        "X-Real-IP: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\n",
    ));
    assert!(matches!(answer.answer.unwrap().status, 401 | 403));
}

const FORWARDING: &[&str] = &[
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Protocol",
    "X-Forwarded-Scheme",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Server",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Forwarded-Path",
    "X-Forwarded-Ssl",
    "X-Forwarded-User",
    "X-Forwarded-By",
    "X_Forwarded_Host",
    "x_forwarded_proto",
    "X.Forwarded.For",
    "X-Forwarded_Port",
];

#[test]
fn h_11_the_forwarded_family() {
    let mut trial = Trial::new(gateway(), "H-11");
    for name in FORWARDING {
        let seen = trial.allowed(trial.get(
            "/public/x",
            &format!("{name}: spoofed.test\r\n{name}: spoofed.test\r\n"),
        ));
        assert!(!seen.mentions("spoofed.test"), "{}", seen.text());
    }
    let all = lines_of(FORWARDING, "spoofed.test");
    let seen = trial.allowed(trial.get("/public/x", &all));
    assert!(!seen.mentions("spoofed.test"), "{}", seen.text());
    assert_eq!(seen.values("X-Forwarded-For"), ["127.0.0.1"]);
    assert_eq!(seen.values("X-Forwarded-Proto"), ["http"]);
    assert_eq!(seen.values("X-Forwarded-Host"), ["localhost"]);
    assert_eq!(seen.values("Host"), ["localhost"]);
}

#[test]
fn h_12_urls_in_headers() {
    let mut trial = Trial::new(gateway(), "H-12");
    for name in [
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Forwarded-Uri",
        "X-Original-Uri",
        "X-Original-Method",
        "X-Original-Host",
        "X-Envoy-Original-Path",
        "X-Original-Forwarded-For",
        "x_original_url",
        "X.Rewrite.Url",
    ] {
        for value in ["/admin/users", "/public/x"] {
            let line = format!("{name}: {value}\r\n");
            let seen = trial.allowed(trial.get("/public/y", &line));
            assert_eq!(seen.target(), "/public/y");
            assert_eq!(seen.values(name), [""; 0], "{}", seen.text());
            trial.closed(trial.get("/admin/x", &line));
        }
    }
}

#[test]
fn h_13_forwarded_is_not_built_from_the_host() {
    let mut trial = Trial::new(gateway(), "H-13");
    for value in [
        "for=10.0.0.1;host=\"evil.test\";proto=https",
        "for=_x, for=\"[::1]:80\"",
        "host=a\\\"b",
    ] {
        let seen = trial.allowed(trial.get(
            "/public/x",
            &format!("Forwarded: {value}\r\nforwarded: {value}\r\n"),
        ));
        let forwarded = seen.values("Forwarded");
        assert!(
            !forwarded.iter().any(|found| found.contains("evil")
                || found.contains("for=_x")
                || found.contains("10.0")),
            "{forwarded:?}"
        );
    }
    let line = trial.line();
    for host in [
        "localhost;proto=https",
        "\"localhost\"",
        "localhost\";for=10.0.0.1",
        "localhost, for=10.0.0.1",
    ] {
        let request = format!("GET /public/x HTTP/1.1\r\nHost: {host}\r\n{line}\r\n");
        trial.malformed(request, &[400]);
    }
}

#[test]
fn h_14_authorization_beside_a_session() {
    // A method that the rule does not accept is neither checked nor stripped: it is the application's own.
    let gateway = Gateway::shared();
    let mut trial = Trial::new(gateway, "H-14");
    let alice = gateway.as_user("alice");
    for value in [
        "Basic cm9vdDpyb290",
        "Bearer some.opaque.token",
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.",
    ] {
        let line = format!("Authorization: {value}\r\n");
        let seen = trial.allowed(trial.get("/app/x", &format!("{line}{alice}")));
        assert_eq!(seen.values("X-Auth-User"), ["alice"]);
        assert_eq!(seen.values("Authorization"), [value]);
        let seen = trial.allowed(trial.get("/public/x", &line));
        assert_eq!(seen.values("X-Auth-User"), [""; 0]);
        assert_eq!(seen.values("Authorization"), [value]);
        // Alone it opens nothing here.
        trial.denied(trial.get("/app/x", &line), "");
        trial.denied(trial.get("/admin/x", &format!("{line}{alice}")), "alice");
    }
}

#[test]
fn h_15_the_session_cookie_stays_here() {
    let gateway = Gateway::shared();
    let mut trial = Trial::new(gateway, "H-15");
    let cookie = gateway.cookie("alice");
    for (sent, kept) in [
        (cookie.clone(), None),
        (format!("a=1; {cookie}; b=2"), Some("a=1; b=2")),
        (format!("{cookie}; a=1"), Some("a=1")),
        (format!("a=1; {cookie}"), Some("a=1")),
        (
            format!("a=1; portcullisx=2; xportcullis=3; {cookie}"),
            Some("a=1; portcullisx=2; xportcullis=3"),
        ),
        (
            format!("a=\"q;{cookie}; b=x=y==; c"),
            Some("a=\"q; b=x=y==; c"),
        ),
    ] {
        let seen = trial.allowed(trial.get("/app/x", &format!("Cookie: {sent}\r\n")));
        assert_eq!(seen.values("X-Auth-User"), ["alice"], "{sent}");
        assert_eq!(seen.value("Cookie").as_deref(), kept, "{sent}");
    }
    let (_, secret) = cookie.split_once('=').unwrap();
    for lines in [
        format!("Cookie: {cookie}\r\n"),
        format!("Cookie: a=1\r\nCookie: {cookie}\r\n"),
        format!("Cookie: {cookie}\r\nCookie: {cookie}\r\n"),
        format!("Cookie: {cookie}; {cookie}\r\n"),
        format!("Cookie: portcullis={secret}x; {cookie}\r\n"),
    ] {
        // Public, so that even what counts as no session is forwarded, and then without the secret.
        let request = trial.get("/public/x", &lines);
        let seen = trial.allowed(request);
        assert!(!seen.mentions(secret), "{}", seen.text());
        assert!(seen.values("Cookie").len() < 2, "{}", seen.text());
    }
}

#[test]
fn h_15_crumbs_over_h2_become_one_cookie() {
    let gateway = Gateway::shared();
    let cookie = gateway.cookie("alice");
    let mark = crate::harness::marker("H-15-h2");
    let fields = [
        ("x-marker", mark.as_str()),
        ("cookie", "a=1"),
        ("cookie", &cookie),
        ("cookie", "c=3"),
    ];
    let outcome = gateway.h2().get("/app/x", &fields);
    assert_eq!(outcome.status(), Some(200), "{outcome:?}");
    let seen = &gateway.recorder().wait_for(&mark, 1)[0];
    assert_eq!(seen.values("Cookie"), ["a=1; c=3"]);
    assert_eq!(seen.values("X-Auth-User"), ["alice"]);
}

#[test]
fn h_16_no_short_cuts_for_health_checks() {
    let gateway = Gateway::shared();
    let mut trial = Trial::with_plain_twin(gateway, "H-16");
    for lines in [
        "User-Agent: kube-probe/1.30\r\n",
        "User-Agent: ELB-HealthChecker/2.0\r\n",
        "User-Agent: GoogleHC/1.0\r\n",
        "User-Agent: Consul Health Check\r\n",
        "X-Health-Check: 1\r\nX-Healthcheck: true\r\n",
        "X-Portcullis-Health: 1\r\nX-Internal: true\r\n",
    ] {
        trial.denied(trial.get("/app/x", lines), "");
        trial.denied(trial.get("/admin/x?health=1&healthz=1", lines), "");
    }
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/health",
        "/ping",
        "/debug",
        "/.well-known/health",
    ] {
        trial.denied_to_all(path);
    }
    // The exact paths live on the admin listener alone, and no others do.
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(gateway.ask_admin(path).status, 200, "{path}");
        for wrong in [
            format!("{path}/"),
            format!("{path}/x"),
            format!("/{path}"),
            format!("{path}x"),
            path.to_uppercase(),
        ] {
            assert_eq!(gateway.ask_admin(&wrong).status, 404, "{wrong}");
        }
    }
    for path in ["/", "/public/x", "/admin/x", "/auth/login"] {
        assert_eq!(gateway.ask_admin(path).status, 404, "{path}");
    }
}
