//! Services that answer wrongly: nobody else's answer may suffer from it (S-18, S-19).

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::OnceLock;
use std::time::Duration;

use crate::harness::raw::Silence;
use crate::harness::{Gateway, PATIENCE, Recorded, Reply, Setup, Trial, eventually, marker};
use crate::sessions_ends::logout;

/// What the service answers to each path; everything else is the usual answer.
fn script(request: &Recorded) -> Reply {
    let ok = "HTTP/1.1 200 OK\r\n";
    let path = request.path();
    let kind = path
        .trim_start_matches("/public/")
        .split('/')
        .next()
        .unwrap_or_default();
    match kind {
        "early" => {
            Reply::raw("HTTP/1.1 403 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
                .early()
                .close()
        }
        "cut" => Reply::raw(format!("{ok}Content-Length: 100\r\n\r\nhalf")).close(),
        "cut-chunk" => {
            Reply::raw(format!("{ok}Transfer-Encoding: chunked\r\n\r\n64\r\nhalf")).close()
        }
        "cut-head" => Reply::raw(format!("{ok}Content-Le")).close(),
        "nothing" => Reply::default().close(),
        "more" => Reply::raw(format!(
            "{ok}Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nX-Poison: 1\r\nContent-Length: 6\r\n\r\npoison"
        )),
        "two" => Reply::ok("first").then(format!(
            "{ok}X-Poison: 1\r\nContent-Length: 6\r\n\r\npoison"
        )),
        "bodiless" => Reply::raw(
            "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nX-Poison: 1\r\nContent-Length: 6\r\n\r\npoison",
        ),
        "both" => Reply::raw(format!(
            "{ok}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        )),
        "lengths" => Reply::raw(format!(
            "{ok}Content-Length: 2\r\nContent-Length: 30\r\n\r\nok"
        )),
        "length" => Reply::raw(format!("{ok}Content-Length: 0x2\r\n\r\nok")),
        "nul" => Reply::raw(format!("{ok}A: b\0c\r\nContent-Length: 2\r\n\r\nok")),
        "control" => Reply::raw(format!("{ok}A: b\x01c\r\nContent-Length: 2\r\n\r\nok")),
        "bare-cr" => Reply::raw(format!(
            "{ok}A: b\rX-Poison: 1\r\nContent-Length: 2\r\n\r\nok"
        )),
        "bare-lf" => Reply::raw("HTTP/1.1 200 OK\nA: b\nContent-Length: 2\n\nok"),
        "space" => Reply::raw(format!("{ok}A : b\r\nContent-Length: 2\r\n\r\nok")),
        "fold" => Reply::raw(format!(
            "{ok}A: b\r\n X-Poison: 1\r\nContent-Length: 2\r\n\r\nok"
        )),
        "huge" => Reply::raw(format!(
            "{ok}A: {}\r\nContent-Length: 2\r\n\r\nok",
            "b".repeat(1024 * 1024)
        )),
        "news" => told(1000),
        "flood" => told(1001),
        "status" => Reply::raw("HTTP/1.1 2x0 OK\r\nContent-Length: 2\r\n\r\nok"),
        "junk" => Reply::raw("SSH-2.0-OpenSSH_9.9\r\n\r\n"),
        "chunk-size" => Reply::raw(format!(
            "{ok}Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n"
        )),
        _ => Reply::ok(&format!("seen {} {}", request.method(), request.target())),
    }
}

/// As often that there is no answer yet, and then one.
fn told(times: usize) -> Reply {
    Reply::raw("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(times))
        .then("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
}

/// Ways to say that an answer is in chunks, and that it may not be.
const CODINGS: [(&str, &str); 8] = [
    ("te-comma", "Transfer-Encoding: chunked,"),
    ("te-identity", "Transfer-Encoding: chunked, identity"),
    (
        "te-lines",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    ),
    (
        "te-twice",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ),
    ("te-parameter", "Transfer-Encoding: chunked ; a=b"),
    ("te-quoted", "Transfer-Encoding: \"chunked\""),
    ("te-gzip", "Transfer-Encoding: gzip, chunked"),
    ("te-old", "Transfer-Encoding: chunked"),
];

/// An answer in one of these, and another one behind it that nobody asked for.
fn coded(request: &Recorded) -> Option<Reply> {
    let path = request.path();
    let (kind, lines) = CODINGS
        .iter()
        .find(|(kind, _)| path.starts_with(&format!("/public/{kind}/")))?;
    let version = if *kind == "te-old" {
        "HTTP/1.0"
    } else {
        "HTTP/1.1"
    };
    let whole = format!("{version} 200 OK\r\n{lines}\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    let poison = "HTTP/1.1 200 OK\r\nX-Poison: 1\r\nContent-Length: 6\r\n\r\npoison";
    let pause = Duration::from_millis(100);
    Some(Reply::raw(whole).pause(pause).then(poison))
}

fn gateway() -> &'static Gateway {
    static GATEWAY: OnceLock<Gateway> = OnceLock::new();
    GATEWAY.get_or_init(|| {
        let setup = Setup::new();
        let recorder = setup.recorder();
        recorder.answer(|request| coded(request).unwrap_or_else(|| script(request)));
        setup.start()
    })
}

/// Asks for a bad answer and then, on the same connection where it is left open, for good ones: every good one
/// must be its own. Answers with what became of the bad one.
fn afterwards(kind: &str) -> Result<(u16, String), Silence> {
    let gateway = gateway();
    Trial::with_plain_twin(gateway, "S-18");
    let mark = marker("S-18");
    let mut raw = gateway.connect();
    raw.send(format!(
        "GET /public/{kind}/{mark} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    ));
    let bad = raw.try_read();
    for at in 0..8 {
        let target = format!("/public/good/{mark}-{at}");
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = match raw.send(&request).try_read() {
            Err(Silence::Closed) => {
                raw = gateway.connect();
                raw.ask(&request)
            }
            answer => answer.unwrap(),
        };
        assert_eq!(
            answer.text(),
            format!("seen GET {target}"),
            "after {kind}: {bad:?}"
        );
        assert_eq!(answer.values("x-poison"), [""; 0]);
    }
    if let Ok(bad) = &bad {
        assert_eq!(bad.values("x-poison"), [""; 0], "{kind}: {bad:?}");
        assert!(
            !bad.text().contains("127.0.0.1"),
            "the inside is named: {}",
            bad.text()
        );
    }
    bad.map(|bad| (bad.status, bad.text()))
}

#[test]
fn s_18_an_answer_before_the_body() {
    let gateway = gateway();
    let mut trial = Trial::new(gateway, "S-18-early");
    trial.allowed(trial.post("/public/x", "", "hello"));
    let mut raw = gateway.connect();
    let half = trial.head("POST", "/public/early", "Content-Length: 200000\r\n");
    raw.send(half).send("a".repeat(1000));
    let answer = raw.read();
    assert!(matches!(answer.status, 403 | 502), "{}", answer.status);
    // The rest of the body is not taken for requests.
    let hidden = trial.get("/public/hidden", "");
    raw.send(hidden.repeat(100));
    if let Ok(answer) = raw.try_read() {
        panic!("answered {} to a body", answer.status);
    }
    trial.nothing_came(b"a body answered early");
}

#[test]
fn s_18_a_body_cut_short() {
    for kind in ["cut", "cut-chunk"] {
        match afterwards(kind) {
            Err(Silence::Closed) => {}
            Ok((status, _)) => assert_eq!(status, 502, "{kind} looks whole"),
            Err(why) => panic!("{kind}: {why:?}"),
        }
    }
    for kind in ["cut-head", "nothing"] {
        let status = afterwards(kind).unwrap().0;
        assert_eq!(status, 502, "{kind}");
    }
}

/// Only the end of the connection ends an answer to HTTP/1.0 that has no length: what is cut must not end so.
#[test]
fn s_18_what_is_cut_does_not_look_whole_to_http_1_0() {
    let setup = Setup::new();
    setup.recorder().answer(|request| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
        match request.path().as_str() {
            "/public/whole" => Reply::raw(format!("{head}0\r\n\r\n")),
            "/app/long" => Reply::raw(head).pause(PATIENCE),
            _ => Reply::raw(head)
                .pause(Duration::from_millis(50))
                .early()
                .close(),
        }
    });
    let gateway = setup.start();
    let ask = |request: &str| {
        let mut socket = TcpStream::connect(gateway.http()).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        socket
    };
    let read = |mut socket: TcpStream| {
        let mut text = Vec::new();
        let how = socket.read_to_end(&mut text);
        (how.map(drop).map_err(|error| error.kind()), text)
    };
    let host = "HTTP/1.0\r\nHost: localhost\r\n";
    let (how, text) = read(ask(&format!("GET /public/whole {host}\r\n")));
    assert!(how.is_ok() && text.ends_with(b"half"), "{how:?}");
    let cookie = gateway.login("alice");
    let long = ask(&format!("GET /app/long {host}Cookie: {cookie}\r\n\r\n"));
    let mut begun = [0; 4096];
    eventually("the beginning of an answer", || {
        let length = long.peek(&mut begun).unwrap();
        begun[..length].ends_with(b"half").then_some(())
    });
    assert_eq!(logout(&gateway, &cookie), 200);
    for (what, socket) in [
        ("cut", ask(&format!("GET /public/half {host}\r\n"))),
        // Its client still has something to say.
        (
            "cut early",
            ask(&format!(
                "POST /public/half {host}Content-Length: 9\r\n\r\nhello"
            )),
        ),
        ("a session's end", long),
    ] {
        let (how, text) = read(socket);
        let text = String::from_utf8_lossy(&text);
        assert_eq!(how, Err(ErrorKind::ConnectionReset), "{what}: {text}");
    }
}

#[test]
fn s_18_more_than_was_asked() {
    for (kind, text) in [("more", "ok"), ("bodiless", "")] {
        let (status, body) = afterwards(kind).unwrap();
        if status != 502 {
            assert_eq!(body, text, "{kind}");
        }
    }
}

/// A second answer in a packet of its own ends the kept connection it comes on. Only then is the next request
/// sent: one that is under way before those bytes arrive cannot be told from the one they answer.
#[test]
fn s_18_a_second_answer_ends_the_kept_connection() {
    let setup = Setup::new();
    setup.recorder().answer(script);
    let gateway = setup.start();
    let mut raw = gateway.connect();
    let answer = raw.ask("GET /public/two HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(answer.text(), "first");
    eventually("the poisoned connection to be dropped", || {
        (gateway.recorder().ended() >= 1).then_some(())
    });
    for at in 0..8 {
        let target = format!("/public/good/{at}");
        let answer = raw.ask(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(answer.text(), format!("seen GET {target}"));
        assert_eq!(answer.values("x-poison"), [""; 0]);
    }
}

#[test]
fn s_19_answers_that_are_none() {
    for kind in ["nul", "control", "bare-cr", "length", "status", "junk"] {
        let (status, body) = afterwards(kind).unwrap();
        assert_eq!(status, 502, "{kind}");
        assert!(body.contains("UPSTREAM_INVALID"), "{kind}: {body}");
    }
    let (status, body) = afterwards("nothing").unwrap();
    assert_eq!(status, 502);
    assert!(body.contains("UPSTREAM_UNREACHABLE"), "{body}");
    // Too long for us, and answered as such; or simply passed on.
    let (status, _) = afterwards("huge").unwrap();
    assert!(matches!(status, 200 | 502), "{status}");
}

#[test]
fn s_19_answers_with_two_readings() {
    for kind in ["both", "lengths", "bare-lf", "fold", "space"] {
        match afterwards(kind) {
            // Passed on only under one framing of ours.
            Ok((200, body)) => assert!(matches!(body.as_str(), "ok" | "hello"), "{kind}: {body:?}"),
            Ok((status, _)) => assert_eq!(status, 502, "{kind}"),
            Err(why) => assert_eq!(why, Silence::Closed, "{kind}"),
        }
    }
    match afterwards("chunk-size") {
        Ok((status, _)) => assert_eq!(status, 502),
        Err(why) => assert_eq!(why, Silence::Closed),
    }
}

/// Their clients read either of the two, and take what comes behind for the answer to whatever they ask next.
#[test]
fn s_19_a_coding_with_two_readings_is_not_passed_on() {
    let gateway = gateway();
    for (kind, _) in CODINGS {
        let (status, body) = afterwards(kind).unwrap();
        assert_eq!(status, 502, "{kind}");
        assert!(body.contains("UPSTREAM_INVALID"), "{kind}: {body}");
        let answer = gateway.h2().get(&format!("/public/{kind}/h2"), &[]);
        assert_eq!(answer.status(), Some(502), "{kind}");
    }
}

#[test]
fn s_19_a_flood_of_interim_answers() {
    assert_eq!(afterwards("news"), Ok((200, "ok".to_owned())));
    let flood = afterwards("flood");
    assert!(
        matches!(flood, Ok((502, _)) | Err(Silence::Closed)),
        "{flood:?}"
    );
}

/// A service that hints at its answer, which is empty, and says that both are five bytes long.
fn hints(version: &str, more: &str) -> String {
    let setup = Setup::new();
    setup.recorder().answer(|request| {
        assert_eq!(request.values("expect"), [""; 0], "asked for by nobody");
        let head = |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n");
        Reply::raw(head("103 Early Hints") + &head("204 No Content")).close()
    });
    let gateway = setup.start();
    let mut raw = gateway.connect();
    raw.send(format!(
        "GET /public/x HTTP/{version}\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n"
    ));
    assert!(raw.closes());
    assert_eq!(gateway.recorder().count(), 1);
    raw.left().to_lowercase()
}

#[test]
fn s_18_what_has_no_body_has_no_length() {
    let answer = hints("1.1", "");
    assert!(
        answer.starts_with("http/1.1 103 early hints\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("\r\n\r\nhttp/1.1 204 no content\r\n"),
        "{answer}"
    );
    assert!(!answer.contains("content-length"), "{answer}");
}

#[test]
fn s_06_an_old_client_gets_one_answer() {
    for more in ["", "Expect: 100-continue\r\n"] {
        let answer = hints("1.0", more);
        assert!(
            answer.starts_with("http/1.1 204 no content\r\n"),
            "{answer}"
        );
        assert_eq!(answer.matches("http/1.1").count(), 1, "{answer}");
    }
}
