//! Certificates as sessions: what they stand for, for how long, and what they may cost.

use super::*;
use crate::crypto::client_roots::ClientRoots;
use crate::crypto::client_roots::tests::{Authority, roots};

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
    let live = find().await.unwrap();
    bench.clock.advance(60 * 24 * HOUR);
    bench.sessions.end_expired().await.unwrap();
    assert!(live.ended().is_cancelled() && find().await.is_none());
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
