//! WebSocket at its handshake: W-02, H-04, P-30. And what every test of tunnels needs.

use std::time::Duration;

use crate::harness::message_fields as fields;
use crate::harness::{Gateway, Raw, Recorder, Reply, Setup, Trial, eventually};

pub const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
pub const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
/// What a handshake consists of, less the request line, `Host` and whoever asks.
pub const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n";

/// The lines of a sound handshake.
pub fn lines() -> String {
    format!("{UPGRADE}{KEY}{VERSION}")
}

/// A service that agrees to every handshake and then echoes.
pub fn agreeing() -> Recorder {
    let recorder = Recorder::start();
    recorder.answer(|request| {
        if request.values("upgrade") == ["websocket"] {
            Reply::tunnel()
        } else {
            Reply::ok("plain")
        }
    });
    recorder
}

pub fn start() -> Gateway {
    Setup::before(agreeing()).start()
}

/// Shakes hands on a connection and expects to be let in.
pub fn open_on(mut raw: Raw, target: &str, more: &str) -> Raw {
    let answer = raw.ask(format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\n{}{more}\r\n",
        lines()
    ));
    assert_eq!(answer.status, 101, "{answer:?}");
    raw
}

pub fn open(gateway: &Gateway, target: &str, more: &str) -> Raw {
    open_on(gateway.connect(), target, more)
}

/// Sends a word through a tunnel and waits for it to come back.
pub fn round_trip(raw: &mut Raw, word: &str) {
    raw.send(word);
    assert!(raw.wait_for(word), "{word} did not come back");
}

fn names(head: &[u8]) -> Vec<String> {
    let mut names: Vec<_> = fields(head)
        .into_iter()
        .map(|(name, _)| name.to_lowercase())
        .collect();
    names.sort();
    names
}

#[test]
fn h_04_a_handshake_is_judged_and_told_like_every_request() {
    let gateway = start();
    let mut trial = Trial::with_plain_twin(&gateway, "H-04-ws");
    trial.denied(trial.get("/app/ws", &lines()), "");
    trial.denied(
        trial.get("/admin/ws", &(lines() + &gateway.as_user("alice"))),
        "alice",
    );
    let forged = "X-Auth-User: root\r\nX_Auth_Roles: admin\r\nX-Forwarded-For: 1.2.3.4\r\n";
    let mut raw = gateway.connect();
    let cookie = gateway.as_user("alice");
    let answer = raw.ask(trial.get("/app/ws", &format!("{}{forged}{cookie}", lines())));
    assert_eq!(answer.status, 101);
    assert_eq!(answer.values("x-request-id").len(), 1);
    assert_eq!(answer.values("upgrade"), ["websocket"]);
    assert_eq!(answer.values("connection"), ["Upgrade"]);
    let seen = gateway.recorder().last().unwrap();
    assert_eq!(seen.path(), "/app/ws");
    assert_eq!(seen.value("x-auth-user").as_deref(), Some("alice"));
    assert_eq!(seen.value("x-auth-roles").as_deref(), Some("user"));
    assert_eq!(seen.value("x-auth-method").as_deref(), Some("session"));
    assert!(seen.value("x-auth-assertion").is_some());
    assert_eq!(seen.value("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert!(!seen.mentions("portcullis=") && !seen.mentions("1.2.3.4"));
    assert!(!names(&seen.head).contains(&"x_auth_roles".to_owned()));
    round_trip(&mut raw, "hello");
    // A public path, with forged headers and no session.
    let mut public = gateway.connect();
    let answer = public.ask(trial.get("/public/ws", &format!("{}{forged}", lines())));
    assert_eq!(answer.status, 101);
    let seen = gateway.recorder().last().unwrap();
    assert_eq!(seen.path(), "/public/ws");
    assert_eq!(seen.value("x-auth-user"), None);
}

#[test]
fn h_04_bytes_go_through_untouched_in_both_directions() {
    let gateway = Setup::before(agreeing()).tls(&["localhost"]).start();
    let wire = gateway.tls("localhost", &["http/1.1"]);
    let mut raw = open_on(Raw::over(wire), "/public/ws", "");
    // What would be a request, a chunk, or a fault anywhere else.
    let all: Vec<u8> = (0..=255).collect();
    let pieces: [&[u8]; 4] = [
        b"GET /admin/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"0\r\n\r\n",
        b"\n\n\r\0",
        &all,
    ];
    let sent = pieces.concat();
    for piece in pieces {
        raw.send(piece);
    }
    let mut back = Vec::new();
    eventually("every byte to come back", || {
        back.extend(raw.drain(Duration::from_millis(20)));
        (back.len() >= sent.len()).then_some(())
    });
    assert_eq!(back, sent);
    assert_eq!(gateway.recorder().count(), 1, "taken for a request");
}

#[test]
fn w_02_other_upgrades_are_stripped() {
    let gateway = start();
    let mut trial = Trial::with_plain_twin(&gateway, "W-02");
    let others = [
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Upgrade: foo\r\nConnection: Upgrade\r\n",
        "Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n",
        "Upgrade: h2c, websocket\r\nConnection: Upgrade\r\n",
        "Upgrade: websocket\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n",
        "Upgrade: websocket\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        "Upgrade: websocket/13\r\nConnection: Upgrade\r\n",
        "Upgrade: xwebsocket\r\nConnection: Upgrade\r\n",
        "Upgrade:\r\nConnection: Upgrade\r\n",
    ];
    for other in others {
        let request = trial.get("/public/x", &format!("{other}{KEY}{VERSION}"));
        let (seen, answer) = trial.served(&request);
        assert_eq!(answer.text(), "plain", "{other}");
        for name in ["upgrade", "http2-settings"] {
            assert_eq!(seen.value(name), None, "{other}");
        }
        assert!(
            !seen
                .text()
                .to_lowercase()
                .contains("\r\nconnection: upgrade")
        );
    }
    // What is exactly that, in whatever letters, is not.
    let mut raw = gateway.connect();
    let shouted = "upgrade: WebSocket\r\nconnection: keep-alive, UPGRADE\r\n";
    let answer = raw.ask(trial.get("/public/x", &format!("{shouted}{KEY}{VERSION}")));
    assert_eq!(answer.status, 101);
}

#[test]
fn w_02_a_service_that_agrees_to_what_nobody_asked() {
    let gateway = Setup::new().start();
    let cases: [(&str, String); 5] = [
        (
            "",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
                .into(),
        ),
        (
            "Upgrade: h2c\r\nConnection: Upgrade\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
                .into(),
        ),
        (
            &lines(),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
                .into(),
        ),
        (&lines(), "HTTP/1.1 101 Switching Protocols\r\n\r\n".into()),
        (
            &lines(),
            "HTTP/1.0 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n".into(),
        ),
    ];
    for (asked, agreed) in cases {
        let reply = Reply::raw(&agreed).then("secret bytes").echo();
        gateway.recorder().answer(move |_| reply.clone());
        let mut raw = gateway.connect();
        let answer = raw.ask(format!(
            "GET /public/x HTTP/1.1\r\nHost: localhost\r\n{asked}\r\n"
        ));
        assert_eq!(answer.status, 502, "{asked:?} {agreed:?}");
        assert!(raw.closes());
        assert!(!raw.left().contains("secret"), "{}", raw.left());
    }
    // The twin: what was asked for, and agreed to.
    gateway.recorder().answer(|_| Reply::tunnel());
    round_trip(&mut open(&gateway, "/public/x", ""), "hello");
}

#[test]
fn p_30_a_handshake_is_judged_by_the_rule_of_its_path() {
    let rules = "
  - { path: /public/**, allow: anyone }
  - { path: /live/**, methods: [GET], allow: { role: admin } }
  - { path: /live/**, allow: signed_in }
";
    let gateway = Setup::before(agreeing()).rules(rules).start();
    let mut trial = Trial::with_plain_twin(&gateway, "P-30");
    for target in ["/live/ws", "/public/../live/ws", "/live//ws", "/%6Cive/ws"] {
        for accept in [
            lines(),
            "Accept: text/event-stream\r\n".into(),
            String::new(),
        ] {
            trial.denied(trial.get(target, &accept), "");
            trial.denied(
                trial.get(target, &(accept + &gateway.as_user("alice"))),
                "alice",
            );
        }
        open(&gateway, target, &gateway.as_user("root"));
        let seen = gateway.recorder().last().unwrap();
        assert_eq!(seen.path(), "/live/ws");
    }
}
