//! Reloading by watching the file (`serve --watch`), and trying again what has failed for a reason outside of it (G-01):
//! whoever closed a rule must not find it open because nobody looked once more.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use crate::harness::postgres::{Database, Server};
use crate::harness::process::Process;
use crate::harness::relay::Relay;
use crate::harness::setup::Folder;
use crate::harness::{Raw, Recorder, Setup, eventually, within};

const OPEN: &str = "  - { path: /**, allow: anyone }";
const FAILED: &str = "configuration not reloaded";

/// `serve --watch`, which the harness has no gateway for.
struct Watched {
    folder: Folder,
    process: Process,
}

impl Watched {
    fn start(setup: &Setup) -> Self {
        Self::start_in(setup.folder(), &["--watch"])
    }

    fn start_in(folder: Folder, options: &[&str]) -> Self {
        let config = folder.config();
        let mut arguments = vec!["-c", config.to_str().unwrap(), "serve"];
        arguments.extend_from_slice(options);
        let process = Process::start(folder.path(), &arguments, &[]);
        process.wait_for_line("ready").unwrap();
        Self { folder, process }
    }

    /// The same where the file is this one before the start is over.
    fn start_and_change(setup: &Setup, then: &Setup) -> Self {
        let folder = setup.folder();
        folder.add_user("alice", "user").fine();
        let store = folder.path().join("data/portcullis.db");
        let lock = rusqlite::Connection::open(&store).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        let config = folder.config();
        let arguments = ["-c", config.to_str().unwrap(), "serve", "--watch"];
        let process = Process::start(folder.path(), &arguments, &[]);
        eventually("the store to be open, and so the file read", || {
            let files = fs::read_dir(format!("/proc/{}/fd", process.pid())).ok()?;
            let mut names = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
            names
                .any(|name| name.ends_with("portcullis.db"))
                .then_some(())
        });
        folder.write("gateway.yaml", &then.yaml());
        lock.execute_batch("ROLLBACK").unwrap();
        process.wait_for_line("ready").unwrap();
        Self { folder, process }
    }

    fn status(&self, target: &str) -> u16 {
        let banner = self.process.out();
        let line = banner
            .lines()
            .find_map(|line| line.trim().strip_prefix("http "))
            .unwrap();
        let address = line.trim().trim_start_matches("http://").parse().unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Raw::connect(address).ask(request).status
    }

    fn becomes(&self, target: &str, status: u16, what: &str) {
        let seen = within(Duration::from_secs(10), || {
            (self.status(target) == status).then_some(())
        });
        assert!(seen.is_some(), "{what}:\n{}", self.process.err());
    }
}

#[test]
fn g_01_a_watched_file_is_taken_over_when_it_is_sound() {
    let recorder = Recorder::start();
    let closed = Setup::before(recorder.clone()).nobody();
    let open = closed.clone().rules("  - { path: /**, allow: anyone }");
    let watched = Watched::start(&closed);
    assert_eq!(watched.status("/other"), 403);
    // Written in place, as some editors do.
    watched.folder.write("gateway.yaml", &open.yaml());
    watched.becomes("/other", 200, "written in place");
    // Replaced by a rename, as others do.
    watched.folder.write("new.yaml", &closed.yaml());
    let new = watched.folder.path().join("new.yaml");
    fs::rename(&new, watched.folder.config()).unwrap();
    watched.becomes("/other", 403, "replaced by a rename");
    // A faulty one is told about and changes nothing.
    let log = watched.process.err().len();
    watched
        .folder
        .write("gateway.yaml", &format!("{}ruels: []\n", open.yaml()));
    eventually("the fault to be logged", || {
        watched.process.err()[log..].contains("ruels").then_some(())
    });
    assert_eq!(watched.status("/other"), 403);
    // The watch goes on after that, and after the file was gone for a while.
    fs::remove_file(watched.folder.config()).unwrap();
    watched.folder.write("gateway.yaml", &open.yaml());
    watched.becomes("/other", 200, "back after a removal");
    // As Kubernetes mounts a ConfigMap: the file stays a link, and the folder behind it is another one at once.
    let at = |name: &str| watched.folder.path().join(name);
    let lead_to = |name: &str, setup: &Setup| {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("gateway.yaml"), setup.yaml()).unwrap();
        symlink(name, at("..new")).unwrap();
        fs::rename(at("..new"), at("..data")).unwrap();
    };
    lead_to("..1", &closed);
    fs::remove_file(watched.folder.config()).unwrap();
    symlink("..data/gateway.yaml", watched.folder.config()).unwrap();
    watched.becomes("/other", 403, "a link");
    lead_to("..2", &open);
    watched.becomes("/other", 200, "another folder behind the link");
}

#[test]
fn g_01_a_file_that_changes_while_a_watching_gateway_starts_is_taken_over() {
    let recorder = Recorder::start();
    let closed = Setup::before(recorder.clone()).on_sqlite().nobody();
    let open = closed.clone().rules("  - { path: /**, allow: anyone }");
    let watched = Watched::start_and_change(&open, &closed);
    watched.becomes("/other", 403, "changed meanwhile");
}

/// Within the first pauses, and not by a change of the file.
fn closes(watched: &Watched) {
    let closed = within(Duration::from_secs(30), || {
        (watched.status("/other") == 403).then_some(())
    });
    let log = watched.process.err();
    assert!(closed.is_some(), "still open:\n{log}");
    assert_eq!(log.matches(FAILED).count(), 1, "told once:\n{log}");
}

fn fails(watched: &Watched, by: &str) {
    eventually("the fault to be logged", || {
        let log = watched.process.err();
        let mut lines = log.lines().filter(|line| line.contains(FAILED));
        lines.any(|line| line.contains(by)).then_some(())
    });
    assert_eq!(watched.status("/other"), 200, "the old rules stay");
}

/// Over the first pause, so that it has failed again.
fn fails_again() {
    let begun = Instant::now();
    eventually("the next try", || {
        (begun.elapsed() > Duration::from_secs(7)).then_some(())
    });
}

#[test]
fn g_01_a_secret_that_comes_later_than_the_file_is_waited_for() {
    let open = Setup::new().on_sqlite().nobody().rules(OPEN);
    let watched = Watched::start(&open);
    assert_eq!(watched.status("/other"), 200);
    let hooks =
        "{ crm: { url: \"http://127.0.0.1:1/\", private: allow, secret: file:hook.secret } }";
    let closed = Setup::before(open.recorder().clone())
        .on_sqlite()
        .nobody()
        .set("hooks", hooks);
    watched.folder.write("gateway.yaml", &closed.yaml());
    fails(&watched, "hook.secret");
    fails_again();
    watched
        .folder
        .write("hook.secret", "whsec_dW5taXN0YWthYmxlIGhvb2sgc2VjcmV0IQ==");
    closes(&watched);
}

/// A change of the roles has to be written.
#[test]
fn g_01_a_database_that_is_away_is_waited_for() {
    for watches in [true, false] {
        let database = Database::new();
        let relay = Relay::to(Server::shared().port());
        let open = Setup::new()
            .nobody()
            .set("store", "file:url")
            .set("key", "file:shared.key");
        let closed = open.clone().set("roles", "{ another: [] }");
        let folder = open.clone().rules(OPEN).folder();
        folder.write("url", &database.url_at(relay.port()));
        folder.write("shared.key", &"5f".repeat(32));
        let options: &[&str] = if watches { &["--watch"] } else { &[] };
        let watched = Watched::start_in(folder, options);
        assert_eq!(watched.status("/other"), 200);
        relay.cut();
        watched.folder.write("gateway.yaml", &closed.yaml());
        if !watches {
            watched.process.signal("HUP");
        }
        fails(&watched, "the database does not answer");
        relay.mend();
        closes(&watched);
    }
}
