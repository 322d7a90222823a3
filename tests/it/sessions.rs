//! Session cookies: fixation, tossing, twins, attributes, size, what is stored of them (C-01 to C-05, C-09,
//! C-10, C-12, C-13).

use std::collections::BTreeSet;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::harness::dice::{self, Dice};
use crate::harness::gateway::session_cookie;
use crate::harness::setup::password;
use crate::harness::{Gateway, H2, Outcome, Raw, Response, Setup, Trial, h2, holds, marker};

/// A token that looks right and opens nothing.
const PLANTED: &str = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY";

/// Header names of ours that only a signed-in user's request carries.
const IDENTITY: [&str; 6] = [
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
fn as_alice<'a>(gateway: &'a Gateway, id: &str) -> Trial<'a> {
    let mut trial = Trial::new(gateway, id);
    trial.allowed(trial.get("/app/twin", &gateway.as_user("alice")));
    trial
}

fn value_of(cookie: &str) -> &str {
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

#[test]
fn c_09_ids_are_256_random_bits_and_stored_as_their_hash() {
    let gateway = Setup::new().start();
    let tokens: BTreeSet<String> = (0..30)
        .map(|_| value_of(&gateway.login("alice")).to_owned())
        .collect();
    assert_eq!(tokens.len(), 30, "a token came twice");
    let stored = stored_bytes(&gateway);
    let mut ones = 0;
    for token in &tokens {
        let bits = URL_SAFE_NO_PAD.decode(token).unwrap();
        assert_eq!(bits.len(), 32, "{token}");
        ones += bits.iter().map(|byte| byte.count_ones()).sum::<u32>();
        let hashes = [Sha256::digest(token), Sha256::digest(&bits)];
        let kept = hashes
            .iter()
            .any(|hash| holds(&stored, hash) || holds(&stored, hex::encode(hash).as_bytes()));
        assert!(kept, "not stored as SHA-256");
    }
    // 7680 fair coins: half of them, give or take eleven standard deviations.
    assert!((3_360..4_320).contains(&ones), "{ones} of 7680 bits set");
}

#[test]
fn c_10_a_stolen_database_opens_nothing() {
    let gateway = Setup::new().start();
    let cookies = [gateway.login("alice"), gateway.login("root")];
    let stored = stored_bytes(&gateway);
    // The right file: it knows who there is.
    assert!(holds(&stored, b"alice@example.test"));
    assert!(holds(&stored, b"$argon2id$"));
    for cookie in &cookies {
        let token = value_of(cookie);
        let bits = URL_SAFE_NO_PAD.decode(token).unwrap();
        for secret in [
            token.as_bytes(),
            &bits,
            hex::encode(&bits).as_bytes(),
            &token.as_bytes()[..22],
        ] {
            assert!(!holds(&stored, secret), "a session id is in the database");
        }
    }
    for name in ["alice", "root"] {
        assert!(!holds(&stored, password(name).as_bytes()), "a password");
    }
    // What is stored is no cookie either.
    let mut trial = as_alice(&gateway, "C-10");
    let hash = Sha256::digest(URL_SAFE_NO_PAD.decode(value_of(&cookies[0])).unwrap());
    let text = Sha256::digest(value_of(&cookies[0]));
    for stolen in [hash, text] {
        let line = format!("Cookie: portcullis={}\r\n", URL_SAFE_NO_PAD.encode(stolen));
        trial.denied(trial.get("/app/x", &line), "");
    }
    let log = gateway.log();
    assert!(
        cookies.iter().all(|cookie| !log.contains(value_of(cookie))),
        "in the log"
    );
}

/// Every byte that the store has on disk, its side files included.
fn stored_bytes(gateway: &Gateway) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(gateway.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("portcullis.db") {
            all.extend(fs::read(path).unwrap());
        }
    }
    all
}

#[test]
fn c_12_cookie_fuzz() {
    let gateway = Gateway::shared();
    let mut trial = as_alice(gateway, "C-12");
    let token = value_of(&gateway.cookie("alice")).to_owned();
    let mut values: Vec<Vec<u8>> = [
        "",
        "=",
        ";",
        ";;;;;;",
        "portcullis",
        "portcullis=",
        "portcullis==",
        "=portcullis",
        "portcullis=\"\"",
        "portcullis=null",
        "portcullis=undefined",
        "portcullis=' or 1=1 --",
        "portcullis=%00",
        "portcullis=../../etc/passwd",
        "portcullis=\u{fffd}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    values.push(format!("portcullis=\"{token}\"").into_bytes());
    values.push(format!("portcullis={token}=").into_bytes());
    values.push(format!("portcullis={token}x").into_bytes());
    values.push(format!("portcullis={}", &token[..42]).into_bytes());
    values.push(format!("portcullis={}", swap_case(&token)).into_bytes());
    values.push(format!("portcullis={token},x=y").into_bytes());
    values.push(format!("portcullis, ={token}").into_bytes());
    values.push(b"portcullis=\xff\xfe\x80".to_vec());
    values.push(format!("portcullis={}", "x".repeat(8 * 1024)).into_bytes());
    values.push(format!("portcullis={}", token.repeat(100)).into_bytes());
    let many: Vec<String> = (0..200).map(|n| format!("c{n}=v{n}")).collect();
    values.push(many.join("; ").into_bytes());
    let seed = dice::seed();
    let mut dice = Dice::new(seed);
    values.extend((0..60).map(|_| random_cookie(&mut dice, &token)));
    for value in values {
        judge_odd_cookie(&mut trial, &value, seed);
    }
}

/// Anonymous where signing in is asked, without identity where it is not, and never an error of ours.
fn judge_odd_cookie(trial: &mut Trial<'_>, value: &[u8], seed: u64) {
    let shown = String::from_utf8_lossy(value).into_owned();
    let with = |target: &str| {
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\n{}Cookie: ",
            trial.line()
        );
        [head.as_bytes(), value, b"\r\n\r\n"].concat()
    };
    let (app, public) = (with("/app/x"), with("/public/x"));
    let answer = trial.refused(app).answer.expect("no answer");
    let fits = answer.status == 400 || answer.denies_anonymous();
    assert!(fits, "seed {seed}: {} to {shown:?}", answer.status);
    if answer.status == 400 {
        return;
    }
    let (seen, _) = trial.served(&public);
    for name in IDENTITY {
        assert_eq!(seen.values(name), [""; 0], "seed {seed}: {shown:?}");
    }
}

/// Bytes that a field value may have, around pieces of a good cookie; never the good cookie itself.
fn random_cookie(dice: &mut Dice, token: &str) -> Vec<u8> {
    let half = &token.as_bytes()[..21];
    let pieces: [&[u8]; 14] = [
        b"portcullis=",
        b"portcullis",
        half,
        b";",
        b"; ",
        b"=",
        b"\"",
        b"\\",
        b",",
        b" ",
        b"\t",
        b"\xc3\xa9",
        b"\xff",
        b"%",
    ];
    let length = 1 + dice.roll(12);
    (0..length)
        .flat_map(|_| dice.pick(&pieces).to_vec())
        .collect()
}

fn swap_case(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii_lowercase() {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

#[test]
fn c_13_the_cookie_stays_small_whatever_somebody_may() {
    let roles: Vec<String> = (0..200).map(|n| format!("department-{n:03}")).collect();
    let yaml: Vec<String> = roles.iter().map(|role| format!("{role}: []")).collect();
    let gateway = Setup::new()
        .set(
            "roles",
            &format!("{{ user: [], admin: [user], {} }}", yaml.join(", ")),
        )
        .user("many", &roles.join(","))
        .start();
    let answer = gateway.try_login("many", &password("many"));
    for cookie in answer.values("set-cookie") {
        let pair = cookie.split(';').next().unwrap();
        assert!(pair.len() <= 4_096, "{} bytes", pair.len());
    }
    let mut trial = Trial::new(&gateway, "C-13");
    let line = format!("Cookie: {}\r\n", session_cookie(&answer));
    let seen = trial.allowed(trial.get("/app/x", &line));
    let held = seen.value("x-auth-roles").unwrap();
    assert!(held.contains("department-199"), "{held}");
}
