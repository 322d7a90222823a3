//! What TLS itself must not do, handshakes made to be waited for, and what is said of TLS in the clear and by `hsts:`.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::harness::{PATIENCE, Raw, Setup, eventually, marker};
use crate::tls::{s_client, shows};

#[test]
fn s_24_old_versions_and_renegotiation() {
    let gateway = Setup::new().tls(&["localhost"]).start();
    let version = |flag: &str| s_client(&gateway, &[flag, "-cipher", "ALL:@SECLEVEL=0"], "Q\n");
    for flag in ["-tls1", "-tls1_1"] {
        let said = version(flag);
        assert!(said.contains("Cipher is (NONE)"), "{flag}: {said}");
    }
    assert!(version("-tls1_2").contains("New, TLSv1.2"), "TLS 1.2");
    assert!(s_client(&gateway, &["-tls1_3"], "Q\n").contains("New, TLSv1.3"));
    // A client that wants to begin anew in the middle loses its connection.
    let again = |input: &str| s_client(&gateway, &["-tls1_2", "-legacy_renegotiation"], input);
    assert!(!again("Q\n").contains(":error:"), "the twin");
    let said = again("R\n");
    assert!(
        said.contains("RENEGOTIATING") && said.contains(":error:"),
        "{said}"
    );
}

#[test]
fn s_24_no_early_data() {
    let gateway = Setup::new().tls(&["localhost"]).start();
    let mark = marker("S-24-early");
    let folder = gateway.path().to_owned();
    let ticket = folder.join("ticket.pem");
    let ticket = ticket.to_str().unwrap();
    let request = |mark: &str| {
        format!(
            "GET /public/x HTTP/1.1\r\nHost: localhost\r\nX-Marker: {mark}\r\nConnection: close\r\n\r\n"
        )
    };
    let twin = marker("S-24-twin");
    let said = s_client(
        &gateway,
        &[
            "-tls1_3",
            "-servername",
            "localhost",
            "-sess_out",
            ticket,
            "-ign_eof",
        ],
        &request(&twin),
    );
    assert!(said.contains("200 OK"), "{said}");
    assert!(said.contains("Max Early Data: 0"), "{said}");
    assert_eq!(gateway.recorder().wait_for(&twin, 1).len(), 1);
    // The ticket says that none is taken, and a client that wants to send some keeps to it.
    let early = folder.join("early.txt");
    fs::write(&early, request(&mark)).unwrap();
    let said = s_client(
        &gateway,
        &[
            "-tls1_3",
            "-servername",
            "localhost",
            "-sess_in",
            ticket,
            "-early_data",
            early.to_str().unwrap(),
        ],
        "Q\n",
    );
    assert!(said.contains("Early data was not sent"), "{said}");
    assert_eq!(
        gateway.recorder().with(&mark).len(),
        0,
        "early data was taken for a request"
    );
}

#[test]
fn s_24_http2_on_the_port_in_the_clear_is_judged_like_any() {
    let gateway = Setup::new().tls(&["localhost"]).start();
    let mark = marker("S-24-h2c");
    let outcome = gateway.h2().get("/public/x", &[("x-marker", &mark)]);
    assert_eq!(outcome.status(), Some(308), "{outcome:?}");
    assert_eq!(gateway.recorder().with(&mark).len(), 0);
}

/// The first record of a client.
fn hello() -> Vec<u8> {
    use std::sync::Arc;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut record = Vec::new();
    client.write_tls(&mut record).unwrap();
    record
}

#[test]
fn b_06_a_hello_in_records_of_one_byte() {
    let gateway = Setup::new().tls(&["localhost"]).start();
    let record = hello();
    let pieces: Vec<u8> = record[5..]
        .iter()
        .flat_map(|byte| [0x16, 3, 1, 0, 1, *byte])
        .collect();
    // As one record it is answered by a handshake record.
    let answered = |bytes: &[u8]| {
        let mut socket = std::net::TcpStream::connect(gateway.https()).unwrap();
        socket
            .set_read_timeout(Some(crate::harness::PATIENCE))
            .unwrap();
        let mut first = [0];
        socket
            .write_all(bytes)
            .and_then(|()| socket.read(&mut first))
            .map(|_| first[0])
    };
    assert_eq!(answered(&record).ok(), Some(0x16), "the twin");
    // In pieces it is answered alike, or refused; and nobody else is any the worse for it.
    let said = answered(&pieces);
    assert!(
        !matches!(said, Err(ref error) if error.kind() == std::io::ErrorKind::WouldBlock),
        "{said:?}"
    );
    assert!(matches!(said, Ok(0x16 | 0x15 | 0) | Err(_)), "{said:?}");
    assert!(shows(&gateway, gateway.identity(), "localhost"));
    eventually("every connection to end", || {
        (gateway.metrics().sum("portcullis_connections", &[]) < 1.5).then_some(())
    });
}

#[test]
fn who_asks_in_the_clear_is_told_that_this_is_tls() {
    let gateway = Setup::new().tls(&["localhost"]).start();
    let request = |mark: &str| {
        format!("GET /public/x HTTP/1.1\r\nHost: localhost\r\nX-Marker: {mark}\r\n\r\n")
    };
    let twin = marker("tls-twin");
    let mut tls = Raw::over(gateway.tls("localhost", &["http/1.1"]));
    assert_eq!(tls.ask(request(&twin)).status, 200);
    assert_eq!(gateway.recorder().wait_for(&twin, 1).len(), 1);
    let mark = marker("tls-clear");
    let mut raw = Raw::connect(gateway.https());
    let answer = raw.ask(request(&mark));
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("https://"), "{}", answer.text());
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    assert!(gateway.recorder().with(&mark).is_empty());
    // Whatever else is no handshake is told so in the words of TLS (an alert).
    for bytes in [
        &b"\0\0\0\0\0\0"[..],
        b"get / HTTP/1.1\r\n\r\n",
        &[0x80, 0x2e, 1, 3, 1, 0],
    ] {
        let mut socket = TcpStream::connect(gateway.https()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(bytes).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        let mut said = Vec::new();
        socket.read_to_end(&mut said).unwrap();
        assert_eq!(said.first(), Some(&0x15), "{bytes:?}: {said:?}");
    }
}

#[test]
fn b_06_many_handshakes_at_once() {
    const CLIENTS: usize = 16;
    const EACH: usize = 50;
    let gateway = Setup::new().tls(&["localhost"]).start();
    let begun = gateway.metrics().sum("process_resident_memory_bytes", &[]);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                for _ in 0..EACH {
                    assert!(shows(&gateway, gateway.identity(), "localhost"));
                }
            });
        }
    });
    eventually("every connection to end", || {
        (gateway.metrics().sum("portcullis_connections", &[]) < 1.5).then_some(())
    });
    let grown = gateway.metrics().sum("process_resident_memory_bytes", &[]) - begun;
    assert!(
        grown < 64.0 * 1024.0 * 1024.0,
        "{grown} bytes more than before"
    );
}

#[test]
fn x_01_transport_security_by_its_key() {
    let told = |hsts: Option<&str>, host: &str, path: &str| {
        let setup = Setup::new().tls(&["localhost"]);
        let setup = match hsts {
            Some(hsts) => setup.set("hsts", hsts),
            None => setup,
        };
        let gateway = setup.start();
        let mut raw = Raw::over(gateway.tls("localhost", &["http/1.1"]));
        let answer = raw.ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let clear = gateway.ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(
            clear.values("strict-transport-security"),
            [""; 0],
            "in the clear"
        );
        (answer.status, answer.values("strict-transport-security"))
    };
    let year = "max-age=31536000";
    let none: [String; 0] = [];
    assert_eq!(told(None, "localhost", "/public/x"), (200, none.to_vec()));
    for (path, status) in [("/public/x", 200), ("/app/x", 401), ("/auth/login", 200)] {
        let expected = (status, vec![year.to_owned()]);
        assert_eq!(told(Some("365d"), "localhost", path), expected, "{path}");
    }
    // Nor do refusals say less, whoever makes them.
    for (path, status) in [("/%00", 400), ("/public/gone", 503)] {
        let gateway = Setup::new()
            .tls(&["localhost"])
            .set("hsts", "365d")
            .rules("  - { path: /public/gone, allow: anyone, to: gone }")
            .upstream(
                "gone",
                "{ to: \"http://127.0.0.1:9\", health: { path: /, interval: 50ms, down_after: 1 } }",
            )
            .start();
        eventually("the answer", || {
            let mut raw = Raw::over(gateway.tls("localhost", &["http/1.1"]));
            let answer = raw.ask(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            let said = answer.header("strict-transport-security");
            assert_eq!(said.as_deref(), Some(year), "{path}");
            (answer.status == status).then_some(())
        });
    }
    let more = "{ max_age: 365d, subdomains: true, preload: true }";
    let expected = vec![format!("{year}; includeSubDomains; preload")];
    assert_eq!(told(Some(more), "localhost", "/public/x"), (200, expected));
}
