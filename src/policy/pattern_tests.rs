//! What patterns match, contain and overlap, and which are refused.

use super::*;

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

#[test]
fn p_11_p_12_p_13_matching_on_segment_boundaries() {
    let cases = [
        ("/**", "/ /a /a/b /a/b/", ""),
        (
            "/admin",
            "/admin /admin/",
            "/ /admin/x /adminX /admin. /admin%20 /admin.json /Admin",
        ),
        ("/admin/", "/admin /admin/", "/admin/x"),
        (
            "/admin/**",
            "/admin /admin/ /admin/x /admin/x/y/",
            "/ /adminX /admin. /ADMIN",
        ),
        ("/a/*", "/a/b /a/b/", "/a /a/ /a/b/c"),
        ("/a/:id/c", "/a/b/c /a/%20/c", "/a/c /a/b/b/c"),
        ("/a/**/c", "/a/c /a/b/c /a/b/b/c/", "/a /a/b /ac"),
        (
            "/**/status",
            "/status /x/status /x/y/status",
            "/xstatus /status/x",
        ),
        ("/a/*/**", "/a/b /a/b/c", "/a /a/"),
        ("/a/**/**", "/a /a/ /a/b /a/b/c", "/ab"),
        ("/**/**/a", "/a /b/a /b/c/a", "/ /b"),
        (
            "/café/{x}/[y]/:n",
            "/caf%C3%A9/%7Bx%7D/%5By%5D/1",
            "/cafe/%7Bx%7D/%5By%5D/1 /caf%C3%A9/x/y/1",
        ),
        ("/caf%C3%A9", "/caf%c3%a9", "/caf%C3%89"),
        // Signs that stand for themselves.
        ("/v1/%3Aget", "/v1/:get /v1/%3aget", "/v1/x /v1/get"),
        ("/%2A/b", "/*/b /%2a/b", "/x/b"),
        ("/a/%2a%2A", "/a/**", "/a /a/x /a/x/y"),
        ("/a%2A/**", "/a*/x", "/ab/x"),
        ("/%3A", "/:", "/x"),
        ("/a/%2A/:x/**", "/a/*/b /a/*/b/c", "/a/b/c /a/*"),
    ];
    for (text, yes, no) in cases {
        let matches =
            |raw: &str| pattern(text).matches(&CanonicalPath::parse(raw.as_bytes()).unwrap());
        yes.split_whitespace()
            .for_each(|raw| assert!(matches(raw), "{text} should match {raw}"));
        no.split_whitespace()
            .for_each(|raw| assert!(!matches(raw), "{text} should not match {raw}"));
    }
}

#[test]
fn what_is_no_pattern() {
    let bad = [
        "",
        "admin",
        "/a/../b",
        "/a//b",
        "/./a",
        "/a;b",
        "/a%2Fb",
        "/a\\b",
        "/adm*",
        "/***",
        "/a/:",
        "/admin\u{200b}",
        "/\u{202e}a",
        "/%zz",
        "/%252e",
        "/a\0",
    ];
    for text in bad {
        assert!(Pattern::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn containment_and_overlap() {
    let cases = [
        ("/**", "/a/b", true, true),
        ("/%2A", "/a", false, false),
        ("/*", "/%2A", true, true),
        ("/a/**", "/a", true, true),
        ("/a/*", "/a/b", true, true),
        ("/a/:x", "/a/*", true, true),
        ("/a/b", "/a/*", false, true),
        ("/a/*", "/a/**", false, true),
        ("/a/**/c", "/a/b/c", true, true),
        ("/a/**", "/a/**/c", true, true),
        ("/a/**/c", "/a/**", false, true),
        ("/a", "/b", false, false),
        ("/*/x", "/a/*", false, true),
        ("/a/*/c", "/a/b/d", false, false),
    ];
    for (outer, inner, contains, overlaps) in cases {
        let (outer, inner) = (pattern(outer), pattern(inner));
        assert_eq!(outer.contains(&inner), contains, "{outer} contains {inner}");
        assert_eq!(outer.overlaps(&inner), overlaps, "{outer} overlaps {inner}");
    }
}
