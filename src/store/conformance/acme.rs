//! Certificates and answers: ordered by one, read by all, and nobody who is late has the last word.

use std::time::Duration;

use super::{Opened, at, on_every_db, together};
use crate::store::acme::{Answer, Kind, Ticket};

const LEASE: Duration = Duration::from_mins(1);
const DIRECTORY: &str = "https://ca.test/directory";

on_every_db! {
    what_is_wanted_is_due_once
    a_certificate_is_taken_by_one
    only_the_last_taker_says_what_came_of_it
    what_is_given_back_is_due_at_once
    what_is_brought_forward_is_what_was_seen
    directories_are_kept_apart
    answers_are_found_until_they_expire
}

async fn want(opened: &Opened, names: &[&str], now: i64) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    opened.acme.want(DIRECTORY, &names, at(now)).await.unwrap();
}

async fn take(opened: &Opened, name: &str, now: i64) -> Option<Ticket> {
    let taken = opened.acme.take(DIRECTORY, name, LEASE, at(now)).await;
    taken.unwrap()
}

async fn what_is_wanted_is_due_once(opened: &Opened) {
    want(opened, &["b.test", "a.test"], 5).await;
    want(opened, &[], 6).await;
    want(opened, &["a.test", "c.test"], 7).await;
    let all = opened.acme.all(DIRECTORY).await.unwrap();
    let seen: Vec<_> = all
        .iter()
        .map(|one| (one.name.as_str(), one.due_at, one.sealed.is_some()))
        .collect();
    let expected = [
        ("a.test", at(5), false),
        ("b.test", at(5), false),
        ("c.test", at(7), false),
    ];
    assert_eq!(seen, expected);
}

async fn a_certificate_is_taken_by_one(opened: &Opened) {
    want(opened, &["a.test"], 0).await;
    assert!(take(opened, "b.test", 0).await.is_none());
    let takers = together(12, |_| {
        let acme = opened.acme.clone();
        async move { acme.take(DIRECTORY, "a.test", LEASE, at(1)).await.unwrap() }
    })
    .await;
    let tickets: Vec<Ticket> = takers.into_iter().flatten().collect();
    assert_eq!(tickets.len(), 1);
    assert_eq!((tickets[0].taken, tickets[0].failures), (1, 0));
    assert!(take(opened, "a.test", 60_000).await.is_none());
    assert_eq!(take(opened, "a.test", 60_001).await.unwrap().taken, 2);
}

async fn only_the_last_taker_says_what_came_of_it(opened: &Opened) {
    want(opened, &["a.test"], 0).await;
    let late = take(opened, "a.test", 0).await.unwrap();
    let last = take(opened, "a.test", 60_000).await.unwrap();
    let (acme, sealed) = (&opened.acme, b"sealed".to_vec());
    assert_eq!(acme.failed(&late, at(0)).await, Ok(false));
    assert_eq!(acme.issued(&late, b"old".to_vec(), at(0)).await, Ok(false));
    assert_eq!(acme.failed(&last, at(70_000)).await, Ok(true));
    assert!(take(opened, "a.test", 69_999).await.is_none());
    let again = take(opened, "a.test", 70_000).await.unwrap();
    assert_eq!((again.taken, again.failures), (3, 1));
    assert_eq!(
        acme.issued(&again, sealed.clone(), at(90_000)).await,
        Ok(true)
    );
    let all = acme.all(DIRECTORY).await.unwrap();
    assert_eq!((&all[0].sealed, all[0].due_at), (&Some(sealed), at(90_000)));
    assert_eq!(take(opened, "a.test", 90_000).await.unwrap().failures, 0);
    // What was issued stays while its renewal fails.
    assert!(acme.all(DIRECTORY).await.unwrap()[0].sealed.is_some());
}

async fn what_is_given_back_is_due_at_once(opened: &Opened) {
    want(opened, &["a.test"], 0).await;
    let first = take(opened, "a.test", 0).await.unwrap();
    assert!(take(opened, "a.test", 10).await.is_none());
    opened.acme.give_back(&first, at(10)).await.unwrap();
    let next = take(opened, "a.test", 10).await.unwrap();
    assert_eq!((next.taken, next.failures), (2, 0));
    // Too late: it is the next one's.
    opened.acme.give_back(&first, at(11)).await.unwrap();
    assert!(take(opened, "a.test", 11).await.is_none());
}

async fn what_is_brought_forward_is_what_was_seen(opened: &Opened) {
    want(opened, &["a.test", "b.test"], 1_000_000).await;
    let acme = &opened.acme;
    let seen = acme.all(DIRECTORY).await.unwrap();
    let bring = async |due| acme.bring_forward(DIRECTORY, &seen[0], due).await;
    assert_eq!(bring(at(5)).await, Ok(true));
    // Another node has seen the same, and one order has begun meanwhile.
    assert_eq!(bring(at(3)).await, Ok(false));
    assert!(take(opened, "a.test", 4).await.is_none());
    assert!(take(opened, "a.test", 5).await.is_some());
    assert_eq!(bring(at(5)).await, Ok(false));
    assert!(take(opened, "b.test", 5).await.is_none());
}

async fn directories_are_kept_apart(opened: &Opened) {
    want(opened, &["a.test"], 0).await;
    let names = ["a.test".to_owned()];
    opened.acme.want("other", &names, at(0)).await.unwrap();
    assert!(take(opened, "a.test", 0).await.is_some());
    let other = opened.acme.take("other", "a.test", LEASE, at(0)).await;
    assert_eq!(other.unwrap().unwrap().taken, 1);
    assert!(opened.acme.all("third").await.unwrap().is_empty());
}

async fn answers_are_found_until_they_expire(opened: &Opened) {
    let acme = &opened.acme;
    let make = |kind, answer: &str| Answer {
        kind,
        key: "k".into(),
        answer: answer.into(),
    };
    let (http, tls) = (make(Kind::Http, "one"), make(Kind::Tls, "two"));
    acme.answer(&http, at(10), at(0)).await.unwrap();
    acme.answer(&tls, at(20), at(0)).await.unwrap();
    let both = [http.clone(), tls.clone()];
    assert_eq!(acme.answers(at(9)).await.unwrap(), both);
    assert_eq!(
        acme.answers(at(10)).await.unwrap(),
        std::slice::from_ref(&tls)
    );
    // A newer answer takes the place of the older; whoever gave that one cannot silence it.
    let newer = make(Kind::Tls, "three");
    acme.answer(&newer, at(20), at(10)).await.unwrap();
    acme.silence(&tls).await.unwrap();
    assert_eq!(
        acme.answers(at(0)).await.unwrap(),
        std::slice::from_ref(&newer)
    );
    acme.silence(&newer).await.unwrap();
    assert!(acme.answers(at(0)).await.unwrap().is_empty());
}
