//! Compressed answers that take their time, that break off, that never seem to end, and that end with trailers. W-07, B-13.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use crate::coding::{RULES, TOKENS, plain, setup, words};
use crate::harness::{Gateway, H2, Outcome, PATIENCE, Setup, h2, serve_on};
use crate::limits_memory::{MIB, growth};

/// A service that hands each request's connection to the test, once its head is read.
fn service() -> (String, Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, calls) = mpsc::channel();
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n")
                && socket.read(&mut byte).is_ok_and(|count| count == 1)
            {
                head.push(byte[0]);
            }
            let _ = sender.send(socket);
        }
    });
    (url, calls)
}

/// A gateway before it.
fn before(url: &str) -> Gateway {
    setup()
        .nobody()
        .upstream("web", &format!("{{ to: \"{url}\", timeout: 60s }}"))
        .start()
}

/// curl, reading an answer in this coding as it comes.
fn curl(gateway: &Gateway, coding: &str, version: &str) -> Child {
    Command::new("curl")
        .args(["-sSN", "--compressed", version, "-H", "Host: localhost"])
        .args([
            "-H",
            &format!("Accept-Encoding: {coding}"),
            "--max-time",
            "120",
        ])
        .arg(format!("http://{}/public/x", gateway.http()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn lines(curl: &mut Child) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    let out = BufReader::new(curl.stdout.take().unwrap());
    thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    lines
}

fn chunk(socket: &mut TcpStream, text: &str) {
    socket
        .write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
        .unwrap();
}

#[test]
fn w_07_events_arrive_one_by_one() {
    let (url, calls) = service();
    let gateway = before(&url);
    for coding in TOKENS {
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let mut curl = curl(&gateway, coding, version);
            let heard = lines(&mut curl);
            let mut call = calls.recv_timeout(PATIENCE).unwrap();
            call.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
            // Each is said only when the one before was heard: what is held back anywhere never comes.
            for at in 0..5 {
                chunk(&mut call, &format!("data: {at}\n"));
                assert_eq!(
                    heard.recv_timeout(PATIENCE).unwrap(),
                    format!("data: {at}"),
                    "{coding} {version}"
                );
            }
            call.write_all(b"0\r\n\r\n").unwrap();
            assert!(curl.wait().unwrap().success(), "{coding} {version}");
        }
    }
}

#[test]
fn an_answer_that_breaks_off_is_broken_when_it_arrives() {
    let (url, calls) = service();
    let gateway = before(&url);
    let chunked =
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
    let counted = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 50000\r\n\r\n";
    let text = words(20_000);
    let speak = |head: &str| {
        let mut call = calls.recv_timeout(PATIENCE).unwrap();
        call.write_all(head.as_bytes()).unwrap();
        if head == chunked {
            chunk(&mut call, &text);
        } else {
            call.write_all(text.as_bytes()).unwrap();
        }
        call
    };
    for coding in TOKENS {
        let ask = format!(
            "GET /public/x HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {coding}\r\n\r\n"
        );
        for head in [chunked, counted] {
            let mut raw = gateway.connect();
            raw.send(&ask);
            drop(speak(head));
            assert!(raw.closes());
            let left = raw.left();
            assert!(
                left.contains(&format!("Content-Encoding: {coding}")),
                "{left}"
            );
            assert!(!left.ends_with("0\r\n\r\n"), "it looks like a whole answer");
            let mut client = gateway.h2();
            let mut fields = h2::request("GET", "/public/x");
            fields.push(("accept-encoding", coding));
            let stream = client.open(&fields, true);
            drop(speak(head));
            let ended = client.read(stream);
            assert!(matches!(ended, Outcome::Reset(_)), "{ended:?}");
        }
        // The twin.
        let mut raw = gateway.connect();
        raw.send(&ask);
        speak(chunked).write_all(b"0\r\n\r\n").unwrap();
        assert!(plain(coding, &raw.read().body).unwrap() == text.as_bytes());
    }
}

/// Sends so many MiB through the gateway, as fast as curl takes it.
fn transfer(gateway: &Gateway, calls: &Receiver<TcpStream>, coding: &str, pieces: usize) {
    let piece = words(usize::try_from(MIB).unwrap());
    let mut curl = curl(gateway, coding, "--http1.1");
    let mut out = curl.stdout.take().unwrap();
    let came = thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()).unwrap());
    let mut call = calls.recv_timeout(PATIENCE).unwrap();
    let length = pieces * piece.len();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n");
    call.write_all(head.as_bytes()).unwrap();
    for _ in 0..pieces {
        call.write_all(piece.as_bytes()).unwrap();
    }
    assert!(curl.wait().unwrap().success());
    assert_eq!(came.join().unwrap(), length as u64);
}

#[test]
fn b_13_what_never_seems_to_end_takes_no_memory() {
    let (url, calls) = service();
    let gateway = before(&url);
    for coding in TOKENS {
        // What every first answer takes is not what a long one takes.
        transfer(&gateway, &calls, coding, 2);
        let grown = growth(&gateway, || transfer(&gateway, &calls, coding, 64));
        assert!(grown < 16 * MIB, "{coding}: grew by {grown}");
    }
}

/// A service over HTTP/2 that ends a text with trailers, and another without.
fn trailing(listener: TcpListener) {
    serve_on(listener, async |listener| {
        while let Ok((socket, _)) = listener.accept().await {
            let mut connection = ::h2::server::handshake(socket).await.unwrap();
            tokio::spawn(async move {
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    let mut answer = http::Response::builder().header("content-type", "text/plain");
                    let ends = request.uri().path() == "/public/without";
                    if request.uri().path() == "/public/announced" {
                        answer = answer.header("trailer", "server-timing");
                    }
                    let mut body = respond
                        .send_response(answer.body(()).unwrap(), false)
                        .unwrap();
                    body.send_data(words(10_000).into(), ends).unwrap();
                    if !ends {
                        let trailers = [(
                            http::HeaderName::from_static("server-timing"),
                            "db;dur=1".parse().unwrap(),
                        )];
                        body.send_trailers(trailers.into_iter().collect()).unwrap();
                    }
                }
            });
        }
    });
}

#[test]
fn an_answer_over_http_2_that_ends_with_trailers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("{{ to: \"h2c://{}\" }}", listener.local_addr().unwrap());
    thread::spawn(move || trailing(listener));
    let away = "{ to: builtin:echo }";
    let setup = Setup::new().nobody().rules(RULES).upstream("web", &to);
    let gateway = setup.upstream("echo", away).upstream("away", away).start();
    for coding in TOKENS {
        for path in ["/public/without", "/public/with"] {
            let ask = format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {coding}\r\n\r\n"
            );
            let answer = gateway.ask(ask);
            assert_eq!(answer.header("content-encoding").as_deref(), Some(coding));
            assert!(
                plain(coding, &answer.body).unwrap() == words(10_000).as_bytes(),
                "{coding} {path}"
            );
            let mut client: H2 = gateway.h2();
            let outcome = client.get(path, &[("accept-encoding", coding)]);
            let Outcome::Answer { body, .. } = outcome else {
                panic!("{outcome:?}");
            };
            assert!(
                plain(coding, &body).unwrap() == words(10_000).as_bytes(),
                "{coding} {path}"
            );
        }
    }
    // What is announced comes through in HTTP/2, and not compressed; in HTTP/1 it is not passed on, and so not announced.
    let path = "/public/announced";
    let outcome = gateway.h2().get(path, &[("accept-encoding", "gzip")]);
    assert_eq!(outcome.values("trailer"), ["server-timing"]);
    assert_eq!(outcome.values("content-encoding"), [""; 0]);
    let answer = gateway.ask(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_eq!((answer.status, answer.header("trailer")), (200, None));
}
