//! What the console and the command line offer: nothing that is refused then.

use serde_json::{Value, json};

use crate::accounts::{FRESH, call, first_password, get, id_of, open, post, refused, session};
use crate::accounts_links::{managed, root};
use crate::harness::Setup;
use crate::pages_browser::Browser;
use crate::pages_ends::sign_in;
use crate::pages_stale::page_of;

#[test]
fn the_console_offers_what_it_does() {
    let roles = "{ user: [], helper: [users:read], editor: [], admin: [user, users:read, users:write, users:delete, roles:read] }";
    let gateway = open("").set("roles", roles).start();
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
    session(&gateway, "admin", first_password(&gateway.banner()));
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
    let page = browser.get("/auth/admin/sessions").text();
    let row = |name: &str| {
        let rows = page.split("<tr>");
        let mut of = rows.filter(|row| row.contains(&format!(">{name}</a>")));
        of.next().unwrap().contains(">End<")
    };
    assert!(row("alice") && !row("admin"), "{page}");
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
}

#[test]
fn addresses_are_found_as_they_are_written() {
    let gateway = managed(open("")).start();
    let chief = session(&gateway, "admin", first_password(&gateway.banner()));
    let search = |text: &str| {
        let text: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let found = get(&gateway, &format!("/auth/users?search={text}"), &chief);
        found.json().as_array().unwrap().len()
    };
    let new = json!({ "username": "heidi", "email": "Heidi@BÜCHER.example", "password": FRESH });
    assert_eq!(call(&gateway, "POST", "/users", &chief, &new).status, 201);
    for text in [
        "heidi@bücher.example",
        "Heidi@BÜCHER.example",
        "BÜCHER",
        "bücher",
        "HEIDI@",
        "xn--bcher",
    ] {
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
fn where_no_letters_are_sent_none_is_promised() {
    let gateway = Setup::new().start();
    for path in ["/forgot-password", "/request-verify-token"] {
        for who in ["alice", "nobody"] {
            let wish = json!({ "email": format!("{who}@example.test") });
            let answer = post(&gateway, path, &wish);
            refused(&answer, 403, "FORBIDDEN");
            assert!(answer.text().contains("administrator"), "{}", answer.text());
        }
    }
    for path in ["/auth/forgot-password", "/auth/verify"] {
        let page = Browser::new(&gateway).get(path).text();
        assert!(
            page.contains("Ask an administrator") && !page.contains("<input"),
            "{path}: {page}"
        );
    }
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
