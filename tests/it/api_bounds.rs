//! How much anybody gets, and how much anybody may send: lists and bodies.

use serde_json::json;

use crate::accounts_links::managed;
use crate::api::Bench;
use crate::harness::Setup;
use crate::pages_stale::page_of;

#[test]
fn ad_11_lists_are_bounded() {
    let bench = Bench::new();
    for _ in 0..3 {
        bench.victim();
    }
    let list = |query: &str| bench.call(&bench.chief, "GET", &format!("/auth/users?{query}"), None);
    for query in [
        "limit=0",
        "limit=-1",
        "limit=1001",
        "limit=1000000000",
        "limit=1e2",
        "limit=",
        "limit=1&limit=2",
        "skip=-1",
        "skip=99999999999999999999",
        "sort=password_hash",
        "sort=id;DROP%20TABLE%20users",
        "sort=--id",
        "sort=",
        &format!("search={}", "x".repeat(255)),
    ] {
        let answer = list(query);
        assert_eq!(answer.status, 422, "{query}: {}", answer.text());
    }
    for query in [
        "search=%27%20OR%201=1--",
        "search=%25",
        "search=%00",
        "search=_",
        "skip=4294967295",
    ] {
        let answer = list(query);
        assert_eq!((answer.status, answer.json()), (200, json!([])), "{query}");
    }
    let names = |query: &str| {
        let answer = list(query);
        let all = answer.json();
        let names = all.as_array().unwrap().iter();
        names
            .map(|user| user["username"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names("search=VICTIM&sort=-username"),
        ["victim3", "victim2", "victim1"]
    );
    assert_eq!(names("search=victim&skip=1&limit=1"), ["victim2"]);
    let total = list("search=victim&limit=1").header("x-total-count");
    assert_eq!(total.as_deref(), Some("3"));
}

#[test]
fn b_09_bodies_that_are_bombs() {
    let bench = Bench::new();
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let nested = format!("{{\"name\":{deep}}}");
    let many: Vec<String> = (0..30_000).map(|n| format!("\"k{n}\":1")).collect();
    let many = format!("{{{}}}", many.join(","));
    let huge = format!("{{\"role_ids\":[1{}]}}", "0".repeat(400));
    let bodies: [(&[u8], &str); 11] = [
        (deep.as_bytes(), "deep"),
        (nested.as_bytes(), "nested"),
        (many.as_bytes(), "many"),
        (huge.as_bytes(), "huge"),
        (b"{\"name\":\"a\",\"name\":\"b\"}", "twice"),
        (b"[\"name\"]", "array"),
        (b"{\"name\":\"\xff\"}", "no UTF-8"),
        (b"{\"name\":\"\\ud800\"}", "half a character"),
        (b"null", "null"),
        (b"{\"name\":\"a\"}x", "more behind it"),
        (b"", "nothing"),
    ];
    for (body, what) in bodies {
        for path in [
            "/auth/roles",
            "/auth/users",
            "/auth/users/1/roles",
            "/auth/permissions",
        ] {
            let mut request = format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                bench.chief,
                body.len()
            )
            .into_bytes();
            request.extend_from_slice(body);
            let answer = bench.gateway.ask(request);
            let fits = [400, 413, 422].contains(&answer.status);
            assert!(
                fits,
                "{what} to {path}: {} {}",
                answer.status,
                answer.text()
            );
        }
    }
    let twin = json!({ "name": "twin" });
    bench.chief("POST", "/auth/roles", Some(&twin));
}

/// In the form of every other fault, and in no words of the program's.
#[test]
fn ad_11_what_is_no_number_is_told_where_it_stands() {
    let bench = Bench::new();
    for path in ["/auth/users/abc", "/auth/users/x/sessions"] {
        let answer = bench.call(&bench.chief, "GET", path, None);
        let told = &answer.json()["detail"][0];
        assert_eq!(answer.status, 422, "{path}: {}", answer.text());
        assert_eq!(told["loc"], json!(["path", "id"]), "{path}: {told}");
        assert_eq!(told["type"], "int_parsing", "{path}: {told}");
    }
}

#[test]
fn a_console_page_that_is_asked_for_twice_over_is_a_page() {
    let gateway = managed(Setup::new()).start();
    let (mut browser, _) = page_of(&gateway, "alice");
    for path in [
        "users?search=a&search=b",
        "sessions?page=1&page=2",
        "policy?path=/&path=/x",
    ] {
        let answer = browser.get(&format!("/auth/admin/{path}"));
        assert_eq!(answer.status, 422, "{path}");
        let kind = answer.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/html"), "{path}: {kind}");
    }
}
