//! Tokens at the rules of the file: which rules take them, what becomes of them, what is asked for (H-14, H-15).

use crate::accounts::{Pair, bearer, cookie_line, open, tokens};
use crate::harness::{Gateway, Response, Trial};
use crate::sessions::IDENTITY;

const RULES: &str = "
  - { path: /public/**, allow: anyone }
  - { path: /greeting/**, auth: [session, jwt], allow: anyone }
  - { path: /program/**, auth: [jwt], allow: signed_in }
  - { path: /both/**, auth: [session, jwt], allow: signed_in }
  - { path: /boss/**, auth: [jwt], allow: { role: admin } }
  - { path: /app/**, auth: [jwt], allow: { role: admin }, mode: report }
  - { path: /app/**, allow: signed_in }
";

const NONSENSE: &str = "Authorization: Bearer of-good-news\r\n";
const PAGE: &str = "Sec-Fetch-Mode: navigate\r\nAccept: text/html\r\n";

fn gateway() -> Gateway {
    open("").rules(RULES).start()
}

/// A trial whose twin is alice with her token at a rule that takes it, and the token.
fn with_twin<'a>(gateway: &'a Gateway, id: &str) -> (Trial<'a>, Pair) {
    let pair = tokens(gateway, "alice");
    let mut trial = Trial::new(gateway, id);
    trial.allowed(trial.get("/program/x", &pair.line()));
    (trial, pair)
}

fn challenge(answer: &Response) -> String {
    answer.values("www-authenticate").join("; ")
}

#[test]
fn h_14_two_credentials_of_two_users() {
    let gateway = gateway();
    let (mut trial, alice) = with_twin(&gateway, "H-14");
    let root = cookie_line(&gateway.login("root"));
    for path in ["/both/x", "/greeting/x"] {
        let both = format!("{}{root}", alice.line());
        let answer = trial.refused(trial.get(path, &both)).answer.unwrap();
        assert_eq!(
            (answer.status, &*answer.json()["code"].to_string()),
            (400, "\"TWO_IDENTITIES\"")
        );
    }
    let me = format!(
        "GET /auth/me HTTP/1.1\r\nHost: localhost\r\n{}{root}\r\n",
        alice.line()
    );
    assert_eq!(gateway.ask(me).status, 400);
    // Of one user they may come together, and the rule that does not take one of them does not look at it.
    let own = cookie_line(&gateway.login("alice"));
    let seen = trial
        .served(&trial.get("/both/x", &format!("{}{own}", alice.line())))
        .0;
    assert_eq!(seen.values("X-Auth-Method"), ["jwt"]);
    let seen = trial
        .served(&trial.get("/program/x", &format!("{}{root}", alice.line())))
        .0;
    assert_eq!(seen.values("X-Auth-User"), ["alice"]);
    let seen = trial
        .served(&trial.get("/app/x", &format!("{}{root}", alice.line())))
        .0;
    assert_eq!(seen.values("X-Auth-User"), ["root"]);
    assert_eq!(seen.values("Authorization"), [""; 0]);
}

#[test]
fn h_14_a_bad_token_falls_through_to_nothing() {
    let gateway = gateway();
    let (mut trial, _) = with_twin(&gateway, "H-14-bad");
    let own = cookie_line(&gateway.login("alice"));
    for path in ["/program/x", "/both/x", "/greeting/x", "/boss/x"] {
        for rest in ["", &own, PAGE] {
            let lines = format!("{NONSENSE}{rest}");
            let answer = trial.refused(trial.get(path, &lines)).answer.unwrap();
            assert_eq!(answer.status, 401, "{path} {rest}");
            assert_eq!(
                challenge(&answer),
                "Bearer realm=\"portcullis\", error=\"invalid_token\""
            );
        }
    }
    // The twins: the cookie alone, and nobody where anybody may come.
    trial.served(&trial.get("/both/x", &own));
    trial.served(&trial.get("/greeting/x", ""));
    // What is no token of ours at all is for the service.
    for path in ["/greeting/x", "/public/x"] {
        let seen = trial
            .served(&trial.get(path, "Authorization: Basic YTpi\r\n"))
            .0;
        assert_eq!(seen.values("Authorization"), ["Basic YTpi"]);
    }
}

#[test]
fn h_14_h_15_a_rule_that_takes_no_tokens_leaves_those_of_others_alone() {
    let gateway = gateway();
    let (mut trial, alice) = with_twin(&gateway, "H-14-other");
    let own = cookie_line(&gateway.login("alice"));
    for (path, lines) in [("/public/x", ""), ("/app/x", &*own)] {
        // One of ours that is none any more, by a letter, does no harm.
        let spoiled = alice.line().replace("\r\n", "x\r\n");
        for (line, goes_on) in [
            (NONSENSE, true),
            ("Authorization: bearer x\r\n", true),
            (&*spoiled, true),
            (&*alice.line(), false),
        ] {
            let seen = trial.served(&trial.get(path, &format!("{line}{lines}"))).0;
            let sent = line.trim_end().split_once(": ").unwrap().1;
            let sent = goes_on.then_some(sent);
            assert_eq!(seen.values("Authorization"), sent.as_slice(), "{path}");
            assert!(!seen.mentions(&alice.access) || goes_on, "{path}");
            let user: &[&str] = if lines.is_empty() { &[] } else { &["alice"] };
            assert_eq!(seen.values("X-Auth-User"), user, "{path}");
        }
    }
    // In whatever way it is written, and the other one as well; what stands beside it is the service's.
    let (access, refresh) = (&alice.access, &alice.refresh);
    for (lines, kept) in [
        (format!("Authorization: Bearer  {access}\r\n"), None),
        (format!("Authorization: Bearer\t{access}\r\n"), None),
        (format!("Authorization: Bearer {access},\r\n"), None),
        (format!("Authorization: Token token=\"{access}\"\r\n"), None),
        (format!("Authorization: bearer {refresh}\r\n"), None),
        (
            format!("{}Authorization: Basic YTpi\r\n", alice.line()),
            Some("Basic YTpi"),
        ),
    ] {
        let seen = trial.served(&trial.get("/public/x", &lines)).0;
        assert_eq!(seen.values("Authorization"), kept.as_slice(), "{lines}");
        let told = seen.mentions(access) || seen.mentions(refresh);
        assert!(!told, "{lines}");
    }
    // A token opens nothing there, also where a rule that only reports would take it.
    let answer = trial.denied(trial.get("/app/x", &alice.line()), "");
    assert_eq!(challenge(&answer), "Session realm=\"portcullis\"");
}

#[test]
fn h_15_a_token_is_spent_at_the_gate() {
    let gateway = gateway();
    let (mut trial, alice) = with_twin(&gateway, "H-15");
    for path in ["/program/x", "/both/x", "/greeting/x"] {
        let spoofed = format!(
            "{}X-Auth-User: root\r\nX-Auth-Method: session\r\n",
            alice.line()
        );
        let seen = trial.served(&trial.get(path, &spoofed)).0;
        assert_eq!(seen.values("Authorization"), [""; 0], "{path}");
        assert!(!seen.mentions(&alice.access), "{path}");
        assert_eq!(seen.values("X-Auth-User"), ["alice"]);
        assert_eq!(seen.values("X-Auth-Email"), ["alice@example.test"]);
        assert_eq!(seen.values("X-Auth-Method"), ["jwt"]);
        assert_eq!(seen.values("X-Auth-Roles"), ["user"]);
    }
    let seen = trial.served(&trial.get("/greeting/x", "")).0;
    for name in IDENTITY {
        assert_eq!(seen.values(name), [""; 0]);
    }
    // Rights are those of the user.
    trial.denied(trial.get("/boss/x", &alice.line()), "alice");
    trial.served(&trial.get("/boss/x", &tokens(&gateway, "root").line()));
}

#[test]
fn a_rule_asks_for_what_it_takes() {
    let gateway = gateway();
    let (mut trial, _) = with_twin(&gateway, "H-14-ask");
    let (session, token) = (
        "Session realm=\"portcullis\"",
        "Bearer realm=\"portcullis\"",
    );
    for (path, asked) in [
        ("/app/x", session.to_owned()),
        ("/program/x", token.to_owned()),
        ("/both/x", format!("{token}; {session}")),
    ] {
        let answer = trial.denied(trial.get(path, ""), "");
        assert_eq!((answer.status, challenge(&answer)), (401, asked), "{path}");
    }
    // Whoever looks at it is led to the login page, but not where a session opens nothing: they would be led
    // there again and again.
    for (path, status) in [("/app/x", 303), ("/both/x", 303), ("/program/x", 401)] {
        let answer = trial.denied(trial.get(path, PAGE), "");
        assert_eq!(answer.status, status, "{path}");
    }
    trial.denied(
        trial.get("/program/x", &cookie_line(&gateway.login("alice"))),
        "",
    );
}

#[test]
fn a_reporting_rule_sees_the_token_and_decides_nothing() {
    let gateway = gateway();
    let (mut trial, _) = with_twin(&gateway, "H-14-report");
    let own = cookie_line(&gateway.login("root"));
    let root = tokens(&gateway, "root");
    let would = |verdict: &str| {
        let labels = [("would", verdict)];
        gateway
            .metrics()
            .sum("portcullis_report_only_total", &labels)
    };
    let before = (would("allow"), would("login"));
    trial.served(&trial.get("/app/x", &format!("{own}{}", root.line())));
    trial.served(&trial.get("/app/x", &format!("{own}{}", bearer("of-the-service"))));
    let after = (would("allow"), would("login"));
    assert!(
        (after.0 - before.0 - 1.0).abs() < 0.1,
        "{before:?} {after:?}"
    );
    assert!(
        (after.1 - before.1 - 1.0).abs() < 0.1,
        "{before:?} {after:?}"
    );
}

/// Behind a slash may be a name: what the rule for that takes for a proof is looked at, too.
#[test]
fn p_11_what_proves_enough_for_both_rules_is_looked_at() {
    let rules = "
  - { path: /k/*, auth: [jwt], allow: { role: admin } }
  - { path: /k, allow: anyone }
  - { path: /m/*, auth: [session, jwt], allow: signed_in }
  - { path: /m, allow: signed_in }
  - { path: /**, auth: [jwt], allow: signed_in }
";
    let gateway = open("").rules(rules).start();
    let (mut trial, alice) = with_twin(&gateway, "P-11");
    let root = tokens(&gateway, "root").line();
    for (path, line, who) in [
        ("/k", "", &[][..]),
        ("/k/x", &root, &["root"]),
        ("/k/", &root, &["root"]),
    ] {
        let seen = trial.served(&trial.get(path, line)).0;
        assert_eq!(seen.values("X-Auth-User"), who, "{path}");
    }
    // Of two proofs, the one that both take.
    let cookie = cookie_line(&gateway.login("alice"));
    let both = format!("{}{cookie}", alice.line());
    let seen = trial.served(&trial.get("/m/", &both)).0;
    assert_eq!(seen.values("X-Auth-Method"), ["session"]);
    for (line, status) in [(alice.line(), 403), (String::new(), 401)] {
        let answer = trial.refused(trial.get("/k/", &line)).answer.unwrap();
        assert_eq!(answer.status, status);
    }
}
