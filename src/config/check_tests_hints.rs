//! Hints: what is told to be written is right, and what is wrong is told once.

use super::{BASE, read, said};

/// Whoever does as the hint says is done: there is no second fault behind the first.
#[test]
fn what_is_to_be_written_is_the_whole_correction() {
    for (file, wrong) in [
        (
            BASE.replace("{ to: http://web }", "http://web"),
            "http://web",
        ),
        (
            BASE.replace("{ to: http://web }", "\"http://[::1]:9\""),
            "\"http://[::1]:9\"",
        ),
        (
            BASE.replace("signed_in", "signed_in, cors: \"https://a.test\""),
            "\"https://a.test\"",
        ),
        (
            BASE.replace("signed_in", "signed_in, compress: gzip"),
            "gzip",
        ),
        (BASE.replace("signed_in", "signed_in, methods: GET"), "GET"),
    ] {
        let faults = read(&file).unwrap_err().faults;
        let hints: Vec<_> = faults
            .iter()
            .filter_map(|fault| fault.hint.as_deref())
            .collect();
        let [hint] = hints.as_slice() else {
            panic!("{file}: {hints:?}");
        };
        let right = file.replace(wrong, hint.strip_prefix("write ").expect(hint));
        assert_eq!(said(&right), Vec::<String>::new(), "{right}");
    }
}

/// What a hint could only make worse is not said.
#[test]
fn what_fits_nowhere_is_not_to_be_written() {
    for file in [
        BASE.replace("{ to: http://web }", "http://u:hunter2@web"),
        BASE.replace("{ to: http://web }", "3000"),
        format!("{BASE}tests: foo\n"),
        format!("{BASE}tls: {{ acme: 5 }}\nlisten: {{ https: \":443\" }}\n"),
    ] {
        let report = read(&file).unwrap_err();
        let hints = report
            .faults
            .iter()
            .filter_map(|fault| fault.hint.as_deref());
        let bad = hints
            .filter(|hint| hint.starts_with("write"))
            .collect::<Vec<_>>();
        assert_eq!(bad, [""; 0], "{file}");
        assert!(!report.to_string().contains("hunter2"), "{report}");
    }
    let port = read(&format!("{BASE}listen: {{ admin: 9901 }}\n")).unwrap_err();
    let hint = port.faults[0].hint.clone().unwrap();
    assert!(hint.starts_with("write \"127.0.0.1:9901\""), "{hint}");
    for (text, plain) in [
        ("True", "\"True\""),
        ("0x1f", "\"0x1f\""),
        ("a \u{202e}b\"c", "\"a \u{fffd}b\\\"c\""),
        ("https://a.test:81/x", "https://a.test:81/x"),
    ] {
        assert_eq!(crate::config::reading::plain(text), plain);
    }
}

/// What would have to be corrected twice is told at once.
#[test]
fn a_wrong_word_outside_its_list_is_told_with_the_list() {
    for (key, expected) in [
        ("auth: api_key", "not supported yet: 'api_key'"),
        ("compress: br", "unknown coding: 'br'"),
        ("methods: GTE", "'GTE'"),
        ("methods: \"GET, PUT\"", "expected a list"),
    ] {
        let all = said(&BASE.replace("signed_in", &format!("signed_in, {key}")));
        assert!(
            all.iter().any(|line| line.contains("expected a list")),
            "{all:?}"
        );
        assert!(all.iter().any(|line| line.contains(expected)), "{all:?}");
    }
    let eject = said(&BASE.replace("http://web }", "http://web, eject: false }"));
    assert_eq!(eject, ["1 upstreams.web.eject: unknown value: 'false'"]);
}

/// Habits of other programs are told how it is done here, once.
#[test]
fn what_is_usual_elsewhere_is_told_how_it_is_written_here() {
    let rule = |more: &str| BASE.replace("signed_in", &format!("signed_in, {more}"));
    let file = |more: &str| format!("{BASE}{more}\n");
    for (file, fault, hint) in [
        (
            rule("from: private"),
            "not a list of networks: 'private'",
            "write [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, \"fc00::/7\"]",
        ),
        (
            rule("from: 10.0.0.0/8"),
            "expected a list, found text",
            "write [10.0.0.0/8]",
        ),
        (
            file("trusted_proxies: everybody"),
            "not a list of networks: 'everybody'",
            "write it like [10.0.0.0/8, \"2001:db8::/32\", 192.0.2.7]",
        ),
        (
            rule("cors: { origins: \"*\", methods: [GET] }"),
            "unknown key: 'methods'",
            "methods follow from the rules: pages may use those that a rule with cors: speaks for",
        ),
        (
            rule("cors: { origins: [*] }"),
            "is not YAML that can be read",
            "a value that begins with '*' stands in quotes: \"*.example.com\"",
        ),
        (
            file("mail: { url: \"file:x\", from: \"Login <a@b.c>\" }"),
            "has more than an e-mail address: 'Login <a@b.c>'",
            "write the address alone: a@b.c",
        ),
        (
            file("include: other.yaml"),
            "unknown key: 'include'",
            "there is one file, and it includes no other",
        ),
    ] {
        let faults = read(&file).unwrap_err().faults;
        let [found] = faults.as_slice() else {
            panic!("{file}: {faults:?}");
        };
        assert!(found.to_string().contains(fault), "{found}");
        assert_eq!(found.hint.as_deref(), Some(hint), "{file}");
    }
}

#[test]
fn keys_and_sites_that_are_usual_elsewhere() {
    let first = |site: &str, more: &str| {
        let report = read(&format!("{BASE}site: {site}\n{more}\n")).unwrap_err();
        let fault = report.faults.first().unwrap();
        format!("{fault} ({})", fault.hint.as_deref().unwrap_or("-"))
    };
    for (site, more, told) in [
        (
            "\"https://*.example.com\"",
            "",
            "there are no wildcard sites: 'https://*.example.com' (name each site; rules may have host: \"*.example.com\", whose hosts are sites like the main one)",
        ),
        (
            "!env X",
            "",
            "expected text or a list, found the YAML tag !env (-)",
        ),
        (
            "http://localhost",
            "tls: { cert: a.pem }",
            "unknown key: 'cert' (did you mean 'certificate'?)",
        ),
    ] {
        assert_eq!(first(site, more), told);
    }
}

#[test]
fn what_is_cut_off_is_compared_as_its_upstream_does() {
    let with = |path: &str| {
        let upstream = "{ to: http://web, strip: /API, paths: { case: fold } }";
        let rule = format!("{{ path: {path}, to: web, allow: signed_in }}");
        read(&format!(
            "upstreams: {{ web: {upstream} }}\nrules: [{rule}]\n"
        ))
    };
    assert!(with("/api/**").is_ok());
    let report = with("/other/**").unwrap_err();
    let hint = report.faults.first().and_then(|it| it.hint.clone());
    assert!(hint.is_some_and(|hint| hint.contains("write a path like /api/**")));
}
