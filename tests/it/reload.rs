//! Reloading: all or nothing, while requests go on (G-01, G-03), by signal and by watching the file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::harness::setup::RULES;
use crate::harness::{Gateway, Raw, Recorder, Setup, Trial, eventually};

const RELOADS: &str = "portcullis_config_reloads_total";

fn failed(gateway: &Gateway) -> f64 {
    gateway.metrics().sum(RELOADS, &[("result", "failed")])
}

/// The old rules are in force and judged: public, protected and admin pages, and the default deny.
fn assert_old_policy(gateway: &Gateway, what: &str) {
    let mut trial = Trial::with_plain_twin(gateway, "G-01");
    trial.denied(trial.get("/app/x", ""), "");
    trial.served(&trial.get("/app/x", &gateway.as_user("alice")));
    trial.denied(trial.get("/admin/x", &gateway.as_user("alice")), "alice");
    trial.served(&trial.get("/admin/x", &gateway.as_user("root")));
    trial.denied_to_all("/elsewhere");
    assert_eq!(gateway.ask_admin("/readyz").status, 200, "{what}");
}

/// Tries to reload what was just written: it must fail, be counted and logged, and change nothing.
fn assert_refused(gateway: &Gateway, what: &str) {
    let (count, log) = (failed(gateway), gateway.log().len());
    assert!(!gateway.reload(), "{what} was taken over");
    assert!((failed(gateway) - count - 1.0).abs() < 0.1, "{what}");
    eventually("a line in the log", || {
        let said = gateway.log()[log..].to_lowercase();
        (said.contains("error") && said.contains("reload")).then_some(())
    });
    // A policy test is no fault of the file: it fails by itself.
    let command = if what.contains("test") {
        "test"
    } else {
        "check"
    };
    let check = gateway.cli(&[command], "");
    assert_eq!(check.code, Some(1), "{command} of {what}: {}", check.all());
    assert_old_policy(gateway, what);
}

#[test]
fn g_01_a_file_with_faults_changes_nothing() {
    let setup = Setup::new();
    let good = setup.yaml();
    let gateway = setup.start();
    let half = &good[..good.len() / 2];
    let open = "rules:\n  - { path: /**, allow: anyone }\n";
    let faults = [
        ("a syntax error", format!("{good}\nrules: [}}\n")),
        ("an unknown key", format!("{good}ruels: []\n")),
        ("a half-written file", half.to_owned()),
        ("an empty file", String::new()),
        ("only a comment", "# nothing\n".to_owned()),
        ("a list", "- a\n- b\n".to_owned()),
        ("a scalar", "portcullis\n".to_owned()),
        ("binary", "\u{0}\u{1}\u{2}".to_owned()),
        ("two documents", format!("{good}---\n{good}")),
        ("a key twice", format!("{good}{open}")),
        (
            "a rule without allow",
            good.replace("allow: anyone", "host: localhost"),
        ),
        ("an unknown upstream", good.replace("to: web", "to: wbe")),
        ("a missing secret", format!("{good}key: file:nowhere.key\n")),
        (
            "a rule for nobody known",
            good.replace("allow: signed_in", "allow: signed"),
        ),
        ("a shadowed rule", good.replace("/public/**", "/**")),
        (
            "a failing policy test",
            format!("{good}tests:\n  - {{ GET: /admin/x, expect: allow }}\n"),
        ),
        (
            "no rules",
            good.replace(&format!("rules:\n{}\n", RULES.trim_matches('\n')), ""),
        ),
    ];
    for (what, text) in faults {
        assert_ne!(text, good, "{what} is no fault");
        if what == "no rules" {
            assert!(!text.contains("rules:"), "{text}");
        }
        gateway.write("gateway.yaml", &text);
        if what == "no rules" {
            // Allowed or not, it must never mean that everything is.
            gateway.reload();
            let mut trial = Trial::new(&gateway, "G-01-none");
            gateway.write("gateway.yaml", &good);
            assert!(gateway.reload());
            trial.allowed(trial.get("/public/x", ""));
            gateway.write("gateway.yaml", &text);
            if gateway.reload() {
                for target in ["/public/x", "/app/x", "/admin/x", "/"] {
                    let answer = gateway.ask(trial.get(target, &gateway.as_user("root")));
                    assert!(matches!(answer.status, 401 | 403), "{}", answer.status);
                }
            }
            continue;
        }
        assert_refused(&gateway, what);
    }
    // A good file takes over, and nothing of the faulty ones is left.
    let other = Setup::before(gateway.recorder().clone())
        .rules("  - { path: /app/**, allow: anyone }\n  - { path: /public/**, allow: signed_in }");
    assert!(gateway.reload_with(&other), "{}", gateway.log());
    let mut trial = Trial::new(&gateway, "G-01-new");
    trial.allowed(trial.get("/app/x", ""));
    trial.denied(trial.get("/public/x", ""), "");
    trial.denied_to_all("/admin/x");
}

#[test]
fn every_policy_test_that_fails_is_told_with_its_line() {
    let tests = "tests:
  - { GET: /admin/x, expect: allow }
  - { GET: /public/x, expect: allow }
  - { GET: /app/x, expect: allow, rule: /public/** }
";
    let gateway = Setup::new().start();
    let good = fs::read_to_string(gateway.config()).unwrap();
    let first = good.lines().count() + 2;
    gateway.write("gateway.yaml", &format!("{good}{tests}"));
    assert!(!gateway.reload());
    let told = [
        format!("line {first}: GET /admin/x: expected allow"),
        format!("line {}: GET /app/x: expected allow", first + 2),
    ];
    gateway.says("policy tests fail");
    let log = gateway.log();
    let reload = log.lines().find(|line| line.contains("policy tests fail"));
    let start = gateway.cli(&["serve"], "");
    assert_eq!(start.code, Some(1), "{}", start.all());
    for said in [reload.unwrap(), &start.err] {
        assert!(told.iter().all(|told| said.contains(told)), "{said}");
        assert!(!said.contains("GET /public/x"), "{said}");
    }
}

#[test]
fn g_01_files_that_cannot_be_read() {
    let setup = Setup::new();
    let good = setup.yaml();
    let gateway = setup.start();
    let path = gateway.config();
    fs::remove_file(&path).unwrap();
    assert_refused(&gateway, "a missing file");
    fs::create_dir(&path).unwrap();
    assert_refused(&gateway, "a directory");
    fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink("gateway.yaml", &path).unwrap();
    assert_refused(&gateway, "a link to itself");
    fs::remove_file(&path).unwrap();
    gateway.write("gateway.yaml", &good);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // Nothing is unreadable for root, whom some machines run tests as.
    if fs::read(&path).is_err() {
        assert_refused(&gateway, "an unreadable file");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(gateway.reload(), "{}", gateway.log());
    assert_old_policy(&gateway, "the good file");
}

/// Lines of the log come a moment later.
fn assert_told(gateway: &Gateway, what: &str) {
    eventually(what, || gateway.log().contains(what).then_some(()));
}

#[test]
fn g_01_what_needs_a_restart_is_refused_whole() {
    let setup = Setup::new();
    let gateway = setup.clone().start();
    for (key, yaml) in [
        ("prefix", "/gate"),
        ("store", "sqlite:data/other.db"),
        ("volatile", "memory"),
        (
            "listen",
            "{ http: \"127.0.0.1:0\", admin: \"127.0.0.1:1\" }",
        ),
    ] {
        let open = setup
            .clone()
            .set(key, yaml)
            .rules("  - { path: /**, allow: anyone }");
        gateway.write("gateway.yaml", &open.yaml());
        assert!(!gateway.reload(), "{key} was taken over");
        assert_old_policy(&gateway, key);
        assert_told(&gateway, &format!("a change of {key} needs a restart"));
    }
    let several = setup.clone().set("prefix", "/gate").set("threads", "3");
    gateway.write("gateway.yaml", &several.yaml());
    assert!(!gateway.reload());
    assert_told(&gateway, "a change of prefix, threads needs a restart");
    assert!(gateway.reload_with(&setup));
}

#[test]
fn g_03_reloads_lose_and_misjudge_nothing() {
    let before = Setup::new();
    let after = before.clone().rules(&format!(
        "{RULES}  - {{ path: /extra/**, allow: anyone }}\n"
    ));
    let gateway = before.clone().start();
    let alice = gateway.login("alice");
    let stop = AtomicBool::new(false);
    let asked = AtomicUsize::new(0);
    thread::scope(|scope| {
        for worker in 0..4 {
            let (gateway, stop, asked, alice) = (&gateway, &stop, &asked, &alice);
            scope.spawn(move || {
                let mut raw = gateway.connect();
                let mut number = worker;
                while !stop.load(Ordering::Acquire) {
                    number += 1;
                    ask_one(&mut raw, number, alice);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..30 {
            let setup = if round % 2 == 0 { &after } else { &before };
            assert!(gateway.reload_with(setup), "round {round}");
            let seen = asked.load(Ordering::Relaxed);
            eventually("requests between reloads", || {
                (asked.load(Ordering::Relaxed) > seen + 8).then_some(())
            });
        }
        stop.store(true, Ordering::Release);
    });
    let served = gateway.recorder().requests();
    assert!(served.iter().all(|seen| !seen.path().starts_with("/admin")));
    assert!(served.len() > 100, "{} requests", served.len());
}

/// A request whose verdict is the same under both files, or one that only the file decides.
fn ask_one(raw: &mut Raw, number: usize, alice: &str) {
    let (target, cookie, statuses): (&str, &str, &[u16]) = match number % 5 {
        0 => ("/public/x", "", &[200]),
        1 => ("/app/x", alice, &[200]),
        2 => ("/app/x", "", &[401]),
        3 => ("/admin/x", alice, &[403]),
        _ => ("/extra/x", alice, &[200, 403]),
    };
    let line = if cookie.is_empty() {
        String::new()
    } else {
        format!("Cookie: {cookie}\r\n")
    };
    let answer = raw.ask(format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\n{line}\r\n"
    ));
    assert!(
        statuses.contains(&answer.status),
        "{} to {target}",
        answer.status
    );
}

/// Two files of which each denies alice: what one asks of a viewer, the other gives. Rules of one with roles of the other
/// would let her in.
#[test]
fn r_09_rules_and_roles_are_of_one_file() {
    let recorder = Recorder::start();
    let file = |gives: &str, asks: &str| {
        Setup::before(recorder.clone())
            .set("roles", &format!("{{ viewer: [{gives}] }}"))
            .rules(&format!(
                "  - {{ path: /plain, allow: signed_in }}\n  - {{ path: /**, allow: {{ permission: {asks} }} }}"
            ))
    };
    let (one, other) = (file("a:b", "c:d"), file("c:d", "a:b"));
    let gateway = one.clone().start();
    let roles = gateway.cli(&["user", "set-roles", "alice", "viewer"], "");
    roles.fine();
    let cookie = gateway.as_user("alice");
    let head = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n");
    assert_eq!(gateway.ask(head("/plain")).status, 200);
    let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut raw = gateway.connect();
                while !done.load(Ordering::Relaxed) {
                    let answer = raw.ask(head("/other"));
                    assert_eq!(answer.status, 403, "{answer:?}: {}", gateway.log());
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for at in 0..40 {
            let next = if at % 2 == 0 { &other } else { &one };
            assert!(gateway.reload_with(next), "{}", gateway.log());
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(asked.load(Ordering::Relaxed) > 100);
    let seen = recorder.requests();
    assert!(
        seen.iter().all(|request| request.target() == "/plain"),
        "{seen:?}"
    );
}
