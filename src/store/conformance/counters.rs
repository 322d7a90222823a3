//! Counters, and the sweep that takes what has expired.

use std::collections::BTreeSet;
use std::time::Duration;

use super::volatile::{Shared, key, make, owned};
use super::{at, on_every_volatile, together};
use crate::store::volatile::{Kind, Tally};

const MINUTE: Duration = Duration::from_mins(1);

on_every_volatile! {
    a_04_every_count_is_a_number_of_its_own
    a_window_ends
    c_07_a_clock_set_back_does_not_stretch_a_window
    what_has_expired_is_swept_in_batches
}

/// Fifty at the edge of a limit: exactly as many get through as the limit allows.
async fn a_04_every_count_is_a_number_of_its_own(store: Shared) {
    let counts = together(50, |n| {
        let store = store.clone();
        let now = at(i64::try_from(n).unwrap());
        async move {
            store
                .count(Kind::Throttle, &key(1), MINUTE, now)
                .await
                .unwrap()
                .count
        }
    })
    .await;
    assert_eq!(
        counts.iter().copied().collect::<BTreeSet<_>>(),
        (1..=50).collect()
    );
    assert_eq!(counts.iter().filter(|count| **count <= 10).count(), 10);
    assert_eq!(
        store
            .peek(Kind::Throttle, &key(1), at(60))
            .await
            .unwrap()
            .unwrap()
            .count,
        50
    );
}

async fn a_window_ends(store: Shared) {
    let count = async |now| {
        store
            .count(Kind::Throttle, &key(1), MINUTE, at(now))
            .await
            .unwrap()
    };
    let peek = async |now| store.peek(Kind::Throttle, &key(1), at(now)).await.unwrap();
    assert_eq!(peek(0).await, None);
    assert_eq!(
        count(0).await,
        Tally {
            count: 1,
            ends_at: at(60_000)
        }
    );
    assert_eq!(
        count(59_999).await,
        Tally {
            count: 2,
            ends_at: at(60_000)
        }
    );
    assert_eq!(
        peek(59_999).await,
        Some(Tally {
            count: 2,
            ends_at: at(60_000)
        })
    );
    assert_eq!(peek(60_000).await, None);
    assert_eq!(
        count(60_000).await,
        Tally {
            count: 1,
            ends_at: at(120_000)
        }
    );
    store.reset(Kind::Throttle, &key(1)).await.unwrap();
    store.reset(Kind::Throttle, &key(1)).await.unwrap();
    assert_eq!(peek(60_001).await, None);
    assert_eq!(count(60_001).await.count, 1);
}

async fn c_07_a_clock_set_back_does_not_stretch_a_window(store: Shared) {
    let count = async |now| {
        store
            .count(Kind::Throttle, &key(1), MINUTE, at(now))
            .await
            .unwrap()
    };
    count(86_400_000).await;
    assert_eq!(
        count(0).await,
        Tally {
            count: 2,
            ends_at: at(60_000)
        }
    );
    assert_eq!(count(60_000).await.count, 1);
}

async fn what_has_expired_is_swept_in_batches(store: Shared) {
    for n in 0..30 {
        make(
            &store,
            Kind::Session,
            owned(n, 7, if n < 25 { 10 } else { 1000 }),
            at(0),
        )
        .await;
        store
            .count(
                Kind::Throttle,
                &key(n),
                Duration::from_millis(if n < 5 { 10 } else { 1000 }),
                at(0),
            )
            .await
            .unwrap();
    }
    assert_eq!(store.sweep(at(9), 10).await.unwrap(), 0);
    let mut swept = Vec::new();
    loop {
        match store.sweep(at(10), 10).await.unwrap() {
            0 => break,
            n => swept.push(n),
        }
    }
    assert_eq!(swept, [15, 10, 5]);
    assert_eq!(store.live(Kind::Session, at(0)).await.unwrap(), 5);
    assert_eq!(store.owned(Kind::Session, 7, at(0)).await.unwrap().len(), 5);
    assert!(
        store
            .peek(Kind::Throttle, &key(29), at(10))
            .await
            .unwrap()
            .is_some()
    );
}
