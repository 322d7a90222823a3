//! The bench is tried before it tries others: recorder, raw client and HTTP/2 client against known partners.

use std::time::Duration;

use super::{H2, Outcome, Raw, Recorder, Reply, h2, serve_on};

#[test]
fn the_recorder_keeps_what_it_is_sent() {
    let recorder = Recorder::start();
    let mut raw = Raw::connect(recorder.address());
    let first = "POST /a//b?c HTTP/1.1\r\nX: 1\r\nx:  2 \r\nTransfer-Encoding: chunked\r\n\r\n5;e\r\nhello\r\n0\r\nT: 3\r\n\r\n";
    assert_eq!(raw.ask(first).text(), "seen POST /a//b?c");
    raw.send("HEAD /c HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(
        raw.read_head().header("content-length").as_deref(),
        Some("12")
    );
    raw.send("PUT /d HTTP/1.1\r\nContent-Length: 9\r\n\r\ncut")
        .finish();
    assert!(raw.closes());
    let [chunked, head] = recorder.requests().try_into().unwrap();
    assert_eq!(chunked.values("X"), ["1", "2"]);
    assert_eq!(
        (chunked.path().as_str(), chunked.body.as_slice()),
        ("/a//b", &b"hello"[..])
    );
    assert_eq!(chunked.trailers, b"T: 3\r\n");
    assert_eq!(
        (
            head.method().as_str(),
            head.body.as_slice(),
            head.connection
        ),
        ("HEAD", &b"hi"[..], 1)
    );
    let cut = recorder.everything().pop().unwrap();
    assert_eq!(
        (cut.complete, cut.raw_body.as_slice()),
        (false, &b"cut"[..])
    );
}

#[test]
fn the_recorder_follows_its_script() {
    let recorder = Recorder::start();
    recorder.answer(|request| match request.path().as_str() {
        "/early" => Reply::ok("early").early(),
        "/expect" => Reply::ok("went on"),
        _ => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut").close(),
    });
    let mut raw = Raw::connect(recorder.address());
    let early = raw.ask("POST /early HTTP/1.1\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(early.text(), "early");
    let answer =
        raw.ask("hiPOST /expect HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(
        (answer.text().as_str(), answer.interim.as_slice()),
        ("went on", &[100][..])
    );
    assert!(raw.send("GET /cut HTTP/1.1\r\n\r\n").try_read().is_err());
}

/// A partner that follows the rules: the `h2` crate's server, answering three requests.
fn server(listener: std::net::TcpListener) {
    serve_on(listener, async |listener| {
        let (socket, _) = listener.accept().await.unwrap();
        let mut connection = ::h2::server::handshake(socket).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            if request.uri().path() == "/reset" {
                respond.send_reset(::h2::Reason::REFUSED_STREAM);
                continue;
            }
            let answer = http::Response::builder()
                .status(418)
                .header("x-saw", request.uri().to_string())
                .header("x-long", "w".repeat(300))
                .body(())
                .unwrap();
            let mut body = respond.send_response(answer, false).unwrap();
            body.send_data("tea".into(), true).unwrap();
        }
    });
}

#[test]
fn the_h2_client_is_understood() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || server(listener));
    let mut client = H2::connect(address);
    let outcome = client.get("/a?b", &[("x-one", "1")]);
    assert_eq!(
        (outcome.status(), h2::text(&outcome).as_str()),
        (Some(418), "tea")
    );
    assert_eq!(outcome.values("x-saw"), ["http://localhost/a?b"]);
    assert_eq!(outcome.values("x-long"), ["w".repeat(300)]);
    assert_eq!(client.get("/reset", &[]), Outcome::Reset(7));
    let upper = client.get("/b", &[("X-Upper", "1")]);
    assert!(upper.is_malformed(), "{upper:?}");
    assert!(
        client
            .ends_within(Duration::from_millis(1))
            .is_none_or(|over| over != Outcome::Late)
    );
}
