//! Our own pages: the login form as a browser without JavaScript uses it, and what it refuses (X-01 to X-04,
//! OC-10).

use crate::harness::setup::password;
use crate::harness::{Gateway, Response, Setup, Trial};
use crate::pages_browser::{Browser, Form, NAVIGATION, OWN_FORM, attribute, encode};

fn location(answer: &Response) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text());
    answer.header("location").unwrap()
}

#[test]
fn x_04_a_browser_without_javascript_signs_in_and_lands_where_it_wanted_to_go() {
    let gateway = Gateway::shared();
    let mut trial = Trial::with_plain_twin(gateway, "X-04");
    let mut browser = Browser::new(gateway);
    let wanted = "/app/report?year=2026&q=a%20b&next=/x";
    let turned = trial.denied(trial.get(wanted, NAVIGATION), "");
    let login = location(&turned);
    assert!(login.starts_with("/auth/login?next="), "{login}");
    let form = browser.form(&login);
    assert_eq!(form.hidden["next"], wanted);
    assert!(form.names.contains(&"username".to_owned()) && form.names.contains(&"password".into()));
    let answer = browser.submit(&form, "alice", &password("alice"));
    assert_eq!(location(&answer), wanted);
    assert!(browser.cookies.contains_key("portcullis"));
    let line = browser.cookie_line();
    let (seen, _) = trial.served(&trial.get(wanted, &format!("{NAVIGATION}{line}")));
    assert_eq!(seen.target(), wanted);
    assert_eq!(seen.value("x-auth-user").as_deref(), Some("alice"));
    assert!(!seen.mentions("portcullis="), "{}", seen.text());
    // And out again.
    let out = browser.post("/auth/logout", OWN_FORM, &[]);
    assert!(location(&out).starts_with("/auth/login"));
    assert!(!browser.cookies.contains_key("portcullis"));
    trial.denied(trial.get(wanted, &format!("{NAVIGATION}{line}")), "");
}

#[test]
fn x_04_a_wrong_password_shows_the_form_again() {
    let gateway = Gateway::shared();
    let mut browser = Browser::new(gateway);
    let form = browser.form("/auth/login?next=/app/x");
    let answer = browser.submit(&form, "alice", "wrong");
    let page = answer.text();
    assert_eq!(answer.status, 401, "{page}");
    assert!(answer.header("www-authenticate").is_some());
    assert!(page.contains("role=\"alert\""), "{page}");
    assert!(!browser.cookies.contains_key("portcullis"));
    assert!(!page.contains("wrong\""), "the password is shown: {page}");
    // What was typed and where it leads are still there, and the second try works.
    let again = Form::read(&page);
    assert_eq!(again.hidden["next"], "/app/x");
    assert!(page.contains("value=\"alice\""), "{page}");
    let answer = browser.submit(&again, "alice", &password("alice"));
    assert_eq!(location(&answer), "/app/x");
}

#[test]
fn x_04_the_page_is_for_people() {
    let page = Browser::new(Gateway::shared()).get("/auth/login").text();
    for wanted in [
        "<!doctype html>",
        "<html lang=\"en\"",
        "name=\"viewport\"",
        "<title>",
        "<main",
        "<h1",
        "autocomplete=\"username\"",
        "autocomplete=\"current-password\"",
        "type=\"submit\"",
    ] {
        assert!(
            page.to_lowercase().contains(wanted),
            "no {wanted} in {page}"
        );
    }
    for field in ["username", "password"] {
        assert!(page.contains(&format!("<label for=\"{field}\"")), "{page}");
        assert!(page.contains(&format!("id=\"{field}\"")), "{page}");
    }
    for unwanted in ["<script", "javascript:", " onclick", " style=", "<style"] {
        assert!(!page.to_lowercase().contains(unwanted), "{unwanted}");
    }
    // Everything it loads is ours, and is there.
    let links: Vec<String> = page
        .split('<')
        .filter_map(|tag| attribute(tag, "href").or_else(|| attribute(tag, "src")))
        .collect();
    assert!(
        links.iter().any(|link| link.contains("style.css")),
        "{links:?}"
    );
    for link in links.iter().filter(|link| !link.starts_with('#')) {
        assert!(link.starts_with("/auth/"), "{link}");
        let asset =
            Gateway::shared().ask(format!("GET {link} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(asset.status, 200, "{link}");
        let kind = asset.header("content-type").unwrap();
        assert!(
            kind.starts_with("text/css") || kind == "image/svg+xml",
            "{link}: {kind}"
        );
        let text = asset.text();
        assert!(!text.contains("url(http") && !text.contains("@import"));
    }
}

/// Places that are not on this site, in every way that some validator has let through.
const ELSEWHERE: [&str; 38] = [
    "//evil.test",
    "///evil.test",
    "////evil.test",
    "/\\evil.test",
    "\\\\evil.test",
    "/\\/evil.test",
    "/%5cevil.test",
    "/%09/evil.test",
    "/\t/evil.test",
    "/\n/evil.test",
    "\t//evil.test",
    " //evil.test",
    "https:evil.test",
    "https:/evil.test",
    "https://evil.test",
    "HTTPS://evil.test",
    "http://localhost@evil.test",
    "http://localhost.evil.test",
    "http://localhost/",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,x",
    "/..//evil.test",
    "/.//evil.test",
    "/app/..//evil.test",
    "/app\r\nSet-Cookie: a=b",
    "/app\r\n\r\n<script>",
    "evil.test",
    "evil",
    "",
    "#evil",
    "?evil",
    "/\u{3002}evil",
    "/%2f/evil.test",
    "/%2fevil.test",
    "/\u{2028}evil",
    "@evil.test",
    ".evil.test",
];

#[test]
fn oc_10_next_never_leads_away() {
    let gateway = Gateway::shared();
    for next in ELSEWHERE {
        let query = encode(&[("next", next)]);
        let mut browser = Browser::new(gateway);
        let form = browser.form(&format!("/auth/login?{query}"));
        let offered = form.hidden.get("next").cloned().unwrap_or("/".into());
        assert_stays(&offered, next);
        // Whatever the page offers, the form may be sent with anything.
        let hostile = form.with("next", Some(next));
        let answer = browser.submit(&hostile, "alice", &password("alice"));
        assert_stays(&location(&answer), next);
        assert!(
            !answer
                .values("set-cookie")
                .iter()
                .any(|c| c.contains("a=b"))
        );
    }
    for (next, goes) in [("/app/x?a=b&c=%2F", "/app/x?a=b&c=%2F"), ("/", "/")] {
        let mut browser = Browser::new(gateway);
        let form = browser.form(&format!("/auth/login?{}", encode(&[("next", next)])));
        let answer = browser.submit(&form, "alice", &password("alice"));
        assert_eq!(location(&answer), goes);
    }
}

/// A path of this very site, as a browser reads it: it drops tabs and line breaks, and takes `\` for `/`.
fn assert_stays(place: &str, next: &str) {
    let read: String = place
        .chars()
        .filter(|c| !matches!(c, '\t' | '\r' | '\n'))
        .map(|c| if c == '\\' { '/' } else { c })
        .collect();
    assert!(
        read.starts_with('/') && !read.starts_with("//"),
        "{next:?} leads to {place:?}"
    );
    let base = url::Url::parse("http://localhost/auth/login").unwrap();
    let there = base.join(place).unwrap();
    assert_eq!(there.host_str(), Some("localhost"), "{next:?}: {place:?}");
    assert!(place.is_ascii() && !place.contains(char::is_control));
}

/// Texts that would run, break out of an attribute, or end an element.
const PAYLOADS: [&str; 9] = [
    "<script>alert(1)</script>",
    "\"><script>alert(1)</script>",
    "'><img src=x onerror=alert(1)>",
    "\" autofocus onfocus=\"alert(1)",
    "</form><form action=//evil.test>",
    "{{7*7}}{% raw %}",
    "\u{0}<b>",
    "&lt;script&gt;",
    "<svg/onload=alert(1)>",
];

#[test]
fn x_02_nothing_that_was_sent_becomes_markup() {
    let gateway = Gateway::shared();
    for payload in PAYLOADS {
        let mut browser = Browser::new(gateway);
        let form = browser.form("/auth/login");
        let next = format!("/app/?q={payload}");
        let hostile = form.with("next", Some(&next));
        let page = browser.submit(&hostile, payload, "wrong");
        assert_eq!(page.status, 401);
        assert_inert(&page.text(), payload);
        let mut browser = Browser::new(gateway);
        for query in [
            encode(&[("next", &next)]),
            encode(&[("error", payload), ("username", payload)]),
            encode(&[(payload, payload)]),
        ] {
            let page = browser.get(&format!("/auth/login?{query}"));
            assert_eq!(page.status, 200, "{query}");
            assert_inert(&page.text(), payload);
        }
        let expired = browser.submit(&form.with("csrf", Some(payload)), payload, payload);
        assert_eq!(expired.status, 403);
        assert_inert(&expired.text(), payload);
        let path = encode(&[("", payload)]);
        let missing = browser.get(&format!("/auth/{}", path.trim_start_matches('=')));
        assert_inert(&missing.text(), payload);
    }
}

fn assert_inert(page: &str, payload: &str) {
    let lower = page.to_lowercase();
    for live in ["<script", "<img", "<svg", "<b>", "action=//", ">49<"] {
        assert!(!lower.contains(live), "{live} after {payload:?}: {page}");
    }
    // No attribute came into any tag: what stands in quotes is a value, whatever it says.
    for tag in lower.split('<').skip(1) {
        let unquoted: String = tag.split('"').step_by(2).collect();
        let tag = unquoted.split('>').next().unwrap_or_default();
        let handler = tag.split_whitespace().any(|word| word.starts_with("on"));
        assert!(!handler, "<{tag}> after {payload:?}: {page}");
    }
    if page.contains("<form") {
        let form = Form::read(page);
        assert_eq!(form.action, "/auth/login", "after {payload:?}");
    }
}

#[test]
fn x_03_a_brand_is_text() {
    let brand = "{ name: \"<script>alert(1)</script>\", color: \"#0a5\" }";
    let gateway = Setup::new().set("brand", brand).start();
    let mut browser = Browser::new(&gateway);
    let page = browser.get("/auth/login").text();
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("&lt;script&gt;"), "{page}");
    let form = Form::read(&page);
    browser.submit(&form, "alice", &password("alice"));
    let home = browser.get("/auth/").text();
    assert!(!home.contains("<script"), "{home}");
}

#[test]
fn x_07_languages_and_odd_accepts() {
    let gateway = Gateway::shared();
    for lines in [
        "Accept-Language: ../../etc/passwd\r\nAccept: text/html\r\n".to_owned(),
        format!(
            "Accept-Language: {}\r\nAccept: text/html\r\n",
            "x".repeat(8_000)
        ),
        "Accept-Language: \u{e9}\r\nAccept: */*\r\n".to_owned(),
        "Accept: application/json\r\n".to_owned(),
        String::new(),
    ] {
        let page = Browser::new(gateway).get_with("/auth/login", &lines);
        assert_eq!(page.status, 200, "{lines:?}");
        assert!(page.text().contains("<form"));
    }
}
