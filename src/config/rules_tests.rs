//! Rules alone, and rules beside each other.

use std::path::Path;

use super::super::Config;

fn said(rules: &str) -> Vec<String> {
    let text = format!("upstreams: {{ web: {{ to: http://web }} }}\nrules:\n{rules}\n");
    let (faults, warnings) = match Config::from_text(&text, Path::new("/nonexistent"), &|_| None) {
        Ok(config) => (Vec::new(), config.warnings),
        Err(report) => (report.faults, report.warnings),
    };
    let all = faults
        .iter()
        .map(|fault| ("", fault))
        .chain(warnings.iter().map(|warning| ("?", warning)));
    all.map(|(mark, fault)| format!("{mark}{} {}: {fault}", fault.line, fault.path))
        .collect()
}

fn labels(rules: &str) -> Vec<String> {
    let text = format!(
        "upstreams: {{ web: {{ to: http://web }} }}\ndefaults: {{ to: web }}\nrules:\n{rules}\n"
    );
    let config = Config::from_text(&text, Path::new("/nonexistent"), &|_| None)
        .unwrap_or_else(|report| panic!("{report}"));
    config
        .rules
        .iter()
        .map(|rule| rule.label.to_string())
        .collect()
}

#[test]
fn g_05_origins_are_named_as_browsers_name_them() {
    let said = said(
        "  - { path: /a, allow: anyone, to: web, cors: { origins: '*', credentials: true } }
  - { path: /b, allow: anyone, to: web, cors: { origins: [https://app.test/, null, app.test, 'https://APP.test:443', ftp://x, '*'] } }
  - { path: /c, allow: anyone, to: web, cors: { origins: [], headers: ['a b'], max_age: 2d } }
  - { path: /d, allow: anyone, to: web, cors: { origns: [https://app.test] } }
  - { path: /e, allow: anyone, to: web, cors: { origins: ['https://*.test'], headers: ['*'], expose: ['*'], credentials: true } }",
    );
    insta::assert_snapshot!(said.join("\n"), @r"
    3 rules[0].cors.origins: every origin, with credentials: '*'
    4 rules[1].cors.origins[0]: not an origin: 'https://app.test/'
    4 rules[1].cors.origins[1]: expected text, found nothing
    4 rules[1].cors.origins[2]: not an origin: 'app.test'
    4 rules[1].cors.origins[3]: not an origin: 'https://APP.test:443'
    4 rules[1].cors.origins[4]: not an origin: 'ftp://x'
    4 rules[1].cors.origins[5]: not an origin: '*'
    5 rules[2].cors.origins: an empty list allows nobody
    5 rules[2].cors.headers[0]: not a header name: 'a b'
    5 rules[2].cors.max_age: must be from 0s to 1day: '2d'
    6 rules[3].cors: unknown key: 'origns'
    6 rules[3].cors: 'origins' is missing
    7 rules[4].cors.origins[0]: not an origin: 'https://*.test'
    7 rules[4].cors.headers[0]: every header, with credentials: '*'
    7 rules[4].cors.expose[0]: every header, with credentials: '*'
    ");
}

#[test]
fn h_17_a_rule_does_not_speak_for_the_gateway() {
    let said = said(
        "  - { path: /a, allow: anyone, to: web, headers: { response: { Set-Cookie: a=b, X-Auth-User: root, X-Request-Id: '1', Date: x } } }
  - { path: /b, allow: anyone, to: web, headers: { response: { Content-Length: '5', Transfer-Encoding: chunked, Content-Encoding: br } } }
  - { path: /c, allow: anyone, to: web, headers: { request: { X-A: b }, response: { X-B: [c], X-C: '' } } }
  - { path: /d, allow: anyone, to: web, headers: { response: { X-Frame-Options: DENY, Server: false } } }",
    );
    insta::assert_snapshot!(said.join("\n"), @"
    3 rules[0].headers.response.Set-Cookie: set-cookie cannot be set here
    3 rules[0].headers.response.X-Auth-User: x-auth-user is the gateway's to set
    3 rules[0].headers.response.X-Request-Id: x-request-id is the gateway's to set
    3 rules[0].headers.response.Date: date cannot be set here
    4 rules[1].headers.response.Content-Length: content-length holds for one connection only
    4 rules[1].headers.response.Transfer-Encoding: transfer-encoding holds for one connection only
    4 rules[1].headers.response.Content-Encoding: content-encoding cannot be set here
    5 rules[2].headers: unknown key: 'request'
    5 rules[2].headers.response.X-B: is not text
    5 rules[2].headers.response.X-C: not the value of a header
    ");
}

#[test]
fn h_17_answers_say_nothing_that_is_said_elsewhere_or_too_much() {
    let rule = |allow: &str, more: &str, response: &str| {
        format!(
            "  - {{ path: /a, to: web, allow: {allow}, {more}headers: {{ response: {{ {response} }} }} }}"
        )
    };
    let cors = "cors: { origins: ['https://other.test'] }, ";
    let at = "3 rules[0].headers.response";
    for (allow, more, response, expected) in [
        (
            "anyone",
            "",
            "Strict-Transport-Security: max-age=0",
            format!(
                "{at}.Strict-Transport-Security: strict-transport-security is the gateway's to set"
            ),
        ),
        (
            "anyone",
            "",
            "alt-svc: clear",
            format!("{at}.alt-svc: alt-svc is the gateway's to set"),
        ),
        (
            "anyone",
            cors,
            "Access-Control-Allow-Origin: '*'",
            format!(
                "{at}.Access-Control-Allow-Origin: Access-Control-Allow-Origin is said by cors in this rule"
            ),
        ),
        (
            "anyone",
            "",
            "Access-Control-Allow-Origin: '*'",
            String::new(),
        ),
    ] {
        assert_eq!(said(&rule(allow, more, response)).join("\n"), expected);
    }
}

#[test]
fn h_17_answers_that_caches_share_are_warned_of() {
    const SIGNED_IN: &str = "allow: signed_in";
    let at = "?3 rules[0].headers.response";
    let shared = "lets caches give the answer for one user to another";
    let warned = |name: &str, value: &str| format!("{at}.{name}: {shared}: '{value}'");
    let heeded = [
        warned("X-Accel-Expires", "60"),
        warned("Surrogate-Control", "private"),
        warned("Cloudflare-CDN-Cache-Control", "public"),
    ];
    for (allow, response, expected) in [
        (
            SIGNED_IN,
            "Cache-Control: 'public, max-age=600'",
            warned("Cache-Control", "public, max-age=600"),
        ),
        (
            SIGNED_IN,
            "Cache-Control: 'max-age=600, private'",
            String::new(),
        ),
        (SIGNED_IN, "Cache-Control: No-Store", String::new()),
        (
            "allow: anyone",
            "Cache-Control: 'public, max-age=600'",
            String::new(),
        ),
        (
            "allow: anyone, from: [10.0.0.0/8]",
            "Cache-Control: public",
            warned("Cache-Control", "public"),
        ),
        (
            SIGNED_IN,
            "X-Accel-Expires: '60', Surrogate-Control: private, Cloudflare-CDN-Cache-Control: public",
            heeded.join("\n"),
        ),
        (
            SIGNED_IN,
            "X-Accel-Expires: '0', Surrogate-Control: no-store, CDN-Cache-Control: 'private, max-age=60', Edge-Control: false",
            String::new(),
        ),
    ] {
        let rule = format!(
            "  - {{ path: /a, to: web, {allow}, headers: {{ response: {{ {response} }} }} }}"
        );
        assert_eq!(said(&rule).join("\n"), expected, "{response}");
    }
}

#[test]
fn one_bad_rule_does_not_hide_the_next() {
    let said = said(
        "  - { path: admin, allow: anyone, to: web }
  - { path: /adm*, allow: anyone, to: web }
  - { path: /a/../b, allow: anyone, to: web }
  - { path: /auth/login, allow: anyone, to: web }
  - { path: /x, to: web }
  - { allow: anyone }
  - { path: /y, allow: anyone, to: wbe }
  - { path: /z, allow: admin, to: web, methods: [get, TRACE, FETCH], host: \"a b\", from: [], auth: [password], mode: dry, body: big, limit: 60/min, nme: x }
  - { path: /t, allow: signed_in, auth: [], to: web }
  - { path: /u, allow: [admin], to: web, name: \"\" }
  - nonsense
  - { path: 5, allow: true, to: [web] }
  - { path: /v, allow: anyone, to: web, host: \"*.10.0.0.1\" }",
    );
    insta::assert_snapshot!(said.join("\n"), @"
    3 rules[0].path: not a path pattern: 'admin'
    4 rules[1].path: not a path pattern: '/adm*'
    5 rules[2].path: not a path pattern: '/a/../b'
    6 rules[3].path: can never reach a service: the gateway's own pages are there: '/auth/login'
    7 rules[4]: 'allow' is missing
    8 rules[5]: 'path' is missing
    8 rules[5]: 'to' is missing, and there is no default
    9 rules[6].to: unknown upstream: 'wbe'
    10 rules[7]: not supported yet: 'limit'
    10 rules[7]: unknown key: 'nme'
    10 rules[7].allow: unknown condition: 'admin'
    10 rules[7].methods[0]: unknown method: 'get'
    10 rules[7].methods[1]: this method is never served: 'TRACE'
    10 rules[7].methods[2]: unknown method: 'FETCH'
    10 rules[7].host: not a host: 'a b'
    10 rules[7].mode: unknown mode: 'dry'
    10 rules[7].from: an empty list admits nobody
    10 rules[7].body: not a size: 'big'
    10 rules[7].auth[0]: unknown method: 'password'
    11 rules[8]: nobody can prove who they are, so nobody can pass
    12 rules[9].allow: expected a condition
    12 rules[9].name: a name has 1 to 80 characters: ''
    13 rules[10]: expected an object, found text: 'nonsense'
    14 rules[11].path: expected text, found a whole number: '5'
    14 rules[11].allow: expected a condition: 'true'
    14 rules[11].to: expected text, found a list
    15 rules[12].host: nothing is below an address: '*.10.0.0.1'
    ");
}

#[test]
fn conditions_say_what_is_wrong_with_them() {
    let said = said(
        "  - { path: /q, allow: { rol: admin, mfa: 15m, roles: [a, b], permission: orders, user: \"a@b\", verified: yes, any: [], not: nothing }, to: web }
  - { path: /r, allow: {}, to: web }
  - { path: /s, allow: { roles: { any: [a], all: [b] }, permissions: {} }, to: web }
  - { path: /t, allow: { any: [anyone, { rle: x }, { not: { any: signed_in } }] }, to: web }",
    );
    insta::assert_snapshot!(said.join("\n"), @"
    3 rules[0].allow: unknown key: 'rol'
    3 rules[0].allow: not supported yet: 'mfa'
    3 rules[0].allow.roles: says neither any nor all
    3 rules[0].allow.permission: not a permission: 'orders'
    3 rules[0].allow.user: not a username: 'a@b'
    3 rules[0].allow.verified: expected true or false, found text: 'yes'
    3 rules[0].allow.any: an empty list
    3 rules[0].allow.not: unknown condition: 'nothing'
    4 rules[1].allow: an empty condition
    5 rules[2].allow.roles: says both any and all
    5 rules[2].allow.permissions: says neither any nor all
    6 rules[3].allow.any[1]: unknown key: 'rle'
    6 rules[3].allow.any[2].not.any: expected a list, found text
    ");
}

#[test]
fn g_04_rules_in_each_others_way_are_named() {
    let said = said(
        "  - { path: /a/**, allow: anyone, to: web }
  - { path: /a/admin/**, allow: { role: admin }, to: web }
  - { path: /b/**, allow: anyone, to: web, methods: [GET] }
  - { path: /b/admin/**, allow: { role: ghost }, to: web }
  - { path: /c, allow: nobody, to: web }
  - { path: /c/, allow: anyone, to: web }
  - { path: /d, allow: nobody, to: web, name: one }
  - { path: /e, allow: nobody, name: one }
  - { path: /f, allow: { role: superuser }, to: web, host: other.example }",
    );
    insta::assert_snapshot!(said.join("\n"), @"
    4 rules[1]: can never match: /a/** (line 3) takes every request of /a/admin/** (line 4)
    8 rules[5]: can never match: /c (line 7) takes every request of /c/ (line 8)
    10 rules[7]: is called 'one', as the rule on line 9 is
    ?6 rules[3]: GET /b/** (line 5) asks for less and takes some requests of /b/admin/** (line 6)
    ?6 rules[3]: the role 'ghost' is not in this file
    ?11 rules[8].host: this host is served over plain http, as the main site is: 'other.example'
    ");
}

#[test]
fn g_04_no_rules_and_upstreams_without_rules() {
    let said = |text: &str| match Config::from_text(text, Path::new("/nonexistent"), &|_| None) {
        Ok(config) => config
            .warnings
            .iter()
            .map(|warning| format!("?{warning}"))
            .collect::<Vec<_>>(),
        Err(report) => report.faults.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(
        said("upstreams: { web: { to: http://web } }\n"),
        ["'rules' is missing"]
    );
    assert_eq!(said("rules:\n"), ["expected a list, found nothing"]);
    assert_eq!(
        said("rules: []\n"),
        ["?there are no rules, so every request is denied"]
    );
    let unused = "upstreams: { web: { to: http://web } }\nrules: [{ path: /x, allow: nobody }]\n";
    assert_eq!(said(unused), ["?no rule leads to this upstream"]);
    let folded = "upstreams: { web: { to: http://web, paths: { case: fold } } }\nrules: [{ path: /Admin/:Name, allow: signed_in, to: web }]\n";
    assert_eq!(
        said(folded),
        ["can never match: its upstream has case: fold, so paths are judged in lower case"]
    );
    // A sign that stands for itself has a segment behind it that does, too.
    let signed = folded.replace("/Admin/:Name", "/x/%3AName");
    assert_eq!(said(&signed), said(folded));
    for path in ["/straße/**", "/stra%C3%9Fe/**", "/o\u{fb03}ce"] {
        let two = folded.replace("/Admin/:Name", path);
        let one = two.replace(", paths: { case: fold }", "");
        assert_eq!((said(&two).len(), said(&one).len()), (1, 0), "{path}");
        assert!(said(&two)[0].contains("some services take"), "{path}");
    }
}

#[test]
fn labels_come_from_names_or_from_methods_host_and_path() {
    let labels = labels(
        "  - { path: /a/**, allow: anyone, mode: report }
  - { path: /a/**, allow: anyone, methods: [POST, GET] }
  - { path: /a/**, allow: anyone, host: \"*.app.localhost\" }
  - { path: /a/**, allow: signed_in, name: the rest of a }",
    );
    assert_eq!(
        labels,
        [
            "/a/** (report)",
            "GET,POST /a/**",
            "*.app.localhost/a/**",
            "the rest of a"
        ]
    );
}

#[test]
fn what_is_meant_is_what_was_written() {
    let text = "upstreams: { web: { to: http://web }, api: { to: http://api } }\ndefaults: { to: web, auth: [] }\nrules:
  - { path: /a, to: api, auth: [session], from: [10.0.0.0/8, 192.0.2.7], body: none, allow: { role: x, any: [{ user: Bob }, { verified: true }] } }
  - { path: /b, allow: anyone, body: 2KiB }\n";
    let rules = Config::from_text(text, Path::new("/nonexistent"), &|_| None)
        .unwrap()
        .rules;
    assert_eq!(
        rules[0].allow.to_string(),
        "all: [role: x, any: [user: bob, verified: true]]"
    );
    assert_eq!((&*rules[0].upstream, &*rules[1].upstream), ("api", "web"));
    assert_eq!((rules[0].auth.len(), rules[1].auth.len()), (1, 0));
    assert_eq!(
        (rules[0].body_limit, rules[1].body_limit),
        (Some(u64::MAX), Some(2048))
    );
    let from = rules[0].from.as_ref().unwrap();
    assert!(
        from.contains("192.0.2.7".parse().unwrap()) && !from.contains("192.0.2.8".parse().unwrap())
    );
    assert_eq!((rules[0].line, rules[1].line), (4, 5));
}

#[test]
fn paths_that_mean_something_else_than_they_look() {
    let paths = [
        "'/search?admin=1'",
        "'/a#b'",
        "'/admin '",
        "/AUTH/**",
        "/Auth",
        "'/users/{id}/private'",
        "'/x/[0-9]+'",
        "'/a%3Fb'",
    ];
    let rule = |path| format!("  - {{ path: {path}, allow: signed_in, to: web }}");
    insta::assert_snapshot!(said(&paths.map(rule).join("\n")).join("\n"), @"
    3 rules[0].path: not a path pattern: '/search?admin=1'
    4 rules[1].path: not a path pattern: '/a#b'
    5 rules[2].path: not a path pattern: '/admin '
    6 rules[3].path: can never reach a service: the gateway's own pages are there: '/AUTH/**'
    7 rules[4].path: can never reach a service: the gateway's own pages are there: '/Auth'
    ?8 rules[5].path: signs that mean something in other languages stand for themselves here: '/users/{id}/private'
    ?9 rules[6].path: signs that mean something in other languages stand for themselves here: '/x/[0-9]+'
    ");
}

#[test]
fn g_01_one_fault_of_a_rule_hides_no_other() {
    let said = said(
        "  - { pat: /**, allow: anyonee, to: wbe, headers: { respnse: { X-A: b } }, idle: 5, origins: [x], compress: [zip] }
  - { path: /b, to: web, allow: signd_in, headers: { response: { Cache-Control: public } } }",
    );
    insta::assert_snapshot!(said.join("\n"), @"
    3 rules[0]: unknown key: 'pat'
    3 rules[0]: 'path' is missing
    3 rules[0].allow: unknown condition: 'anyonee'
    3 rules[0].to: unknown upstream: 'wbe'
    3 rules[0].headers: unknown key: 'respnse'
    3 rules[0].idle: not a duration: '5'
    3 rules[0].origins[0]: not an origin: 'x'
    3 rules[0].compress[0]: unknown coding: 'zip'
    4 rules[1].allow: unknown condition: 'signd_in'
    ");
}
