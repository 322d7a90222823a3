//! Pages of other origins: preflights are answered at the gate, answers say who may see them (M-04); and answers for
//! one user are not another's.

use crate::harness::{Gateway, Recorder, Reply, Response, Setup};

const APP: &str = "https://app.test";

const RULES: &str = "
  - { path: /open/**, allow: anyone, cors: { origins: '*' } }
  - { path: /api/**, methods: [GET, PUT], allow: signed_in, auth: [session, jwt], cors: { origins: [https://app.test], credentials: true, headers: [content-type, authorization], expose: [x-total], max_age: 10m } }
  - { path: /token/**, allow: signed_in, auth: [session, jwt], cors: { origins: [https://app.test] } }
  - { path: /page/**, allow: signed_in, cors: { origins: [https://app.test] } }
  - { path: /**, allow: signed_in }
";

fn gateway() -> Gateway {
    let recorder = Recorder::start();
    recorder.answer(|request| match request.path().as_str() {
        "/api/own" => Reply::raw(
            "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n\
             Cache-Control: public, max-age=60\r\nVary: Accept\r\nContent-Length: 2\r\n\r\nok",
        ),
        path if path.ends_with("/timed") => {
            Reply::raw("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok")
        }
        _ => Reply::ok("quick"),
    });
    Setup::before(recorder).rules(RULES).start()
}

fn ask(gateway: &Gateway, method: &str, path: &str, lines: &str) -> Response {
    gateway.ask(format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"
    ))
}

fn preflight(gateway: &Gateway, path: &str, origin: &str, method: &str) -> Response {
    let lines = format!("Origin: {origin}\r\nAccess-Control-Request-Method: {method}\r\n");
    ask(gateway, "OPTIONS", path, &lines)
}

fn allowed(answer: &Response) -> Option<String> {
    answer.header("access-control-allow-origin")
}

#[test]
fn m_04_preflights_are_answered_at_the_gate() {
    let gateway = gateway();
    for method in ["GET", "PUT"] {
        let answer = preflight(&gateway, "/api/x", APP, method);
        assert_eq!(answer.status, 204, "{}", answer.text());
        assert_eq!(allowed(&answer).as_deref(), Some(APP));
        for (name, value) in [
            ("access-control-allow-methods", method),
            ("access-control-allow-credentials", "true"),
            (
                "access-control-allow-headers",
                "content-type, authorization",
            ),
            ("access-control-max-age", "600"),
            ("vary", "origin"),
        ] {
            assert_eq!(answer.header(name).as_deref(), Some(value), "{name}");
        }
    }
    // By the rule for the method that is asked for, of which there is none that says anything of other origins.
    let answer = preflight(&gateway, "/api/x", APP, "DELETE");
    assert_eq!((answer.status, allowed(&answer)), (401, None));
    for origin in [
        "https://evil.test",
        "null",
        "https://app.test.evil.test",
        "http://app.test",
        "https://APP.test",
    ] {
        let answer = preflight(&gateway, "/api/x", origin, "GET");
        assert_eq!((answer.status, allowed(&answer)), (403, None), "{origin}");
    }
    let answer = preflight(&gateway, "/open/x", "https://anybody.test", "GET");
    assert_eq!(
        (answer.status, allowed(&answer).as_deref()),
        (204, Some("*"))
    );
    // A session changes nothing about it, and nothing is ever forwarded.
    let alice = gateway.as_user("alice");
    let lines =
        format!("Origin: https://evil.test\r\nAccess-Control-Request-Method: GET\r\n{alice}");
    assert_eq!(ask(&gateway, "OPTIONS", "/api/x", &lines).status, 403);
    assert_eq!(gateway.recorder().count(), 0);
    // Whose page would it be?
    let both = format!(
        "Origin: {APP}\r\nOrigin: https://evil.test\r\nAccess-Control-Request-Method: GET\r\n"
    );
    let answer = ask(&gateway, "OPTIONS", "/api/x", &both);
    assert_eq!((answer.status, allowed(&answer)), (401, None));
    assert_eq!(gateway.recorder().count(), 0);
    // The twin: any other OPTIONS is a request like any other, and is judged.
    assert_eq!(ask(&gateway, "OPTIONS", "/elsewhere", &alice).status, 200);
    assert_eq!(gateway.recorder().count(), 1);
    assert_eq!(ask(&gateway, "OPTIONS", "/elsewhere", "").status, 401);
    assert_eq!(preflight(&gateway, "/elsewhere", APP, "GET").status, 401);
    assert_eq!(gateway.recorder().count(), 1);
}

#[test]
fn m_04_answers_say_who_may_see_them() {
    let gateway = gateway();
    let alice = gateway.as_user("alice");
    let from = |origin: &str| format!("Origin: {origin}\r\n{alice}");
    let answer = ask(&gateway, "GET", "/api/x", &from(APP));
    assert_eq!(
        (answer.status, allowed(&answer).as_deref()),
        (200, Some(APP))
    );
    assert_eq!(
        answer.header("access-control-expose-headers").as_deref(),
        Some("x-total")
    );
    // Refusals too, or a page could not tell that it must log in.
    let refused = ask(&gateway, "GET", "/api/x", &format!("Origin: {APP}\r\n"));
    assert_eq!(
        (refused.status, allowed(&refused).as_deref()),
        (401, Some(APP))
    );
    for lines in [from("https://evil.test"), alice.clone()] {
        let answer = ask(&gateway, "GET", "/api/x", &lines);
        assert_eq!((answer.status, allowed(&answer)), (200, None));
        assert_eq!(answer.values("vary"), ["origin"]);
    }
    // What the rule says, the service does not.
    let answer = ask(&gateway, "GET", "/api/own", &from("https://evil.test"));
    assert_eq!((answer.status, allowed(&answer)), (200, None));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    assert_eq!(answer.values("vary"), ["Accept", "origin"]);
}

/// Where tokens are taken, the header that they are sent in need not be named.
#[test]
fn m_04_pages_may_send_what_the_rule_takes() {
    let gateway = gateway();
    for (path, headers) in [
        ("/token/x", "content-type, authorization"),
        ("/page/x", "content-type"),
    ] {
        let answer = preflight(&gateway, path, APP, "GET");
        let named = answer.header("access-control-allow-headers");
        assert_eq!(named.as_deref(), Some(headers), "{path}");
    }
}

/// A page that is to ask for a new token must see that the old one is no good.
#[test]
fn m_04_a_token_that_is_no_good_is_told_to_the_page() {
    let gateway = gateway();
    for token in ["expired", "a.b.c", ""] {
        let lines = format!("Origin: {APP}\r\nAuthorization: Bearer {token}\r\n");
        let answer = ask(&gateway, "GET", "/api/x", &lines);
        assert_eq!(answer.status, 401);
        assert_eq!(allowed(&answer).as_deref(), Some(APP), "{token}");
        let evil = lines.replace(APP, "https://evil.test");
        let answer = ask(&gateway, "GET", "/api/x", &evil);
        assert_eq!((answer.status, allowed(&answer)), (401, None), "{token}");
    }
}

#[test]
fn answers_for_one_user_are_not_kept_for_others() {
    let gateway = gateway();
    let alice = gateway.as_user("alice");
    let cache = |path: &str, lines: &str| ask(&gateway, "GET", path, lines).header("cache-control");
    assert_eq!(
        cache("/api/x", &alice).as_deref(),
        Some("private, no-cache")
    );
    assert_eq!(
        cache("/api/own", &alice).as_deref(),
        Some("public, max-age=60")
    );
    assert_eq!(cache("/open/x", ""), None);
    // Of services that know of time alone, and of no users.
    assert_eq!(
        ask(&gateway, "GET", "/api/timed", &alice).values("cache-control"),
        ["max-age=60", "private"]
    );
    for lines in ["", &alice] {
        assert_eq!(cache("/open/timed", lines).as_deref(), Some("max-age=60"));
    }
}

/// Behind a slash may be a name: of what one of its two rules gives alone, nothing is given.
#[test]
fn p_11_what_only_one_of_two_rules_gives_is_not_given() {
    let cors = "cors: { origins: [https://app.test], credentials: true }";
    let rules = format!(
        "
  - {{ path: /same/*, allow: anyone, {cors} }}
  - {{ path: /same, allow: anyone, {cors} }}
  - {{ path: /p/*, allow: anyone, from: [127.0.0.1] }}
  - {{ path: /p, allow: anyone, {cors} }}
  - {{ path: /h/*, allow: anyone, headers: {{ response: {{ X-Frame-Options: DENY }} }} }}
  - {{ path: /h, allow: anyone, headers: {{ response: {{ Cache-Control: public, X-Frame-Options: false }} }} }}
"
    );
    let recorder = Recorder::start();
    recorder.answer(|_| Reply::ok("quick"));
    let gateway = Setup::before(recorder).rules(&rules).start();
    let origin = format!("Origin: {APP}\r\n");
    for (path, admits, private) in [
        ("/same/", true, false),
        ("/p", true, false),
        ("/p/", false, true),
        ("/p/x", false, true),
    ] {
        let answer = ask(&gateway, "GET", path, &origin);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(allowed(&answer).is_some(), admits, "{path}");
        let kept = answer.values("cache-control").join(", ");
        assert_eq!(kept.contains("private"), private, "{path}: {kept}");
        let asked = preflight(&gateway, path, APP, "GET");
        assert_eq!(allowed(&asked).is_some(), admits, "{path}");
    }
    for (path, caches, frames) in [
        ("/h", "public", None),
        ("/h/", "no-store", Some("DENY".to_owned())),
    ] {
        let answer = ask(&gateway, "GET", path, "");
        assert_eq!(answer.header("cache-control").as_deref(), Some(caches));
        assert_eq!(answer.header("x-frame-options"), frames, "{path}");
    }
}
