//! Handshakes that are refused, and what may follow one: W-03 to W-05.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::api::token;
use crate::harness::{Recorder, Reply, Setup, Trial};
use crate::tunnels::{KEY, UPGRADE, VERSION, agreeing, lines, open, round_trip, start};
use crate::upstreams_tries::Dead;

#[test]
fn w_03_a_page_of_another_site_with_our_cookie() {
    let rules = "
  - { path: /public/**, allow: anyone }
  - { path: /tools/**, allow: signed_in, origins: [\"https://tools.example.com\", \"http://127.0.0.1:9\"] }
  - { path: /both/**, allow: signed_in, auth: [session, jwt] }
  - { path: /app/**, allow: signed_in }
";
    let gateway = Setup::before(agreeing()).rules(rules).start();
    let mut trial = Trial::with_plain_twin(&gateway, "W-03");
    let cookie = gateway.as_user("alice");
    let own = format!("http://localhost:{}", gateway.http().port());
    let handshake = |trial: &Trial<'_>, path: &str, origin: &str| {
        trial.get(path, &format!("{}{origin}{cookie}", lines()))
    };
    let refused = [
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: \r\n",
        "Origin: https://localhost\r\n",
        "Origin: http://localhost:1\r\n",
        "Origin: http://localhost.evil.example\r\n",
        "Origin: http://localhost/\r\n",
        "Origin: https://tools.example.com\r\n",
        "Origin: http://localhost\r\nOrigin: http://localhost\r\n",
    ];
    // With a session on a public path, too: the service would be told who it is.
    let everywhere = [("/app/ws", refused[0]), ("/public/ws", refused[0])];
    let refused = refused[1..].iter().map(|origin| ("/app/ws", *origin));
    for (path, origin) in everywhere.into_iter().chain(refused) {
        let answer = trial.refused(handshake(&trial, path, origin)).answer;
        let answer = answer.unwrap();
        assert_eq!(answer.status, 403, "{origin}");
        assert_eq!(answer.json()["code"], "CROSS_SITE");
    }
    let allowed = [
        ("/app/ws", String::new()),
        ("/app/ws", "Origin: http://localhost\r\n".to_owned()),
        (
            "/tools/ws",
            "Origin: https://tools.example.com\r\n".to_owned(),
        ),
        ("/tools/ws", "Origin: http://localhost\r\n".to_owned()),
    ];
    for (path, origin) in allowed {
        let mut raw = gateway.connect();
        assert_eq!(
            raw.ask(handshake(&trial, path, &origin)).status,
            101,
            "{origin}"
        );
    }
    // The very host and port that is asked, as a page behind a mapped port has it.
    let request =
        String::from_utf8(handshake(&trial, "/app/ws", &format!("Origin: {own}\r\n"))).unwrap();
    let named = request.replace(
        "Host: localhost",
        &format!("Host: localhost:{}", gateway.http().port()),
    );
    assert_eq!(gateway.connect().ask(named).status, 101);
    // Without a session there is nothing a page could borrow.
    let stranger = trial.get(
        "/public/ws",
        &format!("{}Origin: https://evil.example\r\n", lines()),
    );
    assert_eq!(gateway.connect().ask(stranger).status, 101);
    // A token is sent by whoever holds it, never by a browser on its own.
    let bearer = format!(
        "Authorization: Bearer {}\r\nOrigin: https://evil.example\r\n",
        token(&gateway, "alice")
    );
    let program = trial.get("/both/ws", &(lines() + &bearer));
    assert_eq!(gateway.connect().ask(program).status, 101);
    let counted = gateway
        .metrics()
        .sum("portcullis_denials_total", &[("reason", "origin")]);
    assert!((counted - 10.0).abs() < 0.5, "{counted} were counted");
}

#[test]
fn w_04_what_follows_a_handshake_waits_for_its_answer() {
    let gateway = Setup::new().start();
    let trial = Trial::with_plain_twin(&gateway, "W-04");
    let smuggled = trial.get("/admin/smuggled", "");
    // Refused by the service: an ordinary connection again, on which the next request is judged.
    let mut raw = gateway.connect();
    let twin = trial.get("/public/next", "");
    let asks = trial.get("/public/ws", &lines());
    raw.send([asks.as_slice(), &twin, &smuggled].concat());
    assert_eq!(raw.read().text(), "seen GET /public/ws");
    assert_eq!(raw.read().text(), "seen GET /public/next");
    assert!(raw.read().denies_anonymous());
    let seen = gateway.recorder().wait_for(&trial.marker, 3);
    assert_eq!(seen.len(), 3);
    assert!(seen[1..].iter().all(|request| request.raw_body.is_empty()));
    assert!(!seen.iter().any(|request| request.mentions("smuggled")));
    // Refused with a body, by length, by chunks, by the end of the connection.
    for refusal in [
        "HTTP/1.1 403 Forbidden\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: new\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nno",
    ] {
        let reply = Reply::raw(refusal);
        let reply = if refusal.contains("1.0") {
            reply.close()
        } else {
            reply
        };
        gateway.recorder().answer(move |request| {
            if request.values("upgrade").is_empty() {
                Reply::ok("ok")
            } else {
                reply.clone()
            }
        });
        let mut raw = gateway.connect();
        raw.send([asks.as_slice(), &smuggled].concat());
        let answer = raw.read();
        assert_eq!(answer.text(), "no", "{refusal}");
        // Said to whoever must change, and else between the service and us.
        let upgrade = answer.header("upgrade");
        assert_eq!(upgrade.as_deref(), (answer.status == 426).then_some("new"));
        match raw.try_read() {
            Ok(answer) => assert!(answer.denies_anonymous(), "{answer:?}"),
            Err(silence) => panic!("{silence:?} after {refusal}"),
        }
    }
    assert!(
        !gateway
            .recorder()
            .everything()
            .iter()
            .any(|r| r.mentions("smuggled"))
    );
}

#[test]
fn w_04_nothing_is_forwarded_before_the_service_has_agreed() {
    let recorder = Recorder::start();
    recorder.answer(|request| {
        let agreed =
            Reply::raw("HTTP/1.1 103 Early Hints\r\n\r\n").pause(Duration::from_millis(300));
        let head =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        match request.path().as_str() {
            "/public/ws" => agreed.then(head).echo(),
            // Everything that came by then stands in the answer.
            _ => Reply::default().echo(),
        }
    });
    let web = format!("{{ to: \"{}\", timeout: 1s }}", recorder.url());
    let gateway = Setup::before(recorder).upstream("web", &web).start();
    let early = "early words of the client";
    // A service that never agrees: what it would send back is what it got.
    let mut raw = gateway.connect();
    raw.send(format!(
        "GET /public/never HTTP/1.1\r\nHost: localhost\r\n{}\r\n{early}",
        lines()
    ));
    assert_eq!(raw.read().status, 504);
    assert!(raw.closes());
    assert_eq!(gateway.recorder().tunnelled(), "");
    // One that agrees later: then they are its own.
    let mut raw = gateway.connect();
    raw.send(format!(
        "GET /public/ws HTTP/1.1\r\nHost: localhost\r\n{}\r\n{early}",
        lines()
    ));
    assert_eq!(raw.read().status, 101);
    assert!(raw.wait_for(early));
    assert_eq!(gateway.recorder().tunnelled(), early);
}

/// What is wrong with a handshake, and the status that says so.
fn faulty() -> Vec<(String, u16)> {
    let (up, key, version) = (UPGRADE, KEY, VERSION);
    let long = "A".repeat(24);
    vec![
        (format!("{}Content-Length: 4\r\n", lines()), 400),
        (format!("{}Transfer-Encoding: chunked\r\n", lines()), 400),
        (format!("Upgrade: websocket\r\n{key}{version}"), 400),
        (
            format!("Upgrade: websocket\r\nConnection: close\r\n{key}{version}"),
            400,
        ),
        (
            format!("Upgrade: websocket\r\nConnection: upgraded\r\n{key}{version}"),
            400,
        ),
        (format!("{up}{key}"), 426),
        (format!("{up}{key}Sec-WebSocket-Version: 8\r\n"), 426),
        (format!("{up}{key}Sec-WebSocket-Version: 13, 8\r\n"), 426),
        (format!("{up}{key}{version}{version}"), 426),
        (format!("{up}{version}"), 400),
        (format!("{up}{key}{key}{version}"), 400),
        (format!("{up}Sec-WebSocket-Key: short\r\n{version}"), 400),
        (
            format!("{up}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=!\r\n{version}"),
            400,
        ),
        (format!("{up}Sec-WebSocket-Key: {long}==\r\n{version}"), 400),
    ]
}

#[test]
fn w_05_what_is_no_handshake_is_refused_before_the_service() {
    let gateway = start();
    let mut trial = Trial::with_plain_twin(&gateway, "W-05");
    for (lines, status) in faulty() {
        let request = trial.get("/public/ws", &lines);
        let answer = trial.refused(request).answer.unwrap();
        assert_eq!(answer.status, status, "{lines}");
        if status == 426 {
            assert_eq!(answer.values("sec-websocket-version"), ["13"]);
            assert_eq!(answer.values("upgrade"), ["websocket"]);
        }
    }
    for request in [
        trial.head("POST", "/public/ws", &lines()),
        trial.post("/public/ws", &lines(), "body"),
    ] {
        assert_eq!(trial.refused(request).answer.unwrap().status, 400);
    }
    let old = String::from_utf8(trial.get("/public/ws", &lines())).unwrap();
    let old = old.replace(" HTTP/1.1", " HTTP/1.0");
    assert_eq!(trial.refused(&old).answer.unwrap().status, 400);
    // A denied path is denied whatever stands in the handshake.
    trial.closed(trial.get("/nothing/ws", &lines()));
    trial.denied(trial.get("/app/ws", &lines()), "");
    // The twin.
    let mut raw = gateway.connect();
    assert_eq!(raw.ask(trial.get("/public/ws", &lines())).status, 101);
}

#[test]
fn w_05_a_service_that_is_not_there() {
    let dead = Dead::new();
    let gone = dead.url();
    let recorder = agreeing();
    let both = format!("{{ to: [\"{gone}\", \"{}\"] }}", recorder.url());
    let rules = "
  - { path: /public/gone/**, to: gone, allow: anyone }
  - { path: /public/**, allow: anyone }
";
    let gateway = Setup::before(recorder)
        .rules(rules)
        .upstream("gone", &format!("{{ to: \"{gone}\" }}"))
        .upstream("web", &both)
        .start();
    let asks = |target: &str| {
        format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
            lines()
        )
    };
    let answer = gateway.ask(asks("/public/gone/ws"));
    assert_eq!(answer.status, 502);
    assert_eq!(answer.json()["code"], "UPSTREAM_UNREACHABLE");
    // Another server is tried, as for every request of which nothing has been sent.
    for _ in 0..4 {
        round_trip(&mut open(&gateway, "/public/ws", ""), "hello");
    }
}

#[test]
fn w_05_a_service_that_has_no_tunnels() {
    let inner = Setup::new().start();
    let to = format!("{{ to: \"h2c://localhost:{}\" }}", inner.http().port());
    let gateway = Setup::before(inner.recorder().clone())
        .upstream("web", &to)
        .start();
    let mut trial = Trial::with_plain_twin(&gateway, "W-05-h2");
    let refused = trial.refused(trial.get("/public/ws", &lines()));
    let answer = refused.answer.unwrap();
    assert_eq!(answer.status, 501);
    assert_eq!(answer.json()["code"], "REQUEST_REFUSED");
}

#[test]
fn w_05_the_echo_page_shows_a_handshake_and_opens_nothing() {
    let rules = "
  - { path: /public/**, to: echo, allow: anyone }
";
    let gateway = Setup::new()
        .rules(rules)
        .upstream("echo", "{ to: builtin:echo }")
        .start();
    let answer = gateway.ask(format!(
        "GET /public/ws HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n{}\r\n",
        lines()
    ));
    assert_eq!(answer.status, 200);
}

/// Chats give no other answer: what failed once is not to count for ever.
#[test]
fn g_18_a_tunnel_shows_that_a_server_is_well() {
    let (well, shaky) = (agreeing(), Recorder::start());
    let asked = AtomicUsize::new(0);
    shaky.answer(move |_| {
        if asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            Reply::raw("").close()
        } else {
            Reply::tunnel()
        }
    });
    let gateway = Setup::new()
        .upstream(
            "web",
            &format!(
                "{{ to: [\"{}\", \"{}\"], eject: {{ after: 2, for: 1h }} }}",
                well.url(),
                shaky.url()
            ),
        )
        .start();
    let mut tunnels = Vec::new();
    let mut failed = 0;
    for _ in 0..12 {
        let mut raw = gateway.connect();
        let request = format!(
            "GET /public/ws HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
            lines()
        );
        match raw.ask(request).status {
            101 => tunnels.push(raw),
            502 => failed += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!((failed, shaky.count(), well.count()), (3, 6, 6));
}
