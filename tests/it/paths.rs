//! One path: what is judged is what is sent, under every spelling (P-00, P-02 to P-06).

use crate::harness::{Gateway, H2, Setup, Trial, h2};

pub const MALFORMED: &[u16] = &[400];

/// Every target is answered 400, closes the connection and reaches nobody.
pub fn all_malformed(id: &str, targets: &[&[u8]]) {
    let mut trial = Trial::with_plain_twin(Gateway::shared(), id);
    for target in targets {
        trial.malformed(trial.get(target, ""), MALFORMED);
    }
}

/// The same for targets that are text.
pub fn all_malformed_text(id: &str, targets: &[&str]) {
    let targets: Vec<&[u8]> = targets.iter().map(|target| target.as_bytes()).collect();
    all_malformed(id, &targets);
}

/// Whoever asks, the recorder sees `path` for `target`.
pub fn forwarded_as(id: &str, pairs: &[(&str, &str)]) {
    let mut trial = Trial::new(Gateway::shared(), id);
    for (target, path) in pairs {
        let seen = trial.allowed(trial.get(target, ""));
        assert_eq!(&seen.target(), path, "for {target:?}");
    }
}

#[test]
fn p_00_a_target_that_is_no_path() {
    all_malformed_text(
        "P-00",
        &[
            "admin/users",
            "public/x",
            "x:/admin",
            "app.test:80",
            "..",
            ".",
            "?x=/admin",
            "*",
            "@localhost/admin",
            "%2Fadmin",
        ],
    );
}

#[test]
fn p_00_h2_paths_that_are_no_path() {
    let gateway = Gateway::shared();
    let mut trial = Trial::with_plain_twin(gateway, "P-00-h2");
    let marker = trial.marker.clone();
    let twin = gateway.h2().get("/public/h2", &[("x-marker", &marker)]);
    assert_eq!(twin.status(), Some(200), "{twin:?}");
    gateway.recorder().wait_for("/public/h2", 1);
    for path in [
        "?x",
        "admin",
        "",
        "*",
        "..",
        "http://localhost/public/x",
        "//",
    ] {
        let mut fields = h2::request("GET", path);
        let mark = format!("{marker}-hostile");
        fields.push(("x-marker", &mark));
        let outcome = H2::connect(gateway.http()).ask(&fields);
        let denied = path == "//" && matches!(outcome.status(), Some(401 | 403));
        assert!(outcome.is_malformed() || denied, "{path:?}: {outcome:?}");
        assert!(gateway.recorder().with(&mark).is_empty(), "{path:?}");
    }
    // The twin over HTTP/2 carries this trial's marker too.
    assert_eq!(gateway.recorder().with(&marker).len(), 2);
    trial = Trial::with_plain_twin(gateway, "P-00-h2-after");
    trial.nothing_came(b"");
}

#[test]
fn p_02_dot_segments() {
    let gateway = Gateway::shared();
    let mut trial = Trial::with_plain_twin(gateway, "P-02");
    for target in [
        "/public/../admin",
        "/public/./../admin",
        "/public/x/../../admin",
        "/./admin",
        "/admin/.",
        "/admin/x/..",
        "/public/../public/../admin",
    ] {
        let expected = if target.starts_with("/admin/") {
            "/admin/"
        } else {
            "/admin"
        };
        trial.for_root_only(target, expected);
    }
    trial.denied_to_all("/public/..");
    trial.denied_to_all("/public/../");
    for target in [
        "/..",
        "/../",
        "/../admin",
        "/public/../../admin",
        "/public/../..",
    ] {
        trial.malformed(trial.get(target, &gateway.as_user("root")), MALFORMED);
    }
}

#[test]
fn p_02_dot_segments_inside_an_open_tree() {
    forwarded_as(
        "P-02-in",
        &[
            ("/public/./x", "/public/x"),
            ("/public/a/../x", "/public/x"),
            ("/admin/../public/x", "/public/x"),
            ("/public/x/.", "/public/x/"),
            ("/public/x/..", "/public/"),
            ("/public/...", "/public/..."),
            ("/public/.x/..y", "/public/.x/..y"),
        ],
    );
}

#[test]
fn p_03_encoded_dot_segments() {
    let mut trial = Trial::with_plain_twin(Gateway::shared(), "P-03");
    for dots in ["%2e%2e", "%2E.", ".%2e", "%2E%2e", "%2e%2E"] {
        trial.for_root_only(format!("/public/{dots}/admin"), "/admin");
        trial.for_root_only(format!("/public/%2e/{dots}/admin/x"), "/admin/x");
        trial.malformed(trial.get(format!("/{dots}/admin"), ""), MALFORMED);
    }
    forwarded_as(
        "P-03-in",
        &[
            ("/public/%2e/x", "/public/x"),
            ("/public/%2E%2E%2Ex", "/public/...x"),
        ],
    );
}

#[test]
fn p_04_encoded_slashes() {
    all_malformed_text(
        "P-04",
        &[
            "/public%2f..%2fadmin",
            "/public%2F..%2Fadmin",
            "/admin%2Fusers",
            "/admin%2fusers",
            "/public/a%2Fb",
            "/public/..%2fadmin",
            "/%2fadmin",
            "/public/%2e%2e%2fadmin",
        ],
    );
}

#[test]
fn p_04_encoded_slashes_where_the_upstream_takes_them() {
    let setup = Setup::new();
    let url = setup.recorder().url();
    let web = format!("{{ to: \"{url}\", paths: {{ encoded_slashes: allow }} }}");
    let gateway = setup.upstream("web", &web).start();
    let mut trial = Trial::new(&gateway, "P-04-allow");
    for target in ["/public/a%2fb", "/public/a%2Fb", "/public/%2F"] {
        let seen = trial.allowed(trial.get(target, ""));
        assert_eq!(seen.target(), target, "forwarded as it came");
    }
    let root = gateway.as_user("root");
    for target in [
        "/public%2f..%2fadmin",
        "/public/..%2fadmin",
        "/admin%2fusers",
        "/public%2f%2e%2e%2Fadmin/x",
        // Resolved, they are public; a framework that decodes and routes hands them to what lies below `/admin`.
        "/admin%2f..%2fpublic%2fx",
        "/public/a%2f..%2fb",
    ] {
        for user in ["", &root] {
            let answer = trial.refused(trial.get(target, user)).answer.unwrap();
            assert_eq!(answer.status, 400, "two readings of {target}");
        }
    }
    let seen = trial.allowed(trial.get("/admin/a%2fb", &root));
    assert_eq!(seen.target(), "/admin/a%2fb");
    trial.denied(trial.get("/admin/a%2fb", ""), "");
}

#[test]
fn p_05_encoded_letters() {
    let mut trial = Trial::with_plain_twin(Gateway::shared(), "P-05");
    trial.for_root_only("/%61dmin", "/admin");
    trial.for_root_only("/adm%69n", "/admin");
    trial.for_root_only("/%61%64%6d%69%6e/x", "/admin/x");
    trial.for_root_only("/%61%64%6D%69%6E/%7Ex", "/admin/~x");
    trial.denied_to_all("/%41dmin");
    forwarded_as(
        "P-05-in",
        &[
            ("/p%75blic/%78", "/public/x"),
            ("/public/%2D%5f%7e%30", "/public/-_~0"),
        ],
    );
}

#[test]
fn p_06_slashes_are_merged() {
    let mut trial = Trial::with_plain_twin(Gateway::shared(), "P-06");
    trial.for_root_only("//admin", "/admin");
    trial.for_root_only("///admin", "/admin");
    trial.for_root_only("/admin//users", "/admin/users");
    trial.for_root_only("/public//../admin", "/admin");
    trial.for_root_only("/public/.//../admin", "/admin");
    trial.for_root_only("//localhost/../admin", "/admin");
    for target in ["//", "///", "////"] {
        trial.denied_to_all(target);
    }
    forwarded_as(
        "P-06-in",
        &[
            ("//public///a//b", "/public/a/b"),
            ("/public//", "/public/"),
            ("/public//%2e//x", "/public/x"),
        ],
    );
}
