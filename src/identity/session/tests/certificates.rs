//! Certificates as sessions: what they stand for, for how long, and what they may cost.

use std::pin::{Pin, pin};
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Wake, Waker};

use super::*;
use crate::crypto::client::ClientCertificate;
use crate::crypto::client_roots::ClientRoots;
use crate::crypto::client_roots::tests::{Authority, roots};
use crate::store::statement::Statement;

fn params(name: &str) -> rcgen::CertificateParams {
    let mut params = rcgen::CertificateParams::default();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2021, 1, 1);
    params.not_after = rcgen::date_time_ymd(2024, 1, 1);
    params
}

fn shown_and_roots(name: &str) -> (Arc<ClientCertificate>, Arc<ClientRoots>) {
    let authority = Authority::new("authority");
    (
        Arc::new(authority.issue(params(name))),
        Arc::new(authority.roots()),
    )
}

#[tokio::test]
async fn c_15_a_certificate_stands_for_its_user_while_somebody_vouches_for_it() {
    let bench = bench(None).await;
    let (shown, roots) = shown_and_roots("alice");
    let find = || async { bench.sessions.find_certificate(&shown).await.unwrap() };
    let vouch = |roots| bench.sessions.roots().store(roots);
    assert!(find().await.is_none(), "nobody vouches for anybody");
    vouch(Some(Arc::clone(&roots)));
    bench.sessions.revalidate().await.unwrap();
    let live = find().await.unwrap();
    assert_eq!(live.identity.id, bench.user.id);
    assert!(Arc::ptr_eq(&live, &find().await.unwrap()), "remembered");
    let listed = bench.sessions.of_user(bench.user.id).await.unwrap();
    assert!(listed.is_empty(), "it has no row");

    let active = async |active| {
        let users = &bench.store.users;
        users
            .set_active(bench.user.id, active, START)
            .await
            .unwrap();
        bench.sessions.reconsider(bench.user.id).await.unwrap();
    };
    active(false).await;
    assert!(live.ended().is_cancelled() && find().await.is_none());
    active(true).await;
    let live = find().await.unwrap();
    vouch(Some(shown_and_roots("alice").1));
    bench.sessions.revalidate().await.unwrap();
    assert!(live.ended().is_cancelled() && find().await.is_none());

    vouch(Some(roots));
    bench.sessions.revalidate().await.unwrap();
    let live = find().await.unwrap();
    bench.clock.advance(60 * 24 * HOUR);
    bench.sessions.end_expired().await.unwrap();
    assert!(live.ended().is_cancelled() && find().await.is_none());
}

#[tokio::test]
async fn a_certificate_that_a_clock_refused_which_was_ahead_is_looked_at_again() {
    let bench = bench(None).await;
    let (shown, roots) = shown_and_roots("alice");
    bench.sessions.roots().store(Some(roots));
    let find = || async { bench.sessions.find_certificate(&shown).await.unwrap() };
    bench.clock.advance(60 * 24 * HOUR);
    assert!(find().await.is_none(), "expired");
    bench.clock.set_back(60 * 24 * HOUR);
    assert!(find().await.is_some(), "nothing has happened but that");
}

#[tokio::test]
async fn one_certificate_in_ever_other_company_fills_nothing() {
    let bench = bench(None).await;
    let authority = Authority::new("authority");
    bench
        .sessions
        .roots()
        .store(Some(Arc::new(authority.roots())));
    let token = bench.begin().await;
    let session = bench.sessions.find(&token).await.unwrap().unwrap();
    for shown in authority.issue_beside(&params("alice"), CERTIFICATE_ENTRIES + 500) {
        let found = bench.sessions.find_certificate(&Arc::new(shown)).await;
        assert_eq!(found.unwrap().unwrap().identity.id, bench.user.id);
    }
    let kept = bench.sessions.0.ends.in_use().len();
    assert!(kept <= CERTIFICATE_ENTRIES + 1, "{kept}");
    let again = bench.sessions.find(&token).await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&session, &again), "sessions are kept apart");
}

#[tokio::test]
async fn w_01_what_is_open_ends_with_those_who_vouch_and_with_their_lists() {
    for (what, authority_until, list_until, ends) in [
        ("authority", 2024, 2040, true),
        ("list", 2040, 2024, true),
        ("neither", 2040, 2040, false),
    ] {
        let bench = bench(None).await;
        let authority = Authority::of_years("authority", 2020, authority_until);
        let list = authority.list(&[7], list_until);
        let vouching = Arc::new(roots(&[&authority], Some(&list)));
        bench.sessions.roots().store(Some(vouching));
        let mut params = params("alice");
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let shown = Arc::new(authority.issue(params));
        let live = bench.sessions.find_certificate(&shown).await;
        let live = live.unwrap().unwrap();
        bench.clock.advance(60 * 24 * HOUR);
        bench.sessions.end_expired().await.unwrap();
        assert_eq!(live.ended().is_cancelled(), ends, "{what}");
    }
}

/// Something that is done one step at a time: what it waits for has been answered before the next one.
struct Stepped<'a, T> {
    work: Pin<&'a mut dyn Future<Output = T>>,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

impl<'a, T> Stepped<'a, T> {
    fn new(work: Pin<&'a mut dyn Future<Output = T>>) -> Self {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        Self { work, woken }
    }

    /// What comes of it, if that was the last step.
    async fn step(&mut self) -> Option<T> {
        self.woken.0.store(false, Ordering::Release);
        let waker = Waker::from(Arc::clone(&self.woken));
        let polled = self.work.as_mut().poll(&mut Context::from_waker(&waker));
        if let Poll::Ready(done) = polled {
            return Some(done);
        }
        while !self.woken.0.load(Ordering::Acquire) {
            tokio::task::yield_now().await;
        }
        None
    }
}

#[tokio::test]
async fn c_15_whoever_is_disabled_while_their_certificate_is_read_is_nobody() {
    for steps in 1.. {
        let bench = bench(None).await;
        let (shown, roots) = shown_and_roots("alice");
        bench.sessions.roots().store(Some(roots));
        let mut finding = pin!(bench.sessions.find_certificate(&shown));
        let mut stepped = Stepped::new(finding.as_mut());
        let mut found = None;
        // The store may be quicker this time and leave fewer steps.
        for _ in 0..steps {
            if found.is_none() {
                found = stepped.step().await;
            }
        }
        let in_time = found.is_none();
        let users = &bench.store.users;
        let disabled = users.set_active(bench.user.id, false, START).await;
        disabled.unwrap();
        bench.sessions.reconsider(bench.user.id).await.unwrap();
        while found.is_none() {
            found = stepped.step().await;
        }
        let live = found.unwrap().unwrap();
        assert!(
            live.is_none_or(|live| live.ended().is_cancelled()),
            "{steps}"
        );
        if !in_time {
            return;
        }
    }
}

#[tokio::test]
async fn who_changes_with_every_reading_is_not_told_to_be_nobody() {
    let bench = bench(None).await;
    let (shown, roots) = shown_and_roots("alice");
    bench.sessions.roots().store(Some(roots));
    // How much is done in a step is the store's to say, so once is not enough.
    loop {
        let mut finding = pin!(bench.sessions.find_certificate(&shown));
        let mut stepped = Stepped::new(finding.as_mut());
        let found = loop {
            bench.sessions.0.ends.announce(&shown.hash());
            if let Some(found) = stepped.step().await {
                break found;
            }
        };
        match found {
            Ok(Some(live)) => bench.sessions.0.ends.announce(&live.end.source().hash()),
            Ok(None) => panic!("told to be nobody"),
            Err(fault) => {
                assert!(matches!(fault, IdentityFault::Unsettled), "{fault}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn c_15_who_vouches_no_more_is_heard_of_though_the_store_does_not_answer() {
    const BREAK: Statement = Statement::write("test.break", "ALTER TABLE users RENAME TO gone");
    let bench = bench(None).await;
    let (shown, roots) = shown_and_roots("alice");
    bench.sessions.roots().store(Some(roots));
    let mut in_use = Vec::new();
    for _ in 0..20 {
        let token = bench.begin().await;
        in_use.push(bench.sessions.find(&token).await.unwrap().unwrap());
    }
    let live = bench.sessions.find_certificate(&shown).await;
    let live = live.unwrap().unwrap();
    bench.store.db.execute(BREAK.with([])).await.unwrap();
    bench.sessions.roots().store(None);
    bench.sessions.revalidate().await.unwrap_err();
    assert!(live.ended().is_cancelled());
    assert!(!in_use.iter().any(|live| live.ended().is_cancelled()));
}

#[tokio::test]
async fn one_that_does_not_count_is_looked_at_once_a_second_or_after_a_change() {
    let bench = bench(None).await;
    let (shown, roots) = shown_and_roots("alice");
    bench.sessions.roots().store(Some(roots));
    let counts = async || {
        let found = bench.sessions.find_certificate(&shown).await;
        found.unwrap().is_some()
    };
    let set = async |active| {
        let users = &bench.store.users;
        let set = users.set_active(bench.user.id, active, START).await;
        set.unwrap();
    };
    set(false).await;
    assert!(!counts().await);
    // As another process does it, of which nobody has heard yet.
    set(true).await;
    assert!(!counts().await);
    bench.clock.advance(Duration::from_secs(1));
    assert!(counts().await);
    set(false).await;
    bench.sessions.reconsider(bench.user.id).await.unwrap();
    assert!(!counts().await);
    set(true).await;
    bench.sessions.reconsider(bench.user.id).await.unwrap();
    assert!(counts().await, "a change that is known of is felt at once");
}
