//! Single characters of a path: which are refused, which pass, which are told apart (P-07 to P-16, P-20).

use crate::harness::{Gateway, Setup, Trial};
use crate::paths::{MALFORMED, all_malformed, all_malformed_text, forwarded_as};

#[test]
fn p_07_backslashes() {
    all_malformed(
        "P-07",
        &[
            br"/public\..\admin",
            br"/admin\users",
            br"\admin",
            br"/\admin",
            b"/%5cadmin",
            b"/public/%5C..%5Cadmin",
            b"/public/x%5c",
        ],
    );
}

#[test]
fn p_08_double_encodings() {
    all_malformed_text(
        "P-08",
        &[
            "/%252e%252e/admin",
            "/public/%252e%252e/admin",
            "/%2561dmin",
            "/public/%2561",
            "/public/%252F..%252Fadmin",
            "/public/%252fx",
            "/public/%255c",
            "/public/%253b",
            "/public/%2525",
            "/public/%25252e",
            "/public/%25252525252e",
            "/public/%2500",
            "/public/%250d%250a",
            "/public/%25%32%65",
        ],
    );
    forwarded_as(
        "P-08-in",
        &[
            ("/public/a%2520b", "/public/a%2520b"),
            ("/public/%253A", "/public/%253A"),
            ("/public/100%25", "/public/100%25"),
        ],
    );
}

#[test]
fn p_09_parameters_in_segments() {
    all_malformed_text(
        "P-09",
        &[
            "/admin;a=b",
            "/public;/../admin",
            "/admin;/users",
            "/;x/admin",
            "/public/..;/admin",
            "/public/x;y",
            "/public/x%3By",
            "/public/%3b",
        ],
    );
}

#[test]
fn p_09_parameters_where_the_upstream_takes_them() {
    let setup = Setup::new();
    let url = setup.recorder().url();
    let web = format!("{{ to: \"{url}\", paths: {{ matrix_params: allow }} }}");
    let gateway = setup.upstream("web", &web).start();
    let mut trial = Trial::new(&gateway, "P-09-allow");
    for target in ["/public/a;v=1", "/public/a;v=1/b;w", "/public/;x"] {
        let seen = trial.allowed(trial.get(target, ""));
        assert_eq!(seen.target(), target, "forwarded as it came");
    }
    trial.denied(trial.get("/admin/x;a=b", ""), "");
    let alice = gateway.as_user("alice");
    trial.denied(trial.get("/admin/x;a=b", &alice), "alice");
    for target in [
        "/admin;a=b",
        "/public;/../admin",
        "/admin;/users",
        "/;x/admin",
        "/public/..;/admin",
        "/public/..;a/admin",
        "/public/.;/..;/admin",
    ] {
        for user in ["", &alice] {
            let answer = trial.refused(trial.get(target, user)).answer.unwrap();
            let refused = matches!(answer.status, 400 | 401 | 403);
            assert!(refused, "{} to {target}", answer.status);
        }
    }
    let seen = trial.allowed(trial.get("/admin/x;a=b", &gateway.as_user("root")));
    assert_eq!(seen.target(), "/admin/x;a=b");
}

#[test]
fn p_10_case_counts() {
    let mut trial = Trial::with_plain_twin(Gateway::shared(), "P-10");
    for target in [
        "/ADMIN",
        "/Admin",
        "/Admin/x",
        "/PUBLIC/x",
        "/Public",
        "/aDMIN/x",
    ] {
        trial.denied_to_all(target);
    }
}

#[test]
fn p_10_case_folded_where_the_upstream_folds_it() {
    let setup = Setup::new();
    let url = setup.recorder().url();
    let web = format!("{{ to: \"{url}\", paths: {{ case: fold }} }}");
    let rules = "
  - { path: /app/open, allow: anyone }
  - { path: /app/**, allow: { role: admin } }
  - { path: /**, allow: anyone }
";
    let gateway = setup.upstream("web", &web).rules(rules).start();
    let mut trial = Trial::new(&gateway, "P-10-fold");
    trial.allowed(trial.get("/public/x", ""));
    let rules = format!("\n  - {{ path: /mix/kiss/**, allow: {{ role: admin }} }}{rules}");
    let setup = Setup::before(gateway.recorder().clone());
    let gateway = setup.upstream("web", &web).rules(&rules).start();
    let mut trial = Trial::new(&gateway, "P-10-fold");
    trial.allowed(trial.get("/mix/kis", ""));
    for target in [
        "/APP/x",
        "/App/x",
        "/aPP",
        "/%41pp/x",
        "/APP/",
        // Letters that are `i`, `s` and `k` to services that compare capitals, or fold letter by letter.
        "/mix/k%C4%B1ss/x",
        "/mix/k%C4%B0ss/x",
        "/mix/ki%C5%BFs/x",
        "/mix/%E2%84%AAiss/x",
        "/MIX/%E2%84%AA%C4%B1%C5%BF%C5%BF/x",
        "/m%C4%B1x/kiss/x",
    ] {
        for user in ["", "alice"] {
            let request = trial.get(target, &gateway.as_user(user));
            let answer = trial.refused(request).answer.unwrap();
            let refused = matches!(answer.status, 400 | 401 | 403);
            assert!(refused, "{} for {user:?} to {target}", answer.status);
        }
    }
    trial.allowed(trial.get("/app/x", &gateway.as_user("root")));
}

#[test]
fn p_11_both_forms_of_a_directory() {
    let rules = "
  - { path: /exact, allow: { role: admin } }
  - { path: /tree/**, allow: { role: admin } }
  - { path: /public/**, allow: anyone }
";
    let gateway = Setup::new().rules(rules).start();
    let mut trial = Trial::with_plain_twin(&gateway, "P-11");
    for path in [
        "/exact", "/exact/", "/tree", "/tree/", "/tree/x", "/tree/x/",
    ] {
        trial.for_root_only(path, path);
    }
    trial.denied_to_all("/exact/x");
}

/// To some services (Fastify, Falcon) the nothing behind the slash is a name.
#[test]
fn p_11_nothing_behind_a_slash_is_judged_as_a_name_too() {
    let rules = "
  - { path: /u/:id, allow: { role: admin } }
  - { path: /v/, allow: anyone }
  - { path: /v/*, allow: { role: admin } }
  - { path: /w/:id, allow: { role: admin } }
  - { path: /public/**, allow: anyone }
  - { path: /*, allow: anyone }
";
    let gateway = Setup::new().rules(rules).start();
    let mut trial = Trial::with_plain_twin(&gateway, "P-11-name");
    for path in ["/u/", "/u/x/..", "/w/%2e", "/w/a"] {
        let sent = match path {
            "/w/a" => path,
            _ => &path[..3],
        };
        trial.for_root_only(path, sent);
    }
    drop(trial);
    let mut trial = Trial::new(&gateway, "P-11-open");
    for path in ["/u", "/v", "/v/", "/w"] {
        let seen = trial.allowed(trial.get(path, ""));
        assert_eq!(seen.target(), path);
    }
}

#[test]
fn p_12_siblings_by_suffix() {
    let mut trial = Trial::with_plain_twin(Gateway::shared(), "P-12");
    for tail in [
        ".", "%20", "..", ".json", "~", "...", "%2E", "+", "-", "_", "$", "%3F", "%23",
    ] {
        trial.denied_to_all(format!("/admin{tail}"));
        trial.denied_to_all(format!("/public{tail}"));
    }
    trial.malformed(trial.get("/admin%09", ""), MALFORMED);
    trial.malformed(trial.get("/public%09", ""), MALFORMED);
}

#[test]
fn p_13_prefixes_end_at_segments() {
    let mut trial = Trial::with_plain_twin(Gateway::shared(), "P-13");
    for target in [
        "/adminX",
        "/adminX/y",
        "/publicity",
        "/publicity/x",
        "/public-x",
        "/publi",
        "/applet",
    ] {
        trial.denied_to_all(target);
    }
}

#[test]
fn p_14_spaces() {
    let gateway = Gateway::shared();
    let mut trial = Trial::with_plain_twin(gateway, "P-14");
    let line = trial.line();
    for start in [
        "GET  HTTP/1.1",
        "GET  /public/x HTTP/1.1",
        "GET /public/x  HTTP/1.1",
        "GET /public/a b HTTP/1.1",
        "GET /public/x y HTTP/1.1 HTTP/1.1",
        " GET /public/x HTTP/1.1",
        "GET /public/x\tHTTP/1.1",
        "GET\t/public/x HTTP/1.1",
        "GET /public/x HTTP/1.1 ",
        "GET /public/\tx HTTP/1.1",
        "GET HTTP/1.1",
        "GET",
    ] {
        let request = format!("{start}\r\nHost: localhost\r\n{line}\r\n");
        trial.malformed(request, MALFORMED);
    }
}

#[test]
fn p_15_control_characters() {
    let mut targets: Vec<Vec<u8>> = Vec::new();
    for byte in (0..=0x20).chain([0x7f]) {
        if !matches!(byte, b'\n' | b'\r' | b' ') {
            targets.push([b"/public/x", &[byte][..], b"y"].concat());
        }
        if byte != 0x20 {
            targets.push(format!("/public/x%{byte:02x}y").into_bytes());
            targets.push(format!("/public/%{byte:02X}").into_bytes());
        }
    }
    let targets: Vec<&[u8]> = targets.iter().map(Vec::as_slice).collect();
    all_malformed("P-15", &targets);
}

#[test]
fn p_15_line_breaks_in_the_target() {
    all_malformed(
        "P-15-eol",
        &[
            b"/public/x\ny",
            b"/public/x\ry",
            b"/public/x\r\n",
            b"/public/x\n",
        ],
    );
}

#[test]
fn p_15_bad_percent_encodings() {
    all_malformed_text(
        "P-15-pct",
        &[
            "/public/%",
            "/public/%4",
            "/public/%zz",
            "/public/%4g",
            "/public/%%41",
            "/public/% 1",
            "/public/%u0041",
        ],
    );
}

#[test]
fn p_16_not_utf_8() {
    all_malformed(
        "P-16",
        &[
            b"/%c0%ae%c0%ae/admin",
            b"/public/%c0%ae%c0%ae/admin",
            b"/public/%e0%80%af",
            b"/public/%c1%81",
            b"/public/%ff",
            b"/public/%80",
            b"/public/%ed%a0%80",
            b"/public/%f4%90%80%80",
            b"/public/%f0%80%80%af",
            b"/public/%c3",
            b"/public/\xff",
            b"/public/\xc3\xa9",
            b"/public/\xc0\xae\xc0\xae/admin",
        ],
    );
}

#[test]
fn p_20_fragments() {
    all_malformed_text(
        "P-20",
        &[
            "/public#/admin",
            "#admin",
            "/public/x#",
            "/public/x?y#z",
            "/#/public/x",
        ],
    );
    let mut trial = Trial::with_plain_twin(Gateway::shared(), "P-20-enc");
    trial.denied_to_all("/public%23/admin");
    trial.denied_to_all("/public%23");
    forwarded_as(
        "P-20-in",
        &[
            ("/public/a%23b", "/public/a%23b"),
            ("/public/a%23/b", "/public/a%23/b"),
        ],
    );
}
