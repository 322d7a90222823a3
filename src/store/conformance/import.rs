//! Many users at once.

use super::{Opened, at, made, names, new_user, on_every_db, with_email};
use crate::store::Store;
use crate::store::users::{Imported, NewUser, UserError, UserQuery};

on_every_db! {
    users_are_imported_together
    whoever_has_no_room_is_told_and_the_others_stay
    an_import_that_is_dropped_leaves_nobody
    an_unknown_role_loses_the_import
}

fn imported(user: NewUser) -> Imported {
    Imported {
        user,
        created_at: at(-1_000),
    }
}

async fn count(store: &Store) -> u64 {
    store.users.count(None).await.unwrap()
}

async fn users_are_imported_together(opened: &Opened) {
    let many: Vec<_> = (0..1_500)
        .map(|number| {
            imported(NewUser {
                password_hash: Some(format!("$2b$12${number}").into()),
                roles: names(&["user", "admin"]),
                ..with_email(&format!("n{number}"), &format!("n{number}@x.test"))
            })
        })
        .collect();
    opened.roles.mirror(&[], at(0)).await.unwrap();
    let mut import = opened.users.import(at(7)).await.unwrap();
    for chunk in many.chunks(400) {
        let told = import.add(chunk).await.unwrap();
        assert_eq!(told, vec![None; chunk.len()]);
    }
    import.commit().await.unwrap();
    assert_eq!(count(opened).await, 1_500);
    let query = UserQuery {
        skip: 1_499,
        limit: 1,
        search: None,
    };
    let last = opened.users.list(&query).await.unwrap().remove(0);
    assert_eq!(
        (last.username.as_str(), last.created_at, last.updated_at),
        ("n1499", at(-1_000), at(7))
    );
    assert_eq!(last.password_hash.unwrap().expose(), "$2b$12$1499");
    let roles = opened.roles.of_user(last.id).await.unwrap();
    assert_eq!(roles, names(&["admin", "user"]));
}

async fn whoever_has_no_room_is_told_and_the_others_stay(opened: &Opened) {
    made(opened, &with_email("bob", "bob@x.test")).await;
    let new = [
        new_user("bob"),
        with_email("carol", "BOB@x.test"),
        with_email("dave", "dave@x.test"),
        with_email("erin", "dave@x.test"),
    ];
    let new = new.map(imported);
    let mut import = opened.users.import(at(7)).await.unwrap();
    let told = import.add(&new).await.unwrap();
    assert_eq!(
        told,
        [
            Some(UserError::UsernameTaken("bob".parse().unwrap())),
            Some(UserError::EmailTaken("bob@x.test".parse().unwrap())),
            None,
            Some(UserError::EmailTaken("dave@x.test".parse().unwrap())),
        ]
    );
    import.commit().await.unwrap();
    assert_eq!(count(opened).await, 2);
}

async fn an_import_that_is_dropped_leaves_nobody(opened: &Opened) {
    let mut import = opened.users.import(at(7)).await.unwrap();
    import.add(&[imported(new_user("bob"))]).await.unwrap();
    drop(import);
    assert_eq!(count(opened).await, 0);
    made(opened, &new_user("bob")).await;
}

async fn an_unknown_role_loses_the_import(opened: &Opened) {
    let ghost = NewUser {
        roles: names(&["ghost"]),
        ..new_user("bob")
    };
    let mut import = opened.users.import(at(7)).await.unwrap();
    assert_eq!(
        import.add(&[imported(ghost)]).await,
        Err(UserError::UnknownRole("ghost".parse().unwrap()))
    );
    drop(import);
    assert_eq!(count(opened).await, 0);
}
