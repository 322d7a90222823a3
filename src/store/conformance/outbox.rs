//! The outbox: kept once, taken by one, given back, let go.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Opened, at, on_every_db, together};
use crate::base::time::SKEW;
use crate::store::outbox::{Kind, NewMessage, Ticket, Waiting};

/// How long a taken one is kept from others, and the longest pause.
const SPANS: (Duration, Duration) = (Duration::from_mins(1), Duration::from_mins(10));

on_every_db! {
    a_message_is_taken_by_one_and_in_order
    a_taken_message_is_free_again_when_its_lease_is_over
    only_the_last_taker_says_when_it_is_due_again
    what_a_clock_put_off_that_was_ahead_is_due
    a_key_that_waits_is_not_kept_twice
    many_takers_share_and_never_take_the_same
    numbers_are_not_used_again
}

fn message(kind: Kind, key: &str) -> NewMessage {
    NewMessage {
        kind,
        key: key.into(),
        body: key.as_bytes().to_owned(),
    }
}

async fn put(opened: &Opened, kind: Kind, keys: &[&str], now: i64) {
    let messages = keys.iter().map(|key| message(kind, key)).collect();
    opened.outbox.put(messages, at(now)).await.unwrap();
}

/// Takes what is due and gives the bodies, with the tickets they came with.
async fn take(opened: &Opened, kind: Kind, most: u32, now: i64) -> Vec<(String, Ticket)> {
    let taken = opened
        .outbox
        .take(kind, most, SPANS, at(now))
        .await
        .unwrap();
    let read =
        |one: crate::store::outbox::Taken| (String::from_utf8(one.body).unwrap(), one.ticket);
    taken.into_iter().map(read).collect()
}

fn bodies(taken: &[(String, Ticket)]) -> Vec<&str> {
    taken.iter().map(|(body, _)| body.as_str()).collect()
}

async fn a_message_is_taken_by_one_and_in_order(opened: &Opened) {
    put(opened, Kind::Mail, &["a", "b", "c"], 0).await;
    put(opened, Kind::Hook, &["h"], 0).await;
    assert_eq!(bodies(&take(opened, Kind::Mail, 2, 0).await), ["a", "b"]);
    assert_eq!(bodies(&take(opened, Kind::Mail, 2, 0).await), ["c"]);
    assert!(take(opened, Kind::Mail, 2, 0).await.is_empty());
    let hooks = take(opened, Kind::Hook, 9, 0).await;
    assert_eq!(bodies(&hooks), ["h"]);
    opened.outbox.done(hooks[0].1).await.unwrap();
    let waiting = |kind, tried, count| Waiting { kind, tried, count };
    put(opened, Kind::Hook, &["i"], 1).await;
    assert_eq!(
        opened.outbox.waiting().await.unwrap(),
        [waiting(Kind::Hook, false, 1), waiting(Kind::Mail, true, 3)]
    );
    assert!(opened.outbox.put(Vec::new(), at(0)).await.is_ok());
}

async fn a_taken_message_is_free_again_when_its_lease_is_over(opened: &Opened) {
    put(opened, Kind::Mail, &["a"], 0).await;
    let first = take(opened, Kind::Mail, 1, 0).await;
    assert!(take(opened, Kind::Mail, 1, 59_999).await.is_empty());
    let second = take(opened, Kind::Mail, 1, 60_000).await;
    assert_eq!(second[0].1.attempt, first[0].1.attempt + 1);
    assert_eq!(opened.outbox.retry(second[0].1, at(70_000)).await, Ok(true));
    assert!(take(opened, Kind::Mail, 1, 69_999).await.is_empty());
    assert_eq!(take(opened, Kind::Mail, 1, 70_000).await.len(), 1);
}

async fn only_the_last_taker_says_when_it_is_due_again(opened: &Opened) {
    put(opened, Kind::Mail, &["a"], 0).await;
    let late = take(opened, Kind::Mail, 1, 0).await[0].1;
    let last = take(opened, Kind::Mail, 1, 60_000).await[0].1;
    assert_eq!(opened.outbox.retry(late, at(0)).await, Ok(false));
    assert_eq!(opened.outbox.give_up(late).await, Ok(false));
    assert!(take(opened, Kind::Mail, 1, 60_001).await.is_empty());
    // What was sent was sent, also by one who was late.
    opened.outbox.done(late).await.unwrap();
    assert_eq!(opened.outbox.retry(last, at(0)).await, Ok(false));
    assert!(opened.outbox.waiting().await.unwrap().is_empty());
}

async fn what_a_clock_put_off_that_was_ahead_is_due(opened: &Opened) {
    let latest = i64::try_from((SPANS.1 + SKEW).as_millis()).unwrap();
    put(opened, Kind::Mail, &["a", "b"], 0).await;
    let taken = take(opened, Kind::Mail, 9, 0).await;
    for ((_, ticket), due) in taken.iter().zip([latest, latest + 1]) {
        assert_eq!(opened.outbox.retry(*ticket, at(due)).await, Ok(true));
    }
    put(opened, Kind::Mail, &["c"], latest + 1).await;
    put(opened, Kind::Hook, &["h"], latest + 1).await;
    assert_eq!(bodies(&take(opened, Kind::Mail, 9, 0).await), ["b", "c"]);
    // Kept from others by the clock that is right.
    assert!(take(opened, Kind::Mail, 9, 0).await.is_empty());
    assert_eq!(take(opened, Kind::Mail, 9, 60_000).await.len(), 2);
}

async fn a_key_that_waits_is_not_kept_twice(opened: &Opened) {
    put(opened, Kind::Hook, &["a", "a"], 0).await;
    put(opened, Kind::Hook, &["a", "b"], 5).await;
    let taken = take(opened, Kind::Hook, 9, 5).await;
    assert_eq!(bodies(&taken), ["a", "b"]);
    assert_eq!(opened.outbox.give_up(taken[0].1).await, Ok(true));
    put(opened, Kind::Hook, &["a"], 6).await;
    assert_eq!(bodies(&take(opened, Kind::Hook, 9, 6).await), ["a"]);
}

async fn many_takers_share_and_never_take_the_same(opened: &Opened) {
    let keys: Vec<String> = (0..60).map(|n| n.to_string()).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    put(opened, Kind::Mail, &keys, 0).await;
    let takers = together(12, |_| {
        let outbox = opened.outbox.clone();
        async move {
            let mut mine = Vec::new();
            loop {
                let taken = outbox.take(Kind::Mail, 3, SPANS, at(1)).await.unwrap();
                if taken.is_empty() {
                    break mine;
                }
                mine.extend(taken.into_iter().map(|one| one.ticket));
            }
        }
    })
    .await;
    let all: Vec<Ticket> = takers.into_iter().flatten().collect();
    let ids: BTreeSet<i64> = all.iter().map(|ticket| ticket.id).collect();
    assert_eq!(ids.len(), all.len(), "a message was taken twice");
    // Whoever lost a race for a row may have gone home early, and then the row is still there to be taken.
    let left = opened
        .outbox
        .take(Kind::Mail, 60, SPANS, at(1))
        .await
        .unwrap();
    assert_eq!(all.len() + left.len(), 60);
}

async fn numbers_are_not_used_again(opened: &Opened) {
    put(opened, Kind::Mail, &["a"], 0).await;
    let first = take(opened, Kind::Mail, 1, 0).await[0].1;
    opened.outbox.done(first).await.unwrap();
    put(opened, Kind::Mail, &["a"], 0).await;
    assert!(take(opened, Kind::Mail, 1, 0).await[0].1.id > first.id);
}
