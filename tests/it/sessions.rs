//! Session cookies: fixation, tossing, twins, attributes (C-01 to C-05).

use crate::harness::gateway::session_cookie;
use crate::harness::setup::password;
use crate::harness::{Gateway, H2, Outcome, Raw, Response, Setup, Trial, h2, marker};

/// A token that looks right and opens nothing.
const PLANTED: &str = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY";

/// Header names of ours that only a signed-in user's request carries.
pub const IDENTITY: [&str; 6] = [
    "x-auth-user",
    "x-auth-user-id",
    "x-auth-email",
    "x-auth-roles",
    "x-auth-method",
    "x-auth-assertion",
];

fn login_with(gateway: &Gateway, name: &str, lines: &str) -> Response {
    let body = serde_json::json!({ "username": name, "password": password(name) }).to_string();
    gateway.ask(format!(
        "POST /auth/session/login HTTP/1.1\r\nHost: localhost\r\n{lines}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// A trial whose twin is alice at a protected page.
pub fn as_alice<'a>(gateway: &'a Gateway, id: &str) -> Trial<'a> {
    let mut trial = Trial::new(gateway, id);
    trial.allowed(trial.get("/app/twin", &gateway.as_user("alice")));
    trial
}

pub fn value_of(cookie: &str) -> &str {
    cookie.split_once('=').unwrap().1
}

#[test]
fn c_01_a_planted_cookie_never_becomes_a_session() {
    let gateway = Gateway::shared();
    let mut trial = as_alice(gateway, "C-01");
    let planted = format!("Cookie: portcullis={PLANTED}\r\n");
    trial.denied(trial.get("/app/x", &planted), "");
    let answer = login_with(gateway, "alice", &planted);
    assert_eq!(answer.status, 200);
    assert_ne!(value_of(&session_cookie(&answer)), PLANTED);
    trial.denied(trial.get("/app/x", &planted), "");
}

#[test]
fn c_01_the_session_that_came_with_a_login_ends() {
    let gateway = Gateway::shared();
    let mut trial = as_alice(gateway, "C-01-old");
    for name in ["alice", "root"] {
        let mallory = gateway.login("alice");
        let line = format!("Cookie: {mallory}\r\n");
        trial.served(&trial.get("/app/x", &line));
        let fresh = session_cookie(&login_with(gateway, name, &line));
        assert_ne!(fresh, mallory);
        trial.denied(trial.get("/app/x", &line), "");
        let (seen, _) = trial.served(&trial.get("/app/x", &format!("Cookie: {fresh}\r\n")));
        assert_eq!(seen.value("x-auth-user").as_deref(), Some(name));
    }
    // Nor does a refused login end or change anything.
    let kept = gateway.login("alice");
    let line = format!("Cookie: {kept}\r\n");
    let body = r#"{"username":"root","password":"not the password"}"#;
    let refused = gateway.ask(format!(
        "POST /auth/session/login HTTP/1.1\r\nHost: localhost\r\n{line}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(refused.status, 401);
    trial.served(&trial.get("/app/x", &line));
}

#[test]
fn c_02_the_login_page_upgrades_nothing_and_clears_what_is_stale() {
    let gateway = Gateway::shared();
    let page = |cookie: &str| {
        gateway.ask(format!(
            "GET /auth/login HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nCookie: {cookie}\r\n\r\n"
        ))
    };
    let ours = |answer: &Response| -> Vec<String> {
        let all = answer.values("set-cookie").into_iter();
        all.filter(|cookie| cookie.starts_with("portcullis="))
            .collect()
    };
    let mut trial = as_alice(gateway, "C-02");
    let valid = gateway.login("alice");
    let answer = page(&valid);
    assert_eq!(
        (answer.status, ours(&answer)),
        (200, vec![]),
        "set in place"
    );
    let forgets = |answer: &Response| answer.values("clear-site-data") == ["\"cache\""];
    assert!(!forgets(&answer));
    trial.served(&trial.get("/app/x", &format!("Cookie: {valid}\r\n")));
    let ended = gateway.login("alice");
    let out = gateway.ask(format!(
        "POST /auth/logout HTTP/1.1\r\nHost: localhost\r\nCookie: {ended}\r\nContent-Length: 0\r\n\r\n"
    ));
    assert_eq!(out.status, 200);
    for stale in [ended, format!("portcullis={PLANTED}")] {
        let answer = page(&stale);
        let [clear] = ours(&answer).try_into().expect("not cleared");
        assert!(clear.starts_with("portcullis=;"), "{clear}");
        assert!(clear.contains("Max-Age=0"), "{clear}");
        assert!(
            forgets(&answer),
            "whoever sits there next sees what is left"
        );
        trial.denied(trial.get("/app/x", &format!("Cookie: {stale}\r\n")), "");
    }
}

#[test]
fn c_03_look_alikes_of_another_name_are_ignored() {
    let gateway = Setup::new().tls(&["localhost"]).start();
    let ask = |lines: &str| {
        let wire = gateway.tls("localhost", &["http/1.1"]);
        Raw::over(wire).ask(format!(
            "GET /app/x HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"
        ))
    };
    let body = serde_json::json!({ "username": "alice", "password": password("alice") });
    let body = body.to_string();
    let answer = Raw::over(gateway.tls("localhost", &["http/1.1"])).ask(format!(
        "POST /auth/session/login HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let cookie = session_cookie(&answer);
    let token = value_of(&cookie).to_owned();
    assert_eq!(cookie, format!("__Host-portcullis={token}"));
    let mark = marker("C-03");
    let twin = format!("Cookie: {cookie}\r\nX-Marker: {mark}\r\n");
    assert_eq!(ask(&twin).status, 200);
    let mut served = gateway.recorder().wait_for(&mark, 1).len();
    for name in [
        "portcullis",
        "__Secure-portcullis",
        "__host-portcullis",
        "__HOST-portcullis",
        "__Host-Portcullis",
        "Host-portcullis",
        "__Host-portcullis-flow",
        "__Host-portcullis2",
        "x__Host-portcullis",
        "$__Host-portcullis",
        "\"__Host-portcullis\"",
    ] {
        let tossed = ask(&format!("Cookie: {name}={token}\r\nX-Marker: {mark}\r\n"));
        assert!(tossed.denies_anonymous(), "{} for {name}", tossed.status);
        // Beside the real one, it changes nothing and is not taken for it.
        let both = format!("Cookie: {name}={PLANTED}; {cookie}\r\nX-Marker: {mark}\r\n");
        assert_eq!(ask(&both).status, 200, "beside {name}");
        served += 1;
        let seen = gateway.recorder().wait_for(&mark, served);
        assert_eq!(seen.len(), served, "forwarded with {name}");
        assert_eq!(
            seen[served - 1].value("x-auth-user").as_deref(),
            Some("alice")
        );
        assert!(!seen[served - 1].mentions(&token), "our cookie went along");
    }
}

#[test]
fn c_03_the_prefixed_name_means_nothing_on_a_plain_site() {
    let gateway = Gateway::shared();
    let mut trial = as_alice(gateway, "C-03-plain");
    let token = value_of(&gateway.cookie("alice")).to_owned();
    for name in ["__Host-portcullis", "Portcullis", "__Secure-portcullis"] {
        let line = format!("Cookie: {name}={token}\r\n");
        trial.denied(trial.get("/app/x", &line), "");
    }
}

#[test]
fn c_04_two_cookies_of_our_name_are_none() {
    let gateway = Gateway::shared();
    let mut trial = as_alice(gateway, "C-04");
    let (alice, root) = (gateway.cookie("alice"), gateway.cookie("root"));
    let planted = format!("portcullis={PLANTED}");
    for (one, two) in [
        (&alice, &root),
        (&root, &alice),
        (&alice, &alice),
        (&alice, &planted),
        (&planted, &alice),
        (&alice, &"portcullis=".to_owned()),
        (&"portcullis".to_owned(), &alice),
    ] {
        for lines in [
            format!("Cookie: {one}; {two}\r\n"),
            format!("Cookie: {one};{two}\r\n"),
            format!("Cookie: {one}\r\nCookie: {two}\r\n"),
            format!("Cookie: {one}\r\ncookie: a=b\r\nCOOKIE: {two}\r\n"),
            format!("Cookie: a=b; {one}; c=d; {two}; e=f\r\n"),
        ] {
            let answer = trial.refused(trial.get("/app/x", &lines)).answer.unwrap();
            let fits = answer.status == 400 || answer.denies_anonymous();
            assert!(fits, "{} to {lines:?}", answer.status);
            let public = trial.get("/public/x", &lines);
            let (seen, _) = trial.served(&public);
            for name in IDENTITY {
                assert_eq!(seen.values(name), [""; 0], "{name} for {lines:?}");
            }
            assert!(!seen.mentions("portcullis="), "{}", seen.text());
        }
    }
}

#[test]
fn c_04_two_cookies_in_crumbs() {
    let gateway = Gateway::shared();
    let (alice, root) = (gateway.cookie("alice"), gateway.cookie("root"));
    let mark = marker("C-04-h2");
    let ask = |crumbs: &[&str]| -> Outcome {
        let mut fields = h2::request("GET", "/app/x");
        fields.push(("x-marker", &mark));
        fields.extend(crumbs.iter().map(|crumb| ("cookie", *crumb)));
        H2::connect(gateway.http()).ask(&fields)
    };
    let mut served = 0;
    for crumbs in [
        &[alice.as_str(), root.as_str()][..],
        &["a=b", &alice, "c=d", &alice],
        &[&alice, "portcullis="],
    ] {
        assert_eq!(ask(&["a=b", &alice]).status(), Some(200));
        served += 1;
        gateway.recorder().wait_for(&mark, served);
        let status = ask(crumbs).status();
        assert!(
            matches!(status, Some(400 | 401 | 303)),
            "{status:?} to {crumbs:?}"
        );
        assert_eq!(gateway.recorder().with(&mark).len(), served);
    }
}

#[test]
fn c_05_attributes() {
    let long = "{ idle: 500d, max: 900d }";
    let gateway = Setup::new()
        .tls(&["localhost"])
        .set("session", long)
        .start();
    let body = serde_json::json!({ "username": "alice", "password": password("alice") });
    let body = body.to_string();
    let answer = Raw::over(gateway.tls("localhost", &["http/1.1"])).ask(format!(
        "POST /auth/session/login HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let [cookie] = answer.values("set-cookie").try_into().unwrap();
    assert_attributes(&cookie, "__Host-portcullis", true);
    let plain = Gateway::shared().try_login("alice", &password("alice"));
    let [cookie] = plain.values("set-cookie").try_into().unwrap();
    assert_attributes(&cookie, "portcullis", false);
}

fn assert_attributes(cookie: &str, name: &str, secure: bool) {
    let mut parts = cookie.split("; ");
    let (found, value) = parts.next().unwrap().split_once('=').unwrap();
    assert_eq!((found, value.len()), (name, 43), "{cookie}");
    let attributes: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
    let has = |wanted: &str| attributes.iter().any(|found| found == wanted);
    assert!(has("httponly") && has("path=/"), "{cookie}");
    assert!(has("samesite=lax"), "{cookie}");
    assert_eq!(has("secure"), secure, "{cookie}");
    assert!(!cookie.to_ascii_lowercase().contains("domain"), "{cookie}");
    let age = attributes
        .iter()
        .find_map(|found| found.strip_prefix("max-age="))
        .expect("no Max-Age");
    let age: u64 = age.parse().unwrap();
    assert!((1..=400 * 86_400).contains(&age), "{cookie}");
}
