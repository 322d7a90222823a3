//! Driven all the while: files and processes follow one another, in the clear, over TLS and over HTTP/2 (G-03, G-13).
//! No request fails, and each is judged by the one file that its answer names.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use crate::hand_over::Line;
use crate::harness::h2::Outcome;
use crate::harness::setup::Folder;
use crate::harness::{Gateway, H2, Raw, Recorder, Reply, Setup, dice, eventually};

const RELOADED: &str = "configuration reloaded";

/// What one client saw.
#[derive(Default, Clone, Copy)]
struct Seen {
    answers: usize,
    allowed: usize,
    /// Requests that a connection on its way out did not take, which HTTP/2 lets a client send again (RFC 9113, 6.8).
    not_taken: usize,
}

impl Seen {
    /// One of two paths in turn.
    const fn path(self) -> &'static str {
        if self.answers.is_multiple_of(2) {
            "/sky"
        } else {
            "/sea"
        }
    }

    /// Counts an answer to [`Self::path`], which must be what the file says that it names.
    fn take(&mut self, status: u16, snapshot: Option<&str>) {
        let open = match snapshot {
            Some("blue") => "/sky",
            Some("green") => "/sea",
            other => panic!("judged by {other:?}: {status}"),
        };
        let wanted = if self.path() == open { 200 } else { 403 };
        assert_eq!(status, wanted, "{}", self.path());
        self.answers += 1;
        self.allowed += usize::from(status == 200);
    }

    const fn and(self, other: Self) -> Self {
        Self {
            answers: self.answers + other.answers,
            allowed: self.allowed + other.allowed,
            not_taken: self.not_taken + other.not_taken,
        }
    }
}

/// How a client speaks.
#[derive(Clone, Copy)]
enum Manner {
    /// HTTP/1.1, one connection as long as it is let.
    Kept,
    /// HTTP/1.1, a connection for each request.
    Fresh,
    /// HTTP/2, one connection as long as it is let.
    Streams,
}

/// Asks until it is told to stop.
fn drive(gateway: &Gateway, stop: &AtomicBool, tls: bool, manner: Manner) -> Seen {
    match manner {
        Manner::Kept => drive_http_1(gateway, stop, tls, false),
        Manner::Fresh => drive_http_1(gateway, stop, tls, true),
        Manner::Streams => drive_http_2(gateway, stop),
    }
}

fn drive_http_1(gateway: &Gateway, stop: &AtomicBool, tls: bool, fresh: bool) -> Seen {
    let connect = || {
        if tls {
            Raw::over(gateway.tls("localhost", &["http/1.1"]))
        } else {
            gateway.connect()
        }
    };
    let mut seen = Seen::default();
    let mut kept: Option<Raw> = None;
    while !stop.load(Ordering::Relaxed) {
        let mut raw = kept.take().unwrap_or_else(connect);
        let path = seen.path();
        let answer = raw.ask(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let snapshot = answer.header("x-portcullis-snapshot");
        seen.take(answer.status, snapshot.as_deref());
        let closes = answer
            .header("connection")
            .is_some_and(|said| said.eq_ignore_ascii_case("close"));
        kept = (!closes && !fresh).then_some(raw);
    }
    seen
}

fn drive_http_2(gateway: &Gateway, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut kept: Option<H2> = None;
    while !stop.load(Ordering::Relaxed) {
        let mut h2 = kept
            .take()
            .unwrap_or_else(|| H2::over(gateway.tls("localhost", &["h2"])));
        let path = [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", seen.path()),
        ];
        let stream = h2.open(&path, true);
        let outcome = h2.read(stream);
        if let Outcome::Answer { status, .. } = outcome {
            let snapshot = outcome.values("x-portcullis-snapshot");
            seen.take(status, snapshot.first().map(String::as_str));
        } else {
            assert!(
                h2.last_taken.is_some_and(|last| last < stream),
                "{outcome:?}"
            );
            seen.not_taken += 1;
        }
        kept = h2.last_taken.is_none().then_some(h2);
    }
    seen
}

/// Which of the two paths this file opens. The other one it closes.
fn policy(recorder: &Recorder, blue: bool, tls: bool) -> Setup {
    let (name, open, shut) = if blue {
        ("blue", "/sky", "/sea")
    } else {
        ("green", "/sea", "/sky")
    };
    let setup = Setup::before(recorder.clone())
        .set("diagnostics", &format!("{{ snapshot: {name} }}"))
        .rules(&format!(
            "  - {{ path: {open}, allow: anyone }}\n  - {{ path: {shut}, allow: nobody }}\n"
        ));
    if tls {
        setup.tls(&["localhost"])
    } else {
        setup
    }
}

fn swap(folder: &Folder, text: &str) {
    // At once, as editors do it: half a file is a fault, and faults are not what is tried here.
    folder.write("next.yaml", text);
    std::fs::rename(folder.path().join("next.yaml"), folder.config()).unwrap();
}

/// Reloads so often, hands over so often on the way, and tells what clients saw meanwhile.
fn exchange(tls: bool, manners: &[Manner], reloads: usize, hand_overs: usize) {
    let recorder = Recorder::start();
    recorder.answer(|_| Reply::ok("quick"));
    let blue = policy(&recorder, true, tls);
    let texts = [blue.yaml(), policy(&recorder, false, tls).yaml()];
    assert!(texts[0].contains("127.0.0.1:0") && texts[0] != texts[1]);
    let gateway = blue.start();
    let stop = AtomicBool::new(false);
    let served = recorder.count();
    let began = Instant::now();
    let seen = thread::scope(|scope| {
        let clients: Vec<_> = manners
            .iter()
            .map(|manner| scope.spawn(|| drive(&gateway, &stop, tls, *manner)))
            .collect();
        let mut line = Line::of(&gateway);
        for n in 1..=reloads {
            swap(&gateway, &texts[n % 2]);
            let before = gateway.log().matches(RELOADED).count();
            assert!(line.signal("HUP"));
            eventually("the reload", || {
                (gateway.log().matches(RELOADED).count() > before).then_some(())
            });
            if n % (reloads / hand_overs).max(1) == 0 {
                line.hand_over();
            }
        }
        assert!(line.pids.len() > hand_overs, "{:?}", line.pids);
        stop.store(true, Ordering::Relaxed);
        let seen = clients.into_iter().map(|client| client.join().unwrap());
        seen.fold(Seen::default(), Seen::and)
    });
    let rate = seen.answers * 1_000 / usize::try_from(began.elapsed().as_millis()).unwrap();
    println!(
        "{} answers, {rate} a second, {} allowed, {} not taken, {reloads} reloads, {hand_overs} hand-overs",
        seen.answers, seen.allowed, seen.not_taken
    );
    // Each file was asked for ten answers at least while it was in force.
    assert!(
        seen.answers > 10 * reloads && seen.allowed > 4 * reloads,
        "{} {}",
        seen.answers,
        seen.allowed
    );
    assert_eq!(
        recorder.count() - served,
        seen.allowed,
        "forwarded and not allowed, or the other way round"
    );
}

fn count(name: &str, usual: u64) -> usize {
    usize::try_from(dice::setting(name).unwrap_or(usual)).unwrap()
}

/// `PORTCULLIS_TEST_RELOADS` and `PORTCULLIS_TEST_HAND_OVERS` ask for other numbers.
#[test]
fn g_03_g_13_reloads_and_hand_overs_fail_and_misjudge_nothing() {
    exchange(
        false,
        &[Manner::Fresh, Manner::Kept, Manner::Kept, Manner::Kept],
        count("PORTCULLIS_TEST_RELOADS", 200),
        count("PORTCULLIS_TEST_HAND_OVERS", 20),
    );
}

#[test]
fn g_03_g_13_nor_do_they_over_tls_and_http_2() {
    exchange(
        true,
        &[
            Manner::Fresh,
            Manner::Kept,
            Manner::Streams,
            Manner::Streams,
        ],
        count("PORTCULLIS_TEST_RELOADS", 200),
        count("PORTCULLIS_TEST_HAND_OVERS", 20),
    );
}
