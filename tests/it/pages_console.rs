//! The account pages and the console over the wire: who is let in where, the headers of every page, forms
//! that were not made for who sends them (C-14), and links whose token leaves the address.

use std::sync::OnceLock;

use crate::api_matrix::PAGES;
use crate::harness::setup::password;
use crate::harness::{Gateway, Response, Setup};
use crate::pages_answers::assert_protected;
use crate::pages_browser::{NAVIGATION, OWN_FORM, encode};

/// Everybody's pages.
const OPEN: [&str; 8] = [
    "/login",
    "/login?done=verified",
    "/register",
    "/forgot-password",
    "/verify",
    "/confirm-email",
    "/reset-password",
    "/nothing",
];

/// Pages of whoever is signed in.
const MINE: [&str; 5] = [
    "/",
    "/account",
    "/account/email",
    "/account/password",
    "/account/delete",
];

/// Pages of the console.
const CONSOLE: [&str; 12] = [
    "/admin",
    "/admin/users",
    "/admin/users?search=a&page=2",
    "/admin/users/new",
    "/admin/users/1",
    "/admin/users/1/delete",
    "/admin/invitations",
    "/admin/sessions",
    "/admin/roles",
    "/admin/roles/new",
    "/admin/permissions",
    "/admin/policy?path=/x",
];

/// Where forms are sent to, beside those of everybody.
const FORMS: [&str; 22] = [
    "/account/profile",
    "/account/email",
    "/account/password",
    "/account/delete",
    "/account/sessions/end-others",
    "/account/sessions/0123456789abcdef0123456789abcdef/end",
    "/admin/users/new",
    "/admin/users/1/profile",
    "/admin/users/1/roles",
    "/admin/users/1/password",
    "/admin/users/1/delete",
    "/admin/users/1/sessions/end-all",
    "/admin/users/1/sessions/0123456789abcdef0123456789abcdef/end",
    "/admin/invitations",
    "/admin/invitations/0123456789abcdef0123456789abcdef/revoke",
    "/admin/roles/new",
    "/admin/roles/1",
    "/admin/roles/1/delete",
    "/admin/permissions",
    "/admin/users/99999/delete",
    "/admin/users/x/delete",
    "/admin/roles/x",
];

fn gateway() -> &'static Gateway {
    static SHARED: OnceLock<Gateway> = OnceLock::new();
    SHARED.get_or_init(|| {
        let gateway = Setup::new()
            .set(
                "login",
                "{ password: { register: open, argon2: { memory: 8MiB, passes: 1, lanes: 1 } } }",
            )
            .start();
        let added = [
            "user",
            "add",
            "super",
            "--superuser",
            "--email",
            "super@example.test",
            "--password-stdin",
        ];
        gateway
            .cli(&added, &format!("{}\n", password("super")))
            .fine();
        gateway
    })
}

fn get(path: &str, who: &str) -> Response {
    let cookie = gateway().as_user(who);
    gateway().ask(format!(
        "GET /auth{path} HTTP/1.1\r\nHost: localhost\r\n{NAVIGATION}{cookie}\r\n"
    ))
}

fn post(path: &str, lines: &str, fields: &[(&str, &str)]) -> Response {
    let body = encode(fields);
    gateway().ask(format!(
        "POST /auth{path} HTTP/1.1\r\nHost: localhost\r\n{lines}\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// The token of the forms of a page.
fn token(page: &Response) -> String {
    let text = page.text();
    let mark = "name=\"csrf\" value=\"";
    let start = text
        .find(mark)
        .unwrap_or_else(|| panic!("no form in {text}"))
        + mark.len();
    text[start..start + text[start..].find('"').unwrap()].to_owned()
}

fn leads_to_login(answer: &Response) -> bool {
    let place = answer.header("location").unwrap_or_default();
    answer.status == 303 && place.starts_with("/auth/login")
}

#[test]
fn x_01_x_08_headers_of_every_page() {
    for who in ["", "alice", "super"] {
        for path in OPEN.iter().chain(&MINE).chain(&CONSOLE) {
            let answer = get(path, who);
            let what = format!("{path} for {who:?}");
            assert!(answer.status < 500, "{what}: {}", answer.text());
            assert_protected(&answer, &what);
            if answer.status != 303 {
                let kind = answer.header("content-type").unwrap();
                assert_eq!(kind, "text/html; charset=utf-8", "{what}");
            }
            for name in ["cross-origin-opener-policy", "cross-origin-resource-policy"] {
                assert_eq!(
                    answer.header(name).as_deref(),
                    Some("same-origin"),
                    "{what}"
                );
            }
            assert_eq!(
                answer.header("x-frame-options").as_deref(),
                Some("DENY"),
                "{what}"
            );
        }
        for path in FORMS {
            let lines = format!("{OWN_FORM}{}", gateway().as_user(who));
            assert_protected(&post(path, &lines, &[]), &format!("POST {path} by {who:?}"));
        }
    }
}

/// A page that is added to the router is tried here, too.
#[test]
fn x_01_every_page_of_the_router_is_looked_at() {
    let is_page = |path: &str| {
        let machine = ["/docs", "/openapi.json", "/static/", "{prefix}"];
        !machine.iter().any(|start| path.starts_with(start))
    };
    let fits = |page: &str, tried: &str| {
        let tried = tried.split('?').next().unwrap();
        let pairs = page.split('/').zip(tried.split('/'));
        page.split('/').count() == tried.split('/').count()
            && pairs
                .into_iter()
                .all(|(page, tried)| page.starts_with('{') || page == tried)
    };
    let tried = || OPEN.iter().chain(&MINE).chain(&CONSOLE).chain(&FORMS);
    for page in PAGES.iter().filter(|page| is_page(page)) {
        assert!(tried().any(|tried| fits(page, tried)), "{page}");
    }
}

#[test]
fn ad_01_pages_are_open_to_whom_they_are_meant_for() {
    for path in MINE.iter().chain(&CONSOLE) {
        let answer = get(path, "");
        assert!(leads_to_login(&answer), "{path}: {}", answer.status);
        let place = answer.header("location").unwrap();
        let back = encode(&[("next", &format!("/auth{path}"))]);
        assert_eq!(place, format!("/auth/login?{back}"));
    }
    for path in MINE {
        assert!(matches!(get(path, "alice").status, 200 | 303), "{path}");
    }
    for path in CONSOLE {
        let answer = get(path, "alice");
        assert_eq!(answer.status, 403, "{path}");
        let page = answer.text();
        assert!(!page.contains("root@example.test"), "{path}: {page}");
        let answer = get(path, "super");
        assert!(
            matches!(answer.status, 200 | 303),
            "{path}: {}",
            answer.text()
        );
    }
    assert!(!get("/account", "alice").text().contains(">Administration<"));
    assert!(get("/account", "super").text().contains(">Administration<"));
}

#[test]
fn c_14_ad_08_a_form_needs_the_token_of_its_own_session() {
    let of_alice = token(&get("/account", "alice"));
    let of_super = token(&get("/account", "super"));
    let of_nobody = token(&get("/login", ""));
    assert!(of_alice != of_super && of_alice != of_nobody);
    for path in FORMS {
        for (lines, csrf, who) in [
            (OWN_FORM, "", "super"),
            (OWN_FORM, of_alice.as_str(), "super"),
            (OWN_FORM, of_nobody.as_str(), "super"),
            (OWN_FORM, "AAAA", "super"),
            (
                "Accept: text/html\r\nSec-Fetch-Site: cross-site\r\n",
                of_super.as_str(),
                "super",
            ),
            (
                "Accept: text/html\r\nSec-Fetch-Site: same-site\r\n",
                of_super.as_str(),
                "super",
            ),
            (
                "Accept: text/html\r\nOrigin: https://evil.test\r\n",
                of_super.as_str(),
                "super",
            ),
            // The twin of all of them but for rights: the right token, of somebody who may not.
            (OWN_FORM, of_alice.as_str(), "alice"),
        ] {
            if who == "alice" && !path.starts_with("/admin") {
                continue;
            }
            let lines = format!("{lines}{}", gateway().as_user(who));
            let fields = [
                ("csrf", csrf),
                ("username", "x"),
                ("name", "x:y"),
                ("email", "x@example.test"),
            ];
            let answer = post(path, &lines, &fields);
            let refused = matches!(answer.status, 403 | 404 | 422);
            assert!(refused, "{path} by {who} with {csrf:?}: {}", answer.status);
        }
        let answer = post(path, OWN_FORM, &[("csrf", &of_nobody)]);
        assert!(leads_to_login(&answer), "{path}: {}", answer.status);
    }
    // Nothing came of any of it.
    let users = get("/admin/users", "super").text();
    assert!(
        users.contains("alice") && !users.contains("x@example.test"),
        "{users}"
    );
    // And the twin: the right form of the right session.
    let lines = format!("{OWN_FORM}{}", gateway().as_user("super"));
    let saved = post(
        "/account/profile",
        &lines,
        &[("csrf", &of_super), ("username", "super")],
    );
    assert_eq!(
        saved.header("location").as_deref(),
        Some("/auth/account?done=profile-saved")
    );
}

#[test]
fn c_14_forms_of_strangers_need_the_token_of_their_flow() {
    for path in [
        "/register",
        "/forgot-password",
        "/verify",
        "/reset-password",
        "/confirm-email",
    ] {
        for lines in [
            OWN_FORM.to_owned(),
            format!("{OWN_FORM}Cookie: portcullis-flow={}\r\n", "A".repeat(43)),
            "Accept: text/html\r\nSec-Fetch-Site: cross-site\r\n".to_owned(),
            "Accept: text/html\r\nOrigin: null\r\n".to_owned(),
        ] {
            let fields = [
                ("csrf", "AAAA"),
                ("email", "new@example.test"),
                ("username", "newcomer"),
                ("password", "a long enough password"),
            ];
            let answer = post(path, &lines, &fields);
            assert_eq!(answer.status, 403, "{path}: {}", answer.text());
        }
    }
    assert!(
        !get("/admin/users?search=newcomer", "super")
            .text()
            .contains("new@example.test")
    );
}

#[test]
fn a_17_the_token_of_a_link_leaves_the_address() {
    let secret = "Tk".repeat(21) + "A";
    for page in ["verify", "confirm-email", "reset-password", "register"] {
        let answer = get(&format!("/{page}?token={secret}&x=y"), "");
        assert_eq!(answer.status, 303, "{page}");
        assert_eq!(answer.header("location"), Some(format!("/auth/{page}")));
        assert_eq!(
            answer.header("referrer-policy").as_deref(),
            Some("no-referrer")
        );
        let cookies = answer.values("set-cookie");
        let cookie = cookies
            .iter()
            .find(|it| it.starts_with("portcullis-link="))
            .unwrap();
        for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=1800"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!answer.text().contains(&secret), "{page}");
        let line = format!(
            "{NAVIGATION}Cookie: {}\r\n",
            cookie.split(';').next().unwrap()
        );
        let clean = gateway().ask(format!(
            "GET /auth/{page} HTTP/1.1\r\nHost: localhost\r\n{line}\r\n"
        ));
        let text = clean.text();
        assert!(!text.contains(&secret), "{page}: {text}");
        let refers = clean.header("referrer-policy").unwrap();
        assert!(
            ["no-referrer", "same-origin"].contains(&&*refers),
            "{page}: {refers}"
        );
        assert!(
            !text.contains("http://") && !text.contains("https://"),
            "{page}: {text}"
        );
        // A service never sees it.
        let path = format!("/public/{page}-link");
        gateway().ask(format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\n{line}\r\n"
        ));
        let seen = gateway().recorder().everything();
        let seen: Vec<_> = seen.iter().filter(|it| it.target() == path).collect();
        assert!(!seen.is_empty() && seen.iter().all(|it| !it.mentions(&secret)));
    }
    assert!(
        !gateway().log().contains(&secret),
        "a token of a link is in the log"
    );
    // What is no token replaces what an earlier link left.
    let answer = get("/reset-password?token=%22%3E%3Cscript%3E", "");
    let cookies = answer.values("set-cookie");
    assert!(
        cookies
            .iter()
            .any(|it| it.starts_with("portcullis-link=reset-password.;")),
        "{cookies:?}"
    );
}

#[test]
fn ad_11_lists_are_bounded_whatever_is_asked() {
    for query in [
        "page=0",
        "page=-1",
        "page=99999999999999999999",
        "page=%27--",
        "search=%25%27%22;--",
        "search=%00",
        "search=&page=",
    ] {
        for list in ["users", "sessions"] {
            let answer = get(&format!("/admin/{list}?{query}"), "super");
            assert_eq!(answer.status, 200, "{list}?{query}: {}", answer.text());
        }
    }
    for id in ["0", "-1", "99999999999999999999", "1%27", "%00", "1e3"] {
        for page in ["users", "roles"] {
            let status = get(&format!("/admin/{page}/{id}"), "super").status;
            assert!(matches!(status, 400 | 404), "{page}/{id}: {status}");
        }
    }
}
