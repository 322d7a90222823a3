//! What systemd and its like are told, and what they hand to the gateway: `sd_notify(3)`, `sd_listen_fds(3)`.

use std::os::unix::net::UnixDatagram;
use std::thread;

use tempfile::TempDir;

use crate::hand_over::{HANDED, KEPT, Line, started};
use crate::harness::{Gateway, PATIENCE, Setup, eventually, holds};

/// Binds a port and passes it on, as a socket unit with `FileDescriptorName=http` does.
const ACTIVATE: &str = r#"exec python3 -c '
import os, socket, sys
bound = socket.create_server(("127.0.0.1", 0))
print("passed", bound.getsockname()[1], flush=True)
os.dup2(bound.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="http")
os.execv(sys.argv[1], sys.argv[1:])
' "$@""#;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

#[test]
fn a_service_manager_is_told_who_serves() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut buffer = [0; 512];
        let length = manager.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]);
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let path = path.to_str().unwrap();
    let gateway = Setup::new().env("NOTIFY_SOCKET", path).start();
    assert_eq!(told(), ["READY=1"]);
    assert_eq!(gateway.ask(get("/public/x")).status, 200);
    let mut line = Line::of(&gateway);
    line.hand_over();
    let next = line.pids[1];
    assert_eq!(told(), [format!("MAINPID={next}"), "READY=1".to_owned()]);
    assert_eq!(gateway.ask(get("/public/x")).status, 200);
}

/// systemd hears of the end of a main process that is its own child, as orphans are; of any other it hears none, and kills
/// it with the first word of a stop.
#[test]
fn who_serves_next_is_no_child_of_who_served_before() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let gateway = Setup::new()
        .env("NOTIFY_SOCKET", path.to_str().unwrap())
        .start();
    let mut buffer = [0; 512];
    manager.recv(&mut buffer).unwrap();
    // What keeps the old process, for whose end the new one would be an orphan in any case.
    let mut slow = gateway.connect();
    slow.send("POST /public/up HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello");
    eventually("the upload to begin", || {
        (gateway.recorder().connections() >= 1).then_some(())
    });
    let old = gateway.pid();
    let mut line = Line::of(&gateway);
    thread::scope(|scope| {
        let handed = scope.spawn(|| line.hand_over());
        let length = manager.recv(&mut buffer).unwrap();
        let told = String::from_utf8_lossy(&buffer[..length]);
        let next: u32 = told.lines().next().unwrap()["MAINPID=".len()..]
            .parse()
            .unwrap();
        let children = std::fs::read_to_string(format!("/proc/{old}/task/{old}/children"));
        let status = std::fs::read_to_string(format!("/proc/{next}/status")).unwrap();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        assert_ne!(parent.unwrap().trim(), old.to_string());
        // Nor is anybody left behind who would wait to be buried, or anything of those who stood between.
        assert_eq!(children.unwrap(), "");
        let environment = std::fs::read(format!("/proc/{next}/environ")).unwrap();
        for (name, is_there) in [
            ("PORTCULLIS_HAND_OVER=", true),
            ("PORTCULLIS_LEAVES=", false),
            ("PORTCULLIS_BECOMES=", false),
        ] {
            assert_eq!(holds(&environment, name.as_bytes()), is_there, "{name}");
        }
        slow.send("world");
        assert_eq!(slow.read().status, 200);
        handed.join().unwrap();
    });
    assert_eq!(gateway.ask(get("/public/x")).status, 200);
}

/// As systemd starts its main process, which it waits for (systemd 248).
const AS_A_MAIN_PROCESS: &str = r#"SYSTEMD_EXEC_PID=$$ exec "$@""#;

/// systemd would end the new process together with a unit that does not hear of it, and supervisord start another one.
#[test]
fn who_is_waited_for_hands_over_to_nobody() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("systemd")).unwrap();
    let path = folder.path().join("systemd/notify");
    let _manager = UnixDatagram::bind(&path).unwrap();
    let socket = ("NOTIFY_SOCKET", path.to_str().unwrap());
    let other = ("SYSTEMD_EXEC_PID", "1");
    let supervised = ("SUPERVISOR_ENABLED", "1");
    let plain = r#"exec "$@""#;
    for (script, environment, refused) in [
        (plain, vec![], None),
        (plain, vec![other], None),
        (AS_A_MAIN_PROCESS, vec![socket], None),
        (AS_A_MAIN_PROCESS, vec![], Some("Type=notify")),
        (plain, vec![supervised], Some("supervisorctl")),
    ] {
        let setup = Setup::new().wrapped(script);
        let setup = environment
            .iter()
            .fold(setup, |setup, (name, value)| setup.env(name, value));
        let gateway = setup.start();
        let mut line = Line::of(&gateway);
        let Some(instead) = refused else {
            line.hand_over();
            assert_eq!(gateway.ask(get("/public/x")).status, 200);
            continue;
        };
        assert!(line.signal("QUIT"));
        gateway.says(KEPT);
        assert!(gateway.log().contains(instead), "{}", gateway.log());
        assert!(!gateway.log().contains(HANDED), "{}", gateway.log());
        assert_eq!(gateway.ask(get("/public/x")).status, 200);
        assert!(gateway.ended().is_none(), "{environment:?}");
        // Nobody was started.
        assert_eq!(started(&gateway.log()), None);
    }
}

#[test]
fn a_socket_that_is_passed_is_served_and_handed_on() {
    let gateway = Setup::new().wrapped(ACTIVATE).start();
    let passed = gateway
        .banner()
        .lines()
        .find_map(|line| line.strip_prefix("passed ")?.parse::<u16>().ok())
        .unwrap();
    assert_eq!(gateway.http().port(), passed);
    assert_eq!(gateway.ask(get("/public/x")).status, 200);
    let mut line = Line::of(&gateway);
    line.hand_over();
    assert_eq!(gateway.ask(get("/public/x")).status, 200);
    assert_eq!(gateway.recorder().count(), 2);
}

/// What `deploy/portcullis.service` and `deploy/Containerfile` say is to be given: a place that is empty at first, and the
/// only one that can be written to.
#[test]
fn the_key_is_made_beside_the_database() {
    let setup = Setup::new()
        .without("key")
        .set("store", "sqlite:kept/portcullis.db");
    let gateway = setup.start();
    let key = |gateway: &Gateway| {
        std::fs::read_to_string(gateway.path().join("kept/gateway.key")).unwrap()
    };
    let made = key(&gateway);
    let alice = gateway.as_user("alice");
    let ask = |gateway: &Gateway| {
        let request = format!("GET /app/x HTTP/1.1\r\nHost: localhost\r\n{alice}\r\n");
        gateway.ask(request).status
    };
    assert_eq!(ask(&gateway), 200);
    assert!(gateway.reload(), "{}", gateway.log());
    let gateway = gateway.restart();
    assert_eq!(ask(&gateway), 200);
    assert!(gateway.reload(), "{}", gateway.log());
    assert_eq!(made, key(&gateway));
    assert!(!gateway.path().join("data").exists());
    // Nor is it another one because a gateway was tried in the same folder with a database of its own.
    std::fs::create_dir(gateway.path().join("data")).unwrap();
    std::fs::write(gateway.path().join("data/gateway.key"), "5f".repeat(32)).unwrap();
    assert!(gateway.reload(), "{}", gateway.log());
    let gateway = gateway.restart();
    assert_eq!(ask(&gateway), 200);
    // A database that was sealed with that one before keys lay beside databases still opens.
    let (usual, beside) = ("data/gateway.key", "kept/gateway.key");
    let at = |name: &str| gateway.path().join(name);
    std::fs::rename(at(beside), at(usual)).unwrap();
    let said = gateway.cli(&["check"], "").fine();
    assert!(said.all().contains("does not lie beside"), "{}", said.all());
    assert!(
        gateway
            .cli(&["user", "list"], "")
            .fine()
            .out
            .contains("alice")
    );
    // A new database has a key of its own.
    for file in std::fs::read_dir(at("kept")).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let said = gateway.cli(&["check"], "").fine();
    assert!(
        !said.all().contains("does not lie beside"),
        "{}",
        said.all()
    );
}

/// systemd's own limit is five starts in ten seconds, and then none ever again: a database that is up a minute later finds
/// nobody.
#[test]
fn the_unit_goes_on_trying_to_start() {
    let unit = include_str!("../../deploy/portcullis.service");
    let (of_unit, of_service) = unit.split_once("[Service]").unwrap();
    let has = |section: &str, line: &str| section.lines().any(|other| other == line);
    assert!(has(of_unit, "StartLimitIntervalSec=0"));
    assert!(has(of_service, "Restart=on-failure"));
    assert!(has(of_service, "RestartSec=2"));
    // Where the main process is told alone, one that it has relieved is killed as soon as it has ended.
    assert!(has(of_service, "KillMode=control-group"));
    // A minimal Debian has no kill but the shell's own.
    let reloads = has(of_service, "ExecReload=/bin/sh -c 'kill -HUP $MAINPID'");
    assert!(reloads && !of_service.contains("bin/kill"));
}
