//! Sessions under load: never more than allowed, and never back from the dead (C-08, R-08).

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Gateway, Raw, Setup, Trial, marker, within};
use crate::sessions_ends::{line, listed, logout, request, user_id};

#[test]
fn c_08_parallel_logins_never_exceed_the_limit() {
    let gateway = Setup::new().set("session", "{ per_user: 3 }").start();
    let alice = user_id(&gateway, "alice");
    // Another user's sessions do not count.
    let root = gateway.login("root");
    let done = AtomicBool::new(false);
    let cookies: Vec<String> = thread::scope(|scope| {
        let gateway = &gateway;
        let most = scope.spawn(|| {
            let mut most = 0.0_f64;
            while !done.load(Ordering::Acquire) {
                most = most.max(gateway.metrics().sum("portcullis_sessions_active", &[]));
            }
            most
        });
        let logins: Vec<_> = (0..16)
            .map(|_| scope.spawn(move || gateway.login("alice")))
            .collect();
        let cookies = logins
            .into_iter()
            .map(|login| login.join().unwrap())
            .collect();
        done.store(true, Ordering::Release);
        let most = most.join().unwrap();
        assert!(most < 4.5, "{most} sessions at once, root's one included");
        cookies
    });
    let live = listed(&gateway)
        .iter()
        .filter(|session| session["user_id"] == alice)
        .count();
    assert_eq!(live, 3);
    let mut trial = Trial::new(&gateway, "C-08");
    trial.allowed(trial.get("/app/x", &line(&root)));
    let mut open = 0;
    for cookie in &cookies {
        let ask = trial.get("/app/x", &line(cookie));
        if gateway.ask(request("/app/y", cookie)).status == 200 {
            trial.served(&ask);
            open += 1;
        } else {
            trial.denied(&ask, "");
        }
    }
    assert_eq!(open, 3);
    // The oldest gives way, not the newest.
    let newest = gateway.login("alice");
    trial.served(&trial.get("/app/x", &line(&newest)));
}

/// Sends requests with this cookie until told to stop. Sent after the session has ended, they must be denied;
/// under way when it ends, they may be cut.
fn hammer(gateway: &Gateway, cookie: &str, mark: &str, ended: &AtomicBool, stop: &AtomicBool) {
    let mut raw = Raw::connect(gateway.http());
    while !stop.load(Ordering::Acquire) {
        let after = ended.load(Ordering::Acquire);
        raw.send(format!(
            "GET /app/x HTTP/1.1\r\nHost: localhost\r\nX-Marker: {mark}\r\nCookie: {cookie}\r\n\r\n"
        ));
        let Ok(answer) = raw.try_read() else {
            raw = Raw::connect(gateway.http());
            continue;
        };
        assert!(
            !after || answer.denies_anonymous(),
            "{} after the logout",
            answer.status
        );
    }
}

#[test]
fn r_08_logout_wins_over_requests_that_refresh_the_session() {
    // "Last seen" is written every 200 ms here, so that logouts meet it.
    let gateway = Setup::new()
        .set("session", "{ idle: 800ms, max: 1h }")
        .start();
    let root = gateway.login("root");
    let mut rounds = 0;
    for round in 0_u64..24 {
        let cookie = gateway.login("alice");
        let mark = marker("R-08");
        let (ended, stop) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| hammer(&gateway, &cookie, &mark, &ended, &stop));
            }
            // The twin: the same requests are served while the session lives.
            gateway.recorder().wait_for(&mark, 3);
            let begun = Instant::now();
            let moment = Duration::from_millis(150 + round * 5);
            let mut root_raw = gateway.connect();
            within(moment.saturating_sub(begun.elapsed()), || {
                root_raw.ask(request("/app/root", &root));
                None::<()>
            });
            if logout(&gateway, &cookie) == 200 {
                ended.store(true, Ordering::Release);
                rounds += 1;
            }
            let seen = gateway.recorder().with(&mark).len();
            // A write that was on its way may land now; the session must stay dead all the same.
            within(Duration::from_millis(60), || {
                let answer = gateway.ask(request("/app/x", &cookie));
                assert!(answer.denies_anonymous(), "came back: {}", answer.status);
                None::<()>
            });
            stop.store(true, Ordering::Release);
            let late = gateway.recorder().with(&mark).len() - seen;
            assert!(late <= 3, "{late} requests forwarded after the logout");
        });
    }
    assert!(rounds > 12, "only {rounds} sessions lived to be logged out");
    // No row came back to life, either.
    let alice = user_id(&gateway, "alice");
    let left = listed(&gateway);
    assert!(left.iter().all(|row| row["user_id"] != alice), "{left:?}");
}
