//! Looks that fail, and readings that come late: what has changed must be found out all the same.

use futures_util::FutureExt;
use tokio::time::timeout;

use super::super::ends::{Ends, News, Source};
use super::*;
use crate::base::identity::Identity;
use crate::base::identity::fixture::identity;
use crate::base::token::TokenHash;

const AWAY: &str = "ALTER TABLE volatile_entries RENAME TO away";
const BACK: &str = "ALTER TABLE away RENAME TO volatile_entries";

/// Has the store fail from here on, or answer again.
async fn run(bench: &Bench, sql: &'static str) {
    let statement = Statement::write("test", sql).with([]);
    bench.store.db.execute(statement).await.unwrap();
}

/// To do once more what is done already looks at nothing.
#[tokio::test]
async fn w_01_a_look_that_failed_is_not_forgotten() {
    let bench = bench(None).await;
    let token = bench.begin().await;
    let opened = bench.sessions.find(&token).await.unwrap().unwrap();
    bench.sessions.reconsider(bench.user.id).await.unwrap();
    assert!(bench.sessions.missed().now_or_never().is_none());
    run(&bench, AWAY).await;
    assert!(bench.sessions.reconsider(bench.user.id).await.is_err());
    assert!(bench.sessions.missed().now_or_never().is_some());
    assert!(bench.sessions.revalidate().await.is_err());
    assert!(bench.sessions.missed().now_or_never().is_some());
    assert!(!opened.ended().is_cancelled());
    run(&bench, BACK).await;
    bench.sessions.look_through().await.unwrap();
    assert!(bench.sessions.missed().now_or_never().is_none());
}

/// Those whose change is looked at by nobody else end once the store answers.
#[tokio::test]
async fn w_01_what_could_not_be_looked_at_ends_later() {
    let bench = bench(None).await;
    let token = bench.begin().await;
    let opened = bench.sessions.find(&token).await.unwrap().unwrap();
    let sessions = bench.sessions.clone();
    let following = tokio::spawn(async move { sessions.follow_changes().await });
    run(&bench, AWAY).await;
    bench.store.delete_user(bench.user.id).await.unwrap();
    let ended = bench.sessions.reconsider(bench.user.id).await;
    assert!(ended.is_err() && !opened.ended().is_cancelled());
    run(&bench, BACK).await;
    let patience = Duration::from_secs(30);
    let ended = timeout(patience, opened.ended().cancelled()).await;
    following.abort();
    ended.unwrap();
}

/// Whoever finds out that there is nothing any more tells those who have it open.
#[tokio::test]
async fn w_01_a_request_that_finds_no_session_ends_what_is_open() {
    let bench = bench(None).await;
    let token = bench.begin().await;
    let opened = bench.sessions.find(&token).await.unwrap().unwrap();
    bench.store.delete_user(bench.user.id).await.unwrap();
    bench.sessions.distrust();
    assert!(!opened.ended().is_cancelled());
    assert!(bench.sessions.find(&token).await.unwrap().is_none());
    assert!(opened.ended().is_cancelled());
}

#[test]
fn w_01_a_reading_that_was_overtaken_brings_nothing_back() {
    let end = Ends::default().of(&Source::Row(TokenHash::of(b"a")));
    let who = |roles: &[&str]| -> Arc<Identity> { Arc::new(identity("alice", roles, &[])) };
    let (more, less) = (who(&["user", "staff"]), who(&["user"]));
    let steps = [
        // The later one had nothing to compare with.
        (2, &less, News::None),
        (1, &more, News::Stale),
        (1, &less, News::None),
        (2, &more, News::None),
        (3, &less, News::Lost),
        (2, &more, News::Stale),
        (2, &less, News::None),
        (3, &less, News::None),
    ];
    for (at, (epoch, who, news)) in steps.into_iter().enumerate() {
        assert_eq!(end.note(epoch, who, false), news, "step {at}");
    }
    assert_eq!(end.note(4, &more, true), News::Lost);
}
