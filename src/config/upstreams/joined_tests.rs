//! What is said of settings that have no effect: alone, or under the rules that lead to their upstream.

use std::path::Path;

use crate::config::Config;

/// What is said of a file: `path: message`, warnings with `?`.
fn said(text: &str) -> Vec<String> {
    let (faults, warnings) = match Config::from_text(text, Path::new("/nonexistent"), &|_| None) {
        Ok(config) => (Vec::new(), config.warnings),
        Err(report) => (report.faults, report.warnings),
    };
    let faults = faults.iter().map(|fault| ("", fault));
    let all = faults.chain(warnings.iter().map(|warning| ("?", warning)));
    all.map(|(mark, fault)| format!("{mark}{}: {fault}", fault.path))
        .collect()
}

fn of(web: &str, rules: &str) -> Vec<String> {
    said(&format!(
        "upstreams: {{ web: {{ {web} }} }}\ndefaults: {{ to: web }}\nrules:\n{rules}\n"
    ))
}

const OPEN: &str = "  - { path: /**, allow: anyone }";

#[test]
fn g_05_servers_that_are_this_gateway_or_one_another() {
    let round = "is where this gateway listens: requests would go round for ever";
    for (to, expected) in [
        ("http://0.0.0.0:8080", Some(round)),
        ("http://[::]:8080", Some(round)),
        ("http://[::ffff:127.0.0.1]:8080", Some(round)),
        ("http://[::ffff:0.0.0.0]:8080", Some(round)),
        ("http://127.9.9.9:8080", Some(round)),
        ("http://localhost:8080", Some(round)),
        ("http://0.0.0.0:8081", None),
        ("http://[::ffff:10.0.0.1]:8080", None),
        ("http://10.0.0.1:8080", None),
    ] {
        let expected = expected.map(|said| format!("upstreams.web.to: {said}: '{to}'"));
        assert_eq!(
            of(&format!("to: '{to}'"), OPEN),
            Vec::from_iter(expected),
            "{to}"
        );
    }
    for (to, expected) in [
        ("http://a, http://b", None),
        ("http://a, https://a", None),
        ("http://a, http://a:81", None),
        (
            "http://a, http://A:80",
            Some("upstreams.web.to[1]: is there twice: 'http://A:80'"),
        ),
        (
            "unix:/run/a.sock, http://a, unix:/run/a.sock",
            Some("upstreams.web.to[2]: is there twice: 'unix:/run/a.sock'"),
        ),
        (
            "http://a, h2c://b",
            Some(
                "?upstreams.web.to: no WebSocket opens here, since one of the servers speaks HTTP/2 only",
            ),
        ),
        ("h2c://a, h2c+unix:/run/b.sock", None),
    ] {
        let items: Vec<String> = to.split(", ").map(|one| format!("'{one}'")).collect();
        let said = of(&format!("to: [{}]", items.join(", ")), OPEN);
        assert_eq!(said, Vec::from_iter(expected), "{to}");
    }
}

#[test]
fn g_05_whom_to_believe_means_nothing_where_anybody_is_believed() {
    let tls = |more: &str| {
        of(
            &format!("to: https://web, tls: {{ ca: missing.pem{more} }}"),
            OPEN,
        )
    };
    let missing =
        "upstreams.web.tls.ca: cannot read /nonexistent/missing.pem: no such file or directory";
    let useless = "upstreams.web.tls.ca: means nothing where every certificate is accepted";
    assert_eq!(tls(""), [missing]);
    assert_eq!(tls(", insecure_accept_any_certificate: false"), [missing]);
    let both = tls(", insecure_accept_any_certificate: true");
    assert_eq!(both[..2], [useless, missing]);
}

#[test]
fn the_built_in_page_has_no_use_for_what_is_said_of_servers() {
    assert_eq!(of("to: builtin:echo", OPEN), [""; 0]);
    assert_eq!(
        of(
            "to: builtin:echo, health: /x, timeout: 5s, headers: { response: { X-A: b } }",
            OPEN
        ),
        ["?upstreams.web: builtin:echo has no use for health, timeout, headers.response"]
    );
    // It shows them.
    let asked = "to: builtin:echo, strip: /app, headers: { request: { X-A: b } }";
    assert_eq!(of(asked, "  - { path: /app/**, allow: anyone }"), [""; 0]);
}

#[test]
fn origins_mean_something_where_browsers_prove_who_asks() {
    let rule = |auth: &str| {
        format!("  - {{ path: /**, allow: signed_in, {auth}origins: ['https://a.test'] }}")
    };
    assert_eq!(of("to: http://web", &rule("")), [""; 0]);
    assert_eq!(
        of("to: http://web", &rule("auth: [jwt, session], ")),
        [""; 0]
    );
    assert_eq!(
        of("to: http://web", &rule("auth: [jwt], ")),
        [
            "?rules[0].origins: means nothing here: no page of another origin is kept out where neither a session nor a certificate counts"
        ]
    );
}

#[test]
fn h_17_headers_of_an_upstream_are_held_against_its_rules() {
    let web = |said: &str| format!("to: http://web, headers: {{ response: {{ {said} }} }}");
    let cors = "  - { path: /api/**, allow: anyone, cors: { origins: ['https://a.test'] } }";
    let both = format!("{cors}\n{OPEN}");
    let origin = "upstreams.web.headers.response.Access-Control-Allow-Origin: \
                  Access-Control-Allow-Origin is said by cors in /api/** (line 4)";
    let shared = "?upstreams.web.headers.response.Cache-Control: \
                  lets caches give the answer for one user to another";
    let closed = "  - { path: /**, allow: signed_in }";
    let inside = "  - { path: /**, allow: anyone, from: [10.0.0.0/8] }";
    let own =
        "  - { path: /**, allow: signed_in, headers: { response: { cache-control: no-store } } }";
    let cases = [
        (
            "Access-Control-Allow-Origin: '*'",
            cors,
            vec![origin.to_owned()],
        ),
        (
            "Access-Control-Allow-Origin: '*'",
            &both,
            vec![format!("?{origin}")],
        ),
        ("Access-Control-Allow-Origin: '*'", OPEN, vec![]),
        ("Access-Control-Allow-Origin: false", cors, vec![]),
        ("X-Frame-Options: DENY", cors, vec![]),
        (
            "Cache-Control: public",
            closed,
            vec![format!("{shared}: 'public'")],
        ),
        (
            "Cache-Control: public",
            inside,
            vec![format!("{shared}: 'public'")],
        ),
        (
            "Cache-Control: public",
            "  - { path: /b, allow: nobody }\n  - { path: /a, allow: signed_in, mode: report }\n  - { path: /**, allow: anyone }",
            vec![],
        ),
        (
            "X-Accel-Expires: '60', Edge-Control: cache-maxage=60m",
            closed,
            vec![
                format!(
                    "{}: '60'",
                    shared.replace("Cache-Control", "X-Accel-Expires")
                ),
                format!(
                    "{}: 'cache-maxage=60m'",
                    shared.replace("Cache-Control", "Edge-Control")
                ),
            ],
        ),
        (
            "X-Accel-Expires: '60', CDN-Cache-Control: public",
            OPEN,
            vec![],
        ),
        ("Cache-Control: private", closed, vec![]),
        ("Cache-Control: false", closed, vec![]),
        ("Cache-Control: public", OPEN, vec![]),
        ("Cache-Control: public", own, vec![]),
    ];
    for (header, rules, expected) in cases {
        assert_eq!(of(&web(header), rules), expected, "{header} under {rules}");
    }
}
