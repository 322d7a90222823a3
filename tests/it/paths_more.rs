//! Queries, long targets, Unicode, the order of rules, and what becomes of rejects (P-19, P-23 to P-29).

use crate::harness::{Gateway, Raw, Setup, Trial, eventually};

#[test]
fn p_19_absolute_form() {
    let mut trial = Trial::with_plain_twin(Gateway::shared(), "P-19");
    for target in [
        "http://evil.test/admin",
        "http://localhost/admin",
        "http://localhost/public/x",
        "HTTP://localhost/public/x",
        "https://localhost/public/x",
        "ftp://localhost/public/x",
        "http://localhost",
        "http:///public/x",
        "http://user@localhost/public/x",
        "localhost/public/x",
        "localhost:80",
        "//user@localhost:80:80/admin#",
    ] {
        trial.malformed(trial.get(target, ""), &[400]);
    }
}

#[test]
fn p_23_queries_take_no_part() {
    let rules = "
  - { path: /**/status, allow: anyone }
  - { path: /admin/**, allow: { role: admin } }
";
    let gateway = Setup::new().rules(rules).start();
    let mut trial = Trial::new(&gateway, "P-23");
    let seen = trial.allowed(trial.get("/x/status?a=/admin", ""));
    assert_eq!(seen.target(), "/x/status?a=/admin");
    for target in [
        "/admin?x=/status",
        "/admin?/status",
        "/admin/?/status",
        "/admin??/x/status",
        "/admin?x=%2fstatus",
    ] {
        trial.denied(trial.get(target, ""), "");
        trial.denied(trial.get(target, &gateway.as_user("alice")), "alice");
    }
    for target in ["/x?/status", "/?/status", "/x%3F/status/y", "/admin%3F"] {
        trial.denied_to_all(target);
    }
}

#[test]
fn p_24_queries_pass_byte_for_byte() {
    let mut trial = Trial::new(Gateway::shared(), "P-24");
    let many: Vec<String> = (0..1000).map(|at| format!("a{}={at}", at % 10)).collect();
    for query in [
        many.join("&").as_str(),
        "a=1&a=2&a=3",
        "a=1;b=2;;c",
        "=1&&=&a&=",
        "",
        "?",
        "a=/../admin&b=//x/./",
        "a=%2f%2F%2e%2E%5c&b=%41",
        "a=%c3%a9&b=%C3%A9",
        "a=$,:@!*'()/?~-._+",
        "a[]=1&b|c={x}^`\\",
        "a=%00%0d%0aX-Auth-User:%20root",
        "a=%ff%c0%ae",
        "a=100%&b=%zz",
    ] {
        let target = format!("/public/x?{query}");
        let seen = trial.allowed(trial.get(&target, ""));
        assert_eq!(seen.target(), target);
    }
    trial.malformed(trial.get("/public/x?a=\u{e9}", ""), &[400]);
    trial.malformed(trial.get("/public/x?a=\x01", ""), &[400]);
    trial.malformed(trial.get("/public/x?a=b c", ""), &[400]);
}

#[test]
fn p_25_long_targets() {
    const LIMIT: usize = 8 * 1024;
    let gateway = Gateway::shared();
    let mut trial = Trial::new(gateway, "P-25");
    let fill = |length: usize| {
        let start = "/public/";
        format!("{start}{}", "a".repeat(length - start.len()))
    };
    let seen = trial.allowed(trial.get(fill(LIMIT), ""));
    assert_eq!(seen.target().len(), LIMIT);
    trial.malformed(trial.get(fill(LIMIT + 1), ""), &[414]);
    trial.malformed(
        trial.get(format!("/public/x?{}", "a".repeat(LIMIT)), ""),
        &[414],
    );
    for long in [
        fill(64 * 1024),
        fill(1024 * 1024),
        format!("/public{}", "/a".repeat(10_000)),
        "/public/".to_owned() + &"../".repeat(10_000),
    ] {
        // So much is left unread at the close that the answer may be lost on the way.
        let refusal = trial.refused(trial.get(&long, ""));
        let status = refusal.answer.map(|answer| answer.status);
        assert!(matches!(status, None | Some(414 | 431)), "{status:?}");
        assert!(refusal.closed, "left open after {} bytes", long.len());
    }
}

#[test]
fn p_25_many_segments_within_the_limit() {
    let mut trial = Trial::new(Gateway::shared(), "P-25-in");
    let deep = format!("/public{}", "/a".repeat(4000));
    assert_eq!(trial.allowed(trial.get(&deep, "")).target(), deep);
    let winding = format!("/public/{}x", "a/../".repeat(1600));
    assert_eq!(trial.allowed(trial.get(winding, "")).target(), "/public/x");
    let slashes = format!("/public{}x", "/".repeat(8000));
    assert_eq!(trial.allowed(trial.get(slashes, "")).target(), "/public/x");
    trial.malformed(
        trial.get(format!("/public/{}", "../".repeat(2700)), ""),
        &[400],
    );
}

#[test]
fn p_26_letters_beyond_ascii() {
    let rules = "
  - { path: \"/caf\u{e9}/**\", allow: anyone }
  - { path: /admin/**, allow: { role: admin } }
  - { path: /public/**, allow: anyone }
";
    let gateway = Setup::new().rules(rules).start();
    let mut trial = Trial::new(&gateway, "P-26");
    for (target, path) in [
        ("/caf%c3%a9/x", "/caf%C3%A9/x"),
        ("/public/%ef%bc%8f", "/public/%EF%BC%8F"),
        ("/public/cafe%cc%81", "/public/cafe%CC%81"),
        ("/public/caf%C3%A9", "/public/caf%C3%A9"),
    ] {
        assert_eq!(trial.allowed(trial.get(target, "")).target(), path);
    }
    // Decomposed, upper case, fullwidth and dotless letters are other letters.
    for target in [
        "/cafe%cc%81/x",
        "/CAF%C3%89/x",
        "/public%ef%bc%8f..%ef%bc%8fadmin",
        "/%ef%bd%81dmin",
        "/adm%c4%b1n",
        "/public%e2%88%95x",
    ] {
        trial.denied_to_all(target);
    }
    trial.denied(trial.get("/public/%ef%bc%8e/../../admin", ""), "");
    for target in ["/adm\u{131}n", "/caf\u{e9}/x", "/public\u{ff0f}x"] {
        trial.malformed(trial.get(target, ""), &[400]);
    }
}

#[test]
fn p_28_rejects_are_counted_and_closed() {
    let gateway = Setup::new().start();
    let mut trial = Trial::with_plain_twin(&gateway, "P-28");
    let rejected = || {
        let metrics = gateway.metrics();
        metrics.sum("portcullis_requests_total", &[("status", "400")])
    };
    let before = rejected();
    let root = gateway.as_user("root");
    let targets = [
        "admin", "/a b", "/%", "/..", "/a;b", "/a\\b", "/%00", "/a#b", "/%2f", "/%ff", "/%252e",
        "*", "/a`b", "/a<b", "/a>b", "/a?\"", "/a?<b>",
    ];
    for target in targets {
        trial.malformed(trial.get(target, &root), &[400]);
    }
    let expected = before + f64::from(u32::try_from(targets.len()).unwrap());
    eventually("every reject to be counted", || {
        (rejected() >= expected).then_some(())
    });
}

#[test]
fn p_28_nothing_behind_a_reject_is_read() {
    let gateway = Gateway::shared();
    let mut trial = Trial::with_plain_twin(gateway, "P-28-behind");
    let mut both = trial.get("/public/a;b", "");
    both.extend(trial.get("/public/behind", ""));
    trial.malformed(both, &[400]);
}

#[test]
fn p_29_a_rule_behind_a_broader_one_is_an_error() {
    let rules = "
  - { path: /a/**, allow: anyone }
  - { path: /a/secret, allow: nobody }
";
    let folder = Setup::new().rules(rules).folder();
    let said = folder.cli(&["check"], "");
    assert_eq!(said.code, Some(1), "{}", said.all());
    for path in ["/a/**", "/a/secret"] {
        assert!(said.all().contains(path), "{}", said.all());
    }
    assert!(Setup::new().rules(rules).nobody().try_start().is_err());
}

#[test]
fn p_29_the_first_match_decides() {
    let rules = "
  - { path: /a/secret, allow: nobody }
  - { path: /a/mine, allow: { user: alice } }
  - { path: /a/ghost, allow: { role: ghost } }
  - { path: /a/**, allow: anyone }
";
    let gateway = Setup::new().rules(rules).start();
    let mut trial = Trial::new(&gateway, "P-29");
    trial.allowed(trial.get("/a/x", ""));
    trial.allowed(trial.get("/a/mine", &gateway.as_user("alice")));
    trial.denied(trial.get("/a/mine", &gateway.as_user("root")), "root");
    for target in [
        "/a/secret",
        "/a/secret/",
        "/a//secret",
        "/a/%73ecret",
        "/a/x/../secret",
        "/a/ghost",
        "/b",
    ] {
        trial.denied_to_all(target);
    }
}

#[test]
fn p_29_no_rules_deny_everything() {
    let gateway = match Setup::new().set("rules", "[]").try_start() {
        Ok(gateway) => gateway,
        Err(said) => {
            // A file that means nothing may as well be refused; then nothing is served at all.
            assert!(said.contains("rules"), "{said}");
            return;
        }
    };
    for (target, user) in [
        ("/", ""),
        ("/public/x", ""),
        ("/app", "alice"),
        ("/admin", "root"),
    ] {
        let lines = gateway.as_user(user);
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
        let answer = Raw::connect(gateway.http()).ask(request);
        assert!(
            matches!(answer.status, 401 | 403),
            "{} to {target}",
            answer.status
        );
    }
    assert_eq!(gateway.recorder().connections(), 0);
    // The twin: with a rule the same recorder is reached.
    assert!(gateway.reload_with(&Setup::before(gateway.recorder().clone())));
    let mut trial = Trial::new(&gateway, "P-29-none");
    trial.allowed(trial.get("/public/x", ""));
}
