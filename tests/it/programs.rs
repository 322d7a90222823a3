//! Programs that load and look at servers, as people have them: nghttp, h2load, wrk and curl, each with a session and
//! without, in the clear and over TLS.

use std::process::{Command, Output};

use crate::harness::gateway::session_cookie;
use crate::harness::setup::password;
use crate::harness::{Gateway, Raw, Setup};

/// Who runs them.
struct Bench {
    gateway: Gateway,
    tls: bool,
    cookie: String,
}

impl Bench {
    fn new(tls: bool) -> Self {
        let setup = Setup::new();
        let gateway = if tls {
            setup.tls(&["localhost"]).start()
        } else {
            setup.start()
        };
        let form =
            serde_json::json!({ "username": "alice", "password": password("alice") }).to_string();
        let login = format!(
            "POST /auth/session/login HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        let answer = if tls {
            Raw::over(gateway.tls("localhost", &["http/1.1"])).ask(login)
        } else {
            gateway.ask(login)
        };
        assert_eq!(answer.status, 200, "{}", answer.text());
        let cookie = session_cookie(&answer);
        Self {
            gateway,
            tls,
            cookie,
        }
    }

    fn url(&self) -> String {
        let (scheme, address) = if self.tls {
            ("https", self.gateway.https())
        } else {
            ("http", self.gateway.http())
        };
        format!("{scheme}://localhost:{}/app/x", address.port())
    }

    /// What a program says, with the session and without.
    fn said(&self, program: &str, arguments: &[&str]) -> [String; 2] {
        let cookie = format!("cookie: {}", self.cookie);
        [vec!["-H", &cookie], vec![]].map(|header| {
            let run = Command::new(program)
                .args(arguments)
                .args(header)
                .arg(self.url())
                .output();
            let Output { stdout, stderr, .. } = run.unwrap_or_else(|e| panic!("{program}: {e}"));
            String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned()
        })
    }

    /// How much the service was asked since this was asked last, and by whom.
    fn asked(&self) -> usize {
        let requests = self.gateway.recorder().requests();
        let all_of_alice = requests
            .iter()
            .all(|request| request.values("x-auth-user") == ["alice"]);
        assert!(all_of_alice);
        self.gateway.recorder().forget();
        requests.len()
    }
}

#[test]
fn nghttp_looks_at_one_answer() {
    for tls in [false, true] {
        let bench = Bench::new(tls);
        let [good, bad] = bench.said("nghttp", &["-nv"]);
        assert!(good.contains(":status: 200"), "{good}");
        assert!(bad.contains(":status: 401"), "{bad}");
        assert_eq!(bench.asked(), 1);
    }
}

#[test]
fn h2load_loads_and_every_answer_is_one() {
    for tls in [false, true] {
        let bench = Bench::new(tls);
        let [good, bad] = bench.said("h2load", &["-n400", "-c4", "-m20", "--npn-list=h2"]);
        let all = "400 total, 400 started, 400 done, 400 succeeded, 0 failed";
        assert!(good.contains(all), "{good}");
        assert!(
            bad.contains("0 2xx, 0 3xx, 400 4xx") || bad.contains("400 failed"),
            "{bad}"
        );
        assert_eq!(bench.asked(), 400);
    }
}

#[test]
fn wrk_and_curl_do_too() {
    for tls in [false, true] {
        let bench = Bench::new(tls);
        let [good, bad] = bench.said("wrk", &["-t1", "-c4", "-d1s"]);
        assert!(
            !good.contains("Non-2xx") && !good.contains("Socket errors"),
            "{good}"
        );
        assert!(bad.contains("Non-2xx"), "{bad}");
        assert!(bench.asked() > 0);
        for version in ["--http1.0", "--http1.1", "--http2"] {
            let arguments = ["-sSk", version, "-o", "/dev/null", "-w", "%{http_code}"];
            assert_eq!(bench.said("curl", &arguments), ["200", "401"], "{version}");
            assert_eq!(bench.asked(), 1);
        }
    }
}
