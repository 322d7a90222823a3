//! Handshakes while certificates are exchanged (G-07).

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::harness::tls::{self, Identity};
use crate::harness::{Raw, Setup, eventually};
use crate::tls::{ask, renew, shows};

#[test]
fn g_07_no_handshake_fails_while_certificates_are_exchanged() {
    let gateway = Setup::new().tls(&["localhost"]).start();
    let all: Vec<Identity> = (0..4).map(|_| Identity::new(&["localhost"])).collect();
    let known = || std::iter::once(gateway.identity()).chain(&all);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut asked = 0;
                    while !stop.load(Ordering::Relaxed) {
                        // Whichever is in force: one of them is.
                        let mut all = (0..5).flat_map(|_| known());
                        let wire = all.find_map(|identity| {
                            tls::try_connect(gateway.https(), identity, "localhost", &["http/1.1"])
                                .ok()
                        });
                        let mut raw = Raw::over(wire.expect("a certificate of ours"));
                        assert_eq!(ask(&mut raw, "localhost"), 200);
                        asked += 1;
                    }
                    asked
                })
            })
            .collect();
        for identity in &all {
            renew(&gateway, identity);
            eventually("the renewed certificate", || {
                shows(&gateway, identity, "localhost").then_some(())
            });
        }
        stop.store(true, Ordering::Relaxed);
        let asked: usize = clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum();
        assert!(asked > 20, "{asked}");
    });
}
