//! What people see who are turned away: a way on from there.

use crate::harness::{Setup, Trial};
use crate::pages_browser::NAVIGATION;

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
