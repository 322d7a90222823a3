//! What people see who are turned away: a way on from there, and what became of what they sent.

use crate::harness::setup::password;
use crate::harness::{Setup, Trial};
use crate::pages_browser::{Browser, NAVIGATION, OWN_FORM};

/// A page for people, with their name and where to go; nothing of it for programs, and nothing for strangers.
#[test]
fn whoever_may_not_see_something_is_told_as_whom_and_where_they_can_change_that() {
    let gateway = Setup::new()
        .rules(
            "
  - { path: /app/**, allow: signed_in }
  - { path: /admin/**, allow: { role: admin } }
  - { path: /closed/**, allow: nobody }
",
        )
        .start();
    let alice = gateway.as_user("alice");
    let mut trial = Trial::new(&gateway, "refused-page");
    trial.allowed(trial.get("/app/x", &alice));
    let people = format!("{NAVIGATION}{alice}");
    let answer = trial.denied(trial.get("/admin/x", &people), "alice");
    let page = answer.text();
    assert!(
        page.contains("Signed in as <strong>alice</strong>"),
        "{page}"
    );
    assert!(page.contains("href=\"/auth/account\""), "{page}");
    let id = answer.header("x-request-id").unwrap();
    assert!(page.contains(&format!("<code>{id}</code>")), "{page}");
    assert_eq!(answer.values("cache-control"), ["no-store"]);
    let cookie = gateway.cookie("alice");
    let secret = cookie.split_once('=').unwrap().1;
    assert!(!page.contains(secret), "{page}");
    for header in ["set-cookie", "server"] {
        assert_eq!(answer.values(header), [""; 0], "{header}");
    }
    // Programs are told what they always were.
    let answer = trial.denied(trial.get("/admin/x", &alice), "alice");
    let expected = serde_json::json!({ "detail": "You may not see this.", "code": "FORBIDDEN" });
    assert_eq!(answer.json(), expected);
    // Somebody whom nobody knows has nothing to sign out of.
    // And where nobody is let in, it is no use to be somebody else.
    let page = trial
        .denied(trial.get("/closed/x", &people), "alice")
        .text();
    assert!(!page.contains("href"), "{page}");
    let page = trial.denied(trial.get("/closed/x", NAVIGATION), "alice");
    let page = page.text();
    assert!(page.contains("<code>"), "{page}");
    assert!(
        !page.contains("Signed in") && !page.contains("href"),
        "{page}"
    );
    // What they are shown the way to is there.
    let account = gateway.ask(format!(
        "GET /auth/account HTTP/1.1\r\nHost: localhost\r\n{people}\r\n"
    ));
    assert!(account.text().contains("Sign out"), "{}", account.text());
}

/// A form of a service, sent after the session has ended: what was in it is gone, and the login page says so.
#[test]
fn a_form_that_nobody_took_is_told_of_and_leads_back_to_its_page() {
    let gateway = Setup::new().start();
    let mut trial = Trial::new(&gateway, "not-taken");
    let alice = gateway.as_user("alice");
    trial.allowed(trial.post("/app/save", &alice, "text=1"));
    // Referer, next
    for (referer, next) in [
        ("http://localhost/app/edit?id=7", "%2Fapp%2Fedit%3Fid%3D7"),
        ("http://localhost/", "%2F"),
        ("https://localhost/app/edit", "%2F"),
        ("http://evil.test/app/edit", "%2F"),
        ("http://localhost@evil.test/app/edit", "%2F"),
        ("http://localhost", "%2F"),
        ("http://localhost/app/save", "%2F"),
        ("http://localhost/auth/logout", "%2F"),
        ("", "%2F"),
    ] {
        let lines = format!("{OWN_FORM}Referer: {referer}\r\n");
        let refused = trial.refused(trial.post("/app/save", &lines, "text=2"));
        let answer = refused.answer.unwrap();
        let expected = format!("/auth/login?next={next}&done=not-taken");
        assert_eq!(answer.status, 303, "{referer}");
        assert_eq!(answer.header("location"), Some(expected), "{referer}");
    }
    // With the port that was asked for, as where a port is led on to this one.
    let port = gateway.http().port();
    let lines = format!("{OWN_FORM}Referer: http://localhost:{port}/app/edit\r\n");
    let form = trial.post("/app/save", &lines, "text=2");
    let form = String::from_utf8(form).unwrap();
    let form = form.replace("Host: localhost", &format!("Host: localhost:{port}"));
    let answer = trial.refused(form.into_bytes()).answer.unwrap();
    let expected = "/auth/login?next=%2Fapp%2Fedit&done=not-taken";
    assert_eq!(answer.header("location").as_deref(), Some(expected));
    let mut browser = Browser::new(&gateway);
    let place = "/auth/login?next=%2Fapp%2Fedit%3Fid%3D7&done=not-taken";
    let page = browser.get(place).text();
    assert!(page.contains("What you sent was not taken."), "{page}");
    let form = browser.form(place);
    let answer = browser.submit(&form, "alice", &password("alice"));
    assert_eq!(answer.header("location"), Some("/app/edit?id=7".to_owned()));
    // Who only wanted to look has lost nothing.
    let answer = trial.refused(trial.get("/app/edit", NAVIGATION)).answer;
    let place = answer.unwrap().header("location").unwrap();
    assert_eq!(place, "/auth/login?next=%2Fapp%2Fedit");
}

/// An address that fits into a request does not when it is written into another.
#[test]
fn the_login_page_can_be_asked_for_from_everywhere() {
    let gateway = Setup::new().start();
    let browser = |target: &str| {
        gateway.ask(format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n"
        ))
    };
    for (target, next) in [
        (
            format!("/app/x?{}", "%22".repeat(1000)),
            format!("%2Fapp%2Fx%3F{}", "%2522".repeat(1000)),
        ),
        (
            format!("/app/x?{}", "%22".repeat(1700)),
            "%2Fapp%2Fx".to_owned(),
        ),
        (format!("/app/{}", "%22".repeat(1700)), "%2F".to_owned()),
    ] {
        let answer = browser(&target);
        let place = answer.header("location").unwrap();
        assert_eq!(
            (answer.status, &*place),
            (303, &*format!("/auth/login?next={next}"))
        );
        assert_eq!(browser(&place).status, 200, "{} bytes", place.len());
    }
}
