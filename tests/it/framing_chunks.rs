//! Chunked bodies that two parsers might read differently (S-08 to S-10).

use crate::harness::{Gateway, Trial};

/// A chunked POST with this body, as it stands.
fn chunked(trial: &Trial<'_>, body: &[u8]) -> Vec<u8> {
    let mut request = trial.head("POST", "/public/x", "Transfer-Encoding: chunked\r\n");
    request.extend_from_slice(body);
    request
}

/// Sent whole; the service must not get a finished request out of it, the connection is closed, and the next
/// request (the twin) arrives unharmed: no connection to the service goes on with half a body in it.
fn broken(trial: &mut Trial<'_>, gateway: &Gateway, body: &[u8]) {
    let request = chunked(trial, body);
    let refusal = trial.refused_on(gateway.connect(), &request, true);
    let shown = body[..body.len().min(80)].escape_ascii().to_string();
    let status = refusal.answer.map(|answer| answer.status);
    assert!(
        matches!(status, None | Some(400 | 413)),
        "{status:?} to {shown}"
    );
    assert!(refusal.closed, "left open after {shown}");
    let hidden = format!("inner-{}", trial.marker);
    assert!(gateway.recorder().with(&hidden).is_empty(), "{shown}");
}

fn inner(trial: &Trial<'_>) -> String {
    format!(
        "GET /public/inner-{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        trial.marker
    )
}

#[test]
fn s_08_extensions_go_no_further() {
    let mut trial = Trial::new(Gateway::shared(), "S-08");
    for body in [
        &b"5;a=b\r\nhello\r\n0\r\n\r\n"[..],
        b"5;a\r\nhello\r\n0;z=\"q\"\r\n\r\n",
        b"5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n",
    ] {
        let seen = trial.allowed(chunked(&trial, body));
        assert_eq!(seen.body, b"hello");
        assert!(
            !seen.raw_body.contains(&b';'),
            "{}",
            seen.raw_body.escape_ascii()
        );
    }
}

#[test]
fn s_08_extensions_out_of_bounds() {
    let gateway = Gateway::shared();
    let mut trial = Trial::new(gateway, "S-08-bad");
    trial.allowed(chunked(&trial, b"5\r\nhello\r\n0\r\n\r\n"));
    let long = format!("5;a={}\r\nhello\r\n0\r\n\r\n", "b".repeat(64 * 1024));
    broken(&mut trial, gateway, long.as_bytes());
    let over = format!("5;a={}\r\nhello\r\n0\r\n\r\n", "b".repeat(4 * 1024));
    broken(&mut trial, gateway, over.as_bytes());
    let many = format!("1;a={}\r\nx\r\n", "b".repeat(100)).repeat(60) + "0\r\n\r\n";
    broken(&mut trial, gateway, many.as_bytes());
    let hidden = inner(&trial);
    for body in [
        format!("5;a=\"b\nc\"\r\nhello\r\n0\r\n\r\n{hidden}"),
        format!("5;a=b\nhello\r\n0\r\n\r\n{hidden}"),
        format!("5;\n\r\nhello\r\n0\r\n\r\n{hidden}"),
        format!("5;a\0b\r\nhello\r\n0\r\n\r\n{hidden}"),
        format!("5;a=b\rc\r\nhello\r\n0\r\n\r\n{hidden}"),
        format!("5\r\nhello\r\n0;a\n\r\n\r\n{hidden}"),
    ] {
        broken(&mut trial, gateway, body.as_bytes());
    }
}

#[test]
fn s_09_sizes() {
    let gateway = Gateway::shared();
    let mut trial = Trial::new(gateway, "S-09");
    for size in ["5", "05", "00000005"] {
        let body = format!("{size}\r\nhello\r\n0\r\n\r\n");
        assert_eq!(
            trial.allowed(chunked(&trial, body.as_bytes())).body,
            b"hello"
        );
    }
    let ten = chunked(&trial, b"A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n");
    assert_eq!(trial.allowed(ten).body.len(), 20);
    let hidden = inner(&trial);
    for size in [
        "",
        "0x5",
        "5 ",
        " 5",
        "\t5",
        "5\t",
        "+5",
        "-5",
        "5h",
        "g",
        "5,5",
        "5.0",
        "000000005",
        "00000000000000005",
        "fffffffff",
        "ffffffffffffffff",
        "10000000000000005",
        "\u{665}",
        "_5",
        "5_0",
        "0x",
        "x",
        "\"5\"",
        "5\0",
        "\x0b5",
    ] {
        broken(
            &mut trial,
            gateway,
            format!("{size}\r\nhello\r\n0\r\n\r\n{hidden}").as_bytes(),
        );
    }
    for last in ["", "0x0", "0 ", "-0", "000000000", "+0"] {
        broken(
            &mut trial,
            gateway,
            format!("5\r\nhello\r\n{last}\r\n\r\n{hidden}").as_bytes(),
        );
    }
}

#[test]
fn s_10_what_follows_the_data() {
    let gateway = Gateway::shared();
    let mut trial = Trial::new(gateway, "S-10");
    trial.allowed(chunked(&trial, b"5\r\nhello\r\n0\r\n\r\n"));
    let hidden = inner(&trial);
    for body in [
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5\r\nhelloworld\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\r\n\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\nA: b\n\r\n",
    ] {
        broken(&mut trial, gateway, format!("{body}{hidden}").as_bytes());
    }
}

#[test]
fn s_10_trailers_are_fields() {
    let gateway = Gateway::shared();
    let mut trial = Trial::new(gateway, "S-10-trailers");
    trial.allowed(chunked(&trial, b"5\r\nhello\r\n0\r\nA: b\r\n\r\n"));
    let hidden = inner(&trial);
    for trailers in [
        "A b",
        " A: b",
        ": b",
        "A\0: b",
        "A : b",
        "A: b\r\n folded",
        "A: b\0c",
        "A: b\rc",
    ] {
        broken(
            &mut trial,
            gateway,
            format!("5\r\nhello\r\n0\r\n{trailers}\r\n\r\n{hidden}").as_bytes(),
        );
    }
}

#[test]
fn s_10_a_body_cut_short() {
    let gateway = Gateway::shared();
    let mut trial = Trial::new(gateway, "S-10-cut");
    trial.allowed(chunked(&trial, b"5\r\nhello\r\n0\r\n\r\n"));
    let counted = trial.head("POST", "/public/x", "Content-Length: 10\r\n");
    for (mut request, rest) in [
        (chunked(&trial, b""), &b"5\r\nhel"[..]),
        (chunked(&trial, b""), b"5\r\nhello\r\n"),
        (chunked(&trial, b""), b"5\r\nhello\r\n0\r\n"),
        (counted, b"hello"),
    ] {
        request.extend_from_slice(rest);
        let mut raw = gateway.connect();
        raw.send(&request).finish();
        let answer = raw.try_read();
        assert!(
            answer.as_ref().map_or(true, |answer| answer.status >= 400),
            "{answer:?}"
        );
        trial.nothing_came(&request);
    }
}
