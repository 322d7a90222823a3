//! The users.

use std::time::Duration;

use super::{Opened, at, made, new_user, on_every_db, together, with_email};
use crate::base::id::UserId;
use crate::base::secret::Secret;
use crate::store::Store;
use crate::store::users::{NewUser, User, UserChange, UserError, UserQuery};

on_every_db! {
    a_user_is_found_by_every_name_of_theirs
    a_06_one_of_many_gets_the_username
    r_06_one_of_many_gets_the_address
    a_change_changes_what_it_says_and_raises_the_generation
    a_change_to_a_taken_name_is_refused
    passwords_are_set_and_hashes_upgraded
    users_are_listed_searched_and_counted
    whoever_is_not_there_is_missing
}

fn missing(id: UserId) -> UserError {
    UserError::Missing(id)
}

pub(super) async fn find(store: &Store, id: UserId) -> Option<User> {
    store.users.by_id(id).await.unwrap()
}

async fn a_user_is_found_by_every_name_of_theirs(opened: &Opened) {
    let new = NewUser {
        password_hash: Some("$argon2id$x".to_owned().into()),
        is_verified: true,
        ..with_email("Bob", "Bob@X.test")
    };
    let bob = opened.users.insert(&new, at(5)).await.unwrap();
    made(opened, &new_user("alice")).await;
    assert_eq!(
        (bob.subject, bob.generation, bob.created_at, bob.updated_at),
        (new.subject, 1, at(5), at(5))
    );
    assert_eq!(
        (
            bob.is_active,
            bob.is_superuser,
            bob.is_verified,
            bob.must_change_password
        ),
        (true, false, true, false)
    );
    let users = &opened.users;
    let found = [
        users.by_id(bob.id).await.unwrap(),
        users.by_username(&"BOB".parse().unwrap()).await.unwrap(),
        users
            .by_email(&"bob@x.TEST".parse().unwrap())
            .await
            .unwrap(),
        users.by_login(" Bob ").await.unwrap(),
        users.by_login("BOB@x.test").await.unwrap(),
    ];
    for user in found.map(Option::unwrap) {
        assert_eq!((user.id, user.username.as_str()), (bob.id, "bob"));
        assert_eq!(user.email.unwrap().as_str(), "Bob@X.test");
        assert_eq!(user.password_hash.unwrap().expose(), "$argon2id$x");
    }
    for nobody in [
        "",
        "carol",
        "carol@x.test",
        "bob@",
        "@",
        "bob\0",
        "'; DROP TABLE users; --",
        "%",
    ] {
        assert!(
            users.by_login(nobody).await.unwrap().is_none(),
            "{nobody:?}"
        );
    }
}

async fn a_06_one_of_many_gets_the_username(opened: &Opened) {
    let spellings = ["bob", "Bob", "BOB", " bob ", "Ｂｏｂ"];
    let done = together(30, |n| {
        let users = opened.users.clone();
        async move { users.insert(&new_user(spellings[n % 5]), at(0)).await }
    })
    .await;
    assert_eq!(done.iter().filter(|one| one.is_ok()).count(), 1);
    let taken =
        |one: &&_| matches!(one, Err(UserError::UsernameTaken(name)) if name.as_str() == "bob");
    assert_eq!(done.iter().filter(taken).count(), 29);
}

async fn r_06_one_of_many_gets_the_address(opened: &Opened) {
    let spellings = ["a@x.test", "A@x.test", "a@X.TEST", "A@X.test."];
    let done = together(30, |n| {
        let users = opened.users.clone();
        async move {
            users
                .insert(&with_email(&format!("user{n}"), spellings[n % 4]), at(0))
                .await
        }
    })
    .await;
    assert_eq!(done.iter().filter(|one| one.is_ok()).count(), 1);
    assert_eq!(
        done.iter()
            .filter(|one| matches!(one, Err(UserError::EmailTaken(_))))
            .count(),
        29
    );
    assert_eq!(opened.users.count(None).await, Ok(1));
}

async fn a_change_changes_what_it_says_and_raises_the_generation(opened: &Opened) {
    let alice = made(opened, &with_email("alice", "a@x.test")).await;
    let nothing = opened
        .users
        .update(alice.id, &UserChange::default(), at(1))
        .await
        .unwrap();
    assert_eq!(
        (nothing.generation, nothing.updated_at, nothing.created_at),
        (2, at(1), at(0))
    );
    assert_eq!(nothing.email.unwrap().as_str(), "a@x.test");
    let all = UserChange {
        username: Some("carol".parse().unwrap()),
        may_reuse_name: false,
        email: Some(Some("C@x.test".parse().unwrap())),
        is_active: Some(false),
        is_superuser: Some(true),
        is_verified: Some(true),
        must_change_password: Some(true),
        password_hash: Some(Secret::new("another".to_owned())),
    };
    let carol = opened.users.update(alice.id, &all, at(2)).await.unwrap();
    assert_eq!(
        (carol.id, carol.subject, carol.username.as_str()),
        (alice.id, alice.subject, "carol")
    );
    assert_eq!(carol.email.unwrap().as_str(), "C@x.test");
    assert_eq!(carol.password_hash.unwrap().expose(), "another");
    // Once for the password, and once because disabling ends what was open.
    assert_eq!(carol.password_version, alice.password_version + 2);
    assert_eq!(
        (
            carol.is_active,
            carol.is_superuser,
            carol.is_verified,
            carol.must_change_password
        ),
        (false, true, true, true)
    );
    let none = UserChange {
        email: Some(None),
        ..UserChange::default()
    };
    assert!(
        opened
            .users
            .update(alice.id, &none, at(3))
            .await
            .unwrap()
            .email
            .is_none()
    );
    made(opened, &with_email("alice", "c@x.test")).await;
    assert_eq!(find(opened, alice.id).await.unwrap().generation, 4);
}

async fn a_change_to_a_taken_name_is_refused(opened: &Opened) {
    made(opened, &with_email("alice", "a@x.test")).await;
    let bob = made(opened, &with_email("bob", "b@x.test")).await;
    let name = UserChange {
        username: Some("ALICE".parse().unwrap()),
        ..UserChange::default()
    };
    let said = opened.users.update(bob.id, &name, at(1)).await.unwrap_err();
    assert_eq!(said.to_string(), "the username 'alice' is taken");
    let email = UserChange {
        email: Some(Some("A@X.test".parse().unwrap())),
        ..UserChange::default()
    };
    let said = opened
        .users
        .update(bob.id, &email, at(1))
        .await
        .unwrap_err();
    assert_eq!(said.to_string(), "the e-mail address 'A@X.test' is taken");
    let own = UserChange {
        username: Some("bob".parse().unwrap()),
        email: Some(Some("B@x.test".parse().unwrap())),
        ..UserChange::default()
    };
    assert_eq!(
        opened
            .users
            .update(bob.id, &own, at(1))
            .await
            .unwrap()
            .generation,
        2
    );
}

async fn passwords_are_set_and_hashes_upgraded(opened: &Opened) {
    let secret = |text: &str| Secret::new(text.to_owned());
    let alice = made(opened, &new_user("alice")).await;
    let set = opened
        .users
        .set_password(alice.id, &secret("one"), true, at(1))
        .await
        .unwrap();
    assert_eq!(
        (set.generation, set.must_change_password, set.updated_at),
        (2, true, at(1))
    );
    assert!(
        opened
            .users
            .upgrade_hash(alice.id, &secret("one"), &secret("better"))
            .await
            .unwrap()
    );
    assert!(
        !opened
            .users
            .upgrade_hash(alice.id, &secret("one"), &secret("worse"))
            .await
            .unwrap()
    );
    let user = find(opened, alice.id).await.unwrap();
    assert_eq!(
        (
            user.password_hash.unwrap().expose().as_str(),
            user.generation
        ),
        ("better", 2)
    );
}

async fn users_are_listed_searched_and_counted(opened: &Opened) {
    for n in 0..10 {
        made(
            opened,
            &with_email(
                &format!("user{n}"),
                &format!("mail{n}@{}.test", if n < 3 { "one" } else { "two" }),
            ),
        )
        .await;
    }
    made(opened, &new_user("zoë")).await;
    let list = async |skip, limit, search: &str| {
        let query = UserQuery {
            skip,
            limit,
            search: Some(search.to_owned()),
        };
        let users = opened.users.list(&query).await.unwrap();
        users
            .iter()
            .map(|user| user.username.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(list(0, 3, "").await, "user0 user1 user2");
    assert_eq!(list(8, 5, " ").await, "user8 user9 zoë");
    assert_eq!(list(0, 0, "").await, "");
    let cases = [
        ("USER3", "user3"),
        ("ser3", "user3"),
        ("@ONE.test", "user0 user1 user2"),
        ("mail9@", "user9"),
        ("ZOE\u{308}", "zoë"),
        ("%", ""),
        ("_", ""),
        ("'", ""),
        ("user3\0", ""),
        ("nobody", ""),
    ];
    for (search, found) in cases {
        assert_eq!(list(0, 100, search).await, found, "{search:?}");
        let count = found.split_whitespace().count();
        assert_eq!(
            opened.users.count(Some(search)).await,
            Ok(u64::try_from(count).unwrap()),
            "{search:?}"
        );
    }
    assert_eq!(opened.users.count(None).await, Ok(11));
}

async fn whoever_is_not_there_is_missing(opened: &Opened) {
    let id = UserId(4711);
    let hash = Secret::new("x".to_owned());
    assert_eq!(
        opened.users.set_active(id, true, at(0)).await.unwrap_err(),
        missing(id)
    );
    assert_eq!(
        opened
            .users
            .set_password(id, &hash, false, at(0))
            .await
            .unwrap_err(),
        missing(id)
    );
    assert_eq!(opened.delete_user(id).await.unwrap_err(), missing(id));
    assert!(opened.account(id).await.unwrap().is_none());
    assert_eq!(
        opened
            .volatile
            .sweep(at(0).plus(Duration::from_secs(1)), 10)
            .await,
        Ok(0)
    );
}
