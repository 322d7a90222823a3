//! The gateway under test: the real binary, its ports, its users, its log, its metrics.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::process::ExitStatus;
use std::sync::{Mutex, OnceLock};

use super::metrics::Metrics;
use super::process::Process;
use super::raw::{Raw, Response};
use super::recorder::Recorder;
use super::setup::{Folder, Setup, password};
use super::tls::{self, Identity};
use super::wire::Wire;
use super::{H2, eventually};

/// A running gateway; dropping it kills it.
pub struct Gateway {
    process: Process,
    folder: Folder,
    recorder: Recorder,
    identity: Option<Identity>,
    ports: Ports,
    cookies: Mutex<HashMap<String, String>>,
}

#[derive(Clone, Copy)]
struct Ports {
    http: Option<SocketAddr>,
    https: Option<SocketAddr>,
    admin: Option<SocketAddr>,
}

impl Deref for Gateway {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.folder
    }
}

impl Gateway {
    /// The default setup, started once and shared by every test that changes nothing in it. Tell your own
    /// requests apart by a [`super::marker`].
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Gateway> = OnceLock::new();
        SHARED.get_or_init(|| Setup::new().start())
    }

    /// Starts the binary in `folder` and waits for `ready`; on failure, everything it said.
    pub fn launch(
        folder: Folder,
        recorder: Recorder,
        identity: Option<Identity>,
        environment: &[(String, String)],
    ) -> Result<Self, String> {
        let config = folder.config();
        let arguments = ["-c", config.to_str().unwrap(), "serve"];
        let process = Process::start(folder.path(), &arguments, environment);
        process.wait_for_line("ready")?;
        let ports = Ports::read(&process.out());
        Ok(Self {
            process,
            folder,
            recorder,
            identity,
            ports,
            cookies: Mutex::default(),
        })
    }

    /// Ends this run (however it is doing) and starts again in the same folder.
    pub fn restart(self) -> Self {
        let Self {
            process,
            folder,
            recorder,
            identity,
            ..
        } = self;
        drop(process);
        Self::launch(folder, recorder, identity, &[]).unwrap_or_else(|said| panic!("{said}"))
    }

    /// The plain listener.
    pub fn http(&self) -> SocketAddr {
        self.ports.http.expect("no plain listener")
    }

    /// The TLS listener.
    pub fn https(&self) -> SocketAddr {
        self.ports.https.expect("no TLS listener")
    }

    /// The admin listener.
    pub fn admin(&self) -> SocketAddr {
        self.ports.admin.expect("no admin listener")
    }

    /// The recorder behind upstream `web`.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// The banner.
    pub fn banner(&self) -> String {
        self.process.out()
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.process.err()
    }

    /// Waits until the log says these words: it is written by a thread of its own, and a line may come a little after what
    /// it tells of.
    pub fn says(&self, words: &str) {
        eventually(words, || self.log().contains(words).then_some(()));
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// A plain HTTP/1 connection.
    pub fn connect(&self) -> Raw {
        Raw::connect(self.http())
    }

    /// A TLS connection that names this host and offers these protocols.
    pub fn tls(&self, name: &str, alpn: &[&str]) -> Wire {
        let identity = self.identity.as_ref().expect("no certificate");
        tls::connect(self.https(), identity, name, alpn)
    }

    /// The certificate it was started with.
    pub fn identity(&self) -> &Identity {
        self.identity.as_ref().expect("no certificate")
    }

    /// An HTTP/2 connection in the clear, by prior knowledge.
    pub fn h2(&self) -> H2 {
        H2::connect(self.http())
    }

    /// Sends one request on a connection of its own.
    pub fn ask(&self, bytes: impl AsRef<[u8]>) -> Response {
        self.connect().ask(bytes)
    }

    /// Asks the admin listener.
    pub fn ask_admin(&self, path: &str) -> Response {
        let admin = self.admin();
        let head = format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
        Raw::connect(admin).ask(head)
    }

    /// Logs in anew and answers `NAME=VALUE` of the session cookie.
    pub fn login(&self, name: &str) -> String {
        let answer = self.try_login(name, &password(name));
        assert_eq!(answer.status, 200, "{}", answer.text());
        session_cookie(&answer)
    }

    /// One attempt to log in on the plain listener, as a program does it.
    pub fn try_login(&self, name: &str, password: &str) -> Response {
        let form = serde_json::json!({ "username": name, "password": password }).to_string();
        self.ask(format!(
            "POST /auth/session/login HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        ))
    }

    /// A session of this user that tests share: do not end it.
    pub fn cookie(&self, name: &str) -> String {
        let mut cookies = self.cookies.lock().unwrap();
        let cookie = cookies.entry(name.to_owned());
        cookie.or_insert_with(|| self.login(name)).clone()
    }

    /// A header line with the shared session of `name`, or nothing for `""`.
    pub fn as_user(&self, name: &str) -> String {
        if name.is_empty() {
            return String::new();
        }
        format!("Cookie: {}\r\n", self.cookie(name))
    }

    /// What `/metrics` says now.
    pub fn metrics(&self) -> Metrics {
        let answer = self.ask_admin("/metrics");
        assert_eq!(answer.status, 200, "{}", answer.text());
        Metrics::parse(&answer.text())
    }

    /// Asks for a reload, waits until it has happened, and answers whether it was taken over.
    pub fn reload(&self) -> bool {
        const NAME: &str = "portcullis_config_reloads_total";
        let before = self.metrics();
        self.process.signal("HUP");
        eventually("the reload to be counted", || {
            let now = self.metrics();
            let grown = now
                .labels_of(NAME)
                .into_iter()
                .find(|labels| now.exactly(NAME, labels) > before.exactly(NAME, labels))?;
            let result = grown.get("result").cloned().unwrap_or_default();
            Some(matches!(result.as_str(), "ok" | "success"))
        })
    }

    /// Writes a new configuration and reloads it.
    pub fn reload_with(&self, setup: &Setup) -> bool {
        self.folder.write("gateway.yaml", &setup.yaml());
        self.reload()
    }

    /// Sends a signal: `HUP`, `TERM`, `KILL`.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Sends SIGTERM and waits for the end.
    pub fn stop(&self) -> ExitStatus {
        self.process.signal("TERM");
        self.process.wait()
    }

    /// How the process ended, when it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.process.ended()
    }
}

impl Ports {
    fn read(banner: &str) -> Self {
        let port = |name: &str| {
            let line = banner.lines().find_map(|line| {
                let mut words = line.split_whitespace();
                (words.next() == Some(name)).then(|| words.next())?
            })?;
            line.split("://").nth(1)?.parse().ok()
        };
        Self {
            http: port("http"),
            https: port("https"),
            admin: port("admin"),
        }
    }
}

/// `NAME=VALUE` of the session cookie that an answer sets.
pub fn session_cookie(answer: &Response) -> String {
    let cookies = answer.values("set-cookie");
    let pairs = cookies.iter().filter_map(|cookie| cookie.split(';').next());
    let ours =
        |pair: &&str| pair.starts_with("portcullis=") || pair.starts_with("__Host-portcullis=");
    let mut found = pairs.filter(ours);
    let cookie = found
        .next()
        .unwrap_or_else(|| panic!("no session cookie in {cookies:?}"));
    assert_eq!(found.next(), None, "two session cookies in {cookies:?}");
    cookie.to_owned()
}

/// A user name made fit for the local part of an e-mail address.
pub fn plain(name: &str) -> String {
    let kept = name.chars().filter(char::is_ascii_alphanumeric);
    kept.collect::<String>().to_lowercase()
}
