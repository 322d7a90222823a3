//! Where pages lead that cannot do what they were opened for: never to a form that cannot do it either.

use serde_json::{Value, json};

use crate::accounts::{
    FRESH, call, first_password, get, id_of, lets_in, letters, open, post, refused, register,
    reset_token, session, strict, verify, wait_for,
};
use crate::accounts_links::{managed, root};
use crate::harness::setup::password;
use crate::harness::{Gateway, Response, Setup};
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

fn sign_in<'a>(gateway: &'a Gateway, name: &str, secret: &str) -> Browser<'a> {
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
    refused(&verify(&gateway, &first), 400, "USERNAME_TAKEN");
    assert_eq!(ask().status, 202);
    assert_eq!(
        register(&gateway, "twin", "twin@example.test", FRESH).status,
        202
    );
    wait_for(&gateway, "twin@example.test", 1);
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
    for (mut browser, place) in [
        (Browser::new(&gateway), "/auth/login?done="),
        (browser, "/auth/account?done="),
    ] {
        assert_eq!(
            browser
                .get(&format!("/auth/confirm-email?token={token}"))
                .status,
            303
        );
        let page = browser.get("/auth/confirm-email");
        if place.contains("login") {
            // Looking at it spends nothing, and this one only looks.
            assert_eq!(page.status, 200);
            continue;
        }
        let form = form_to(&page.text(), "/auth/confirm-email");
        let answer = send(&mut browser, "/auth/confirm-email", &form, &[]);
        let leads = answer.header("location").unwrap();
        assert!(leads.starts_with(place), "{leads}");
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
    assert!(letters(&gateway, "gina@example.test").is_empty());
}

#[test]
fn the_console_offers_what_it_does() {
    let roles = "{ user: [], helper: [users:read], editor: [], admin: [user, users:read, users:write, users:delete, roles:read] }";
    let gateway = open("").set("roles", roles).start();
    let chief = session(&gateway, "admin", first_password(&gateway.banner()));
    let add = [
        "user",
        "add",
        "rita",
        "--roles",
        "helper",
        "--password-stdin",
    ];
    gateway.cli(&add, &format!("{FRESH}\n")).fine();
    let add = ["user", "add", "pam", "--must-change", "--password-stdin"];
    gateway.cli(&add, &format!("{FRESH}\n")).fine();
    gateway.login("alice");
    let boss = id_of(&gateway, "admin");
    // Who reads users ends nobody's session.
    let mut rita = sign_in(&gateway, "rita", FRESH);
    let page = rita.get("/auth/admin/sessions").text();
    assert!(page.contains("alice") && !page.contains(">End<"), "{page}");
    // Who administers gives what they hold, and leaves alone who holds more.
    let (mut browser, path) = page_of(&gateway, "alice");
    let page = browser.get(&path).text();
    assert!(
        page.contains("value=\"admin\"") && !page.contains("value=\"editor\""),
        "{page}"
    );
    assert!(
        page.contains("Set the password") && page.contains(">End<"),
        "{page}"
    );
    assert!(browser.get("/auth/admin/sessions").text().contains(">End<"));
    let page = browser.get(&format!("/auth/admin/users/{boss}")).text();
    assert!(
        page.contains("superuser") && !page.contains("<input id="),
        "{page}"
    );
    assert!(
        !page.contains(">End<") && !page.contains("Delete the user"),
        "{page}"
    );
    // Who is let nowhere is allowed nothing.
    let page = browser.get("/auth/admin/policy?path=/app/x&as=pam").text();
    assert!(page.contains("must choose another password"), "{page}");
    let page = browser
        .get("/auth/admin/policy?path=/app/x&as=alice")
        .text();
    assert!(page.contains("allow"), "{page}");
    let search = |text: &str| {
        let text: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let found = get(&gateway, &format!("/auth/users?search={text}"), &chief);
        found.json().as_array().unwrap().len()
    };
    let new = json!({ "username": "heidi", "email": "Heidi@bücher.example", "password": FRESH });
    assert_eq!(call(&gateway, "POST", "/users", &chief, &new).status, 201);
    for text in ["heidi@bücher.example", "bücher", "HEIDI@", "xn--bcher"] {
        assert_eq!(search(text), 1, "{text}");
    }
    assert_eq!(search("bucher"), 0);
}

#[test]
fn where_nobody_is_invited_the_console_says_so() {
    let login = "{ password: { register: closed, argon2: { memory: 8MiB, passes: 1, lanes: 1 } } }";
    let gateway = managed(Setup::new().set("login", login)).start();
    let (mut browser, _) = page_of(&gateway, "alice");
    let page = browser.get("/auth/admin/invitations").text();
    assert!(
        page.contains("by administrators only") && !page.contains("Make the link"),
        "{page}"
    );
    assert!(
        !browser
            .get("/auth/admin/users/new")
            .text()
            .contains("invite them")
    );
    let invited = json!({ "email": "eve@example.test" });
    let answer = call(&gateway, "POST", "/invitations", &root(&gateway), &invited);
    refused(&answer, 403, "REGISTRATION_CLOSED");
    assert!(
        answer.text().contains("administrators only"),
        "{}",
        answer.text()
    );
}

#[test]
fn superusers_are_made_by_name_and_not_by_a_role() {
    let gateway = Setup::new().start();
    let is = |name: &str| {
        let said = gateway
            .cli(&["user", "show", name, "--json"], "")
            .fine()
            .out;
        serde_json::from_str::<Value>(&said).unwrap()["is_superuser"] == true
    };
    let set = |name: &str, to: &str| gateway.cli(&["user", "set-superuser", name, to], "");
    let said = gateway
        .cli(&["user", "set-roles", "alice", "superuser"], "")
        .fine();
    assert!(
        said.out.contains("set-superuser alice yes") && !is("alice"),
        "{}",
        said.out
    );
    let said = gateway.cli(&["explain", "GET", "/app/x", "--account", "alice"], "");
    assert!(
        said.out.contains("as alice, role superuser"),
        "{}",
        said.all()
    );
    set("alice", "yes").fine();
    assert!(is("alice"));
    set("alice", "no").fine();
    assert!(!is("alice"));
    // Somebody must be left who is.
    let last = set("admin", "no");
    assert!(
        last.code == Some(1) && last.err.contains("last active superuser"),
        "{}",
        last.all()
    );
    assert!(is("admin"));
    assert_eq!(set("alice", "maybe").code, Some(2));
}
