//! `brand:`: a logo that can do nothing (B-18), templates from a folder that are tried before they are in force.

use crate::harness::{Gateway, Response, Setup};
use crate::pages_browser::Browser;

const SVG: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
const PAGE: &str =
    "{% extends 'base.html' %}{% block main %}<h1>Come in to {{ brand.name }}</h1>{% endblock %}";

fn asset(gateway: &Gateway, path: &str) -> Response {
    gateway.ask(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

#[test]
fn b_18_a_logo_is_nothing_but_looked_at() {
    let gateway = Setup::new()
        .set("brand", "{ name: Example, logo: logo.svg }")
        .asset("logo.svg", SVG)
        .start();
    let page = Browser::new(&gateway).get("/auth/login").text();
    let page = page.replace("&#x2f;", "/");
    let start = page
        .find("/auth/static/logo?v=")
        .unwrap_or_else(|| panic!("{page}"));
    let path = &page[start..start + page[start..].find('"').unwrap()];
    let logo = asset(&gateway, path);
    assert_eq!(logo.status, 200);
    assert_eq!(
        logo.header("content-type").as_deref(),
        Some("image/svg+xml")
    );
    let policy = logo.values("content-security-policy");
    assert_eq!(
        policy,
        ["default-src 'none'; style-src 'unsafe-inline'; sandbox"]
    );
    assert_eq!(
        logo.header("x-content-type-options").as_deref(),
        Some("nosniff")
    );
    assert_eq!(logo.text(), SVG);
    assert_eq!(asset(Gateway::shared(), "/auth/static/logo").status, 404);
}

#[test]
fn b_18_what_is_no_picture_is_refused() {
    for (name, text, said) in [
        (
            "logo.png",
            "<html>",
            "is neither an SVG, a PNG nor a WebP picture",
        ),
        ("logo.svg", "", "is empty"),
    ] {
        let brand = format!("{{ logo: {name} }}");
        let folder = Setup::new().set("brand", &brand).asset(name, text).folder();
        let answer = folder.cli(&["check"], "");
        assert_eq!(answer.code, Some(1), "{}", answer.all());
        assert!(answer.all().contains(said), "{}", answer.all());
    }
}

#[test]
fn x_07_pages_are_replaced_one_by_one() {
    let setup = Setup::new().set("brand", "{ name: Example, templates: pages }");
    let gateway = setup.clone().asset("pages/login.html", PAGE).start();
    let login = |gateway: &Gateway| Browser::new(gateway).get("/auth/login").text();
    assert!(login(&gateway).contains("<h1>Come in to Example</h1>"));
    // Those that are not there are our own.
    let missing = Browser::new(&gateway).get("/auth/nothing").text();
    assert!(missing.contains("There is nothing here"), "{missing}");
    // A reload takes another one; one that is broken changes nothing.
    std::fs::write(
        gateway.path().join("pages/login.html"),
        PAGE.replace("Come", "Walk"),
    )
    .unwrap();
    assert!(gateway.reload());
    assert!(login(&gateway).contains("Walk in"));
    std::fs::write(gateway.path().join("pages/login.html"), "{% if %}").unwrap();
    assert!(!gateway.reload());
    assert!(login(&gateway).contains("Walk in"));
}

#[test]
fn x_07_a_broken_page_is_told_with_file_and_line() {
    for (name, text, said) in [
        ("login.html", "<p>\n{% if %}", "login.html:2: syntax error"),
        (
            "login.html",
            "\n\n{{ nonsense }}",
            "login.html:3: undefined value",
        ),
        (
            "account.html",
            "{% include '../gateway.yaml' %}",
            "account.html:1: template not found",
        ),
    ] {
        let setup = Setup::new().set("brand", "{ templates: pages }");
        let folder = setup.asset(&format!("pages/{name}"), text).folder();
        let answer = folder.cli(&["check"], "");
        assert_eq!(answer.code, Some(1), "{}", answer.all());
        assert!(answer.all().contains(said), "{}", answer.all());
    }
    let setup = Setup::new().set("brand", "{ templates: pages }");
    let folder = setup.asset("pages/logn.html", "").folder();
    let answer = folder.cli(&["check"], "");
    assert_eq!(answer.code, Some(0), "{}", answer.all());
    assert!(
        answer.all().contains("logn.html replaces no page"),
        "{}",
        answer.all()
    );
}
