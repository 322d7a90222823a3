//! Heads as hostile clients write them, and what becomes of each.

use super::*;
use HeadFault::{
    Expectation, Field, LineEnd, Method, RequestLine, Target, TargetTooLong, TooLarge,
    TooManyFields,
};

fn outcome(head: &[u8]) -> Result<Framing, HeadFault> {
    let end = Scanner::default().advance(head)?.ok_or(LineEnd)?;
    assert_eq!(end, head.len(), "{}", head.escape_ascii());
    check(head, &Limits::DEFAULT, &mut LastHost::default()).map(|head| head.framing)
}

fn with(fields: &str) -> Result<Framing, HeadFault> {
    outcome(format!("POST / HTTP/1.1\r\nHost: app.test\r\n{fields}\r\n").as_bytes())
}

#[test]
fn sound_heads() {
    assert_eq!(
        outcome(b"GET /a?b HTTP/1.1\r\nHost: app.test\r\n\r\n"),
        Ok(Framing::Empty)
    );
    assert_eq!(
        outcome(b"\r\nGET / HTTP/1.0\r\nHost:app.test:80\r\n\r\n"),
        Ok(Framing::Empty)
    );
    assert_eq!(
        outcome(b"OPTIONS * HTTP/1.1\r\nhost: [::1]\r\nx-empty:\r\n\r\n"),
        Ok(Framing::Empty)
    );
    assert_eq!(with("Content-Length: 5\r\n"), Ok(Framing::Length(5)));
    assert_eq!(with("content-length:0\r\n"), Ok(Framing::Empty));
    assert_eq!(
        with("Transfer-Encoding:\tChunked \r\n"),
        Ok(Framing::Chunked)
    );
    assert_eq!(
        with("Expect: 100-Continue\r\nX: \u{e9}\r\n"),
        Ok(Framing::Empty)
    );
}

#[test]
fn s_01_to_s_06_framing() {
    let bad = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: \r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\ncontent-length: 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -0\r\n",
        "Content-Length: 005\r\n",
        "Content-Length: 00\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5_0\r\n",
        "Content-Length: \r\n",
        "Content-Length: 5,\r\n",
        "Content-Length: 9223372036854775808\r\n",
        "Content-Length: 99999999999999999999\r\n",
    ];
    for fields in bad {
        assert_eq!(with(fields), Err(HeadFault::Framing), "{fields:?}");
    }
    assert_eq!(
        outcome(b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
        Err(HeadFault::Framing)
    );
    assert_eq!(with("Transfer-Encoding: chunked\0\r\n"), Err(Field));
    assert_eq!(with("Transfer-Encoding: \x0bchunked\r\n"), Err(Field));
    assert_eq!(
        with("Transfer-Encoding:\r\n chunked\r\n"),
        Err(HeadFault::Framing)
    );
}

#[test]
fn s_11_s_12_s_13_lines_and_fields() {
    for head in [
        &b"GET / HTTP/1.1\nHost: a\n\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        b"GET /\n HTTP/1.1\r\n",
    ] {
        assert_eq!(
            Scanner::default().advance(head),
            Err(LineEnd),
            "{}",
            head.escape_ascii()
        );
    }
    for fields in [
        " x: folded\r\n",
        "\tx: y\r\n",
        "x : y\r\n",
        ": y\r\n",
        "nocolon\r\n",
        "x\0: y\r\n",
        "x: \0\r\n",
        "x: \x7f\r\n",
        "\u{e9}: y\r\n",
        "x y: z\r\n",
    ] {
        assert_eq!(with(fields), Err(Field), "{fields:?}");
    }
}

#[test]
fn p_00_p_14_p_15_p_19_p_21_s_14_request_lines_and_hosts() {
    let line = |line: &str| outcome(format!("{line}\r\nHost: app.test\r\n\r\n").as_bytes());
    let cases = [
        ("GET admin/users HTTP/1.1", Target),
        ("GET x:/admin HTTP/1.1", Target),
        ("GET app.test:80 HTTP/1.1", Target),
        ("GET .. HTTP/1.1", Target),
        ("GET ?x=/admin HTTP/1.1", Target),
        ("GET * HTTP/1.1", Target),
        ("GET http://app.test/admin HTTP/1.1", Target),
        ("GET /a#b HTTP/1.1", Target),
        ("GET /\0 HTTP/1.1", Target),
        ("GET /\u{e9} HTTP/1.1", Target),
        ("GET  HTTP/1.1", Target),
        ("GET  / HTTP/1.1", RequestLine),
        ("GET /a b HTTP/1.1", RequestLine),
        ("GET /", RequestLine),
        ("GET / HTTP/1.1x", RequestLine),
        ("GET / http/1.1", RequestLine),
        (" GET / HTTP/1.1", RequestLine),
        ("G\u{e9}T / HTTP/1.1", RequestLine),
        ("GET / HTTP/1.2", HeadFault::Version),
        ("GET / HTTP/2.0", HeadFault::Version),
        ("GET / HTTP/0.9", HeadFault::Version),
        ("get / HTTP/1.1", Method(TargetFault::MethodUnknown)),
        ("FOO!#$ / HTTP/1.1", Method(TargetFault::MethodUnknown)),
        ("TRACE / HTTP/1.1", Method(TargetFault::MethodRefused)),
        ("CONNECT a:1 HTTP/1.1", Method(TargetFault::MethodRefused)),
    ];
    for (text, fault) in cases {
        assert_eq!(line(text), Err(fault), "{text:?}");
    }
    for hosts in [
        "",
        "Host: \r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a/b?x#y\r\n",
        "Host: a, b\r\n",
        "Host: u@a\r\n",
        "Host: a:0\r\n",
    ] {
        let head = format!("GET / HTTP/1.1\r\n{hosts}\r\n");
        assert_eq!(outcome(head.as_bytes()), Err(HeadFault::Host), "{hosts:?}");
    }
    assert_eq!(with("Expect: junk\r\n"), Err(Expectation));
}

#[test]
fn b_03_p_25_limits() {
    let line = |target: usize| {
        format!(
            "GET /{} HTTP/1.1\r\nHost: a\r\n\r\n",
            "x".repeat(target - 1)
        )
    };
    assert_eq!(outcome(line(8 * 1024).as_bytes()), Ok(Framing::Empty));
    assert_eq!(outcome(line(8 * 1024 + 1).as_bytes()), Err(TargetTooLong));
    assert_eq!(with(&"x: y\r\n".repeat(99)), Ok(Framing::Empty));
    assert_eq!(with(&"x: y\r\n".repeat(100)), Err(TooManyFields));
    assert_eq!(
        with(&format!("x: {}\r\n", "y".repeat(32 * 1024))),
        Err(TooLarge)
    );
}

#[test]
fn a_head_in_pieces_is_found_where_it_ends() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
    let mut scanner = Scanner::default();
    for end in 0..bytes.len() - 4 {
        assert_eq!(
            scanner.advance(&bytes[..end]),
            Ok(None),
            "after {end} bytes"
        );
    }
    assert_eq!(scanner.advance(bytes), Ok(Some(bytes.len() - 4)));
}

#[test]
fn p_17_the_last_host_answers_for_its_own_text_only() {
    let mut last = LastHost::default();
    let mut host = |text: &str| {
        let head = format!("GET / HTTP/1.1\r\nHost: {text}\r\n\r\n");
        check(head.as_bytes(), &Limits::DEFAULT, &mut last).map(|head| head.host.to_string())
    };
    let asked = [
        ("app.test", "app.test"),
        ("app.test", "app.test"),
        ("APP.test:80", "app.test"),
        ("app.tes", "app.tes"),
        ("app.test.evil", "app.test.evil"),
    ];
    for (text, canonical) in asked {
        assert_eq!(host(text).as_deref(), Ok(canonical), "{text}");
    }
    assert_eq!(host("app.test.evil x"), Err(HeadFault::Host));
    assert_eq!(host(""), Err(HeadFault::Host));
}
