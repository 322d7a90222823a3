//! Pages that were opened a while ago: what they send is refused when what they showed has changed since.

use crate::accounts::{FRESH, id_of, lets_in, open, register, reset_token, strict, wait_for};
use crate::accounts_links::managed;
use crate::harness::setup::password;
use crate::harness::{Gateway, Response};
use crate::pages_browser::{Browser, Form, OWN_FORM, encode};

/// The console's page of a user, as root's browser has it.
pub fn page_of<'a>(gateway: &'a Gateway, name: &str) -> (Browser<'a>, String) {
    let mut browser = Browser::new(gateway);
    let form = browser.form("/auth/login");
    assert_eq!(browser.submit(&form, "root", &password("root")).status, 303);
    let path = format!("/auth/admin/users/{}", id_of(gateway, name));
    (browser, path)
}

/// The form of a page that is sent there.
pub fn form_to(page: &str, path: &str) -> Form {
    // Its slashes may be written otherwise.
    let at = page.find(&format!("{}\"", path.trim_start_matches("/auth/")));
    let at = at.unwrap_or_else(|| panic!("no form for {path} in {page}"));
    let form = &page[page[..at].rfind("<form").unwrap()..];
    Form::read(&form[..form.find("</form>").unwrap() + "</form>".len()])
}

pub fn send(browser: &mut Browser<'_>, path: &str, form: &Form, more: &[(&str, &str)]) -> Response {
    let hidden = form.hidden.iter();
    let mut fields: Vec<(&str, &str)> = hidden.map(|(n, v)| (n.as_str(), v.as_str())).collect();
    fields.extend_from_slice(more);
    browser.post(path, OWN_FORM, &fields)
}

/// Two tabs stand at the login page; the second is sent after the first has let them in.
#[test]
fn x_04_a_second_tab_goes_on_once_the_first_has_signed_in() {
    let gateway = Gateway::shared();
    let mut browser = Browser::new(gateway);
    let [first, second] =
        ["/app/a", "/app/b"].map(|next| browser.form(&format!("/auth/login?next={next}")));
    // One that is too old lets nobody in by itself, whatever was typed.
    let stranger = Browser::new(gateway).submit(&second, "alice", &password("alice"));
    assert_eq!(stranger.status, 403, "{}", stranger.text());
    let place = |answer: Response| (answer.status, answer.header("location"));
    let answer = browser.submit(&first, "alice", &password("alice"));
    assert_eq!(place(answer), (303, Some("/app/a".to_owned())));
    let session = browser.cookies["portcullis"].clone();
    // Nobody goes on as somebody else than they say they are.
    let other = browser.submit(&second, "root", &password("root"));
    assert_eq!(other.status, 403, "{}", other.text());
    let answer = browser.submit(&second, "alice", "not looked at");
    assert_eq!(place(answer), (303, Some("/app/b".to_owned())));
    assert_eq!(browser.cookies["portcullis"], session);
}

/// Whoever was away so long that the session has ended comes back to the page that they sent a form from.
#[test]
fn x_04_a_form_that_comes_too_late_leads_back_to_its_page() {
    let gateway = Gateway::shared();
    let page = "/auth/account/password?next=/app/x";
    let mut browser = Browser::new(gateway);
    let sent = [("password", FRESH)];
    for (from, leads) in [
        (
            format!("http://localhost{page}"),
            format!("/auth/login?{}&done=not-taken", encode(&[("next", page)])),
        ),
        (
            "http://evil.test/auth/account".to_owned(),
            "/auth/login?done=not-taken".to_owned(),
        ),
        (
            "http://localhost@evil.test/auth/account".to_owned(),
            "/auth/login?done=not-taken".to_owned(),
        ),
        (
            "data:text/html,x".to_owned(),
            "/auth/login?done=not-taken".to_owned(),
        ),
        // Shown again there, where it may be no page.
        (
            "http://localhost/auth/account/password".to_owned(),
            "/auth/login?next=%2Fauth%2Faccount&done=not-taken".to_owned(),
        ),
    ] {
        let lines = format!("{OWN_FORM}Referer: {from}\r\n");
        let answer = browser.post("/auth/account/password", &lines, &sent);
        let place = answer.header("location");
        assert_eq!((answer.status, place), (303, Some(leads)), "{from}");
    }
}

/// Whoever asks for two places goes to the first.
#[test]
fn oc_10_two_places_to_go_to_are_no_error() {
    let form = Browser::new(Gateway::shared()).form("/auth/login?next=/app/a&next=/app/b");
    assert_eq!(form.hidden["next"], "/app/a");
}

/// Whoever lost the letter finds the way to another one.
#[test]
fn who_has_an_address_to_confirm_is_shown_where_letters_are_sent_again() {
    let link = "/verify\">Send it again</a>";
    let page = |gateway: &Gateway| Browser::new(gateway).get("/auth/login").text();
    assert!(page(&strict().start()).contains(link));
    assert!(!page(Gateway::shared()).contains(link));
}

#[test]
fn ad_12_a_page_of_the_console_puts_nothing_back() {
    let gateway = managed(open("")).start();
    let old = |page: &Response| {
        assert_eq!(page.status, 409, "{}", page.text());
        assert!(page.text().contains("Somebody else"), "{}", page.text());
    };
    let (mut browser, path) = page_of(&gateway, "alice");
    let (profile, roles) = (format!("{path}/profile"), format!("{path}/roles"));
    let form = form_to(&browser.get(&path).text(), &profile);
    gateway.cli(&["user", "disable", "alice"], "").fine();
    let enabled = [
        ("username", "alice"),
        ("email", "alice@example.test"),
        ("is_active", "yes"),
    ];
    let refused = send(&mut browser, &profile, &form, &enabled);
    old(&refused);
    assert!(!lets_in(&gateway, "alice", &password("alice")));
    // The page that comes back is that of today, and its form is taken.
    let form = form_to(&refused.text(), &profile);
    assert_eq!(send(&mut browser, &profile, &form, &enabled).status, 303);
    assert!(lets_in(&gateway, "alice", &password("alice")));
    // The same of roles.
    let form = form_to(&browser.get(&path).text(), &roles);
    let given = |list: &str| {
        gateway
            .cli(&["user", "set-roles", "alice", list], "")
            .fine()
    };
    given("admin");
    old(&send(&mut browser, &roles, &form, &[("roles", "user")]));
    let form = form_to(&browser.get(&path).text(), &roles);
    assert_eq!(
        send(&mut browser, &roles, &form, &[("roles", "user")]).status,
        303
    );
}

#[test]
fn a_17_a_form_does_what_it_shows_whatever_link_was_opened_since() {
    let gateway = open("").start();
    let follow = |browser: &mut Browser<'_>, token: &str| {
        let moved = browser.get(&format!("/auth/reset-password?token={token}"));
        assert_eq!(moved.status, 303);
        browser.form("/auth/reset-password")
    };
    let of = |name: &str| reset_token(&gateway, &format!("{name}@example.test"));
    let mut browser = Browser::new(&gateway);
    let alices = follow(&mut browser, &of("alice"));
    let roots = follow(&mut browser, &of("root"));
    let new = [("password", FRESH)];
    let refused = send(&mut browser, "/auth/reset-password", &alices, &new);
    assert_eq!(refused.status, 403, "{}", refused.text());
    // Nor does the form that comes back.
    let again = form_to(&refused.text(), "/auth/reset-password");
    let refused = send(&mut browser, "/auth/reset-password", &again, &new);
    assert_eq!(refused.status, 403, "{}", refused.text());
    for name in ["alice", "root"] {
        assert!(lets_in(&gateway, name, &password(name)), "{name}");
    }
    let done = send(&mut browser, "/auth/reset-password", &roots, &new);
    assert_eq!(done.status, 303, "{}", done.text());
    assert!(lets_in(&gateway, "root", FRESH) && !lets_in(&gateway, "alice", FRESH));
}

#[test]
fn a_17_who_confirms_an_address_is_told_whose_account_gets_it() {
    let gateway = strict().start();
    let victim = "victim@example.test";
    assert_eq!(register(&gateway, "mallory", victim, FRESH).status, 202);
    let token = wait_for(&gateway, victim, 1).remove(0).token("verify");
    let mut browser = Browser::new(&gateway);
    let link = format!("/auth/verify?token={token}");
    assert_eq!(browser.get(&link).status, 303);
    let page = browser.get("/auth/verify").text();
    for told in ["mallory", victim, "somebody else"] {
        assert!(page.contains(told), "{told} is not told: {page}");
    }
    assert!(!lets_in(&gateway, "mallory", FRESH));
    // A link without an account behind it has nothing to confirm, and is said to be no good at once.
    let form = Form::read(&page);
    assert_eq!(send(&mut browser, "/auth/verify", &form, &[]).status, 303);
    assert!(lets_in(&gateway, "mallory", FRESH));
    assert_eq!(browser.get(&link).status, 303);
    let spent = browser.get("/auth/verify");
    assert_eq!(spent.status, 400, "{}", spent.text());
    assert!(!spent.text().contains(">Confirm<"), "{}", spent.text());
}

#[test]
fn x_01_a_description_is_a_line_of_text() {
    let gateway = managed(open("")).start();
    let added = ["user", "add", "chief", "--superuser", "--password-stdin"];
    let secret = format!("{}\n", password("chief"));
    gateway.cli(&added, &secret).fine();
    let mut browser = Browser::new(&gateway);
    let form = browser.form("/auth/login");
    browser.submit(&form, "chief", &password("chief"));
    let path = "/auth/admin/roles/new";
    let form = form_to(&browser.get(path).text(), path);
    for (text, status) in [
        ("with\0nothing", 422),
        ("two\nlines", 422),
        ("writes books", 303),
    ] {
        let sent = [("name", "scribe"), ("description", text)];
        let answer = send(&mut browser, path, &form, &sent);
        assert_eq!(answer.status, status, "{text:?}: {}", answer.text());
    }
}
