//! Answers of HTTP/2 that end with their head, which says nothing of that: Node's and others' empty ones. And a service of
//! HTTP/2 beside one of HTTP/1.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use ::h2::server::{SendResponse, handshake};
use bytes::Bytes;

use crate::harness::{H2, PATIENCE, Recorder, Reply, Setup, Wire, eventually, h2, serve_on};

/// A service of HTTP/2 that answers after a while; without a body where it is asked for `empty`.
fn start(after: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("h2c://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        serve_on(listener, async |listener| {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let Ok(mut connection) = handshake(socket).await else {
                        return;
                    };
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        let empty = request.uri().path().ends_with("/empty");
                        tokio::spawn(async move {
                            tokio::time::sleep(after).await;
                            answer(respond, empty);
                        });
                    }
                });
            }
        });
    });
    url
}

fn answer(mut respond: SendResponse<Bytes>, empty: bool) {
    let head = http::Response::builder().header("content-type", "text/plain");
    let mut body = respond
        .send_response(head.body(()).unwrap(), empty)
        .unwrap();
    if !empty {
        body.send_data(vec![b'x'; 5000].into(), true).unwrap();
    }
}

#[test]
fn b_05_an_answer_without_a_body_ends_what_never_does() {
    let url = start(Duration::ZERO);
    let gateway = Setup::new()
        .upstream("web", &format!("{{ to: \"{url}\" }}"))
        .set("limits", "{ stall: 1s, body_rate: none }")
        .start();
    let mut client = H2::connect(gateway.http());
    for path in ["/public/full", "/public/empty"] {
        let open = client.open(&h2::request("POST", path), false);
        client.data(open, b"some", false);
        assert_eq!(client.read(open).status(), Some(200), "{path}");
        assert!(client.ends_within(Duration::ZERO).is_none());
        eventually("the end of the request", || {
            let again = client.open(&h2::request("GET", path), true);
            assert_eq!(client.read(again).status(), Some(200));
            client.was_reset(open).then_some(())
        });
        eventually("the request to be logged as answered", || {
            let log = gateway.log();
            let mut lines = log.lines().filter(|line| line.contains("POST"));
            lines
                .any(|line| line.contains(path) && line.contains("status=200"))
                .then_some(())
        });
    }
}

#[test]
fn nothing_is_no_compressed_form_of_nothing() {
    let url = start(Duration::ZERO);
    let gateway = Setup::new()
        .upstream("web", &format!("{{ to: \"{url}\" }}"))
        .rules("  - { path: /public/**, allow: anyone, compress: true }")
        .start();
    for (path, coding) in [
        ("/public/full", Some("gzip".to_owned())),
        ("/public/empty", None),
    ] {
        let answer = gateway.ask(format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n"
        ));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-encoding"), coding, "{path}");
        assert_eq!(answer.body.is_empty(), coding.is_none(), "{path}");
    }
}

/// Each server has all of the time that a service may take, in whatever version it is spoken to.
#[test]
fn g_18_the_next_try_begins_anew_in_another_version() {
    const AFTER: Duration = Duration::from_secs(3);
    let (old, new) = (Recorder::start(), start(AFTER));
    old.answer(|_| Reply::raw("").pause(AFTER).close());
    let gateway = Setup::new()
        .upstream(
            "web",
            &format!(
                "{{ to: [\"{}\", \"{new}\"], timeout: {{ read: 4s }}, retry: 1 }}",
                old.url()
            ),
        )
        .start();
    let asked = [(); 2].map(|()| {
        let mut raw = gateway.connect();
        raw.send("GET /public/full HTTP/1.1\r\nHost: localhost\r\n\r\n");
        raw
    });
    for mut raw in asked {
        assert!(raw.wait_for("HTTP/1.1 200 "), "{:?}", raw.left());
    }
    assert_eq!(old.count(), 1);
}

/// Go's client takes it for the length of what comes.
#[test]
fn a_304_has_no_length_over_http_2() {
    let setup = Setup::new();
    setup
        .recorder()
        .answer(|_| Reply::raw("HTTP/1.1 304 Not Modified\r\nContent-Length: 55\r\n\r\n"));
    let gateway = setup.start();
    let new = H2::connect(gateway.http()).get("/public/x", &[]);
    assert_eq!(new.status(), Some(304));
    assert_eq!(new.values("content-length"), [""; 0]);
    let old = gateway.ask("GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(
        (old.status, old.header("content-length").as_deref()),
        (304, Some("55"))
    );
}

/// What is whole ends in order, also where its client of HTTP/1.0 does not say the rest of its request.
#[test]
fn s_18_what_is_whole_does_not_look_cut_to_http_1_0() {
    let service = Recorder::start();
    service.answer(|_| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        Reply::raw(format!("{head}5\r\nwhole\r\n0\r\n\r\n")).early()
    });
    let gateway = Setup::new()
        .upstream("web", &format!("{{ to: \"{}\" }}", service.url()))
        .start();
    let mut socket = TcpStream::connect(gateway.http()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = "POST /public/x HTTP/1.0\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhello";
    socket.write_all(request.as_bytes()).unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"whole") {
        let mut piece = [0; 1024];
        let length = socket.read(&mut piece).unwrap();
        assert_ne!(length, 0, "{}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&piece[..length]);
    }
    socket.shutdown(Shutdown::Write).unwrap();
    assert_eq!(socket.read_to_end(&mut text).unwrap(), 0);
}

/// Over TLS it is the alert, not the end of the connection, that says whole (RFC 9112 section 9.8).
#[test]
fn s_18_what_is_cut_does_not_look_whole_over_tls_either() {
    let setup = Setup::new().tls(&["localhost"]);
    setup.recorder().answer(|request| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
        match request.path().as_str() {
            "/public/whole" => Reply::raw(format!("{head}0\r\n\r\n")),
            _ => Reply::raw(head).close(),
        }
    });
    let gateway = setup.start();
    for (path, whole) in [("/public/whole", true), ("/public/half", false)] {
        let wire = gateway.tls("localhost", &["http/1.1"]);
        let Wire::Tls(mut stream) = wire else {
            panic!("not TLS");
        };
        stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = Vec::new();
        let how = stream.read_to_end(&mut text);
        assert_eq!(how.is_ok(), whole, "{path}: {how:?}");
        assert!(text.starts_with(b"HTTP/1.1 200 "), "{path}");
        assert!(!whole || text.ends_with(b"half"), "{path}");
    }
}
