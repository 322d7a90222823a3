//! P-27, H-17 and what upstreams are told beyond the request: paths with another front, headers of the file's
//! choice, and what no service may say for us.

use crate::harness::{Gateway, Recorder, Reply, Setup, Trial};

fn rewriting() -> Gateway {
    let recorder = Recorder::start();
    let url = recorder.url();
    Setup::before(recorder)
        .upstream(
            "api",
            &format!("{{ to: \"{url}\", strip: /api, add: /v1 }}"),
        )
        .upstream("pub", &format!("{{ to: \"{url}\", strip: /public }}"))
        .upstream("web", &format!("{{ to: \"{url}\", add: /site }}"))
        .rules(
            "
  - { path: /api/**, to: api, allow: anyone }
  - { path: /public/**, to: pub, allow: anyone }
  - { path: /admin/**, allow: { role: admin } }
  - { path: /**, allow: signed_in }
",
        )
        .start()
}

#[test]
fn p_27_a_service_is_sent_other_paths_than_were_judged_and_only_canonical_ones() {
    let gateway = rewriting();
    let mut trial = Trial::new(&gateway, "P-27");
    for (target, sent, prefix) in [
        ("/api/x?q=/api/../y", "/v1/x?q=/api/../y", Some("/api")),
        ("/api", "/v1", Some("/api")),
        ("/api/", "/v1/", Some("/api")),
        ("/%61pi/./x//y/../z", "/v1/x/z", Some("/api")),
        ("/public", "/", Some("/public")),
        ("/public/public/x", "/public/x", Some("/public")),
        ("/public/admin/x", "/admin/x", Some("/public")),
    ] {
        let seen = trial.allowed(trial.get(target, "X-Forwarded-Prefix: /evil\r\n"));
        assert_eq!(seen.target(), sent, "{target}");
        assert_eq!(
            seen.value("x-forwarded-prefix").as_deref(),
            prefix,
            "{target}"
        );
    }
    // What is judged is what came: nothing that is cut off afterwards opens another rule.
    for target in [
        "/public/../admin/x",
        "/public/%2e%2e/admin/x",
        "/public/./../admin/x",
        "//public//..//admin/x",
        "/api/../admin/x",
    ] {
        trial.denied(trial.get(target, ""), "");
        trial.denied(trial.get(target, &gateway.as_user("alice")), "alice");
        let (seen, _) = trial.served(&trial.get(target, &gateway.as_user("root")));
        assert_eq!(seen.target(), "/site/admin/x", "{target}");
        assert_eq!(seen.value("x-forwarded-prefix"), None);
    }
    for target in [
        "/public/..%2fadmin",
        "/public/%2e%2e%2fadmin",
        "/public/..;/admin",
        "/public/%5c..",
        "/public/%252e%252e/x",
    ] {
        let answer = trial.refused(trial.get(target, "")).answer.unwrap();
        assert_eq!(answer.status, 400, "{target}");
    }
    let mut h2 = gateway.h2();
    assert_eq!(h2.get("/api/over-h2?x", &[]).status(), Some(200));
    assert_eq!(gateway.recorder().wait_for("/v1/over-h2?x", 1).len(), 1);
}

#[test]
fn p_27_a_rule_that_leads_where_nothing_can_be_cut_off_is_a_fault() {
    let folder = Setup::new()
        .upstream("web", "{ to: \"http://127.0.0.1:1\", strip: /app }")
        .folder();
    let said = folder.cli(&["check"], "");
    assert_eq!(said.code, Some(1));
    for path in ["/public/**", "/admin/**"] {
        assert!(said.all().contains("strips /app"), "{path}: {}", said.all());
    }
    assert_eq!(
        said.all().matches("strips /app").count(),
        2,
        "{}",
        said.all()
    );
}

#[test]
fn explain_tells_the_path_that_is_sent() {
    let gateway = rewriting();
    let said = gateway.cli(&["explain", "GET", "/api/x"], "").fine();
    assert!(
        said.out.contains("forwarded to api as /v1/x"),
        "{}",
        said.out
    );
    let json = gateway
        .cli(&["explain", "GET", "/api/x", "--json"], "")
        .fine();
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        (&json["target"], &json["sent"]),
        (&"/api/x".into(), &"/v1/x".into())
    );
}

#[test]
fn h_01_headers_of_the_file_replace_the_clients_in_every_spelling() {
    let recorder = Recorder::start();
    recorder.answer(|_| {
        Reply::raw(
            "HTTP/1.1 200 OK\r\nServer: secret/1.0\r\nX-Powered-By: things\r\nX-Frame-Options: ALLOWALL\r\n\
             Content-Length: 2\r\n\r\nok",
        )
    });
    let url = recorder.url();
    let headers = "{ request: { X-Team-Key: \"file:team.key\", X-Mode: strict, X-Debug: false }, \
                   response: { Server: false, X-Powered-By: false, X-Frame-Options: DENY } }";
    let gateway = Setup::before(recorder)
        .upstream("web", &format!("{{ to: \"{url}\", headers: {headers} }}"))
        .asset("team.key", "s3cret-of-the-team\n")
        .start();
    let mut trial = Trial::new(&gateway, "headers");
    let theirs = "X-Team-Key: mine\r\nx-team-key: mine\r\nX--Team--Key: mine\r\nX_Team_Key: mine\r\n\
                  X-Team_Key: mine\r\nX.Team.Key: mine\r\nX-MODE: lax\r\nx-debug: 1\r\nX--Debug: 1\r\nX-Other: kept\r\n";
    for method in ["GET", "POST"] {
        let lines = if method == "POST" {
            format!("Content-Length: 0\r\n{theirs}")
        } else {
            theirs.into()
        };
        let request = trial.head(
            method,
            "/app/x",
            &format!("{lines}{}", gateway.as_user("alice")),
        );
        let (seen, answer) = trial.served(&request);
        let like = |part: &str| -> Vec<String> {
            let folded = |name: &str| {
                name.to_lowercase()
                    .replace(['_', '.'], "-")
                    .replace("--", "-")
            };
            let fields = seen.fields().into_iter();
            fields
                .filter(|(name, _)| folded(name) == part)
                .map(|(_, value)| String::from_utf8(value).unwrap())
                .collect()
        };
        assert_eq!(like("x-team-key"), ["s3cret-of-the-team"]);
        assert_eq!(like("x-mode"), ["strict"]);
        assert_eq!(like("x-debug"), [""; 0]);
        assert_eq!(like("x-other"), ["kept"]);
        assert_eq!(like("x-auth-user"), ["alice"]);
        assert_eq!(answer.values("server"), [""; 0]);
        assert_eq!(answer.values("x-powered-by"), [""; 0]);
        assert_eq!(answer.values("x-frame-options"), ["DENY"]);
    }
    assert!(!gateway.log().contains("s3cret"), "{}", gateway.log());
}

#[test]
fn h_17_a_rule_says_what_its_answers_say() {
    let recorder = Recorder::start();
    recorder.answer(|_| {
        Reply::raw(
            "HTTP/1.1 200 OK\r\nServer: theirs\r\nX-Frame-Options: ALLOWALL\r\nReferrer-Policy: unsafe-url\r\n\
             X-Mode: theirs\r\nContent-Length: 2\r\n\r\nok",
        )
    });
    let url = recorder.url();
    let upstream = format!(
        "{{ to: \"{url}\", headers: {{ response: {{ X-Mode: upstream, Server: false }} }} }}"
    );
    let gateway = Setup::before(recorder)
        .upstream("web", &upstream)
        .rules(
            "
  - { path: /public/**, allow: anyone, headers: { response: { X-Frame-Options: DENY, Referrer-Policy: false, X-Mode: rule, Permissions-Policy: \"camera=()\" } } }
  - { path: /app/**, allow: signed_in, headers: { response: { X-Frame-Options: DENY } } }
  - { path: /**, allow: anyone }
",
        )
        .start();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let dressed = gateway.ask(get("/public/x"));
    let plain = gateway.ask(get("/other"));
    for (name, under_rule, beside) in [
        ("x-frame-options", Some("DENY"), Some("ALLOWALL")),
        ("referrer-policy", None, Some("unsafe-url")),
        ("permissions-policy", Some("camera=()"), None),
        ("x-mode", Some("rule"), Some("upstream")),
        ("server", None, None),
    ] {
        let said = (dressed.header(name), plain.header(name));
        let wanted = (under_rule.map(str::to_owned), beside.map(str::to_owned));
        assert_eq!(said, wanted, "{name}");
    }
    // What the gateway answers itself says what it always says.
    let refused = gateway.ask(get("/app/x"));
    assert_eq!(
        (refused.status, refused.header("x-frame-options")),
        (401, None)
    );
    // A reload puts other words in force.
    let folder = gateway.path().join("gateway.yaml");
    let text = std::fs::read_to_string(folder).unwrap();
    gateway.write(
        "gateway.yaml",
        &text.replace("X-Mode: rule", "X-Mode: anew"),
    );
    assert!(gateway.reload());
    let dressed = gateway.ask(get("/public/x"));
    assert_eq!(dressed.header("x-mode").as_deref(), Some("anew"));
}

#[test]
fn h_17_a_service_does_not_speak_for_the_gateway() {
    let recorder = Recorder::start();
    recorder.answer(|request| {
        let clear = match request.path().as_str() {
            "/public/cache" => "\"cache\"",
            "/public/all" => "\"*\"",
            _ => "\"cache\", \"Cookies\"",
        };
        Reply::raw(format!(
            "HTTP/1.1 200 OK\r\nSet-Cookie: __Host-portcullis=evil; Path=/; Secure\r\nset-cookie: portcullis=evil\r\n\
             Set-Cookie: portcullis-flow=evil\r\nSet-Cookie: theirs=1\r\nX-Auth-User: root\r\nX-AUTH-Anything: x\r\n\
             X-Auth-Decision: fake\r\nX-Request-Id: fake\r\nX-Portcullis-Version: 9\r\nStrict-Transport-Security: max-age=0\r\n\
             Alt-Svc: h3=\":9\"\r\nClear-Site-Data: {clear}\r\nX-Own: kept\r\nContent-Length: 2\r\n\r\nok"
        ))
    });
    let gateway = Setup::before(recorder).start();
    let mut trial = Trial::new(&gateway, "H-17");
    for (path, clears) in [
        ("/public/x", false),
        ("/public/all", false),
        ("/public/cache", true),
    ] {
        let (_, answer) = trial.served(&trial.get(path, ""));
        assert_eq!(answer.values("set-cookie"), ["theirs=1"]);
        for gone in [
            "x-auth-user",
            "x-auth-anything",
            "x-auth-decision",
            "x-portcullis-version",
            "strict-transport-security",
            "alt-svc",
        ] {
            assert_eq!(answer.values(gone), [""; 0], "{gone}");
        }
        let ids = answer.values("x-request-id");
        assert!(ids.len() == 1 && ids[0] != "fake", "{ids:?}");
        assert_eq!(answer.values("x-own"), ["kept"]);
        assert_eq!(
            answer.values("clear-site-data").len(),
            usize::from(clears),
            "{path}"
        );
        assert_eq!(answer.text(), "ok");
    }
}

#[test]
fn a_redirect_to_the_servers_own_host_leads_back() {
    let recorder = Recorder::start();
    let port = recorder.address().port();
    recorder.answer(move |request| {
        let to = request.value("x-to").unwrap();
        let to = to.replace("OWN", &format!("localhost:{port}"));
        Reply::raw(format!(
            "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
        ))
    });
    let to = format!("\"http://localhost:{port}\"");
    let gateway = Setup::before(recorder)
        .upstream(
            "own",
            &format!("{{ to: {to}, host: upstream, strip: /own, add: /v1 }}"),
        )
        .upstream("web", &format!("{{ to: {to} }}"))
        .rules("  - { path: /own/**, to: own, allow: anyone }\n  - { path: /**, allow: anyone }")
        .start();
    let own = format!("http://localhost:{port}/v1/x");
    for (path, to, expected) in [
        (
            "/own/a",
            "http://OWN/v1/login?next=%2F",
            "/own/login?next=%2F",
        ),
        (
            "/own/a",
            "http://OWN/v1//evil.example/",
            "/own//evil.example/",
        ),
        (
            "/own/a",
            "https://elsewhere.example/v1/x",
            "https://elsewhere.example/v1/x",
        ),
        ("/own/a", "/v1/x", "/v1/x"),
        ("/kept", "http://OWN/v1/x", &own),
    ] {
        let answer = gateway.ask(format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nX-To: {to}\r\n\r\n"
        ));
        assert_eq!(answer.status, 302);
        assert_eq!(
            answer.header("location").as_deref(),
            Some(expected),
            "{path} {to}"
        );
    }
}
