//! The volatile store: every implementation keeps the same promises.

use std::sync::Arc;
use std::time::Duration;

use super::{at, on_every_volatile, together};
use crate::base::time::Timestamp;
use crate::store::volatile::{Entry, Key, Kind, NewEntry, VALUE_MAX, Volatile, VolatileError};

on_every_volatile! {
    an_entry_is_what_was_made
    one_of_many_makes_the_entry
    an_expired_entry_is_absent_and_its_key_is_free
    one_of_many_replaces
    r_08_a_replace_never_brings_back_the_dead
    r_08_a_replace_beside_a_delete_leaves_nothing
    a_version_is_not_used_again
    one_of_many_takes
    kinds_do_not_meet
    values_are_bytes_of_bounded_number
}

pub(super) type Shared = Arc<dyn Volatile>;

pub(super) fn key(n: usize) -> Key {
    Key::of(&[b"key", &n.to_be_bytes()])
}

pub(super) fn entry(n: usize, expires: i64) -> NewEntry {
    NewEntry {
        key: key(n),
        value: n.to_string().into_bytes(),
        owner: None,
        expires_at: at(expires),
    }
}

pub(super) fn owned(n: usize, owner: i64, expires: i64) -> NewEntry {
    NewEntry {
        owner: Some(owner),
        ..entry(n, expires)
    }
}

pub(super) async fn make(store: &Shared, kind: Kind, new: NewEntry, now: Timestamp) {
    assert!(store.create(kind, new, now).await.unwrap());
}

pub(super) async fn get(store: &Shared, n: usize, now: i64) -> Option<Entry> {
    store.get(Kind::Session, &key(n), at(now)).await.unwrap()
}

pub(super) async fn replace(
    store: &Shared,
    n: usize,
    version: i64,
    value: &str,
    now: i64,
) -> Option<i64> {
    let value = value.as_bytes().to_owned();
    store
        .replace(Kind::Session, &key(n), version, value, at(2000), at(now))
        .await
        .unwrap()
}

async fn an_entry_is_what_was_made(store: Shared) {
    make(&store, Kind::Session, owned(1, 7, 1000), at(0)).await;
    let found = get(&store, 1, 999).await.unwrap();
    let Entry {
        key: its_key,
        value,
        owner,
        version,
        created_at,
        expires_at,
    } = found;
    assert_eq!(
        (its_key, value, owner, created_at, expires_at),
        (key(1), b"1".to_vec(), Some(7), at(0), at(1000))
    );
    let next = replace(&store, 1, version, "two", 500).await.unwrap();
    let found = get(&store, 1, 1999).await.unwrap();
    assert_ne!(next, version);
    assert_eq!(
        (found.version, found.value, found.owner),
        (next, b"two".to_vec(), Some(7))
    );
    assert_eq!((found.created_at, found.expires_at), (at(0), at(2000)));
    assert!(store.delete(Kind::Session, &key(1)).await.unwrap());
    assert!(!store.delete(Kind::Session, &key(1)).await.unwrap());
    assert_eq!(get(&store, 1, 500).await, None);
}

async fn one_of_many_makes_the_entry(store: Shared) {
    let made = together(50, |n| {
        let store = store.clone();
        let new = NewEntry {
            value: vec![u8::try_from(n).unwrap()],
            ..entry(1, 1000)
        };
        async move {
            store
                .create(Kind::Session, new, at(0))
                .await
                .unwrap()
                .then_some(n)
        }
    })
    .await;
    let winners: Vec<usize> = made.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(
        get(&store, 1, 1).await.unwrap().value,
        [u8::try_from(winners[0]).unwrap()]
    );
}

async fn an_expired_entry_is_absent_and_its_key_is_free(store: Shared) {
    make(&store, Kind::Session, owned(1, 7, 1000), at(0)).await;
    assert!(
        !store
            .create(Kind::Session, entry(1, 3000), at(999))
            .await
            .unwrap()
    );
    assert!(get(&store, 1, 999).await.is_some());
    assert_eq!(get(&store, 1, 1000).await, None);
    assert_eq!(
        store.take(Kind::Session, &key(1), at(1000)).await.unwrap(),
        None
    );
    assert!(
        store
            .owned(Kind::Session, 7, at(1000))
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(store.live(Kind::Session, at(1000)).await.unwrap(), 0);
    assert!(
        store
            .scan(Kind::Session, None, 10, at(1000))
            .await
            .unwrap()
            .is_empty()
    );
    make(&store, Kind::Session, entry(1, 3000), at(1000)).await;
    let found = get(&store, 1, 2000).await.unwrap();
    assert_eq!((found.owner, found.created_at), (None, at(1000)));
}

async fn one_of_many_replaces(store: Shared) {
    make(&store, Kind::Session, entry(1, 1000), at(0)).await;
    let version = get(&store, 1, 0).await.unwrap().version;
    let done = together(40, |n| {
        let store = store.clone();
        async move { replace(&store, 1, version, &format!("by {n}"), 1).await }
    })
    .await;
    let next: Vec<i64> = done.into_iter().flatten().collect();
    assert_eq!(next.len(), 1);
    assert_eq!(get(&store, 1, 1).await.unwrap().version, next[0]);
}

async fn r_08_a_replace_never_brings_back_the_dead(store: Shared) {
    for n in 0..3 {
        make(&store, Kind::Session, owned(n, 7, 1000), at(0)).await;
    }
    let version = async |n| get(&store, n, 0).await.unwrap().version;
    let (deleted, taken, expired) = (version(0).await, version(1).await, version(2).await);
    store.delete(Kind::Session, &key(0)).await.unwrap();
    store
        .take(Kind::Session, &key(1), at(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(replace(&store, 0, deleted, "back", 1).await, None);
    assert_eq!(replace(&store, 1, taken, "back", 1).await, None);
    assert_eq!(replace(&store, 2, expired, "back", 1000).await, None);
    assert_eq!(replace(&store, 3, 1, "back", 1).await, None);
    for n in 0..4 {
        assert_eq!(get(&store, n, 1000).await, None);
    }
}

/// Log-out while other requests write "last seen": the session stays dead, however they interleave.
async fn r_08_a_replace_beside_a_delete_leaves_nothing(store: Shared) {
    for round in 0..20 {
        make(&store, Kind::Session, owned(round, 7, 1000), at(0)).await;
        together(12, |n| {
            let store = store.clone();
            async move {
                if n == 6 {
                    match round % 3 {
                        0 => drop(store.delete(Kind::Session, &key(round)).await.unwrap()),
                        1 => drop(store.delete_owned(Kind::Session, 7, None).await.unwrap()),
                        _ => drop(store.take(Kind::Session, &key(round), at(1)).await.unwrap()),
                    }
                    return;
                }
                while let Some(seen) = get(&store, round, 1).await {
                    replace(&store, round, seen.version, "seen", 1).await;
                    tokio::task::yield_now().await;
                }
            }
        })
        .await;
        assert_eq!(get(&store, round, 1).await, None);
    }
}

async fn a_version_is_not_used_again(store: Shared) {
    make(&store, Kind::Session, entry(1, 1000), at(0)).await;
    let stale = get(&store, 1, 0).await.unwrap().version;
    store.delete(Kind::Session, &key(1)).await.unwrap();
    make(&store, Kind::Session, entry(1, 1000), at(0)).await;
    assert_eq!(replace(&store, 1, stale, "stale", 1).await, None);
    make(&store, Kind::Session, entry(2, 10), at(0)).await;
    let stale = get(&store, 2, 0).await.unwrap().version;
    make(&store, Kind::Session, entry(2, 1000), at(10)).await;
    assert_eq!(replace(&store, 2, stale, "stale", 11).await, None);
}

async fn one_of_many_takes(store: Shared) {
    make(&store, Kind::Flow, entry(1, 1000), at(0)).await;
    let taken = together(50, |_| {
        let store = store.clone();
        async move { store.take(Kind::Flow, &key(1), at(1)).await.unwrap() }
    })
    .await;
    assert_eq!(taken.into_iter().flatten().count(), 1);
}

async fn kinds_do_not_meet(store: Shared) {
    make(&store, Kind::Session, owned(1, 7, 1000), at(0)).await;
    make(&store, Kind::Flow, owned(1, 7, 1000), at(0)).await;
    assert_eq!(
        store.delete_owned(Kind::Flow, 7, None).await.unwrap(),
        [key(1)]
    );
    assert!(get(&store, 1, 1).await.is_some());
    store
        .count(Kind::Throttle, &key(1), Duration::from_secs(1), at(0))
        .await
        .unwrap();
    assert_eq!(
        store.peek(Kind::Session, &key(1), at(0)).await.unwrap(),
        None
    );
    assert!(store.delete(Kind::Session, &key(1)).await.unwrap());
    assert!(
        store
            .peek(Kind::Throttle, &key(1), at(0))
            .await
            .unwrap()
            .is_some()
    );
}

async fn values_are_bytes_of_bounded_number(store: Shared) {
    let value: Vec<u8> = (0..=255).cycle().take(VALUE_MAX).collect();
    make(
        &store,
        Kind::Session,
        NewEntry {
            value: value.clone(),
            ..entry(1, 1000)
        },
        at(0),
    )
    .await;
    let found = get(&store, 1, 1).await.unwrap();
    assert_eq!(found.value, value);
    let large = [value, vec![0]].concat();
    let refused = Err(VolatileError::TooLarge(VALUE_MAX + 1));
    let new = NewEntry {
        value: large.clone(),
        ..owned(2, 7, 1000)
    };
    assert_eq!(
        store.create(Kind::Session, new.clone(), at(0)).await,
        refused
    );
    assert!(
        store
            .create_capped(Kind::Session, new, 3, at(0))
            .await
            .is_err()
    );
    assert!(
        store
            .replace(
                Kind::Session,
                &key(1),
                found.version,
                large,
                at(2000),
                at(0)
            )
            .await
            .is_err()
    );
    make(
        &store,
        Kind::Session,
        NewEntry {
            value: Vec::new(),
            ..entry(3, 1000)
        },
        at(0),
    )
    .await;
    assert!(get(&store, 3, 1).await.unwrap().value.is_empty());
}
