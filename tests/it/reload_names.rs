//! Reloads while a name server is silent (G-01): what the file closes is closed, and nothing older is put in force beside it.
//!
//! The gateway's look-ups of one name are kept from ending by a library of the test's own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::certificates::{Bench, asking};
use crate::harness::issuer::{Issuer, numbered};
use crate::harness::{Gateway, Setup, Trial, eventually};
use crate::tunnels::agreeing;

/// Tells that it is asked for the name, and never answers.
const SILENT: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (node && strcmp(node, "silent.test") == 0) {
        close(open(getenv("TEST_NAMES_ASKED"), O_WRONLY | O_CREAT, 0600));
        for (;;) pause();
    }
    *(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
    return next(node, service, hints, found);
}
"#;

/// A name server of which one name is never heard again.
struct Silent(TempDir);

impl Silent {
    fn new() -> Self {
        let silent = Self(TempDir::with_prefix("portcullis-it-").unwrap());
        let source = silent.at("silent.c");
        fs::write(&source, SILENT).unwrap();
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&silent.at("silent.so"), &source])
            .arg("-ldl")
            .status();
        assert!(built.unwrap().success());
        silent
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn of(&self, setup: Setup) -> Setup {
        let path = |name| self.at(name).to_str().unwrap().to_owned();
        setup
            .env("LD_PRELOAD", &path("silent.so"))
            .env("TEST_NAMES_ASKED", &path("asked"))
    }

    fn is_asked(&self) {
        eventually("the name to be looked up", || {
            fs::remove_file(self.at("asked")).ok()
        });
    }
}

/// The same with an upstream that cannot be looked up.
fn with_silent(setup: &Setup) -> Setup {
    setup.clone().upstream(
        "silent",
        "{ to: [\"http://silent.test:8080\", \"http://127.0.0.1:9\"] }",
    )
}

fn write(gateway: &Gateway, setup: &Setup) {
    gateway.write("gateway.yaml", &setup.yaml());
    gateway.signal("HUP");
}

#[test]
fn g_01_a_silent_name_server_leaves_nothing_open_that_the_file_has_closed() {
    let silent = Silent::new();
    let open = "  - { path: /public/**, allow: anyone }\n  - { path: /gone/**, allow: anyone }";
    let setup = silent.of(Setup::new().rules(open));
    let closed = with_silent(&setup).rules("  - { path: /public/**, allow: anyone }");
    let gateway = setup.clone().start();
    let mut trial = Trial::with_plain_twin(&gateway, "G-01");
    trial.served(&trial.get("/gone/x", ""));
    assert!(gateway.reload_with(&closed), "it was not waited for");
    silent.is_asked();
    let refused = trial.refused(trial.get("/gone/x", ""));
    assert_eq!(refused.answer.map(|answer| answer.status), Some(403));
    assert!(gateway.log().contains("silent.test"), "{}", gateway.log());
    // Whose address is in the file is known all the same.
    let shown = gateway.metrics().labels_of("portcullis_upstream_healthy");
    let shown: Vec<_> = shown.iter().map(|labels| &*labels["address"]).collect();
    assert!(shown.contains(&"127.0.0.1:9"), "{shown:?}");
    // And so where the upstream is what it was.
    let setup = with_silent(&setup);
    assert!(gateway.reload_with(&setup));
    trial.served(&trial.get("/gone/x", ""));
}

#[test]
fn g_01_a_list_that_comes_while_a_reload_waits_stays_in_force() {
    let (silent, issuer) = (Silent::new(), Issuer::new("the authority"));
    let more = ", user: subject.cn, crl: clients.crl";
    let setup = asking(Setup::before(agreeing()), &issuer, more);
    let setup = silent.of(setup.asset("clients.crl", &issuer.edition(1, &[])));
    let bench = Bench::of(setup.clone().start(), issuer);
    let [alice, twin] = [1, 2].map(|at| bench.issuer.with(numbered("alice", at)));
    bench.allowed(&mut bench.connect(Some(&alice)), "/only/x", "");
    write(&bench.gateway, &with_silent(&setup));
    silent.is_asked();
    let newer = bench.issuer.edition(2, &[1]);
    bench.gateway.write("clients.crl", &newer);
    bench.gateway.says("configuration reloaded");
    bench.no_handshake(&alice, "revoked meanwhile");
    bench.allowed(&mut bench.connect(Some(&twin)), "/only/x", "");
    // What cannot be used leaves everything as it was.
    bench.gateway.write("clients.crl", "junk");
    assert!(!bench.gateway.reload(), "a reload took it over");
    let log = bench.gateway.log();
    let said = log.lines().find(|line| line.contains("not reloaded"));
    assert!(said.unwrap().contains("holds no PEM list"), "{log}");
    bench.no_handshake(&alice, "still revoked");
    bench.allowed(&mut bench.connect(Some(&twin)), "/only/x", "");
}

/// The port that the system chose is in no file, and what stood there as the site is in force no more.
#[test]
fn g_01_a_site_that_is_taken_out_is_not_kept_in_silence() {
    let setup = Setup::new().set("site", "http://app.localhost");
    let gateway = setup.clone().start();
    assert!(!gateway.reload_with(&setup.clone().without("site")));
    gateway.says("a change of site needs a restart");
    assert!(gateway.reload_with(&setup));
}
