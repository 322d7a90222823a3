//! Where pages lead that cannot do what they were opened for: never to a form that cannot do it either.

use serde_json::json;

use crate::accounts::{
    FRESH, call, lets_in, letters, open, post, refused, register, reset_token, strict, verify,
    wait_for,
};
use crate::accounts_links::{managed, root};
use crate::harness::setup::password;
use crate::harness::{Gateway, Response};
use crate::pages_browser::{Browser, Form};
use crate::pages_stale::{form_to, page_of, send};

/// A page, with its slashes as they are meant.
fn plain(answer: &Response) -> String {
    answer.text().replace("&#x2f;", "/")
}

/// A page that says why, with a link to there.
fn leads_to(answer: &Response, why: &str, place: &str) {
    let page = plain(answer);
    assert_eq!(answer.status, 400, "{page}");
    assert!(page.contains(why), "{page}");
    assert!(page.contains(&format!("href=\"/auth/{place}\"")), "{page}");
    assert!(!page.contains("that is marked"), "{page}");
}

/// Waits until all letters are written that were asked for before: they are sent one after the other.
fn told_all(gateway: &Gateway) {
    for count in 1..=2 {
        let wish = json!({ "email": "alice@example.test" });
        assert_eq!(post(gateway, "/forgot-password", &wish).status, 202);
        wait_for(gateway, "alice@example.test", count);
    }
}

pub fn sign_in<'a>(gateway: &'a Gateway, name: &str, secret: &str) -> Browser<'a> {
    let mut browser = Browser::new(gateway);
    let form = browser.form("/auth/login");
    assert_eq!(browser.submit(&form, name, secret).status, 303);
    browser
}

#[test]
fn who_has_lost_the_letter_of_a_new_account_gets_another() {
    let gateway = strict().start();
    let address = "lost@example.test";
    let ask = || {
        post(
            &gateway,
            "/request-verify-token",
            &json!({ "email": address }),
        )
    };
    assert_eq!(ask().status, 202);
    assert_eq!(register(&gateway, "lost", address, FRESH).status, 202);
    wait_for(&gateway, address, 1);
    assert_eq!(ask().status, 202);
    let second = wait_for(&gateway, address, 2).remove(1).token("verify");
    assert!(!lets_in(&gateway, "lost", FRESH));
    assert_eq!(verify(&gateway, &second).status, 200);
    assert!(lets_in(&gateway, "lost", FRESH));
    // Nothing is left to confirm, by the first letter or by another.
    let first = letters(&gateway, address).remove(0).token("verify");
    refused(&verify(&gateway, &first), 400, "EMAIL_TAKEN");
    let mut browser = Browser::new(&gateway);
    assert_eq!(
        browser.get(&format!("/auth/verify?token={first}")).status,
        303
    );
    let page = browser.get("/auth/verify");
    leads_to(&page, "confirmed already", "login");
    assert_eq!(ask().status, 202);
    told_all(&gateway);
    assert_eq!(letters(&gateway, address).len(), 2);
}

/// Somebody else may want an account with the same address: nobody knows whose wish another letter is for.
#[test]
fn a_stranger_does_not_get_the_letter_that_somebody_asks_for() {
    let gateway = strict().start();
    let address = "vic@example.test";
    for (count, name) in [(1, "vic"), (2, "mallory")] {
        assert_eq!(register(&gateway, name, address, FRESH).status, 202);
        wait_for(&gateway, address, count);
    }
    let wish = json!({ "email": address });
    assert_eq!(post(&gateway, "/request-verify-token", &wish).status, 202);
    told_all(&gateway);
    assert_eq!(letters(&gateway, address).len(), 2);
}

#[test]
fn a_name_that_was_taken_meanwhile_leads_to_another_account() {
    let gateway = strict().start();
    let [first, second] = ["one@example.test", "two@example.test"].map(|address| {
        assert_eq!(register(&gateway, "dup", address, FRESH).status, 202);
        wait_for(&gateway, address, 1).remove(0).token("verify")
    });
    let mut browser = Browser::new(&gateway);
    assert_eq!(
        browser.get(&format!("/auth/verify?token={second}")).status,
        303
    );
    let form = Form::read(&browser.get("/auth/verify").text());
    assert_eq!(verify(&gateway, &first).status, 200);
    leads_to(
        &send(&mut browser, "/auth/verify", &form, &[]),
        "The name is taken",
        "register",
    );
}

#[test]
fn an_invitation_of_who_has_an_account_leads_to_signing_in() {
    let gateway = managed(open("")).start();
    let address = "eve@example.test";
    let invited = json!({ "email": address });
    let made = call(&gateway, "POST", "/invitations", &root(&gateway), &invited);
    assert_eq!(made.status, 201, "{}", made.text());
    let token = wait_for(&gateway, address, 1).remove(0).token("register");
    assert_eq!(register(&gateway, "eve", address, FRESH).status, 201);
    let mut browser = Browser::new(&gateway);
    assert_eq!(
        browser.get(&format!("/auth/register?token={token}")).status,
        303
    );
    let form = Form::read(&browser.get("/auth/register").text());
    let typed = [("username", "eve2"), ("password", FRESH)];
    let answer = send(&mut browser, "/auth/register", &form, &typed);
    leads_to(&answer, "There is an account already", "login");
}

#[test]
fn a_dead_link_to_another_password_asks_for_none() {
    let gateway = open("").start();
    let mut browser = Browser::new(&gateway);
    let dead = "A".repeat(43);
    assert_eq!(
        browser
            .get(&format!("/auth/reset-password?token={dead}"))
            .status,
        303
    );
    let answer = browser.get("/auth/reset-password");
    leads_to(&answer, "The link is not good", "forgot-password");
    assert!(!answer.text().contains("<input"), "{}", answer.text());
    // One that was good when the form was shown.
    let token = reset_token(&gateway, "alice@example.test");
    assert_eq!(
        browser
            .get(&format!("/auth/reset-password?token={token}"))
            .status,
        303
    );
    let form = Form::read(&browser.get("/auth/reset-password").text());
    let chosen = [("password", FRESH)];
    assert_eq!(
        send(&mut browser, "/auth/reset-password", &form, &chosen).status,
        303
    );
    assert_eq!(
        browser
            .get(&format!("/auth/reset-password?token={token}"))
            .status,
        303
    );
    let answer = send(&mut browser, "/auth/reset-password", &form, &chosen);
    leads_to(&answer, "The link is not good", "forgot-password");
}

#[test]
fn who_is_signed_in_and_confirms_an_address_stays_so() {
    let gateway = strict().start();
    let mut browser = sign_in(&gateway, "alice", &password("alice"));
    let page = browser.get("/auth/account/email").text();
    let form = form_to(&page, "/auth/account/email");
    let address = "moved@example.test";
    let old = password("alice");
    let typed = [("email", address), ("current_password", old.as_str())];
    assert_eq!(
        send(&mut browser, "/auth/account/email", &form, &typed).status,
        303
    );
    let token = wait_for(&gateway, address, 1)
        .remove(0)
        .token("confirm-email");
    // Whoever else has signed in on this machine is not whose address it is.
    let mut other = sign_in(&gateway, "root", &password("root"));
    let page = |browser: &mut Browser<'_>| {
        let link = format!("/auth/confirm-email?token={token}");
        assert_eq!(browser.get(&link).status, 303);
        browser.get("/auth/confirm-email")
    };
    assert_eq!(page(&mut other).status, 200, "looking at it spends nothing");
    let form = form_to(&page(&mut browser).text(), "/auth/confirm-email");
    let answer = send(&mut browser, "/auth/confirm-email", &form, &[]);
    let leads = answer.header("location").unwrap();
    assert!(leads.starts_with("/auth/account?done="), "{leads}");
}

#[test]
fn a_stranger_in_the_browser_is_told_of_nobody_elses_address() {
    let gateway = strict().start();
    for (name, other, address) in [
        ("alice", None, "one@example.test"),
        ("alice", Some("root"), "two@example.test"),
    ] {
        let mut hers = sign_in(&gateway, name, &password(name));
        let form = form_to(
            &hers.get("/auth/account/email").text(),
            "/auth/account/email",
        );
        let old = password(name);
        let typed = [("email", address), ("current_password", old.as_str())];
        assert_eq!(
            send(&mut hers, "/auth/account/email", &form, &typed).status,
            303
        );
        let token = wait_for(&gateway, address, 1)
            .remove(0)
            .token("confirm-email");
        let mut browser = match other {
            Some(other) => sign_in(&gateway, other, &password(other)),
            None => Browser::new(&gateway),
        };
        assert_eq!(
            browser
                .get(&format!("/auth/confirm-email?token={token}"))
                .status,
            303
        );
        let form = form_to(
            &browser.get("/auth/confirm-email").text(),
            "/auth/confirm-email",
        );
        let answer = send(&mut browser, "/auth/confirm-email", &form, &[]);
        let leads = answer.header("location").unwrap();
        assert!(leads.starts_with("/auth/login?done="), "{leads}");
    }
}

#[test]
fn who_makes_an_account_first_goes_where_they_were_going() {
    let gateway = open("").start();
    let mut browser = Browser::new(&gateway);
    let page = plain(&browser.get("/auth/login?next=/app/x%3Fy%3D1"));
    let link = "/auth/register?next=%2Fapp%2Fx%3Fy%3D1";
    assert!(page.contains(&format!("href=\"{link}\"")), "{page}");
    let form = browser.form(link);
    let new = |password| {
        let typed = [("username", "newcomer"), ("email", "new@example.test")];
        [typed[0], typed[1], ("password", password)]
    };
    let again = send(&mut browser, "/auth/register", &form, &new("short"));
    assert_eq!(again.status, 422, "{}", again.text());
    let form = Form::read(&again.text());
    let made = send(&mut browser, "/auth/register", &form, &new(FRESH));
    assert_eq!(
        (made.status, made.header("location").as_deref()),
        (303, Some("/app/x?y=1")),
        "{}",
        made.text()
    );
}

#[test]
fn who_is_given_an_account_is_sent_the_link_that_opens_it() {
    let gateway = managed(strict()).start();
    let root = root(&gateway);
    let address = "fred@example.test";
    let draft = json!({ "username": "fred", "email": address, "password": FRESH });
    let made = call(&gateway, "POST", "/users", &root, &draft);
    assert_eq!(made.status, 201, "{}", made.text());
    let state = || gateway.cli(&["user", "show", "fred"], "").fine().out;
    assert!(state().contains("address not confirmed"), "{}", state());
    let token = wait_for(&gateway, address, 1).remove(0).token("verify");
    assert_eq!(verify(&gateway, &token).status, 200);
    assert!(!state().contains("address not confirmed"), "{}", state());
    // Whose address is changed for them as well.
    let path = format!("/users/{}", made.json()["id"]);
    let moved = json!({ "email": "fred2@example.test" });
    assert_eq!(call(&gateway, "PUT", &path, &root, &moved).status, 200);
    let token = wait_for(&gateway, "fred2@example.test", 1)
        .remove(0)
        .token("verify");
    assert_eq!(verify(&gateway, &token).status, 200);
    // And nobody whose address is known to be theirs.
    let (mut browser, _) = page_of(&gateway, "fred");
    let form = form_to(
        &browser.get("/auth/admin/users/new").text(),
        "/auth/admin/users/new",
    );
    let known = [
        ("username", "gina"),
        ("email", "gina@example.test"),
        ("password", FRESH),
        ("is_verified", "yes"),
    ];
    assert_eq!(
        send(&mut browser, "/auth/admin/users/new", &form, &known).status,
        303
    );
    assert!(
        gateway
            .cli(&["user", "show", "gina"], "")
            .fine()
            .out
            .contains("must change password")
    );
    assert!(
        !gateway
            .cli(&["user", "show", "gina"], "")
            .fine()
            .out
            .contains("not confirmed")
    );
    told_all(&gateway);
    assert!(letters(&gateway, "gina@example.test").is_empty());
}
