//! How a user begins and ends: whole, both times.

use std::collections::BTreeSet;

use super::{Opened, at, made, names, new_user, on_every_db, with_email};
use crate::store::roles::LOCAL;
use crate::store::users::{NewUser, UserError};
use crate::store::volatile::{Key, Kind, NewEntry};

on_every_db! {
    ad_14_a_deleted_user_leaves_nothing
    g_08_no_half_user
}

async fn ad_14_a_deleted_user_leaves_nothing(opened: &Opened) {
    opened.roles.mirror(&[], at(0)).await.unwrap();
    let alice = made(
        opened,
        &NewUser {
            roles: names(&["admin"]),
            ..with_email("alice", "a@x.test")
        },
    )
    .await;
    let key = Key::of(&[b"session"]);
    let expires_at = at(1000);
    let entry = NewEntry {
        key,
        value: vec![1],
        owner: Some(alice.id.0),
        expires_at,
    };
    assert!(
        opened
            .volatile
            .create(Kind::Session, entry, at(0))
            .await
            .unwrap()
    );
    assert_eq!(opened.delete_user(alice.id).await.unwrap().id, alice.id);
    assert!(
        opened
            .volatile
            .get(Kind::Session, &key, at(1))
            .await
            .unwrap()
            .is_none()
    );
    assert!(opened.account(alice.id).await.unwrap().is_none());
    assert_eq!(
        opened.delete_user(alice.id).await.unwrap_err(),
        UserError::Missing(alice.id)
    );
    let again = made(opened, &with_email("alice", "a@x.test")).await;
    assert!(again.id > alice.id, "numbers are not used again");
    assert_ne!(again.subject, alice.subject);
    assert!(
        opened
            .account(again.id)
            .await
            .unwrap()
            .unwrap()
            .roles
            .is_empty()
    );
}

async fn g_08_no_half_user(opened: &Opened) {
    opened.roles.mirror(&[], at(0)).await.unwrap();
    let half = NewUser {
        roles: names(&["admin", "nothing"]),
        ..new_user("alice")
    };
    let said = opened.users.insert(&half, at(0)).await.unwrap_err();
    assert_eq!(said.to_string(), "there is no role 'nothing'");
    assert_eq!(opened.users.count(None).await, Ok(0));
    let whole = NewUser {
        roles: names(&["admin", "user"]),
        ..new_user("alice")
    };
    let alice = opened.users.insert(&whole, at(0)).await.unwrap();
    assert_eq!(
        opened.roles.of_user(alice.id).await,
        Ok(names(&["admin", "user"]))
    );
    opened
        .roles
        .set_user_roles(alice.id, &BTreeSet::new(), LOCAL, at(1))
        .await
        .unwrap();
    assert_eq!(opened.roles.of_user(alice.id).await, Ok(names(&[])));
}
