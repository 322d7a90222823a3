//! From one process to the next (G-13); `hand_over_driven` does it while requests come in.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::harness::process::{Guard, Process, binary};
use crate::harness::{Gateway, Setup, eventually, within};

const STARTED: &str = "the new process has been started";
pub const HANDED: &str = "the new process serves";
pub const KEPT: &str = "not handed over";

/// The process that serves, after any number of hand-overs. Dropping it kills that process.
pub struct Line<'a> {
    gateway: &'a Gateway,
    pub pids: Vec<u32>,
    guards: Vec<Guard>,
}

impl<'a> Line<'a> {
    pub fn of(gateway: &'a Gateway) -> Self {
        Self {
            gateway,
            pids: vec![gateway.pid()],
            guards: Vec::new(),
        }
    }

    /// Sends this signal to the process that serves.
    pub fn signal(&self, name: &str) -> bool {
        let pid = self.pids.last().unwrap().to_string();
        let said = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .output();
        said.unwrap().status.success()
    }

    /// Hands over to a new process and waits until the old one is gone.
    pub fn hand_over(&mut self) {
        let before = self.gateway.log().matches(HANDED).count();
        assert!(self.signal("QUIT"));
        let line = eventually("the new process to serve", || {
            let log = self.gateway.log();
            log.lines()
                .filter(|line| line.contains(HANDED))
                .nth(before)
                .map(str::to_owned)
        });
        let pid = line.split("pid=").nth(1).unwrap();
        let pid = pid.split_whitespace().next().unwrap().parse().unwrap();
        let old = *self.pids.last().unwrap();
        self.guards
            .push(Guard::new(pid, &self.gateway.path().join("none")));
        self.pids.push(pid);
        within(Duration::from_secs(40), || (!is_alive(old)).then_some(()))
            .expect("the old process stays");
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if self.pids.len() > 1 {
            self.signal("KILL");
        }
    }
}

/// Running, and not merely waiting to be buried by its parent.
pub fn is_alive(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    status.is_ok_and(|status| !status.contains(") Z "))
}

/// Which process the log says was started to take over, last.
pub fn started(log: &str) -> Option<u32> {
    let line = log.lines().rev().find(|line| line.contains(STARTED))?;
    let pid = line.split("pid=").nth(1)?.split_whitespace().next()?;
    pid.parse().ok()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

#[test]
fn g_13_a_new_process_takes_over() {
    let gateway = Setup::new().start();
    let mut line = Line::of(&gateway);
    let alice = gateway.as_user("alice");
    let mut slow = gateway.connect();
    slow.send("POST /public/up HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello");
    eventually("the upload to begin", || {
        (gateway.recorder().connections() >= 1).then_some(())
    });
    let mut kept = gateway.connect();
    assert_eq!(kept.ask(get("/public/x")).status, 200);
    thread::scope(|scope| {
        let done = scope.spawn(|| line.hand_over());
        eventually("the new process", || {
            gateway.log().contains(HANDED).then_some(())
        });
        // The old process answers what it has, and says goodbye; it does not hang up on anybody.
        let answer = kept.ask(get("/public/x"));
        assert_eq!(
            (answer.status, answer.header("connection").as_deref()),
            (200, Some("close"))
        );
        slow.send("world");
        assert_eq!(slow.read().status, 200);
        done.join().unwrap();
    });
    // Sessions live in the store, so whoever was logged in still is.
    let app = format!("GET /app/x HTTP/1.1\r\nHost: localhost\r\n{alice}\r\n");
    assert_eq!(gateway.ask(app).status, 200);
    assert_eq!(gateway.ask_admin("/readyz").status, 200);
    line.hand_over();
    assert_eq!(gateway.ask(get("/public/x")).status, 200);
    assert!(line.signal("TERM"));
    let last = *line.pids.last().unwrap();
    eventually("the last process to end", || {
        (!is_alive(last)).then_some(())
    });
}

#[test]
fn g_13_behind_a_link_the_program_that_it_leads_to_takes_over() {
    let folder = Setup::new().folder();
    for version in ["v1", "v2"] {
        std::fs::create_dir(folder.path().join(version)).unwrap();
        let program = folder.path().join(version).join("portcullis");
        std::fs::hard_link(binary(), &program)
            .or_else(|_| std::fs::copy(binary(), &program).map(drop))
            .unwrap();
    }
    let current = folder.path().join("current");
    let lead = |version: &str| {
        let next = folder.path().join("next");
        std::os::unix::fs::symlink(version, &next).unwrap();
        std::fs::rename(next, &current).unwrap();
    };
    lead("v1");
    let config = folder.config();
    let arguments = ["-c", config.to_str().unwrap(), "serve"];
    let program = current.join("portcullis");
    let process = Process::of(&program, folder.path(), &arguments, &[]);
    process.wait_for_line("ready").unwrap();
    let running = |pid: u32| std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    let real = |version: &str| {
        folder
            .path()
            .join(version)
            .join("portcullis")
            .canonicalize()
            .unwrap()
    };
    assert_eq!(running(process.pid()), real("v1"));
    lead("v2");
    process.signal("QUIT");
    let pid = eventually("the new process to serve", || {
        let log = process.err();
        let line = log.lines().find(|line| line.contains(HANDED))?;
        let pid = line.split("pid=").nth(1)?.split_whitespace().next()?;
        pid.parse::<u32>().ok()
    });
    let _guard = Guard::new(pid, folder.path());
    assert_eq!(running(pid), real("v2"));
    let ended = Command::new("kill").arg(pid.to_string()).output();
    assert!(ended.unwrap().status.success());
}

#[test]
fn g_13_a_process_that_does_not_come_up_takes_nothing_over() {
    let gateway = Setup::new().start();
    let line = Line::of(&gateway);
    let sound = std::fs::read_to_string(gateway.config()).unwrap();
    for broken in ["rules: [", "roulette: 1\n", ""] {
        let before = gateway.log().matches(KEPT).count();
        gateway.write("gateway.yaml", broken);
        assert!(line.signal("QUIT"));
        eventually("the fault to be told", || {
            (gateway.log().matches(KEPT).count() > before).then_some(())
        });
        assert_eq!(gateway.ask(get("/public/x")).status, 200, "{broken:?}");
        assert!(gateway.ended().is_none());
    }
    gateway.write("gateway.yaml", &sound);
    let mut line = line;
    line.hand_over();
    assert_eq!(gateway.ask(get("/public/x")).status, 200);
}

/// A gateway by a link that then leads to a program which says nothing; it leaves word of its id.
#[test]
fn g_13_who_is_told_to_stop_does_not_wait_for_a_new_process() {
    for signal in ["TERM", "INT"] {
        let folder = Setup::new().folder();
        let program = folder.path().join("portcullis");
        std::os::unix::fs::symlink(binary(), &program).unwrap();
        let config = folder.config();
        let arguments = ["-c", config.to_str().unwrap(), "serve"];
        let process = Process::of(&program, folder.path(), &arguments, &[]);
        process.wait_for_line("ready").unwrap();
        let (silent, word) = (folder.path().join("silent"), folder.path().join("word"));
        let script = format!("#!/bin/sh\necho $$ > {}\nexec sleep 600\n", word.display());
        std::fs::write(&silent, script).unwrap();
        std::fs::set_permissions(&silent, Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(&silent, &program).unwrap();
        process.signal("QUIT");
        let pid: u32 = eventually("the new process", || {
            std::fs::read_to_string(&word).ok()?.trim().parse().ok()
        });
        let _guard = Guard::new(pid, folder.path());
        process.signal(signal);
        let ended = within(Duration::from_secs(20), || process.ended());
        ended.expect("it waits");
        assert!(!is_alive(pid), "{signal}");
        assert!(!process.err().contains(KEPT), "{}", process.err());
    }
}

/// The first process of a container, which does nothing but start the gateway and wait for it.
const IN_A_CONTAINER: &str =
    r#"exec unshare --user --pid --fork --kill-child --mount-proc sh -c '"$@" & wait $!' sh "$@""#;

/// Whether somebody may be the first process somewhere.
pub fn has_namespaces() -> bool {
    let may = ["--user", "--pid", "--fork", "--mount-proc", "true"];
    let made = Command::new("unshare").args(may).status();
    made.is_ok_and(|made| made.success())
}

/// The innermost of those that came of it.
pub fn innermost(pid: u32) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let child = children.unwrap_or_default();
    let child = child.split_whitespace().next();
    child.map_or(pid, |child| innermost(child.parse().unwrap()))
}

/// It would end with the old process. A service manager in a container hears who serves now.
#[test]
fn g_13_a_container_does_not_end_with_who_was_relieved() {
    if !has_namespaces() {
        println!("no namespaces here; the table in the unit tests is what there is");
        return;
    }
    for (managed, said) in [(false, KEPT), (true, HANDED)] {
        let mut setup = Setup::new().wrapped(IN_A_CONTAINER);
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("systemd")).unwrap();
        let path = folder.path().join("systemd/notify");
        let _manager = UnixDatagram::bind(&path).unwrap();
        if managed {
            setup = setup.env("NOTIFY_SOCKET", path.to_str().unwrap());
        }
        let gateway = setup.start();
        let pid = innermost(gateway.pid()).to_string();
        let sent = Command::new("kill").args(["-QUIT", &pid]).status();
        assert!(sent.unwrap().success());
        gateway.says(said);
        if !managed {
            assert!(gateway.log().contains("replace the container"));
            assert_eq!(gateway.ask(get("/public/x")).status, 200);
            assert!(gateway.ended().is_none());
        }
    }
}

/// Every address of IPv4 is not every address there is: the socket of before would answer where it is not to, or not where
/// it is to.
#[test]
fn g_13_another_address_of_a_port_that_stays_is_not_taken_over() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        println!("no IPv6 here; the table in the unit tests is what there is");
        return;
    }
    for (before, after) in [("[::]", "0.0.0.0"), ("0.0.0.0", "[::]")] {
        let listen = |at: &str| format!("{{ http: \"{at}\", admin: \"127.0.0.1:0\" }}");
        let gateway = Setup::new()
            .set("listen", &listen(&format!("{before}:0")))
            .start();
        let port = gateway.http().port();
        let ask = || gateway.ask(get("/public/x")).status;
        assert_eq!(ask(), 200);
        let text = std::fs::read_to_string(gateway.config()).unwrap();
        let of = |at: &str| text.replace(&format!("{before}:0"), &format!("{at}:{port}"));
        let mut line = Line::of(&gateway);
        for (at, taken) in [(after, false), (before, true)] {
            gateway.write("gateway.yaml", &of(at));
            if taken {
                line.hand_over();
            } else {
                assert!(line.signal("QUIT"));
                gateway.says(KEPT);
            }
            assert_eq!(ask(), 200, "{before} to {at}");
        }
    }
}
