//! Bodies on their way up: where they end, and what is heard by who is still sending (S-16, S-17, S-20).

use std::time::Duration;

use crate::harness::{Gateway, H2, Recorder, Reply, Setup, eventually, h2, marker};

/// More than a socket's buffers hold, so that the answer comes while it is being sent.
const LARGE: usize = 8 * 1024 * 1024;

/// More than an HTTP/2 client may send at first where nothing else was agreed upon.
const WINDOW: usize = 400 * 1024;

/// A gateway before this one, which is then a service that speaks HTTP/2.
fn before(inner: &Gateway) -> Gateway {
    let to = format!("{{ to: \"h2c://localhost:{}\" }}", inner.http().port());
    Setup::before(inner.recorder().clone())
        .upstream("web", &to)
        .start()
}

fn send(client: &mut H2, stream: u32, length: usize) {
    for piece in vec![b'x'; length].chunks(16 * 1024) {
        client.data(stream, piece, false);
    }
}

#[test]
fn s_20_a_body_over_http_2_ends_once() {
    let gateway = Setup::new().start();
    let recorder = gateway.recorder();
    let mark = marker("S-20-once");
    let mut expected = 0;
    // A client has its answer before the connection to the service is free again; the line of the request is written then.
    let over = |count: usize| {
        eventually("the request to be over", || {
            (gateway.log().matches("path=\"/public/").count() == count).then_some(())
        });
    };
    // The pieces of a body; what ends it is the last of them, or trailers.
    let bodies: [(&[&str], bool); 6] = [
        (&["abc", ""], false),
        (&["", "abc", "", ""], false),
        (&[""], false),
        (&["abc"], false),
        (&["abc"], true),
        (&[""], true),
    ];
    for (pieces, trailers) in bodies {
        let mut client = H2::connect(gateway.http());
        let mut fields = h2::request("POST", "/public/up");
        fields.push(("x-marker", &mark));
        let stream = client.open(&fields, false);
        for (at, piece) in pieces.iter().enumerate() {
            let last = at + 1 == pieces.len() && !trailers;
            client.data(stream, piece.as_bytes(), last);
        }
        if trailers {
            client.trailers(stream, &[("x-checksum", "1")]);
        }
        assert_eq!(client.read(stream).status(), Some(200), "{pieces:?}");
        expected += 1;
        over(expected);
        // Somebody else's request, on the same connection to the service.
        let other =
            format!("GET /public/other HTTP/1.1\r\nHost: localhost\r\nX-Marker: {mark}\r\n\r\n");
        assert_eq!(gateway.ask(&other).text(), "seen GET /public/other");
        expected += 1;
        over(expected);
        let seen = recorder.wait_for(&mark, expected);
        let [up, next] = &seen[expected - 2..] else {
            panic!("{seen:?}");
        };
        assert_eq!(up.body, pieces.concat().as_bytes());
        assert!(up.head.starts_with(b"POST /public/up "), "{}", up.text());
        assert!(
            next.head.starts_with(b"GET /public/other "),
            "{}",
            next.text()
        );
        assert_eq!(up.connection, next.connection, "kept");
    }
}

#[test]
fn an_upload_over_http_2_need_not_wait_for_leave() {
    let gateway = Gateway::shared();
    let mut client = H2::connect(gateway.http());
    // What we are told of windows holds once we have said that we heard it.
    assert_eq!(client.get("/public/first", &[]).status(), Some(200));
    let stream = client.open(&h2::request("POST", "/public/up"), false);
    send(&mut client, stream, WINDOW);
    client.data(stream, b"", true);
    let outcome = client.read(stream);
    assert_eq!(outcome.status(), Some(200), "{outcome:?}");
}

#[test]
fn s_17_an_expectation_before_a_service_that_speaks_http_2() {
    let inner = Setup::new().start();
    let outer = before(&inner);
    let mark = marker("S-17-h2");
    for _ in 0..2 {
        let mut raw = outer.connect();
        raw.send(format!(
            "POST /public/up HTTP/1.1\r\nHost: localhost\r\nX-Marker: {mark}\r\n\
             Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        ));
        assert!(raw.wait_for("\r\n\r\n"), "no 100: {}", raw.left());
        let answer = raw.ask("hello");
        assert_eq!(
            (answer.interim.as_slice(), answer.status),
            (&[100][..], 200)
        );
    }
    let seen = inner.recorder().wait_for(&mark, 2);
    assert!(seen.iter().all(|seen| seen.body == b"hello"), "{seen:?}");
    // HTTP/1.0 does not know that there may be two answers.
    let answer = outer.ask(format!(
        "POST /public/up HTTP/1.0\r\nHost: localhost\r\nX-Marker: {mark}\r\n\
         Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"
    ));
    assert_eq!((answer.interim.as_slice(), answer.status), (&[][..], 200));
    // Who is refused is not told to go on.
    let answer = outer.ask(
        "POST /app/up HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    assert_eq!((answer.interim.as_slice(), answer.status), (&[][..], 401));
}

#[test]
fn requests_to_a_service_that_speaks_http_2_share_a_connection() {
    let inner = Setup::new().start();
    let outer = before(&inner);
    let begin = |count| {
        let mut raw = outer.connect();
        raw.send("POST /public/up HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhel");
        eventually("it to be under way", || {
            (inner.recorder().connections() == count).then_some(())
        });
        raw
    };
    let connections = || inner.metrics().sum("portcullis_connections", &[]);
    let mut open = vec![begin(1)];
    let before = connections();
    open.extend((2..6).map(begin));
    assert!(connections() <= before, "{} {before}", connections());
    for raw in &mut open {
        assert_eq!(raw.ask("lo").status, 200);
    }
}

#[test]
fn s_16_who_still_sends_hears_the_answer() {
    let gateway = Setup::new().start();
    for (path, status) in [("/app/up", 401), ("/public/a%2fb", 400)] {
        let mut raw = gateway.connect().patience(Duration::from_secs(20));
        raw.send(format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LARGE}\r\n\r\n"
        ));
        raw.send(vec![b'x'; LARGE]);
        assert!(raw.all_sent(), "{path}: cut off");
        assert_eq!(raw.read().status, status);

        let mut client = gateway.h2();
        assert_eq!(client.get("/public/first", &[]).status(), Some(200));
        let stream = client.open(&h2::request("POST", path), false);
        send(&mut client, stream, WINDOW);
        assert_eq!(client.read(stream).status(), Some(status), "{path}");
        // The stream is not let go while there is more to come: a reset would overtake this answer.
        assert_eq!(client.get(path, &[]).status(), Some(status), "{path}");
        assert!(!client.was_reset(stream), "{path}");
        client.data(stream, b"the end", true);
    }
    // A film that is sent after the session has ended.
    let film = vec![b'x'; 96 << 20];
    let mut raw = gateway.connect().patience(Duration::from_secs(20));
    raw.send(format!(
        "POST /app/up HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        film.len()
    ));
    raw.send(film);
    assert!(raw.all_sent(), "cut off");
    assert_eq!(raw.read().status, 401);
    assert!(
        gateway
            .recorder()
            .requests()
            .iter()
            .all(|seen| seen.path() == "/public/first")
    );
}

/// A reset behind the answer makes some clients forget the answer.
#[test]
fn s_16_an_answer_before_the_end_of_an_upload_is_not_taken_back() {
    let recorder = Recorder::start();
    recorder.answer(|request| match request.path().as_str() {
        "/public/early" => Reply::raw("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
            .early()
            .close(),
        _ => Reply::ok("quick"),
    });
    let gateway = Setup::before(recorder).start();
    let mut client = gateway.h2();
    for _ in 0..5 {
        let stream = client.open(&h2::request("POST", "/public/early"), false);
        client.data(stream, b"some", false);
        assert_eq!(client.read(stream).status(), Some(413));
        send(&mut client, stream, 64 * 1024);
        assert_eq!(client.get("/public/x", &[]).status(), Some(200));
        assert!(!client.was_reset(stream), "before the end of the upload");
        client.data(stream, b"", true);
    }
}
