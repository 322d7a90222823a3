//! Tables of spellings: what each path is read as, and what is refused.

use std::collections::BTreeSet;

use super::*;
use PathFault::*;
use proptest::prelude::*;

fn canonical(raw: &str) -> Result<String, PathFault> {
    CanonicalPath::parse(raw.as_bytes()).map(|path| path.as_str().to_owned())
}

#[test]
fn canonical_forms() {
    let cases = [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        // P-02, P-03: dot segments, plain and encoded.
        ("/public/../admin", "/admin"),
        ("/public/./../admin", "/admin"),
        ("/public/..", "/"),
        ("/public/%2e%2e/admin", "/admin"),
        ("/public/%2E./admin", "/admin"),
        ("/public/.%2e/admin", "/admin"),
        ("/a/.", "/a/"),
        ("/a/b/..", "/a/"),
        ("/a/...", "/a/..."),
        // P-05: needless escapes.
        ("/%61dmin", "/admin"),
        ("/adm%69n", "/admin"),
        ("/%41dmin", "/Admin"),
        // P-06: empty segments.
        ("//admin", "/admin"),
        ("/admin//users", "/admin/users"),
        ("/public//../admin", "/admin"),
        ("///", "/"),
        // P-12, P-20, P-26: ordinary characters stay what they are.
        ("/admin%20", "/admin%20"),
        ("/public%23/admin", "/public%23/admin"),
        ("/%ef%bc%8f", "/%EF%BC%8F"),
        ("/a|b\"^{}[]", "/a%7Cb%22%5E%7B%7D%5B%5D"),
        ("/a%40b%2b", "/a%40b%2B"),
        ("/a%2520b/https%253A", "/a%2520b/https%253A"),
        // Marked, not refused here.
        ("/a%2fb%2F", "/a%2fb%2F"),
        ("/a;b=c/%3b", "/a;b=c/%3B"),
    ];
    for (raw, text) in cases {
        assert_eq!(canonical(raw).as_deref(), Ok(text), "{raw:?}");
    }
}

#[test]
fn refusals() {
    let cases: [(&[u8], PathFault); 36] = [
        (b"/a<b", NotUri),
        (b"/a>b", NotUri),
        (b"/a`b", NotUri),
        (b"", Relative),
        (b"admin", Relative),
        (b"x:/admin", Relative),
        (b"..", Relative),
        (b"*", Relative),
        (b"/..", AboveRoot),
        (b"/a/../..", AboveRoot),
        (b"/%2e%2e/admin", AboveRoot),
        (b"/public\\..\\admin", Backslash),
        (b"/%5cadmin", Backslash),
        (b"/%5C", Backslash),
        (b"/%252e%252e/admin", EncodedTwice),
        (b"/%2561dmin", EncodedTwice),
        (b"/%25252e", EncodedTwice),
        (b"/%25%32%65", EncodedTwice),
        (b"/%252F", EncodedTwice),
        (b"/%255c", EncodedTwice),
        (b"/%2500", EncodedTwice),
        (b"/a b", Space),
        (b"/\0", Control),
        (b"/%00", Control),
        (b"/%0a", Control),
        (b"/%0D", Control),
        (b"/%7f", Control),
        (b"/admin%09", Control),
        (b"/%", BadEscape),
        (b"/%4", BadEscape),
        (b"/%zz", BadEscape),
        (b"/%c0%ae%c0%ae/admin", NotUtf8),
        (b"/%e0%80%af", NotUtf8),
        (b"/%ed%a0%80", NotUtf8),
        (b"/\xff", NotAscii),
        (b"/public#/admin", Fragment),
    ];
    for (raw, fault) in cases {
        assert_eq!(
            CanonicalPath::parse(raw),
            Err(fault),
            "{}",
            raw.escape_ascii()
        );
    }
}

#[test]
fn rules_see_decoded_segments() {
    let segments = |raw: &str| {
        let path = CanonicalPath::parse(raw.as_bytes()).unwrap();
        path.segments().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(segments("/"), [""; 0]);
    assert_eq!(segments("/a%40b/caf%C3%A9/"), ["a@b", "café"]);
    assert_eq!(segments("/a%2fb/c%20d"), ["a%2Fb", "c d"]);
}

#[test]
fn other_readings() {
    let path = |raw: &str| CanonicalPath::parse(raw.as_bytes()).unwrap();
    let decoded = path("/public%2fadmin%2F").with_slashes_decoded();
    assert_eq!(decoded.unwrap().as_str(), "/public/admin/");
    for hidden in [
        "/public%2f..%2fadmin",
        "/public%2F..%2f..",
        "/public%2F.",
        "/public%2F%2F..%2Fx",
    ] {
        assert_eq!(path(hidden).with_slashes_decoded(), Err(Hidden), "{hidden}");
    }
    let merged = path("/queues/%2F/x").with_slashes_decoded();
    assert_eq!(merged.unwrap().as_str(), "/queues/x");
    for (matrix, readings) in [
        ("/a;x/b;y/;c", &["/a", "/a;x/b", "/a;x/b;y/", "/a/b/"][..]),
        ("/a%3bb/c", &["/a%3Bb/c", "/a", "/a/c"]),
        (
            "/a/b%3Bx/c;y",
            &["/a/b%3Bx/c", "/a/b", "/a/b;x/c", "/a/b/c"],
        ),
    ] {
        let found = path(matrix).without_matrix().unwrap();
        let found: BTreeSet<&str> = found.iter().map(CanonicalPath::as_str).collect();
        assert_eq!(found, readings.iter().copied().collect(), "{matrix}");
    }
    let many = format!("/a{}", "/b;c".repeat(9));
    for hidden in ["/a/;x/b", "/a/%3Bx/b;y", many.as_str()] {
        assert_eq!(path(hidden).without_matrix(), Err(Hidden), "{hidden}");
    }
    for hidden in ["/public/..;x/admin;a=b", "/public/.;"] {
        assert_eq!(path(hidden).without_matrix(), Err(Hidden), "{hidden}");
    }
    assert_eq!(
        path("/ADMIN/%C3%89").folded().unwrap().as_str(),
        "/admin/%C3%A9"
    );
    for (spelled, by_letters) in [
        ("/ADMIN/%C3%89", "/admin/%C3%A9"),
        ("/adm%C4%B1n", "/admin"),
        ("/adm%C4%B0n", "/admin"),
        ("/%C5%BFecret/%E2%84%AA", "/secret/k"),
    ] {
        let folded = path(spelled).folded_by_letters().unwrap();
        assert_eq!(folded.as_str(), by_letters);
    }
}

/// What a hostile client would write: pieces that mean something to some parser.
fn hostile_path() -> impl Strategy<Value = String> {
    let pieces = [
        "/", "//", ".", "..", "%2e", "%2E", "%2f", "%5c", "\\", ";", ";x=1", "%3b", "%25", "%252e",
        "admin", "public", "%61", "A", "a", "%c3%a9", "%ff", "%00", "~", "%7e", "+", "%2B", "|",
        " ", "#", "é",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..12)
        .prop_map(|v| format!("/{}", v.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn p_01_the_short_way_and_the_long_way_read_alike(raw in "/?([a-c./~]|%2e|//|/\\.){0,8}") {
        if raw.starts_with('/') {
            prop_assert_eq!(CanonicalPath::parse(raw.as_bytes()), CanonicalPath::respell(raw.as_bytes()));
        }
    }

    #[test]
    fn p_01_a_canonical_path_is_a_fixed_point(raw in hostile_path()) {
        if let Ok(path) = CanonicalPath::parse(raw.as_bytes()) {
            let text = path.as_str();
            let again = CanonicalPath::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(again.as_str(), text);
            prop_assert_eq!(again.decoded(), path.decoded());
            prop_assert!(text.starts_with('/') && !text.contains("//"));
            prop_assert!(!text.split('/').any(|segment| segment == "." || segment == ".."));
            prop_assert!(text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\' && b != b'#'));
            prop_assert!(path.segments().all(|s| !s.contains('/') && s != "." && s != ".."));
        }
    }
}
