//! There is always a superuser, and at the start exactly one is made.

use super::users::find;
use super::{Opened, at, made, new_user, on_every_db, superuser, together};
use crate::base::id::UserId;
use crate::store::Store;
use crate::store::users::{NewUser, UserChange, UserError, UserQuery};

on_every_db! {
    ad_05_the_last_superuser_stays
    ad_05_two_superusers_do_not_fall_together
    ad_05_of_many_superusers_one_stays
    a_25_one_bootstrap_wins
}

async fn ad_05_the_last_superuser_stays(opened: &Opened) {
    let root = made(opened, &superuser("root")).await.id;
    let asleep = made(
        opened,
        &NewUser {
            is_active: false,
            ..superuser("asleep")
        },
    )
    .await
    .id;
    made(opened, &new_user("alice")).await;
    let demote = UserChange {
        is_superuser: Some(false),
        ..UserChange::default()
    };
    assert_eq!(
        opened
            .users
            .set_active(root, false, at(1))
            .await
            .unwrap_err(),
        last(root)
    );
    assert_eq!(
        opened.users.update(root, &demote, at(1)).await.unwrap_err(),
        last(root)
    );
    let said = opened.delete_user(root).await.unwrap_err();
    assert_eq!(said, last(root));
    assert_eq!(find(opened, root).await.unwrap().generation, 1);
    // Whatever else may change about the last one does, and those who do not count may go.
    let rename = UserChange {
        username: Some("boss".parse().unwrap()),
        ..UserChange::default()
    };
    assert_eq!(
        opened
            .users
            .update(root, &rename, at(1))
            .await
            .unwrap()
            .username
            .as_str(),
        "boss"
    );
    opened.users.update(asleep, &demote, at(1)).await.unwrap();
    opened.delete_user(asleep).await.unwrap();
    let heir = made(opened, &superuser("heir")).await.id;
    opened.delete_user(root).await.unwrap();
    assert_eq!(opened.delete_user(heir).await.unwrap_err(), last(heir));
}

async fn ad_05_two_superusers_do_not_fall_together(opened: &Opened) {
    let mut left = made(opened, &superuser("first")).await.id;
    for round in 0..200 {
        let other = made(opened, &superuser(&format!("other{round}"))).await.id;
        let pair = [left, other];
        let fallen = together(2, |n| {
            let store = opened.store.clone();
            async move { fell(&store, pair[n], round + n * (round / 3 % 3)).await }
        })
        .await;
        assert_eq!(
            fallen.iter().filter(|fallen| **fallen).count(),
            1,
            "round {round}"
        );
        let still = superusers(opened).await;
        assert_eq!(still.len(), 1, "round {round}");
        left = still[0];
    }
}

async fn ad_05_of_many_superusers_one_stays(opened: &Opened) {
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(made(opened, &superuser(&format!("root{n}"))).await.id);
    }
    let fallen = together(60, |n| {
        let (store, id) = (opened.store.clone(), ids[n % 20]);
        async move { fell(&store, id, n).await }
    })
    .await;
    assert!(fallen.iter().filter(|fallen| **fallen).count() >= 19);
    assert_eq!(superusers(opened).await.len(), 1);
}

async fn a_25_one_bootstrap_wins(opened: &Opened) {
    made(opened, &new_user("alice")).await;
    let done = together(10, |n| {
        let users = opened.users.clone();
        async move {
            users
                .bootstrap(&superuser(&format!("root{n}")), at(0))
                .await
                .unwrap()
        }
    })
    .await;
    assert_eq!(done.iter().flatten().count(), 1);
    assert_eq!(superusers(opened).await.len(), 1);
}

fn last(id: UserId) -> UserError {
    UserError::LastSuperuser(id)
}

async fn superusers(store: &Store) -> Vec<UserId> {
    let all = store
        .users
        .list(&UserQuery {
            skip: 0,
            limit: 1000,
            search: None,
        })
        .await
        .unwrap();
    all.into_iter()
        .filter(|user| user.is_superuser && user.is_active)
        .map(|user| user.id)
        .collect()
}

/// One way to end somebody's being an active superuser.
async fn fell(store: &Store, id: UserId, way: usize) -> bool {
    let demote = UserChange {
        is_superuser: Some(false),
        ..UserChange::default()
    };
    match way % 3 {
        0 => store.delete_user(id).await.is_ok(),
        1 => store.users.set_active(id, false, at(1)).await.is_ok(),
        _ => store.users.update(id, &demote, at(1)).await.is_ok(),
    }
}
