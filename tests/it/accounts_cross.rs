//! What other sites make browsers send (C-14), and two gateways that start at once.

use serde_json::{Value, json};

use crate::accounts::{cookie_line, first_password, get, lets_in, open, opens, tokens};
use crate::harness::process::Process;
use crate::harness::setup::password;
use crate::harness::{Gateway, Setup};

/// Every endpoint that changes something, from our own description of them.
fn endpoints(gateway: &Gateway) -> Vec<(String, String)> {
    let document = get(gateway, "/auth/openapi.json", "").json();
    let mut all = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let path = path
            .replace("{id}", "1")
            .replace("{name}", "user")
            .replace("{sid}", "x");
        assert!(!path.contains('{'), "{path}");
        for method in operations.as_object().unwrap().keys() {
            if ["post", "put", "patch", "delete"].contains(&method.as_str()) {
                all.push((method.to_uppercase(), path.clone()));
            }
        }
    }
    all
}

fn ask(gateway: &Gateway, (method, path): &(String, String), lines: &str) -> (u16, String) {
    let answer = gateway.ask(format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n{lines}\r\n{{}}"
    ));
    let code = match serde_json::from_slice::<Value>(&answer.body) {
        Ok(json) => json["code"].as_str().unwrap_or_default().to_owned(),
        Err(_) => String::new(),
    };
    (answer.status, code)
}

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn c_14_other_sites_change_nothing_by_a_cookie() {
    let gateway = open("").start();
    let cookie = cookie_line(&gateway.login("alice"));
    let all = endpoints(&gateway);
    assert!(all.len() > 20, "{all:?}");
    for endpoint in &all {
        for from in [
            "Sec-Fetch-Site: cross-site\r\n",
            "Sec-Fetch-Site: same-site\r\n",
            "Sec-Fetch-Site: cross-site\r\nOrigin: http://localhost\r\n",
            "Origin: https://evil.test\r\n",
            "Origin: null\r\n",
            "Origin: http://localhost.evil.test\r\n",
        ] {
            for kind in [
                JSON,
                "Content-Type: text/plain\r\n",
                "Content-Type: application/x-www-form-urlencoded\r\n",
            ] {
                // Without a cookie, too: browsers of visitors guess no passwords, and spend nobody's attempts.
                for cookie in [&*cookie, ""] {
                    let said = ask(&gateway, endpoint, &format!("{cookie}{from}{kind}"));
                    assert_eq!(
                        said,
                        (403, "CROSS_SITE".into()),
                        "{endpoint:?} {from} {kind} {cookie}"
                    );
                }
            }
        }
    }
    assert!(opens(&gateway, &cookie) && lets_in(&gateway, "alice", &password("alice")));
    // The twins: our own pages, programs, and tokens, which no browser sends by itself.
    let token = tokens(&gateway, "alice").line();
    for endpoint in all.iter().filter(|(_, path)| !path.ends_with("/logout")) {
        for lines in [
            format!("{cookie}Sec-Fetch-Site: same-origin\r\n{JSON}"),
            format!("{cookie}{JSON}"),
            format!("{token}Origin: https://evil.test\r\n{JSON}"),
        ] {
            // A login has no credential but the password, and is no place to be sent to by another site.
            let (_, code) = ask(&gateway, endpoint, &lines);
            let is_login = endpoint.1.ends_with("/session/login") && lines.contains("evil");
            assert!(is_login || code != "CROSS_SITE", "{endpoint:?} {lines}");
        }
    }
}

#[test]
fn c_14_json_comes_as_json() {
    let gateway = open("").start();
    let cookie = cookie_line(&gateway.login("alice"));
    for path in [
        "/register",
        "/forgot-password",
        "/reset-password",
        "/verify",
        "/login/simple",
        "/refresh",
    ] {
        for kind in [
            "Content-Type: text/plain\r\n",
            "Content-Type: text/plain; x=application/json\r\n",
            "",
        ] {
            let endpoint = ("POST".to_owned(), format!("/auth{path}"));
            assert_eq!(ask(&gateway, &endpoint, kind).0, 415, "{path} {kind}");
        }
        let endpoint = ("POST".to_owned(), format!("/auth{path}"));
        assert_eq!(ask(&gateway, &endpoint, JSON).0, 422, "{path}");
    }
    let body = json!({ "username": "other" }).to_string();
    for (kind, status) in [("text/plain", 415), ("application/json", 200)] {
        let answer = gateway.ask(format!(
            "PUT /auth/me HTTP/1.1\r\nHost: localhost\r\n{cookie}Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        assert_eq!(answer.status, status, "{kind}: {}", answer.text());
    }
}

#[test]
fn a_25_two_gateways_that_start_at_once_make_one_administrator() {
    for _ in 0..3 {
        let folder = Setup::new().nobody().folder();
        let config = folder.config();
        let arguments = ["-c", config.to_str().unwrap(), "serve"];
        let both = [(); 2].map(|()| Process::start(folder.path(), &arguments, &[]));
        for process in &both {
            process
                .wait_for_line("ready")
                .unwrap_or_else(|said| panic!("{said}"));
        }
        let banners = both.each_ref().map(Process::out);
        let passwords: Vec<&str> = banners
            .iter()
            .filter_map(|banner| {
                banner
                    .split("admin  password: ")
                    .nth(1)?
                    .split_whitespace()
                    .next()
            })
            .collect();
        assert_eq!(passwords.len(), 1, "{banners:?}");
        assert_eq!(passwords[0].len(), 24, "96 bits in hexadecimal");
        let users = folder.cli(&["user", "list", "--json"], "").fine();
        let users: Value = serde_json::from_str(&users.out).unwrap();
        assert_eq!(users.as_array().unwrap().len(), 1, "{users}");
        assert!(
            !both
                .iter()
                .any(|process| process.err().contains(passwords[0]))
        );
        drop(both);
        // It is told once, and is no password that anybody could know.
        let again = Process::start(folder.path(), &arguments, &[]);
        again.wait_for_line("ready").unwrap();
        assert!(!again.out().contains("password:"), "{}", again.out());
    }
}

#[test]
fn a_25_there_is_no_password_to_begin_with() {
    let gateway = Setup::new().nobody().start();
    for word in [
        "admin",
        "password",
        "portcullis",
        "changeme",
        "admin123",
        "",
    ] {
        assert_eq!(gateway.try_login("admin", word).status, 401, "{word:?}");
    }
    let banner = gateway.banner();
    assert!(lets_in(&gateway, "admin", first_password(&banner)));
    assert!(!gateway.restart().banner().contains("password:"));
}
