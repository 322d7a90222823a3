//! Real programs, unmodified, behind plain and TLS listeners, each logged in to and used by clients of other people's
//! making: a static site, a WebSocket chat, a Node application with an SSE clock, a gRPC service, an issue tracker. The
//! programs are in `tests/services`. W-01, W-03, W-07, B-12, S-17 by ordinary means.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::setup::password;
use crate::harness::tls::Identity;
use crate::harness::{Gateway, PATIENCE, Recorder, Reply, Setup};

/// A program of `tests/services`, running; it ends when its input does, which happens however this test ends.
pub struct Service {
    port: u16,
    child: Mutex<Child>,
    _input: ChildStdin,
    _folder: TempDir,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services")
}

pub fn python() -> String {
    env::var("PORTCULLIS_TEST_PYTHON").unwrap_or_else(|_| {
        panic!("PORTCULLIS_TEST_PYTHON is not set: start the tests with tests/run, or name a Python with grpcio and websockets")
    })
}

impl Service {
    /// Starts `script`, with TLS where there is an identity to show.
    pub fn start(script: &str, identity: Option<&Identity>) -> Self {
        let keys = TempDir::with_prefix("portcullis-service-").unwrap();
        let (program, flag) = match Path::new(script).extension() {
            Some(kind) if kind == "mjs" => ("node".to_owned(), None),
            _ => (python(), Some("-B")),
        };
        let mut command = Command::new(program);
        command.args(flag).arg(folder().join(script));
        if let Some(identity) = identity {
            for (name, text) in [("crt", &identity.certificate), ("key", &identity.key)] {
                fs::write(keys.path().join(name), text).unwrap();
                command.arg(keys.path().join(name));
            }
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{script}: {error}"));
        let input = child.stdin.take().unwrap();
        let (sender, line) = mpsc::channel();
        let output = child.stdout.take().unwrap();
        thread::spawn(move || {
            let mut text = String::new();
            let _ = BufReader::new(output).read_line(&mut text);
            let _ = sender.send(text);
        });
        let line = line.recv_timeout(PATIENCE * 2).unwrap();
        let port = line
            .trim()
            .strip_prefix("ready ")
            .and_then(|port| port.parse().ok());
        Self {
            port: port.unwrap_or_else(|| panic!("{script} did not start")),
            child: Mutex::new(child),
            _input: input,
            _folder: keys,
        }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}", self.port)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

const RULES: &str = "
  - { path: /public/**, allow: anyone }
  - { path: /chat, to: chat, allow: signed_in }
  - { path: /app/wait, allow: signed_in, idle: 1m }
  - { path: /app/**, allow: signed_in }
  - { path: /test.Greeter/Forever, to: greeter, auth: [jwt], allow: signed_in, idle: 1m }
  - { path: /test.Greeter/**, to: greeter, auth: [jwt], allow: signed_in, body: none }
";

/// A gateway before one service.
fn before(name: &str, url: &str, tls: bool) -> Gateway {
    let setup = Setup::new()
        .rules(RULES)
        .upstream("chat", "{ to: builtin:echo }");
    let setup = setup.upstream("greeter", "{ to: builtin:echo }");
    let setup = setup.upstream(name, &format!("{{ to: \"{url}\" }}"));
    if tls {
        setup.tls(&["localhost"])
    } else {
        setup
    }
    .start()
}

/// Sends somebody there.
fn visit(gateway: &Gateway, scenario: &str, tls: bool) {
    let arguments = json!({
        "port": if tls { gateway.https() } else { gateway.http() }.port(),
        "tls": tls,
        "folder": gateway.path(),
        "people": { "alice": password("alice"), "root": password("root") },
    });
    let said = Command::new(python())
        .args(["-B", "visitor.py", scenario, &arguments.to_string()])
        .current_dir(folder())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
    assert!(
        told.contains(&format!("{scenario}: fine")),
        "{told}\n{}",
        gateway.log()
    );
}

#[test]
fn a_static_site() {
    let site = Service::start("site.py", None);
    for tls in [false, true] {
        visit(&before("web", &site.url("http"), tls), "site", tls);
    }
}

#[test]
fn w_01_a_chat() {
    let chat = Service::start("chat.py", None);
    for tls in [false, true] {
        let gateway = before("chat", &chat.url("http"), tls);
        visit(&gateway, "chat", tls);
    }
}

#[test]
fn w_01_a_chat_behind_tls_of_its_own() {
    let identity = Identity::new(&["localhost"]);
    let chat = Service::start("chat.py", Some(&identity));
    let setup = Setup::new()
        .rules(RULES)
        .upstream("greeter", "{ to: builtin:echo }");
    let gateway = setup
        .asset("trusted.crt", &identity.certificate)
        .env("SSL_CERT_FILE", "trusted.crt")
        .upstream("chat", &format!("{{ to: \"{}\" }}", chat.url("https")))
        .tls(&["localhost"])
        .start();
    visit(&gateway, "chat", true);
}

#[test]
fn w_07_b_12_s_17_a_node_application() {
    let app = Service::start("app.mjs", None);
    for tls in [false, true] {
        let gateway = before("web", &app.url("http"), tls);
        visit(&gateway, "app", tls);
    }
}

#[test]
fn w_07_h_08_a_grpc_service() {
    for tls in [false, true] {
        let greeter = Service::start("greeter.py", None);
        let gateway = before("greeter", &greeter.url("h2c"), tls);
        visit(&gateway, "grpc", tls);
    }
}

#[test]
fn w_07_h_08_a_grpc_service_behind_tls_of_its_own() {
    let identity = Identity::new(&["localhost"]);
    let greeter = Service::start("greeter.py", Some(&identity));
    let setup = Setup::new()
        .rules(RULES)
        .upstream("chat", "{ to: builtin:echo }");
    let gateway = setup
        .asset("trusted.crt", &identity.certificate)
        .env("SSL_CERT_FILE", "trusted.crt")
        .upstream(
            "greeter",
            &format!("{{ to: \"{}\" }}", greeter.url("https")),
        )
        .tls(&["localhost"])
        .start();
    visit(&gateway, "grpc", true);
}

/// A program that believes a header of another name than ours, behind a prefix that it knows nothing of.
#[test]
fn h_01_an_issue_tracker_that_believes_a_header() {
    let tracker = Service::start("tracker.py", None);
    for tls in [false, true] {
        let to = tracker.url("http");
        let setup = Setup::new()
            .rules("  - { path: /tracker/**, to: tracker, allow: signed_in, compress: true }")
            .set("identity", "{ headers: { X-Remote-User: user.name } }")
            .upstream("tracker", &format!("{{ to: \"{to}\", strip: /tracker }}"));
        let setup = if tls {
            setup.tls(&["localhost"])
        } else {
            setup
        };
        visit(&setup.start(), "tracker", tls);
    }
}

#[test]
fn w_03_a_page_of_another_site_in_a_real_browser() {
    let (chat, app) = (
        Service::start("chat.py", None),
        Service::start("app.mjs", None),
    );
    let evil = Recorder::start();
    evil.answer(|_| {
        let page = "<!doctype html><title>evil</title><main></main>";
        Reply::raw(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}",
            page.len()
        ))
    });
    let gateway = Setup::new()
        .without("site")
        .rules(RULES)
        .upstream("greeter", "{ to: builtin:echo }")
        .upstream("chat", &format!("{{ to: \"{}\" }}", chat.url("http")))
        .upstream("web", &format!("{{ to: \"{}\" }}", app.url("http")))
        .start();
    let more: Value = json!({ "evil": evil.url() });
    crate::browser::run(
        &gateway,
        "tunnels.py",
        "chats_and_is_overheard_by_nobody",
        &more,
    );
    let refused = gateway
        .metrics()
        .sum("portcullis_denials_total", &[("reason", "origin")]);
    assert!((refused - 1.0).abs() < 0.5, "{refused} refused");
}
