//! Names that somebody has given up.

use super::{Opened, at, made, new_user, on_every_db, together};
use crate::base::id::UserId;
use crate::store::users::{NewUser, User, UserChange, UserError};

on_every_db! {
    a_name_that_was_given_up_stays_its_owners
    a_name_that_is_given_up_this_moment_is_not_free_either
    whoever_may_gives_a_name_again
    every_name_that_was_given_up_counts
}

/// Somebody who comes by themselves.
fn stranger(name: &str) -> NewUser {
    NewUser {
        may_reuse_name: false,
        ..new_user(name)
    }
}

fn called(name: &str) -> UserChange {
    UserChange {
        username: Some(name.parse().unwrap()),
        ..UserChange::default()
    }
}

fn taken(name: &str) -> UserError {
    UserError::UsernameTaken(name.parse().unwrap())
}

async fn rename(opened: &Opened, id: UserId, name: &str) -> Result<User, UserError> {
    opened.users.update(id, &called(name), at(1)).await
}

async fn a_name_that_was_given_up_stays_its_owners(opened: &Opened) {
    let alice = made(opened, &stranger("alice")).await;
    let bob = made(opened, &stranger("bob")).await;
    rename(opened, alice.id, "alicia").await.unwrap();
    let refused = opened.users.insert(&stranger("alice"), at(2)).await;
    assert_eq!(refused.unwrap_err(), taken("alice"));
    assert_eq!(
        rename(opened, bob.id, "alice").await.unwrap_err(),
        taken("alice")
    );
    assert!(
        opened
            .users
            .by_username(&"alice".parse().unwrap())
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        rename(opened, alice.id, "alice")
            .await
            .unwrap()
            .username
            .as_str(),
        "alice"
    );

    opened.delete_user(alice.id).await.unwrap();
    for gone in ["alice", "alicia"] {
        assert_eq!(rename(opened, bob.id, gone).await.unwrap_err(), taken(gone));
        let refused = opened.users.insert(&stranger(gone), at(2)).await;
        assert_eq!(refused.unwrap_err(), taken(gone));
    }
    assert_eq!(opened.users.count(None).await, Ok(1));
    // A change that leaves the name, or says it again, is another matter.
    rename(opened, bob.id, "bob").await.unwrap();
    opened.users.set_active(bob.id, false, at(3)).await.unwrap();
    // What was judged of another generation is told as that.
    let stale = opened
        .users
        .update_if(bob.id, Some(1), &called("alice"), at(4))
        .await;
    assert_eq!(stale.unwrap_err(), UserError::Stale(bob.id));
}

async fn a_name_that_is_given_up_this_moment_is_not_free_either(opened: &Opened) {
    for round in 0..10 {
        let name = format!("name{round}");
        let owner = made(opened, &stranger(&name)).await;
        let other = made(opened, &stranger(&format!("other{round}"))).await;
        let store = opened.store.clone();
        let done = together(12, |n| {
            let (store, name) = (store.clone(), name.clone());
            async move {
                match n {
                    5 => store.delete_user(owner.id).await.is_err(),
                    n if n % 2 == 0 => store.users.insert(&stranger(&name), at(1)).await.is_ok(),
                    _ => store
                        .users
                        .update(other.id, &called(&name), at(1))
                        .await
                        .is_ok(),
                }
            }
        })
        .await;
        assert_eq!(
            done, [false; 12],
            "somebody got {name}, or its owner stayed"
        );
    }
}

async fn whoever_may_gives_a_name_again(opened: &Opened) {
    let name = "alice".parse().unwrap();
    assert_eq!(opened.users.whose_was(&name).await, Ok(None));
    let first = made(opened, &stranger("alice")).await;
    opened.delete_user(first.id).await.unwrap();
    assert_eq!(opened.users.whose_was(&name).await, Ok(Some(first.id)));
    let second = made(opened, &new_user("alice")).await;
    assert_ne!(second.id, first.id);
    let third = made(opened, &stranger("bob")).await;
    opened.delete_user(second.id).await.unwrap();
    assert_eq!(opened.users.whose_was(&name).await, Ok(Some(second.id)));
    let allowed = UserChange {
        may_reuse_name: true,
        ..called("alice")
    };
    let renamed = opened
        .users
        .update(third.id, &allowed, at(1))
        .await
        .unwrap();
    assert_eq!(renamed.username, name);
}

async fn every_name_that_was_given_up_counts(opened: &Opened) {
    let alice = made(opened, &stranger("alice")).await;
    for (name, given_up) in [
        ("alice", 0),
        ("b", 1),
        ("c", 2),
        ("alice", 2),
        ("b", 2),
        ("d", 3),
    ] {
        rename(opened, alice.id, name).await.unwrap();
        assert_eq!(
            opened.users.names_given_up(alice.id).await,
            Ok(given_up),
            "{name}"
        );
    }
}
