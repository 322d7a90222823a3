//! The matrix of SECURITY: real services behind the gateway, and every spelling of a protected page. Whatever
//! a service makes of a target, nobody but root is shown the page.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::dice::{self, Dice};
use crate::harness::{Gateway, Raw, Setup, holds};
use crate::matrix_servers::{Kind, PUBLIC, SECRET, Server};
use crate::matrix_spellings::{messages, mutated, targets};

/// The page is for root; everything else is open, so that a target judged as anything else is forwarded.
const RULES: &str = "
  - { path: /admin/**, allow: { role: admin } }
  - { path: /**, allow: anyone }
";

/// Random spellings for each service.
const RANDOM: usize = 1_500;

struct Matrix {
    gateway: Gateway,
    /// Cookie lines: anonymous, and alice.
    who: [String; 2],
    root: String,
    forwarded: AtomicUsize,
    refused: AtomicUsize,
    _server: Server,
}

impl Matrix {
    fn start(kind: Kind) -> Self {
        let server = Server::start(kind);
        let gateway = Setup::new()
            .upstream("web", &format!("{{ to: \"{}\" }}", server.url))
            .rules(RULES)
            .start();
        let alice = format!("Cookie: {}\r\n", gateway.login("alice"));
        let root = format!("Cookie: {}\r\n", gateway.login("root"));
        Self {
            gateway,
            who: [String::new(), alice],
            root,
            forwarded: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            _server: server,
        }
    }

    /// Everything that comes back for these bytes, until the connection ends.
    fn exchange(&self, bytes: &[u8]) -> Vec<u8> {
        let mut raw = Raw::connect(self.gateway.http());
        raw.send(bytes);
        // A message that leaves the connection open is over when nothing more comes.
        let closes = holds(bytes, b"Connection: close");
        raw.drain(Duration::from_secs(if closes { 10 } else { 1 }))
    }

    fn get(&self, target: &[u8], lines: &str) -> Vec<u8> {
        let rest = format!(" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n");
        self.exchange(&[b"GET ", target, rest.as_bytes()].concat())
    }

    /// The page is there and root is shown it; the public one is there for everybody; the service is alive.
    fn twins(&self, when: &str) {
        let page = self.get(b"/admin/users", &self.root);
        assert!(
            holds(&page, SECRET.as_bytes()),
            "{when}: root is not served"
        );
        for lines in &self.who {
            let page = self.get(b"/public/x", lines);
            assert!(
                holds(&page, PUBLIC.as_bytes()),
                "{when}: {lines:?} is not served"
            );
            let denied = self.get(b"/admin/users", lines);
            assert!(matches!(status(&denied), 401 | 403), "{when}: {lines:?}");
        }
    }

    fn judge(&self, answer: &[u8], asked: &[u8]) {
        let shown = String::from_utf8_lossy(asked);
        assert!(
            !holds(answer, SECRET.as_bytes()),
            "the protected page was served for {shown:?}"
        );
        // The gateway's own fault would be a spelling that breaks something.
        assert!(!holds(answer, b"\"INTERNAL\""), "500 to {shown:?}");
        match status(answer) {
            200 => self.forwarded.fetch_add(1, Ordering::Relaxed),
            400..=499 => self.refused.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
    }

    /// Asks for all of these, as anonymous and as alice, on several connections at once.
    fn ask_all(&self, all: &[Vec<u8>], build: impl Fn(&[u8], &str) -> Vec<u8> + Sync) {
        let next = AtomicUsize::new(0);
        let failed = Mutex::new(None);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some(item) = all.get(next.fetch_add(1, Ordering::SeqCst)) {
                        for lines in &self.who {
                            let bytes = build(item, lines);
                            let answer = self.exchange(&bytes);
                            if holds(&answer, SECRET.as_bytes()) {
                                *failed.lock().unwrap() = Some(bytes);
                                return;
                            }
                            self.judge(&answer, &bytes);
                        }
                    }
                });
            }
        });
        if let Some(bytes) = failed.into_inner().unwrap() {
            self.judge(SECRET.as_bytes(), &bytes);
        }
    }
}

/// The code in the first line of an answer, whatever its version.
fn status(answer: &[u8]) -> u16 {
    let line = String::from_utf8_lossy(&answer[..answer.len().min(12)]).into_owned();
    let code = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    code.and_then(|code| code.parse().ok()).unwrap_or(0)
}

fn as_target(target: &[u8], lines: &str) -> Vec<u8> {
    let rest = format!(" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n");
    [b"GET ", target, rest.as_bytes()].concat()
}

/// Whole messages have their own heads; who asks is put behind the first line.
fn as_message(message: &[u8], lines: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(message).replace("WHO\r\n", lines);
    text.into_bytes()
}

fn run(kind: Kind) {
    let matrix = Matrix::start(kind);
    matrix.twins("at first");
    matrix.ask_all(&targets(), as_target);
    matrix.twins("after the table");
    matrix.ask_all(&messages(), as_message);
    matrix.twins("after the messages");
    let seed = dice::seed();
    let mut dice = Dice::new(seed);
    let random: Vec<Vec<u8>> = (0..RANDOM).map(|_| mutated(&mut dice)).collect();
    println!("PORTCULLIS_TEST_SEED={seed}");
    matrix.ask_all(&random, as_target);
    matrix.twins("at last");
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    let (forwarded, refused) = (count(&matrix.forwarded), count(&matrix.refused));
    assert!(refused > 1_000, "only {refused} were refused");
    assert!(forwarded > 20, "only {forwarded} reached the service");
}

#[test]
fn matrix_python_http_server() {
    run(Kind::HttpServer);
}

#[test]
fn matrix_flask_under_gunicorn() {
    run(Kind::Gunicorn);
}

#[test]
fn matrix_flask_development_server() {
    run(Kind::FlaskDev);
}

#[test]
fn matrix_node() {
    run(Kind::Node);
}

/// Headers by which a service, or a library in it, is told that a part of the path is not its own.
const MOVES: [&str; 16] = [
    "SCRIPT_NAME: PREFIX",
    "Script_Name: PREFIX",
    "SCRIPT-NAME: PREFIX",
    "script.name: PREFIX",
    "SCRIPT__NAME: PREFIX",
    "SCRIPT_NAME: PREFIX\r\nSCRIPT_NAME: PREFIX",
    "Connection: close, SCRIPT_NAME\r\nSCRIPT_NAME: PREFIX",
    "PATH_INFO: /admin/users",
    "Path-Info: /admin/users",
    "REQUEST_URI: /admin/users",
    "RAW_URI: /admin/users",
    "X-Script-Name: PREFIX",
    "X_Script_Name: PREFIX",
    "X-Forwarded-Prefix: PREFIX",
    "X_Forwarded_Prefix: PREFIX",
    "X-Forwarded-Path: /admin/users",
];

#[test]
fn p_27_no_header_moves_the_path() {
    for kind in [Kind::Gunicorn, Kind::FlaskDev, Kind::Node, Kind::HttpServer] {
        let matrix = Matrix::start(kind);
        matrix.twins("at first");
        for lines in MOVES {
            for prefix in ["/public", "/x", "/public/x"] {
                let lines = format!("{}\r\n", lines.replace("PREFIX", prefix));
                let target = format!("{prefix}/admin/users");
                for target in [target.as_str(), "/public/x"] {
                    for who in &matrix.who {
                        let answer = matrix.get(target.as_bytes(), &format!("{who}{lines}"));
                        let open = holds(&answer, SECRET.as_bytes());
                        assert!(!open, "{kind:?} serves {target} with {lines:?}");
                    }
                }
            }
        }
        matrix.twins("at last");
    }
}

/// Spellings in which a client may bring an identity along.
const FORGED: [&str; 14] = [
    "X-Auth-User: forged\r\n",
    "X_Auth_User: forged\r\n",
    "X.Auth.User: forged\r\n",
    "x-auth-user: forged\r\nX-AUTH-USER: forged\r\n",
    "X-Auth_User: forged\r\n",
    "X-Auth-Roles: forged\r\nX_AUTH_ROLES: forged\r\n",
    "X-Auth-Email: forged\r\nX-Auth-User-Id: forged\r\n",
    "X-Auth-Assertion: forged\r\nX_Auth_Assertion: forged\r\n",
    "X-Auth-User : forged\r\n",
    "X-Auth-User\t: forged\r\n",
    " X-Auth-User: forged\r\n",
    "A: b\r\n X-Auth-User: forged\r\n",
    "Connection: X-Auth-User\r\nX-Auth-User: forged\r\n",
    "A: b\nX-Auth-User: forged\r\n",
];

#[test]
fn h_02_no_service_is_shown_a_forged_identity() {
    for kind in [Kind::Gunicorn, Kind::FlaskDev, Kind::Node] {
        let matrix = Matrix::start(kind);
        let twin = matrix.get(b"/public/whoami", &matrix.who[1]);
        assert!(holds(&twin, b"=alice;"), "{kind:?}");
        assert!(holds(&twin, b"END"), "{kind:?}");
        for lines in FORGED {
            for who in &matrix.who {
                let answer = matrix.get(b"/public/whoami", &format!("{who}{lines}"));
                assert!(!holds(&answer, b"forged"), "{kind:?} for {lines:?}");
                let name = !who.is_empty() && status(&answer) == 200;
                assert_eq!(holds(&answer, b"=alice;"), name, "{kind:?} for {lines:?}");
            }
        }
        // In the trailer section, which some servers merge into the headers.
        let trailer = format!(
            "POST /public/whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\
             Trailer: X-Auth-User\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Auth-User: forged\r\n\r\n",
            matrix.who[1]
        );
        let answer = matrix.exchange(trailer.as_bytes());
        assert!(!holds(&answer, b"forged"), "{kind:?} in trailers");
        matrix.twins("at last");
    }
}
