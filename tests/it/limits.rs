//! What a client may ask for: B-03, B-05, B-12 (the limits).

use std::net::TcpStream;

use crate::harness::{Gateway, H2, Outcome, Raw, Setup, Trial, eventually, marker};

#[test]
fn b_03_too_many_headers_or_too_large() {
    let gateway = Gateway::shared();
    let mut trial = Trial::with_plain_twin(gateway, "B-03");
    let many = |count: usize| -> String {
        (0..count).fold(String::new(), |all, n| all + &format!("X-H{n}: v\r\n"))
    };
    let large = |bytes: usize| format!("X-Large: {}\r\n", "x".repeat(bytes));
    let cookies: Vec<String> = (0..10_000).map(|n| format!("c{n}=v")).collect();
    // Just below the limits, Host and marker included: served.
    for lines in [
        many(97),
        large(31 * 1_024),
        format!("Cookie: {}\r\n", cookies[..1_000].join("; ")),
    ] {
        trial.served(&trial.get("/public/x", &lines));
    }
    for lines in [
        many(101),
        many(250),
        many(5_000),
        large(32 * 1_024),
        large(33 * 1_024),
        large(1_000_000),
        (0..20).map(|_| large(2_000)).collect(),
        format!("Cookie: {}\r\n", cookies.join("; ")),
        format!("Cookie: {}\r\n", cookies.join("\r\nCookie: ")),
        format!("{}: v\r\n", "X".repeat(33 * 1_024)),
    ] {
        trial.malformed(trial.get("/public/x", &lines), &[431]);
    }
    // On a connection that has served something already, too.
    let mut raw = gateway.connect();
    assert_eq!(raw.ask(trial.get("/auth/login", "")).status, 200);
    let refusal = trial.refused_on(raw, trial.get("/public/x", &many(101)), true);
    assert_eq!(refusal.answer.unwrap().status, 431);
    assert!(refusal.closed);
}

#[test]
fn b_03_over_http2() {
    let gateway = Gateway::shared();
    let mark = marker("B-03-h2");
    let names: Vec<String> = (0..10_000).map(|n| format!("x-h{n}")).collect();
    let large = "x".repeat(40 * 1_024);
    let ask = |more: &[(&str, &str)]| -> Outcome {
        let mut fields = vec![("x-marker", mark.as_str())];
        fields.extend_from_slice(more);
        H2::connect(gateway.http()).get("/public/x", &fields)
    };
    let mut served = 0;
    for count in [150, 1_000, 10_000] {
        let fields: Vec<_> = names[..count].iter().map(|n| (n.as_str(), "v")).collect();
        let crumbs: Vec<_> = names[..count]
            .iter()
            .map(|n| ("cookie", n.as_str()))
            .collect();
        for attack in [fields, crumbs, vec![("x-large", large.as_str())]] {
            let outcome = ask(&attack);
            let refused = outcome.status() == Some(431) || outcome.status().is_none();
            // Crumbs are one header in the end, and may be served while it is small enough.
            let crumbs = attack[0].0 == "cookie" && count < 1_001;
            assert!(refused || crumbs, "{:?} for {count}", outcome.status());
            if outcome.status() == Some(200) {
                served += 1;
            }
            assert_eq!(ask(&[]).status(), Some(200));
            served += 1;
            assert_eq!(gateway.recorder().wait_for(&mark, served).len(), served);
        }
    }
}

#[test]
fn b_03_limits_are_settable() {
    let gateway = Setup::new()
        .set("limits", "{ head: 2KiB, fields: 8, target: 100B }")
        .start();
    let mut trial = Trial::with_plain_twin(&gateway, "B-03-set");
    trial.served(&trial.get("/public/x", "A: 1\r\nB: 2\r\nC: 3\r\n"));
    let many = "X-H: v\r\n".repeat(9);
    trial.malformed(trial.get("/public/x", &many), &[431]);
    let large = format!("X-Large: {}\r\n", "x".repeat(2_048));
    trial.malformed(trial.get("/public/x", &large), &[431]);
    trial.malformed(
        trial.get(format!("/public/{}", "x".repeat(100)), ""),
        &[414],
    );
}

/// Whoever scrapes and whoever probes may well be on one machine.
#[test]
fn b_05_what_is_for_clients_is_not_for_the_admin_port() {
    let limits = "{ connections_per_address: 1, connections: 1, fields: 1 }";
    let gateway = Setup::new().set("limits", limits).start();
    let mut both = [(); 2].map(|()| Raw::connect(gateway.admin()));
    for raw in &mut both {
        let answer = raw.ask("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: y\r\n\r\n");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[test]
fn b_05_connections_per_address_are_bounded() {
    let gateway = Setup::new()
        .set("limits", "{ connections_per_address: 8 }")
        .start();
    let get = "GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut open: Vec<Raw> = (0..8).map(|_| gateway.connect()).collect();
    for raw in &mut open {
        assert_eq!(raw.ask(get).status, 200);
    }
    let mut ninth = gateway.connect();
    ninth.send(get);
    assert!(ninth.closes(), "a ninth connection");
    assert!(!ninth.left().contains("200 OK"), "{}", ninth.left());
    for raw in &mut open {
        assert_eq!(raw.ask(get).status, 200, "the eight are not disturbed");
    }
    drop(open.pop());
    eventually("a place to become free", || {
        let mut raw = gateway.connect();
        raw.send(get);
        raw.try_read().ok().filter(|answer| answer.status == 200)
    });
    // The admin listener has room of its own.
    assert!(TcpStream::connect(gateway.admin()).is_ok());
    assert_eq!(gateway.ask_admin("/healthz").status, 200);
}

#[test]
fn b_12_bodies_over_the_limit() {
    let gateway = Setup::new()
        .set("limits", "{ body: 1KiB }")
        .rules(
            "
  - { path: /public/large/**, allow: anyone, body: 64KiB }
  - { path: /public/small/**, allow: anyone, body: 10B }
  - { path: /public/**, allow: anyone }
",
        )
        .start();
    let mut trial = Trial::new(&gateway, "B-12");
    trial.allowed(trial.post("/public/x", "", &"b".repeat(1_024)));
    trial.served(&trial.post("/public/large/x", "", &"b".repeat(64 * 1_024)));
    trial.served(&trial.post("/public/small/x", "", "0123456789"));
    for (target, length) in [
        ("/public/x", 1_025),
        ("/public/x", 1_000_000),
        ("/public/large/x", 64 * 1_024 + 1),
        ("/public/small/x", 11),
    ] {
        let refusal = trial.refused(trial.post(target, "", &"b".repeat(length)));
        let answer = refusal.answer.unwrap();
        assert_eq!(answer.status, 413, "{length} to {target}");
        assert!(refusal.closed, "{length} to {target}");
        // Announced and not sent: refused before a byte of it.
        let head = trial.head("POST", target, &format!("Content-Length: {length}\r\n"));
        assert_eq!(trial.refused(head).answer.unwrap().status, 413);
        let expects = format!("Content-Length: {length}\r\nExpect: 100-continue\r\n");
        let answer = trial.refused(trial.head("POST", target, &expects)).answer;
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.interim.len()), (413, 0));
    }
}

#[test]
fn b_12_chunked_bodies_over_the_limit() {
    let gateway = Setup::new().set("limits", "{ body: 1KiB }").start();
    let mut trial = Trial::new(&gateway, "B-12-chunked");
    let chunked = |trial: &Trial<'_>, pieces: usize| {
        let mut bytes = trial.head("POST", "/public/x", "Transfer-Encoding: chunked\r\n");
        for _ in 0..pieces {
            bytes.extend_from_slice(b"100\r\n");
            bytes.extend_from_slice(&[b'c'; 256]);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        bytes
    };
    let twin = chunked(&trial, 4);
    trial.allowed(&twin);
    for pieces in [5, 6, 100, 4_000] {
        let mut raw = gateway.connect();
        raw.send(chunked(&trial, pieces));
        if let Ok(answer) = raw.try_read() {
            assert_eq!(answer.status, 413, "{pieces} pieces");
        }
        assert!(raw.closes(), "left open after {pieces} pieces");
        // Only the end of such a body tells its length: the service may have seen its beginning, never a
        // whole request.
        trial.nothing_came(&chunked(&trial, pieces));
        let all = gateway.recorder().everything();
        let most = all.iter().map(|seen| seen.body.len()).max();
        assert!(most <= Some(1_024), "{most:?} bytes were taken");
    }
}
