//! What caches between us and many are told of answers that are not for everybody.

use crate::harness::{Gateway, Recorder, Reply, Setup, Trial};

const RULES: &str = "
  - { path: /inside/**, allow: anyone, from: [10.0.0.0/8] }
  - { path: /app/**, allow: signed_in }
  - { path: /public/**, allow: anyone }
";

const INSIDE: &str = "X-Forwarded-For: 10.0.0.1\r\n";

/// What a service says to caches of one kind each.
const HEEDED: &str = "X-Accel-Expires: 3600\r\nSurrogate-Control: max-age=3600\r\nEdge-Control: cache-maxage=1h\r\n\
    CDN-Cache-Control: max-age=3600\r\nCloudflare-CDN-Cache-Control: max-age=3600\r\n";

/// A gateway before a service that says for how long, and behind a proxy that is trusted.
fn gateway() -> Gateway {
    let recorder = Recorder::start();
    recorder.answer(|request| {
        let said = match request.path().rsplit('/').next() {
            Some("timed") => "Cache-Control: max-age=3600\r\n",
            Some("heeded") => HEEDED,
            Some("public") => &format!("Cache-Control: public\r\n{HEEDED}"),
            _ => "",
        };
        let head = format!("HTTP/1.1 200 OK\r\n{said}Content-Length: 2\r\n\r\n");
        Reply::raw(head + "ok")
    });
    Setup::before(recorder)
        .set("trusted_proxies", "[127.0.0.1]")
        .rules(RULES)
        .start()
}

/// A cache is one address of many to the gateway, and does not ask for each of those that it answers.
#[test]
fn answers_to_some_addresses_are_not_kept_for_others() {
    let gateway = gateway();
    let mut trial = Trial::new(&gateway, "caches");
    trial.allowed(trial.get("/inside/x", INSIDE));
    let outside = trial.get("/inside/timed", "X-Forwarded-For: 8.8.8.8\r\n");
    trial.denied(outside, "alice");
    let alice = gateway.as_user("alice");
    let mut said = |path: &str, lines: &str| {
        let request = trial.get(path, lines);
        trial.served(&request).1.values("cache-control")
    };
    for lines in [INSIDE.to_owned(), format!("{INSIDE}{alice}")] {
        assert_eq!(said("/inside/x", &lines), ["private, no-cache"]);
        assert_eq!(said("/inside/timed", &lines), ["max-age=3600", "private"]);
    }
    assert_eq!(said("/public/x", INSIDE), [""; 0]);
    assert_eq!(said("/public/timed", INSIDE), ["max-age=3600"]);
}

/// Each of these was heeded before the `private` that was added, and the answer for one user given to the next.
#[test]
fn what_caches_heed_first_does_not_share_answers_for_one_user() {
    let gateway = gateway();
    let mut trial = Trial::new(&gateway, "caches");
    let alice = gateway.as_user("alice");
    trial.allowed(trial.get("/app/x", &alice));
    trial.denied(trial.get("/app/heeded", ""), "");
    let mut ask = |path: &str, lines: &str| {
        let request = trial.get(path, lines);
        trial.served(&request).1
    };
    let names = || HEEDED.lines().filter_map(|line| line.split(':').next());
    for (path, lines) in [("/app/heeded", &*alice), ("/inside/heeded", INSIDE)] {
        let answer = ask(path, lines);
        assert_eq!(answer.values("cache-control"), ["private, no-cache"]);
        for name in names() {
            assert_eq!(answer.values(name), [""; 0], "{name} of {path}");
        }
    }
    for (path, lines) in [("/public/heeded", ""), ("/app/public", &alice)] {
        let answer = ask(path, lines);
        for name in names() {
            assert_eq!(answer.values(name).len(), 1, "{name} of {path}");
        }
    }
}
