//! `compress:` of a rule. What clients read is what the service said, in a coding they asked for; and what must arrive as
//! it was sent does.

use std::fmt::Write as _;
use std::io::Read;
use std::process::Command;

use crate::harness::{Gateway, H2, Outcome, Raw, Recorded, Recorder, Reply, Response, Setup, h2};

/// `/public/gzip` and `/public/none` are there to be different.
pub const RULES: &str = "
  - { path: /public/gzip/**, allow: anyone, compress: [gzip, brotli] }
  - { path: /public/none/**, allow: anyone }
  - { path: /public/echo/**, allow: anyone, compress: true, to: echo }
  - { path: /public/away/**, allow: anyone, compress: true, to: away }
  - { path: /public/**, allow: anyone, compress: true }
  - { path: /admin/**, allow: { role: admin }, compress: true }
  - { path: /**, allow: signed_in, compress: true }
";

/// What `Content-Encoding` may be.
pub const TOKENS: [&str; 3] = ["zstd", "br", "gzip"];

/// So many bytes of something like a log.
pub fn words(size: usize) -> String {
    let mut text = String::with_capacity(size + 64);
    let mut at = 1_u64;
    while text.len() < size {
        at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let line = text.len() % 99_991;
        let _ = writeln!(text, "{line:05} somebody asked for /page/{}", at >> 52);
    }
    text.truncate(size);
    text
}

/// What was said, of what came in this coding; an error where its end is missing.
pub fn plain(coding: &str, coded: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    match coding {
        "zstd" => zstd::Decoder::new(coded)?.read_to_end(&mut plain),
        "br" => brotli::Decompressor::new(coded, 4096).read_to_end(&mut plain),
        "gzip" => flate2::read::GzDecoder::new(coded).read_to_end(&mut plain),
        other => panic!("not a coding: {other}"),
    }
    .map(|_| plain)
}

/// Says what the request's `Say` tells it: a status, then header lines, `|` between them; `Size` bytes of text behind.
fn obey(request: &Recorded) -> Reply {
    let said = request.value("say").unwrap_or_default();
    let mut lines: Vec<&str> = said
        .split('|')
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let status = if lines
        .first()
        .is_some_and(|line| line.starts_with(|c: char| c.is_ascii_digit()))
    {
        lines.remove(0)
    } else {
        "200 OK"
    };
    let size = request
        .value("size")
        .map_or(20_000, |size| size.parse().unwrap());
    let length = format!("Content-Length: {size}");
    if !said.contains("Content-Type") {
        lines.push("Content-Type: text/plain");
    }
    let silent = status.starts_with("204") || status.starts_with("304");
    if !silent {
        lines.push(&length);
    }
    let reply = Reply::raw(format!(
        "HTTP/1.1 {status}\r\n{}\r\n\r\n",
        lines.join("\r\n")
    ));
    if silent || request.method() == "HEAD" {
        return reply;
    }
    reply.then(words(size))
}

pub fn setup() -> Setup {
    let recorder = Recorder::start();
    recorder.answer(obey);
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    Setup::before(recorder)
        .upstream("echo", "{ to: builtin:echo }")
        .upstream("away", &format!("{{ to: \"http://127.0.0.1:{port}\", maintenance: page.html, health: {{ path: /, interval: 1h }} }}"))
        .asset("page.html", &format!("<h1>Back soon</h1>{}", words(5000)))
        .rules(RULES)
}

pub fn get(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

/// Asks for this with this `Accept-Encoding`, and lets the service say this.
pub fn ask(gateway: &Gateway, accepted: &str, say: &str) -> Response {
    gateway.ask(get(
        "/public/x",
        &format!("Accept-Encoding: {accepted}\r\nSay: {say}\r\n"),
    ))
}

/// How an answer came, and its text.
pub fn read(answer: &Response) -> (Option<String>, String) {
    let coding = answer.header("content-encoding");
    let text = match &coding {
        Some(coding) => plain(coding, &answer.body).unwrap(),
        None => answer.body.clone(),
    };
    (coding, String::from_utf8(text).unwrap())
}

#[test]
fn the_same_bytes_in_every_coding() {
    let gateway = setup().nobody().start();
    let mut raw = gateway.connect();
    for coding in TOKENS {
        for size in [1024, 20_000, 3_000_000] {
            let lines = format!(
                "Accept-Encoding: {coding}\r\nSize: {size}\r\nSay: ETag: \"x\" | Accept-Ranges: bytes\r\n"
            );
            let answer = raw.ask(get("/public/x", &lines));
            assert_eq!(
                read(&answer),
                (Some(coding.to_owned()), words(size)),
                "{size}"
            );
            assert!(
                answer.body.len() * 2 < size,
                "{coding} {size}: {}",
                answer.body.len()
            );
            let header = |name| answer.values(name).join("; ");
            assert_eq!(header("vary"), "Accept-Encoding");
            assert_eq!(header("etag"), "W/\"x\"");
            assert_eq!(header("content-type"), "text/plain");
            assert_eq!(header("transfer-encoding"), "chunked");
            assert_eq!(header("content-length") + &header("accept-ranges"), "");
        }
    }
}

#[test]
fn over_tls_and_http_2() {
    let gateway = setup().tls(&["localhost"]).nobody().start();
    let mut http1 = Raw::over(gateway.tls("localhost", &["http/1.1"]));
    let mut http2 = H2::over(gateway.tls("localhost", &["h2"]));
    for coding in TOKENS {
        let lines = format!("Accept-Encoding: {coding}\r\nSize: 500000\r\n");
        let answer = http1.ask(get("/public/x", &lines));
        assert_eq!(read(&answer), (Some(coding.to_owned()), words(500_000)));
        let mut fields = h2::request("GET", "/public/x");
        fields[1] = (":scheme", "https");
        fields.extend([("accept-encoding", coding), ("size", "500000")]);
        let outcome = http2.ask(&fields);
        assert_eq!(outcome.values("content-encoding"), [coding]);
        assert_eq!(outcome.values("content-length"), [""; 0]);
        let Outcome::Answer { body, .. } = outcome else {
            panic!("{outcome:?}");
        };
        assert!(plain(coding, &body).unwrap() == words(500_000).as_bytes());
    }
}

#[test]
fn what_curl_makes_of_it() {
    let gateway = setup().nobody().start();
    let url = format!("http://{}/public/x", gateway.http());
    for coding in TOKENS {
        for version in ["--http1.0", "--http1.1", "--http2-prior-knowledge"] {
            let said = Command::new("curl")
                .args([
                    "-sS",
                    "--compressed",
                    version,
                    "-H",
                    "Host: localhost",
                    "-H",
                    "Size: 100000",
                ])
                .args([
                    "-H",
                    &format!("Accept-Encoding: {coding}"),
                    "-w",
                    "%{stderr}%{size_download}",
                    &url,
                ])
                .output()
                .unwrap();
            let error = String::from_utf8_lossy(&said.stderr);
            assert!(
                said.stdout == words(100_000).as_bytes(),
                "{coding} {version}: {error}"
            );
            let came: usize = error.trim().parse().unwrap();
            // Without chunks nobody could tell a whole answer from a broken one.
            assert_eq!(
                came == 100_000,
                version == "--http1.0",
                "{coding} {version}: {came}"
            );
        }
    }
}

#[test]
fn the_coding_is_the_client_s_choice_and_then_the_rule_s() {
    let gateway = setup().nobody().start();
    for (path, accepted, coding) in [
        ("/public/x", "gzip, deflate, br, zstd", Some("zstd")),
        ("/public/gzip/x", "gzip, deflate, br, zstd", Some("gzip")),
        ("/public/gzip/x", "gzip;q=0.5, br", Some("br")),
        ("/public/gzip/x", "zstd", None),
        ("/public/none/x", "gzip, br, zstd", None),
        ("/public/x", "gzip;q=0", None),
        ("/public/x", "gzip;q=0, *;q=0.1, zstd;q=0", Some("br")),
        ("/public/x", "deflate, exi, pack200-gzip", None),
        ("/public/x", "identity", None),
        ("/public/x", "*", Some("zstd")),
        ("/public/x", "", None),
    ] {
        let answer = gateway.ask(get(path, &format!("Accept-Encoding: {accepted}\r\n")));
        let expected = (coding.map(str::to_owned), words(20_000));
        assert_eq!(read(&answer), expected, "{path} {accepted}");
        let varies = !path.contains("none");
        assert_eq!(
            answer.values("vary").concat(),
            if varies { "Accept-Encoding" } else { "" }
        );
        let length = answer.header("content-length");
        assert_eq!(
            length.as_deref(),
            coding.is_none().then_some("20000"),
            "{accepted}"
        );
        // The service is told what the client takes, and may do it itself.
        let seen = gateway.recorder().requests().pop().unwrap();
        assert_eq!(seen.value("accept-encoding").as_deref(), Some(accepted));
    }
    assert_eq!(read(&gateway.ask(get("/public/x", ""))).0, None);
}

#[test]
fn a_head_is_that_of_a_get() {
    let gateway = setup().nobody().start();
    let mut raw = gateway.connect();
    let lines = "Host: localhost\r\nAccept-Encoding: gzip\r\nSay: ETag: \"x\"\r\n\r\n";
    for _ in 0..2 {
        let head = raw
            .send(format!("HEAD /public/x HTTP/1.1\r\n{lines}"))
            .read_head();
        let full = raw.ask(format!("GET /public/x HTTP/1.1\r\n{lines}"));
        for name in [
            "content-encoding",
            "vary",
            "etag",
            "content-length",
            "content-type",
        ] {
            assert_eq!(head.values(name), full.values(name), "{name}");
        }
        assert_eq!(read(&full), (Some("gzip".to_owned()), words(20_000)));
    }
}

#[test]
fn lists_made_to_be_read_for_ever() {
    let gateway = setup().nobody().start();
    for (accepted, status, coding) in [
        ("x;q=0.5,".repeat(3500) + "gzip", 200, Some("gzip")),
        ("gzip;q=0.1,".repeat(2500) + "br", 200, Some("br")),
        (",".repeat(30_000) + "gzip", 200, Some("gzip")),
        (format!("gzip;q=0.{}", "0".repeat(30_000)), 200, None),
        (format!("gzip{}", ";".repeat(30_000)), 200, None),
        ("gzip,".repeat(10_000), 431, None),
    ] {
        let answer = gateway.ask(get(
            "/public/x",
            &format!("Accept-Encoding: {accepted}\r\n"),
        ));
        assert_eq!(answer.status, status, "{}", answer.text());
        let said = if status == 200 { read(&answer).0 } else { None };
        assert_eq!(said.as_deref(), coding, "{}", &accepted[..20]);
    }
    let lines = "Accept-Encoding: x\r\n".repeat(80);
    let answer = gateway.ask(get(
        "/public/x",
        &format!("{lines}Accept-Encoding: gzip\r\n"),
    ));
    assert_eq!(read(&answer).0.as_deref(), Some("gzip"));
}
