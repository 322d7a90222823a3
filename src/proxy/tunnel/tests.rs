//! Handshakes held against each condition in turn.

use super::*;
use crate::base::site::{Site, Sites};
use crate::telemetry::known::TUNNEL_ENDS;

type Lines<'a> = &'a [(&'static str, &'a str)];

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn request(method: &str, lines: Lines<'_>) -> RequestHeader {
    let mut request = RequestHeader::build(method, b"/", None).unwrap();
    for (name, value) in lines {
        request.append_header(*name, *value).unwrap();
    }
    request
}

/// A sound handshake, with these lines in place of those of the same names, or beside them.
fn handshake(other: Lines<'_>) -> Vec<(&'static str, &str)> {
    let sound = [
        ("connection", "Upgrade"),
        ("sec-websocket-key", KEY),
        ("sec-websocket-version", "13"),
    ];
    let kept = sound
        .into_iter()
        .filter(|(name, _)| other.iter().all(|(given, _)| given != name));
    kept.chain(other.iter().copied()).collect()
}

#[test]
fn w_02_only_websocket_alone_is_named() {
    let cases: [(Lines<'_>, bool); 9] = [
        (&[("upgrade", "websocket")], true),
        (&[("upgrade", "WebSocket")], true),
        (&[], false),
        (&[("upgrade", "")], false),
        (&[("upgrade", "h2c")], false),
        (&[("upgrade", "websocket, h2c")], false),
        (&[("upgrade", "websocket/13")], false),
        (&[("upgrade", "websocket"), ("upgrade", "websocket")], false),
        (&[("upgrade", "h2c"), ("upgrade", "websocket")], false),
    ];
    for (lines, named) in cases {
        assert_eq!(is_named(&request("GET", lines).headers), named, "{lines:?}");
    }
}

#[test]
fn w_05_the_form_of_a_handshake() {
    use HandshakeFault::{Form, Key, Version};
    let cases: [(Lines<'_>, Result<(), HandshakeFault>); 18] = [
        (&[], Ok(())),
        (&[("connection", "keep-alive, upgrade")], Ok(())),
        (
            &[("connection", "keep-alive"), ("connection", "UPGRADE")],
            Ok(()),
        ),
        (&[("content-length", "0")], Ok(())),
        (&[("content-length", "1")], Err(Form)),
        (&[("transfer-encoding", "chunked")], Err(Form)),
        (&[("connection", "close")], Err(Form)),
        (&[("connection", "xupgrade")], Err(Form)),
        (&[("connection", "upgrade, Sec-WebSocket-Key")], Err(Form)),
        (&[("sec-websocket-version", "12")], Err(Version)),
        (&[("sec-websocket-version", "")], Err(Version)),
        (
            &[
                ("sec-websocket-version", "13"),
                ("sec-websocket-version", "13"),
            ],
            Err(Version),
        ),
        (&[("sec-websocket-key", "")], Err(Key)),
        (&[("sec-websocket-key", "==")], Err(Key)),
        (&[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ")], Err(Key)),
        (
            &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25j===")],
            Err(Key),
        ),
        (
            &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25j Q==")],
            Err(Key),
        ),
        (
            &[("sec-websocket-key", KEY), ("sec-websocket-key", KEY)],
            Err(Key),
        ),
    ];
    for (lines, expected) in cases {
        let made = check_form(&request("GET", &handshake(lines)));
        assert_eq!(made, expected, "{lines:?}");
    }
    for method in ["POST", "HEAD"] {
        assert_eq!(check_form(&request(method, &handshake(&[]))), Err(Form));
    }
    let mut old = request("GET", &handshake(&[]));
    old.set_version(http::Version::HTTP_10);
    assert_eq!(check_form(&old), Err(Form));
}

#[test]
fn w_03_whose_page_it_was() {
    let site = |https, host: &str, port| Site::new(https, host.parse().unwrap(), port, host);
    let sites = Sites::new(
        site(true, "app.test", None),
        vec![site(false, "localhost", Some(8080))],
    );
    let tools = "https://tools.test".parse().unwrap();
    let own = |origin: &PageOrigin, (host, port): &(Host, Option<u16>)| {
        let site = sites.of_host(host);
        *origin == tools || site.is_some_and(|site| site.has_page(origin, *port))
    };
    let (app, here) = (("host", "app.test"), ("host", "localhost:8080"));
    let cases: [(Lines<'_>, bool); 14] = [
        (&[app], true),
        (&[("origin", "https://app.test"), app], true),
        (&[("origin", "https://app.test")], false),
        (&[("origin", "https://tools.test"), app], true),
        (&[("origin", "http://localhost:8080"), here], true),
        (&[("origin", "http://localhost:8080"), app], false),
        (&[("origin", "http://tools.test"), app], false),
        (&[("origin", "https://tools.test:444"), app], false),
        (&[("origin", "https://app.test.evil"), app], false),
        (&[("origin", "http://app.test"), app], false),
        (&[("origin", "null"), app], false),
        (&[("origin", ""), app], false),
        (
            &[
                ("origin", "https://app.test"),
                ("origin", "https://app.test"),
                app,
            ],
            false,
        ),
        (
            &[("origin", "https://evil.test"), ("host", "evil.test")],
            false,
        ),
    ];
    for (lines, ours) in cases {
        let made = request("GET", lines);
        assert_eq!(is_ours(&made, own), ours, "{lines:?}");
    }
    // In HTTP/2 the host is a part of what is asked for.
    for (asked, ours) in [
        ("https://app.test:8443/x", true),
        ("https://app.test/x", false),
        ("https://other.test:8443/x", false),
    ] {
        let mut made = request("GET", &[("origin", "https://app.test:8443")]);
        made.set_uri(asked.parse().unwrap());
        assert_eq!(is_ours(&made, own), ours, "{asked}");
    }
}

#[test]
fn a_service_agrees_to_what_was_asked_or_to_nothing() {
    let answer = |status, version, upgrade: Option<&str>| {
        let mut answer = ResponseHeader::build(status, None).unwrap();
        answer.set_version(version);
        if let Some(upgrade) = upgrade {
            answer.insert_header("upgrade", upgrade).unwrap();
        }
        answer
    };
    let new = Version::HTTP_11;
    assert!(is_consent(&answer(101, new, Some("websocket"))));
    assert!(is_consent(&answer(101, new, Some("WebSocket"))));
    assert!(!is_consent(&answer(101, new, Some("h2c"))));
    assert!(!is_consent(&answer(101, new, None)));
    assert!(!is_consent(&answer(200, new, Some("websocket"))));
    assert!(!is_consent(&answer(
        101,
        Version::HTTP_10,
        Some("websocket")
    )));
}

#[test]
fn w_01_every_end_is_counted_once() {
    let metrics = Metrics::new().unwrap();
    for (how, known) in [End::Closed, End::Cut, End::Idle, End::Broken]
        .into_iter()
        .zip(TUNNEL_ENDS)
    {
        assert_eq!(how.as_str(), known);
        let mut tunnel = Tunnel {
            idle: IDLE,
            latch: Latch::default(),
            open: None,
        };
        tunnel.end(how);
        assert!(!tunnel.is_open());
        tunnel.begin(metrics.clone());
        assert!(tunnel.is_open() && metrics.tunnels.get() == 1);
        tunnel.end(how);
        drop(tunnel);
        let ended = metrics.tunnels_ended.with_label_values(&[how.as_str()]);
        assert_eq!((ended.get(), metrics.tunnels.get()), (1, 0), "{how:?}");
    }
}
