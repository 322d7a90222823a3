//! Letters on their way: through a real mail server, into a folder, again when they were refused, never in the
//! clear.

use std::fmt::Display;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::thread;

use crate::harness::process::Said;
use crate::harness::setup::Folder;
use crate::harness::smtp::{Mode, Smtp};
use crate::harness::{Gateway, Setup, eventually, holds};

const SENT: &str = "portcullis_outbox_sent_total";
const WAITING: &str = "portcullis_outbox_messages";

/// `mail:` with a login, as a server behind TLS asks for it.
fn safely(scheme: &str, server: &Smtp, password: &str) -> Folder {
    let mail = format!(
        "{{ url: \"{scheme}://localhost:{}\", from: login@example.com, username: gw, password: file:mail.password }}",
        server.port()
    );
    let folder = Setup::new()
        .set("mail", &mail)
        .set("brand", "{ name: \"Acme, \\\"Ltd.\\\" \u{e9}\" }")
        .folder();
    folder.write("mail.password", password);
    folder
}

/// `mail:` to a server on this machine, in the clear.
fn plainly(server: &Smtp) -> Setup {
    plainly_to(server.port())
}

fn plainly_to(port: impl Display) -> Setup {
    let url = format!("smtp://127.0.0.1:{port}?tls=none");
    Setup::new().set(
        "mail",
        &format!("{{ url: \"{url}\", from: login@example.com }}"),
    )
}

fn test(folder: &Folder, server: &Smtp) -> Said {
    let trusted = server.certificate();
    folder.cli_with(
        &["mail", "test", "bob@example.test"],
        &[("SSL_CERT_FILE", &trusted)],
    )
}

fn refused(said: &Said, why: &str) {
    assert_eq!(said.code, Some(1), "{}", said.all());
    assert!(said.err.contains(why), "no '{why}' in {}", said.err);
}

fn queue(gateway: &Gateway, address: &str) {
    gateway
        .cli(&["mail", "test", address, "--queue"], "")
        .fine();
}

#[test]
fn f_08_mail_is_sent_over_tls_with_a_login() {
    for (scheme, mode) in [("smtps", Mode::Tls), ("smtp", Mode::StartTls)] {
        let server = Smtp::start(mode);
        let said = test(&safely(scheme, &server, "correct horse\n"), &server).fine();
        assert!(said.out.contains("250 2.0.0 kept as 42"), "{}", said.out);
        let mail = server.wait_for(1).remove(0);
        assert_eq!(
            (&mail["tls"], &mail["login"]),
            (&true.into(), &true.into()),
            "{mail}"
        );
        assert_eq!(mail["sender"], "login@example.com");
        assert_eq!(mail["to"], serde_json::json!(["bob@example.test"]));
        let data = mail["data"].as_str().unwrap();
        let head = data.split("\r\n\r\n").next().unwrap();
        for field in [
            "\r\nTo: bob@example.test\r\n",
            "\r\nAuto-Submitted: auto-generated\r\n",
            "@localhost>",
            "\r\nDate: ",
        ] {
            assert!(
                format!("\r\n{head}\r\n").contains(field),
                "no {field:?} in {head}"
            );
        }
        let from = head
            .lines()
            .find(|line| line.starts_with("From: "))
            .unwrap();
        assert!(
            from.ends_with(" <login@example.com>") && from.is_ascii(),
            "{from}"
        );
    }
}

#[test]
fn f_08_nothing_is_sent_to_a_server_without_starttls() {
    let server = Smtp::start(Mode::Plain);
    let folder = Setup::new()
        .set(
            "mail",
            &format!(
                "{{ url: \"smtp://localhost:{}\", from: a@example.com }}",
                server.port()
            ),
        )
        .folder();
    refused(&test(&folder, &server), "STARTTLS");
    assert!(server.mails().is_empty());
}

#[test]
fn f_08_nothing_is_sent_to_a_server_that_cannot_prove_its_name() {
    for (scheme, mode) in [("smtps", Mode::Tls), ("smtp", Mode::StartTls)] {
        let other = Smtp::moody(mode, "mail.other.test", 0, false);
        refused(
            &test(&safely(scheme, &other, "correct horse"), &other),
            "not valid for name",
        );
        let unknown = Smtp::start(mode);
        let folder = safely(scheme, &unknown, "correct horse");
        refused(
            &folder.cli(&["mail", "test", "bob@example.test"], ""),
            "mail server",
        );
        assert!(other.mails().is_empty() && unknown.mails().is_empty());
    }
}

#[test]
fn a_server_that_refuses_says_why() {
    let server = Smtp::start(Mode::Tls);
    refused(&test(&safely("smtps", &server, "hunter2"), &server), "535");
    let never = Smtp::moody(Mode::Plain, "localhost", 0, true);
    let folder = plainly(&never).folder();
    refused(&test(&folder, &never), "no such user here");
    let nobody = Setup::new().folder();
    refused(
        &nobody.cli(&["mail", "test", "bob@example.test"], ""),
        "no `mail:`",
    );
    for bad in [
        "bob",
        "bob@example.test,eve@example.test",
        "bob@example.test\r\nBcc: eve@example.test",
    ] {
        refused(
            &folder.cli(&["mail", "test", bad], ""),
            "not an e-mail address",
        );
    }
}

#[test]
fn letters_can_be_written_to_a_folder() {
    let folder = Setup::new()
        .set(
            "mail",
            "{ url: \"file:data/outbox\", from: login@example.com }",
        )
        .folder();
    for address in ["bob@example.test", "b\u{f6}b@b\u{fc}cher.example"] {
        folder.cli(&["mail", "test", address], "").fine();
    }
    let outbox = folder.path().join("data/outbox");
    let mut files: Vec<_> = fs::read_dir(&outbox)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 2);
    assert!(
        files
            .iter()
            .all(|path| path.extension().is_some_and(|end| end == "eml"))
    );
    assert!(
        files
            .iter()
            .all(|path| fs::metadata(path).unwrap().permissions().mode() & 0o777 == 0o600)
    );
    let first = fs::read_to_string(&files[0]).unwrap();
    assert!(
        first.contains("To: bob@example.test\r\n")
            && first.contains("A test message from Portcullis"),
        "{first}"
    );
    assert!(
        fs::read_to_string(&files[1])
            .unwrap()
            .contains("@xn--bcher-kva.example")
    );
}

#[test]
fn a_letter_that_is_refused_for_now_is_sent_again() {
    let server = Smtp::moody(Mode::Plain, "localhost", 1, false);
    let gateway = plainly(&server).start();
    queue(&gateway, "bob@example.test");
    server.wait_for(1);
    assert_eq!(server.refusals(), 1);
    eventually("the letter to be let go", || {
        let metrics = gateway.metrics();
        (metrics.sum(SENT, &[("kind", "mail"), ("result", "sent")]) > 0.0).then_some(())
    });
    let metrics = gateway.metrics();
    let retried = metrics.sum(SENT, &[("kind", "mail"), ("result", "retried")]);
    assert_eq!(retried.to_string(), "1");
    assert_eq!(metrics.sum(WAITING, &[("kind", "mail")]).to_string(), "0");
    gateway.says("come back later");
    assert_eq!(
        gateway.log().matches("come back later").count(),
        1,
        "{}",
        gateway.log()
    );
}

#[test]
fn a_letter_that_nobody_will_take_is_given_up_at_once() {
    let server = Smtp::moody(Mode::Plain, "localhost", 0, true);
    let gateway = plainly(&server).start();
    queue(&gateway, "bob@example.test");
    let given_up = [("kind", "mail"), ("result", "given_up")];
    eventually("the letter to be given up", || {
        (gateway.metrics().sum(SENT, &given_up) > 0.0).then_some(())
    });
    assert_eq!(gateway.metrics().sum(WAITING, &[]).to_string(), "0");
    assert_eq!(server.refusals(), 1);
    gateway.says("no such user here");
    assert_eq!(
        gateway.log().matches("no such user here").count(),
        1,
        "{}",
        gateway.log()
    );
}

fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let (socket, _) = eventually("a connection to the mail server", || listener.accept().ok());
    socket.set_nonblocking(false).unwrap();
    socket
}

/// Takes one mail, but answers a command that begins with `to` with `said`; and no QUIT.
fn without_goodbye(mut socket: TcpStream, (to, said): (&str, &str)) {
    let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
    socket.write_all(b"220 mail.test\r\n").unwrap();
    let mut in_text = false;
    while let Some(Ok(line)) = lines.next() {
        let answer = match line.as_str() {
            end if end == "." && to != "." => "250 kept",
            _ if in_text && line != "." => continue,
            "QUIT" => continue,
            other if other.starts_with(to) => said,
            "DATA" => "354 go on",
            _ => "250 mail.test",
        };
        in_text = line == "DATA" && answer.starts_with("354");
        socket
            .write_all(format!("{answer}\r\n").as_bytes())
            .unwrap();
    }
}

/// A greeting that refuses is about the server, not the letter; and a goodbye that is not answered is no failure.
#[test]
fn a_letter_is_sent_once_by_a_server_that_is_not_ready_and_then_says_no_goodbye() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = plainly_to(listener.local_addr().unwrap().port()).start();
    queue(&gateway, "bob@example.test");
    let mut busy = accept(&listener);
    busy.write_all(b"554 5.3.2 not now\r\n").unwrap();
    drop(busy);
    let socket = accept(&listener);
    let server = thread::spawn(|| without_goodbye(socket, ("MAIL", "250 yes")));
    let count = |result| {
        let labels = [("kind", "mail"), ("result", result)];
        gateway.metrics().sum(SENT, &labels).to_string()
    };
    eventually("the letter to be let go", || {
        (count("sent") == "1").then_some(())
    });
    assert_eq!(
        (count("retried"), count("given_up")),
        ("1".into(), "0".into())
    );
    gateway.says("not now");
    server.join().unwrap();
    // Nor is it one where the letter is refused for good.
    queue(&gateway, "bob@example.test");
    let socket = accept(&listener);
    let server = thread::spawn(|| without_goodbye(socket, ("MAIL", "550 never")));
    eventually("the letter to be given up", || {
        (count("given_up") == "1").then_some(())
    });
    server.join().unwrap();
}

/// A yes to something else is none: what follows would be taken for commands, or be lost.
#[test]
fn a_letter_is_not_sent_to_a_server_that_answers_something_else() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = plainly_to(listener.local_addr().unwrap().port()).start();
    let count = |result| {
        let labels = [("kind", "mail"), ("result", result)];
        gateway.metrics().sum(SENT, &labels).to_string()
    };
    let wrong = [
        ("MAIL", "354 go on"),
        ("RCPT", "354 go on"),
        ("DATA", "250 kept"),
        (".", "354 go on"),
    ];
    for (at, answer) in (1..).zip(wrong) {
        queue(&gateway, &format!("bob{at}@example.test"));
        let socket = accept(&listener);
        let server = thread::spawn(move || without_goodbye(socket, answer));
        eventually("the letter to be kept", || {
            (count("retried") == at.to_string()).then_some(())
        });
        server.join().unwrap();
    }
    assert_eq!((count("sent"), count("given_up")), ("0".into(), "0".into()));
}

#[test]
fn c_10_letters_that_wait_cannot_be_read_in_the_database() {
    // Nobody listens on port 1.
    let setup = Setup::new().set(
        "mail",
        "{ url: \"smtp://127.0.0.1:1?tls=none\", from: login@example.com }",
    );
    let gateway = setup.start();
    queue(&gateway, "unmistakable@example.test");
    let tried = [("kind", "mail"), ("result", "retried")];
    eventually("an attempt", || {
        (gateway.metrics().sum(SENT, &tried) > 0.0).then_some(())
    });
    let waiting = gateway
        .metrics()
        .sum(WAITING, &[("kind", "mail"), ("state", "tried")]);
    assert_eq!(waiting.to_string(), "1");
    for entry in fs::read_dir(gateway.path().join("data")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!holds(&bytes, b"unmistakable") && !holds(&bytes, b"Subject:"));
    }
    assert!(gateway.stop().success());
}

#[test]
fn mail_follows_the_file_at_a_reload() {
    let server = Smtp::start(Mode::Plain);
    let gateway = Setup::new().start();
    let off = gateway.cli(&["mail", "test", "bob@example.test", "--queue"], "");
    refused(&off, "no `mail:`");
    assert!(gateway.reload_with(&plainly(&server)));
    queue(&gateway, "bob@example.test");
    server.wait_for(1);
}
