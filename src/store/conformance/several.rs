//! Several processes on one database: each with its own connections, as the command line beside the gateway.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Opened, at, made, new_user, on_every_shared_db, open, superuser, together};
use crate::store::users::UserChange;

on_every_shared_db! {
    another_processes_write_is_noticed_within_a_second_and_ours_is_not
    a_superuser_falls_to_one_process_only
    a_25_the_first_superuser_is_made_once
}

async fn another_processes_write_is_noticed_within_a_second_and_ours_is_not(opened: &Opened) {
    let other = open(&opened.url).await;
    let mut changes = opened.db.changes();
    changes.mark_unchanged();
    let user = made(opened, &new_user("alice")).await;
    let write_for_a_while = async || {
        let until = Instant::now() + Duration::from_millis(700);
        while Instant::now() < until {
            opened.users.set_active(user.id, true, at(1)).await.unwrap();
        }
    };
    write_for_a_while().await;
    assert!(
        !changes.has_changed().unwrap(),
        "our own writes are no news"
    );
    other.users.set_active(user.id, false, at(2)).await.unwrap();
    timeout(Duration::from_secs(1), changes.changed())
        .await
        .unwrap()
        .unwrap();
    assert!(
        !opened
            .users
            .by_id(user.id)
            .await
            .unwrap()
            .unwrap()
            .is_active
    );
    write_for_a_while().await;
    assert!(!changes.has_changed().unwrap(), "news is told once");
}

async fn a_superuser_falls_to_one_process_only(opened: &Opened) {
    let other = open(&opened.url).await;
    let demote = UserChange {
        is_superuser: Some(false),
        ..UserChange::default()
    };
    let mut left = made(opened, &superuser("first")).await.id;
    for round in 0..30 {
        let heir = made(opened, &superuser(&format!("heir{round}"))).await.id;
        let (one, two) = tokio::join!(
            opened.users.update(heir, &demote, at(1)),
            other.users.update(left, &demote, at(1))
        );
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        left = if one.is_ok() { left } else { heir };
    }
}

async fn a_25_the_first_superuser_is_made_once(opened: &Opened) {
    let others = [open(&opened.url).await, open(&opened.url).await];
    let made = together(12, |n| {
        let store = others[n % 2].clone();
        let new = superuser(&format!("boss{n}"));
        async move { store.users.bootstrap(&new, at(0)).await.unwrap() }
    })
    .await;
    assert_eq!(made.iter().flatten().count(), 1);
    assert_eq!(opened.users.count(None).await, Ok(1));
}
