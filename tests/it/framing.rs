//! Message heads that two parsers might read differently (S-01 to S-06, S-11 to S-14).

use crate::harness::{Gateway, Recorded, Trial};

const BAD: &[u16] = &[400];

/// A POST with these framing headers and this body.
fn post(trial: &Trial<'_>, lines: &str, body: &str) -> Vec<u8> {
    let mut request = trial.head("POST", "/public/x", lines);
    request.extend_from_slice(body.as_bytes());
    request
}

/// A request that hides in a body; it must never arrive as one of its own.
fn inner(trial: &Trial<'_>) -> String {
    format!(
        "GET /public/inner-{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        trial.marker
    )
}

/// Every head refused as malformed, closed behind, and nothing forwarded: neither it nor what hides behind it.
fn all_bad(id: &str, heads: &[&str], statuses: &[u16]) {
    let mut trial = Trial::new(Gateway::shared(), id);
    let body = inner(&trial);
    let length = format!("Content-Length: {}\r\n", body.len());
    let twin = post(&trial, &length, &body);
    trial.allowed(&twin);
    for lines in heads {
        trial.malformed(post(&trial, lines, &body), statuses);
    }
}

#[test]
fn s_01_length_and_chunked() {
    let mut trial = Trial::new(Gateway::shared(), "S-01");
    let chunked = post(&trial, "Transfer-Encoding: chunked\r\n", "0\r\n\r\n");
    trial.allowed(chunked);
    let hidden = inner(&trial);
    for lines in [
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "content-length: 5\r\ntransfer-encoding: CHUNKED\r\n",
        "Content-Length: 6\r\nTransfer-Encoding: identity\r\n",
        "Content-Length: x\r\nTransfer-Encoding: chunked\r\n",
    ] {
        for body in [
            "0\r\n\r\nX",
            &format!("0\r\n\r\n{hidden}"),
            "5\r\nhello\r\n0\r\n\r\n",
        ] {
            trial.malformed(post(&trial, lines, body), &[400, 501]);
        }
    }
}

#[test]
fn s_02_disguised_chunked() {
    all_bad(
        "S-02",
        &[
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: identity, chunked\r\n",
            "Transfer-Encoding: \x0bchunked\r\n",
            "Transfer-Encoding: \x0cchunked\r\n",
            "Transfer-Encoding: chunked\x0b\r\n",
            "Transfer-Encoding: chunked\0\r\n",
            "Transfer-Encoding:\n chunked\r\n",
            "Transfer-Encoding:\r\n chunked\r\n",
            "Transfer-Encoding: chunked;q=1\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding: chunked,\r\n",
            "Transfer-Encoding: ,chunked\r\n",
            "Transfer-Encoding: chun ked\r\n",
            "Transfer-Encoding : chunked\r\n",
            "Transfer-Encoding\r\n",
            "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
            "Transfer_Encoding: chunked\r\nContent-Length: 3, 3\r\n",
        ],
        &[400, 501],
    );
}

#[test]
fn s_03_lengths_that_are_none() {
    all_bad(
        "S-03",
        &[
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 0\r\nContent-Length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: 5,6\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: -0\r\n",
            "Content-Length: -5\r\n",
            "Content-Length: 005\r\n",
            "Content-Length: 00\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: 5_0\r\n",
            "Content-Length: 5 0\r\n",
            "Content-Length: 5;\r\n",
            "Content-Length: 5.0\r\n",
            "Content-Length: 5e0\r\n",
            "Content-Length: \u{665}\r\n",
            "Content-Length: five\r\n",
            "Content-Length: 9223372036854775808\r\n",
            "Content-Length: 18446744073709551621\r\n",
            "Content-Length: 99999999999999999999\r\n",
        ],
        BAD,
    );
}

#[test]
fn s_04_empty_lengths() {
    all_bad(
        "S-04",
        &[
            "Content-Length:\r\n",
            "Content-Length: \r\n",
            "Content-Length: 5,\r\n",
            "Content-Length: ,5\r\n",
            "Content-Length: ,\r\n",
            "Content-Length: 5\r\nContent-Length:\r\n",
        ],
        BAD,
    );
}

#[test]
fn s_05_other_transfer_codings() {
    all_bad(
        "S-05",
        &[
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding:\r\n",
            "Transfer-Encoding: \r\n",
        ],
        &[400, 501],
    );
    let mut trial = Trial::new(Gateway::shared(), "S-05-case");
    let request = post(
        &trial,
        "transfer-ENCODING: Chunked\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
    );
    assert_eq!(trial.allowed(request).body, b"hello");
}

#[test]
fn s_06_http_1_0() {
    let gateway = Gateway::shared();
    let mut trial = Trial::new(gateway, "S-06");
    let hidden = inner(&trial);
    let marker = trial.line();
    let start = format!("POST /public/x HTTP/1.0\r\nHost: localhost\r\n{marker}");
    let served = |trial: &mut Trial<'_>, request: &str| -> Recorded {
        let mut raw = gateway.connect();
        let answer = raw.ask(request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(raw.closes(), "left open after HTTP/1.0");
        assert_eq!(raw.left(), "", "more than one answer");
        gateway.recorder().with(&trial.marker).pop().unwrap()
    };
    // Without a length there is no body, and nothing behind the head is a request.
    let seen = served(&mut trial, &format!("{start}\r\n{hidden}"));
    assert_eq!(seen.body, b"");
    let seen = served(
        &mut trial,
        &format!("{start}Content-Length: 5\r\n\r\nhello{hidden}"),
    );
    assert_eq!(seen.body, b"hello");
    served(
        &mut trial,
        &format!("{start}Connection: keep-alive\r\n\r\n{hidden}"),
    );
    assert_eq!(gateway.recorder().with(&trial.marker).len(), 3);
    let mut trial = Trial::with_plain_twin(gateway, "S-06-te");
    let start = format!(
        "POST /public/x HTTP/1.0\r\nHost: localhost\r\n{}",
        trial.line()
    );
    for lines in [
        "Transfer-Encoding: chunked\r\n",
        "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n",
    ] {
        trial.malformed(
            format!("{start}{lines}\r\n5\r\nhello\r\n0\r\n\r\n"),
            &[400, 501],
        );
    }
    let start = format!("GET /public/x HTTP/1.0\r\n{}", trial.line());
    trial.malformed(format!("{start}\r\n"), &[400, 421]);
}

#[test]
fn s_11_line_ends() {
    let mut trial = Trial::with_plain_twin(Gateway::shared(), "S-11");
    let marker = trial.line();
    let bare = marker.trim_end().to_owned();
    for request in [
        format!("GET /public/x HTTP/1.1\nHost: localhost\r\n{marker}\r\n"),
        format!("GET /public/x HTTP/1.1\nHost: localhost\n{bare}\n\n"),
        format!("GET /public/x HTTP/1.1\r\nHost: localhost\n{marker}\r\n"),
        format!("GET /public/x HTTP/1.1\r\nHost: localhost\r\n{bare}\n\r\n"),
        format!("GET /public/x HTTP/1.1\r\nHost: localhost\r\n{marker}\n"),
        format!("GET /public/x HTTP/1.1\r\nHost: localhost\r\n{bare}\n\n"),
        format!(
            "GET /public/x HTTP/1.1\r\nHost: localhost\r\nA: b\rX-Auth-User: root\r\n{marker}\r\n"
        ),
        format!("GET /public/x HTTP/1.1\rHost: localhost\r{bare}\r\r\r\n\r\n"),
        format!("GET /public/x HTTP/1.1\r\r\nHost: localhost\r\n{marker}\r\n"),
        format!("GET /public/x HTTP/1.1\r\nHost: localhost\r\r\n{marker}\r\n"),
        format!("GET /public/x\n HTTP/1.1\r\nHost: localhost\r\n{marker}\r\n"),
        format!("GET\n/public/x HTTP/1.1\r\nHost: localhost\r\n{marker}\r\n"),
        format!("\n\nGET /public/x HTTP/1.1\r\nHost: localhost\r\n{marker}\r\n"),
        format!("GET /public/x HTTP/1.1\r\nHost: localhost\r\n{marker}A: b\nC: d\r\n\r\n"),
    ] {
        trial.malformed(request, BAD);
    }
}

#[test]
fn s_12_field_lines() {
    let mut trial = Trial::with_plain_twin(Gateway::shared(), "S-12");
    let marker = trial.line();
    for lines in [
        "Host: localhost\r\nA: b\r\n folded\r\n",
        "Host: localhost\r\nA: b\r\n\tfolded\r\n",
        "Host: localhost\r\nA: b\r\n \r\n",
        "Host: localhost\r\n A: b\r\n",
        " Host: localhost\r\n",
        "\tHost: localhost\r\n",
        "Host : localhost\r\n",
        "Host: localhost\r\nA : b\r\n",
        "Host: localhost\r\nA\t: b\r\n",
        "Host: localhost\r\n: b\r\n",
        "Host: localhost\r\n:\r\n",
        "Host: localhost\r\nno colon\r\n",
        "Host: localhost\r\nA\r\n",
        "Host: localhost\r\nA B: c\r\n",
        "Host: localhost\r\n(A): c\r\n",
        "Host: localhost\r\nA/B: c\r\n",
        "Host: localhost\r\nA[0]: c\r\n",
        "Host: localhost\r\n\"A\": c\r\n",
        "Host: localhost\r\nA@B: c\r\n",
    ] {
        trial.malformed(
            format!("GET /public/x HTTP/1.1\r\n{lines}{marker}\r\n"),
            BAD,
        );
    }
    let seen = trial.allowed(trial.get(
        "/public/x",
        "A:b\r\nC: \t d e \t\r\nF:\r\n!#$%&'*+-.^_`|~9: g\r\n",
    ));
    assert_eq!(seen.values("A"), ["b"]);
    assert_eq!(seen.values("C"), ["d e"]);
    assert_eq!(seen.values("F"), [""]);
}

#[test]
fn s_13_bytes_in_fields() {
    let gateway = Gateway::shared();
    let mut trial = Trial::with_plain_twin(gateway, "S-13");
    let with = |trial: &Trial<'_>, line: &[u8]| {
        let mut request = trial.get("/public/x", "");
        request.truncate(request.len() - 2);
        request.extend_from_slice(line);
        request.extend_from_slice(b"\r\n\r\n");
        request
    };
    for byte in (0..0x20_u8).chain([0x7f]) {
        if !matches!(byte, b'\t' | b'\r' | b'\n') {
            trial.malformed(with(&trial, &[b"A: b", &[byte][..], b"c"].concat()), BAD);
        }
        if !matches!(byte, b'\r' | b'\n') {
            trial.malformed(with(&trial, &[b"A", &[byte][..], b"B: c"].concat()), BAD);
        }
    }
    for name in [&b"A\xff"[..], b"\xc3\xa9", b"\x80A"] {
        trial.malformed(with(&trial, &[name, b": c"].concat()), BAD);
    }
    for value in [&b"\x80"[..], b"caf\xc3\xa9", b"\xff\xfe"] {
        let request = with(&trial, &[b"A: b", value].concat());
        let answer = gateway.ask(&request);
        if answer.status == 400 {
            trial.refused(&request);
            continue;
        }
        assert_eq!(answer.status, 200);
        let seen = gateway.recorder().with(&trial.marker).pop().unwrap();
        let found = seen
            .fields()
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("a"));
        assert_eq!(
            found.unwrap().1,
            [b"b", value].concat(),
            "passed as it came"
        );
        trial = Trial::with_plain_twin(gateway, "S-13");
    }
}

#[test]
fn s_14_versions() {
    let mut trial = Trial::with_plain_twin(Gateway::shared(), "S-14");
    let rest = format!("\r\nHost: localhost\r\n{}\r\n", trial.line());
    for version in [
        "HTTP/0.9",
        "HTTP/1.2",
        "HTTP/2.0",
        "HTTP/2",
        "HTTP/3.0",
        "HTTP/1.1x",
        "HTTP/1.",
        "HTTP/1",
        "HTTP/01.1",
        "HTTP/1.10",
        "HTTP/1.01",
        "http/1.1",
        "Http/1.1",
        "HTTP/ 1.1",
        "HTTP1.1",
        "HTTPS/1.1",
        "ICY/1.1",
        "HTTP/-1.1",
        "HTTP/1,1",
        "HTTP/\u{661}.1",
    ] {
        trial.malformed(format!("GET /public/x {version}{rest}"), &[400, 505]);
    }
    for request in [
        "GET /public/x\r\n\r\n".to_owned(),
        format!("GET /public/x{rest}"),
    ] {
        trial.malformed(request, &[400, 505]);
    }
}
