//! Bodies towards services of HTTP/2, and what they take of a connection from others (B-05).

use crate::harness::{Raw, eventually};
use crate::upstreams_h2::{Service, before, get, post};

#[test]
fn b_05_an_upload_has_a_connection_to_itself() {
    let service = Service::start(None);
    let gateway = before(&service, "timeout: 5s");
    let on = |path: &str| {
        let asked = service.asked.lock().unwrap();
        let last = asked.iter().rev().find(|(_, seen)| seen == path);
        last.unwrap().0
    };
    assert_eq!(gateway.ask(get("/public/x")).status, 200);
    assert_eq!(gateway.ask(post("/public/little", "hello")).status, 200);
    let (shared, little) = (on("/public/x"), on("/public/little"));
    assert_ne!(shared, little);
    let large = "x".repeat(100_000);
    for (path, length, apart) in [
        ("/public/less", 4_096, false),
        ("/public/more", 4_097, true),
        ("/public/large", 100_000, true),
        ("/public/again", 100_000, true),
    ] {
        let answer = gateway.ask(post(path, &large[..length]));
        assert_eq!(answer.header("x-length"), Some(length.to_string()));
        assert_eq!(on(path) != little, apart, "{path}");
        assert_ne!(on(path), shared, "{path}");
    }
    // It is kept for the next one, once it has been given back.
    let kept = on("/public/again");
    eventually("the next upload on the same one", || {
        gateway.ask(post("/public/next", &large));
        (on("/public/next") == kept).then_some(())
    });
    assert_eq!(gateway.ask(get("/public/x")).status, 200);
    assert_eq!(on("/public/x"), shared);
}

#[test]
fn b_05_bodies_that_a_service_leaves_unread_hold_up_no_others() {
    let service = Service::start(None);
    let gateway = before(&service, "timeout: 30s");
    let large = "x".repeat(100_000);
    // One of these fills what a service takes unread of a whole connection, or 13, or 16.
    for (length, times, connections) in [(65_535, 1, 1), (5 << 10, 13, 13), (4_096, 31, 3)] {
        let path = format!("/public/hold/{length}");
        let hold = |number| {
            let mut held = gateway.connect();
            held.send(post(&path, &large[..length]));
            eventually("all of the body", || {
                (service.count(&format!("{path}/all")) == number).then_some(())
            });
            held
        };
        let held: Vec<Raw> = (1..=times).map(hold).collect();
        assert_eq!(service.connections(&path), connections, "{length}");
        for length in [0, 5, 4_096, 5 << 10, 100_000] {
            let answer = gateway.ask(post("/public/x", &large[..length]));
            assert_eq!(answer.header("x-length"), Some(length.to_string()));
        }
        drop(held);
    }
}
