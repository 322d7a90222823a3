//! Volatile entries by owner: listed, ended, and never more than the cap.

use std::collections::BTreeSet;

use super::volatile::{Shared, entry, get, key, make, owned, replace};
use super::{at, on_every_volatile, together};
use crate::base::time::SKEW;
use crate::store::volatile::{Key, Kind, NewEntry};

on_every_volatile! {
    owners_have_their_own
    all_of_a_kind_go_at_once
    c_08_never_more_than_the_cap
    c_08_the_oldest_go
    c_08_what_a_clock_made_that_was_ahead_takes_no_place
    a_capped_entry_whose_key_is_taken_changes_nothing
    entries_are_scanned_in_pages
}

async fn owners_have_their_own(store: Shared) {
    for n in 0..6 {
        let owner = if n % 2 == 0 { 7 } else { 8 };
        let age = i64::try_from(5 - n).unwrap();
        make(&store, Kind::Session, owned(n, owner, 1000), at(age)).await;
    }
    make(&store, Kind::Flow, owned(9, 7, 1000), at(0)).await;
    make(&store, Kind::Session, entry(10, 1000), at(0)).await;
    let keys = async |owner| {
        let entries = store.owned(Kind::Session, owner, at(10)).await.unwrap();
        entries
            .into_iter()
            .map(|entry| entry.key)
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(7).await, [key(4), key(2), key(0)], "oldest first");
    let gone = store
        .delete_owned(Kind::Session, 7, Some(&key(2)))
        .await
        .unwrap();
    assert_eq!(
        gone.into_iter().collect::<BTreeSet<_>>(),
        [key(0), key(4)].into()
    );
    assert_eq!(keys(7).await, [key(2)]);
    assert_eq!(store.forget(7).await.unwrap(), 2);
    assert_eq!(keys(7).await, []);
    assert_eq!(store.get(Kind::Flow, &key(9), at(1)).await.unwrap(), None);
    assert_eq!(keys(8).await.len(), 3);
    assert_eq!(store.live(Kind::Session, at(1)).await.unwrap(), 4);
}

async fn all_of_a_kind_go_at_once(store: Shared) {
    for (n, until) in [(0, 1000), (1, 5), (2, 1000)] {
        make(&store, Kind::Session, entry(n, until), at(0)).await;
    }
    make(&store, Kind::Session, owned(3, 7, 1000), at(0)).await;
    make(&store, Kind::Flow, owned(4, 7, 1000), at(0)).await;
    let all = async || store.delete_all(Kind::Session, at(10)).await.unwrap();
    let gone: BTreeSet<Key> = all().await.into_iter().collect();
    assert_eq!(gone, [key(0), key(2), key(3)].into());
    assert_eq!(store.live(Kind::Session, at(0)).await.unwrap(), 0);
    assert_eq!(store.live(Kind::Flow, at(10)).await.unwrap(), 1);
    assert_eq!(
        store.owned(Kind::Session, 7, at(10)).await.unwrap().len(),
        0
    );
    assert!(all().await.is_empty());
    // There is room again.
    make(&store, Kind::Session, entry(0, 1000), at(10)).await;
    assert!(get(&store, 0, 10).await.is_some());
}

async fn c_08_never_more_than_the_cap(store: Shared) {
    make(&store, Kind::Session, owned(99, 8, 1000), at(0)).await;
    let done = together(20, |n| {
        let store = store.clone();
        async move {
            let ended = store
                .create_capped(Kind::Session, owned(n, 7, 1000), 3, at(0))
                .await
                .unwrap()
                .unwrap();
            (
                ended,
                store.owned(Kind::Session, 7, at(0)).await.unwrap().len(),
            )
        }
    })
    .await;
    assert!(done.iter().all(|(_, live)| *live <= 3), "{done:?}");
    let ended: BTreeSet<Key> = done
        .iter()
        .flat_map(|(ended, _)| ended.iter().copied())
        .collect();
    let live: BTreeSet<Key> = store
        .owned(Kind::Session, 7, at(0))
        .await
        .unwrap()
        .into_iter()
        .map(|entry| entry.key)
        .collect();
    assert_eq!((ended.len(), live.len()), (17, 3));
    assert!(ended.is_disjoint(&live));
    assert_eq!(
        store.owned(Kind::Session, 8, at(0)).await.unwrap().len(),
        1,
        "others are not touched"
    );
}

async fn c_08_the_oldest_go(store: Shared) {
    let create = async |n, cap, now| {
        store
            .create_capped(Kind::Session, owned(n, 7, 1000), cap, at(now))
            .await
            .unwrap()
            .unwrap()
    };
    for (n, now) in [(0, 30), (1, 10), (2, 20)] {
        assert_eq!(create(n, 3, now).await, []);
    }
    // Being seen does not make a session younger.
    let version = get(&store, 1, 30).await.unwrap().version;
    replace(&store, 1, version, "seen", 30).await.unwrap();
    assert_eq!(create(3, 3, 40).await, [key(1)]);
    assert_eq!(create(4, 3, 50).await, [key(2)]);
    // A smaller cap ends as many as it takes, and the newest always stays.
    let ended: BTreeSet<Key> = create(5, 1, 60).await.into_iter().collect();
    assert_eq!(ended, [key(0), key(3), key(4)].into());
    assert_eq!(create(6, 0, 70).await, [key(5)]);
    assert!(get(&store, 6, 71).await.is_some());
    // What has expired takes no place.
    assert_eq!(
        store.owned(Kind::Session, 7, at(1000)).await.unwrap().len(),
        0
    );
    let late = NewEntry {
        expires_at: at(5000),
        ..owned(7, 7, 0)
    };
    store
        .create_capped(Kind::Session, late, 2, at(1000))
        .await
        .unwrap()
        .unwrap();
    let late = NewEntry {
        expires_at: at(5000),
        ..owned(6, 7, 0)
    };
    assert!(
        store
            .create_capped(Kind::Session, late, 2, at(1001))
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(
        store.owned(Kind::Session, 7, at(1001)).await.unwrap().len(),
        2
    );
}

async fn c_08_what_a_clock_made_that_was_ahead_takes_no_place(store: Shared) {
    let hour = 3_600_000;
    let create = async |n, now| {
        let new = owned(n, 7, 99 * hour);
        let made = store.create_capped(Kind::Session, new, 3, at(now));
        made.await.unwrap().unwrap()
    };
    // By a clock that is a little ahead, as those of other nodes may be, and by one that is not put right yet.
    let skew = i64::try_from(SKEW.as_millis()).unwrap();
    for (n, now) in [(0, hour + skew), (1, 24 * hour), (2, 25 * hour)] {
        assert_eq!(create(n, now).await, []);
    }
    assert_eq!(create(3, hour).await, [key(1)]);
    assert_eq!(create(4, hour + 1).await, [key(2)]);
    // Then the oldest, as ever.
    assert_eq!(create(5, hour + 2).await, [key(3)]);
    assert_eq!(create(6, hour + 3).await, [key(4)]);
}

async fn a_capped_entry_whose_key_is_taken_changes_nothing(store: Shared) {
    make(&store, Kind::Session, owned(0, 8, 1000), at(0)).await;
    make(&store, Kind::Session, owned(1, 7, 1000), at(0)).await;
    assert_eq!(
        store
            .create_capped(Kind::Session, owned(0, 7, 1000), 1, at(1))
            .await
            .unwrap(),
        None
    );
    assert_eq!(get(&store, 0, 1).await.unwrap().owner, Some(8));
    assert!(get(&store, 1, 1).await.is_some());
}

async fn entries_are_scanned_in_pages(store: Shared) {
    for n in 0..25 {
        make(&store, Kind::Session, entry(n, 1000), at(0)).await;
    }
    make(&store, Kind::Flow, entry(30, 1000), at(0)).await;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store
            .scan(Kind::Session, after.as_ref(), 10, at(1))
            .await
            .unwrap();
        assert!(page.len() <= 10);
        let Some(last) = page.last() else { break };
        after = Some(last.key);
        seen.extend(page.into_iter().map(|entry| entry.key));
    }
    let mut all: Vec<Key> = (0..25).map(key).collect();
    all.sort();
    assert_eq!(seen, all);
}
