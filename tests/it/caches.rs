//! What caches between us and many are told of answers that are not for everybody.

use crate::harness::{Gateway, Recorder, Reply, Setup, Trial};

const RULES: &str = "
  - { path: /inside/**, allow: anyone, from: [10.0.0.0/8] }
  - { path: /app/**, allow: signed_in }
  - { path: /public/**, allow: anyone }
";

const INSIDE: &str = "X-Forwarded-For: 10.0.0.1\r\n";

/// A gateway before a service that says for how long, and behind a proxy that is trusted.
fn gateway() -> Gateway {
    let recorder = Recorder::start();
    recorder.answer(|request| {
        let said = match request.path().rsplit('/').next() {
            Some("timed") => "Cache-Control: max-age=3600\r\n",
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
        assert_eq!(said("/inside/x", &lines), ["private"]);
        assert_eq!(said("/inside/timed", &lines), ["max-age=3600", "private"]);
    }
    assert_eq!(said("/public/x", INSIDE), [""; 0]);
    assert_eq!(said("/public/timed", INSIDE), ["max-age=3600"]);
}
