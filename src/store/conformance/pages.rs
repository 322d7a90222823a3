//! Users in pages, with the roles they were given.

use super::roles::{give, mirror, name};
use super::{Opened, at, made, names, new_user, on_every_db, with_email};
use crate::base::id::UserId;
use crate::store::roles::LOCAL;
use crate::store::users::{Given, Sort, SortBy, UserQuery};

on_every_db! {
    a_page_is_in_its_order
    a_page_holds_what_a_search_finds
    a_page_names_the_roles
}

fn query(skip: u32, limit: u32, search: Option<&str>) -> UserQuery {
    UserQuery {
        skip,
        limit,
        search: search.map(str::to_owned),
    }
}

fn shown(page: &[Given]) -> String {
    let names: Vec<_> = page.iter().map(|it| it.user.username.as_str()).collect();
    names.join(" ")
}

async fn people(opened: &Opened) {
    let people = [
        ("dora", Some("a@x.test"), 1),
        ("carl", None, 4),
        ("bert", Some("c@x.test"), 2),
        ("anna", Some("b@x.test"), 2),
    ];
    for (name, email, born) in people {
        let new = match email {
            Some(email) => with_email(name, email),
            None => new_user(name),
        };
        opened.users.insert(&new, at(born)).await.unwrap();
    }
}

async fn a_page_is_in_its_order(opened: &Opened) {
    people(opened).await;
    let cases = [
        (SortBy::Id, "dora carl bert anna"),
        (SortBy::Username, "anna bert carl dora"),
        (SortBy::Email, "carl dora anna bert"),
        (SortBy::CreatedAt, "dora bert anna carl"),
    ];
    for (by, expected) in cases {
        let page = async |descending| {
            let sort = Sort { by, descending };
            shown(&opened.users.page(&query(0, 9, None), sort).await.unwrap())
        };
        assert_eq!(page(false).await, expected, "{by:?}");
        let reversed: Vec<_> = expected.split(' ').rev().collect();
        assert_eq!(page(true).await, reversed.join(" "), "{by:?}");
    }
}

async fn a_page_holds_what_a_search_finds(opened: &Opened) {
    people(opened).await;
    let cases = [
        (0, 2, None, "dora carl"),
        (2, 2, None, "bert anna"),
        (4, 2, None, ""),
        (0, 0, None, ""),
        (0, 9, Some("X.TEST"), "dora bert anna"),
        (1, 1, Some("x.test"), "bert"),
        (0, 9, Some("%"), ""),
        (0, 9, Some("'; DROP TABLE users; --"), ""),
    ];
    for (skip, limit, search, expected) in cases {
        let query = query(skip, limit, search);
        let page = opened.users.page(&query, Sort::default()).await.unwrap();
        assert_eq!(shown(&page), expected, "{search:?}");
    }
}

async fn a_page_names_the_roles(opened: &Opened) {
    mirror(opened, &[("a", ""), ("b", "a"), ("c", "")]).await;
    let alice = made(opened, &new_user("alice")).await.id;
    made(opened, &new_user("bob")).await;
    give(opened, alice, &["b", "c"]).await;
    let from_afar = names(&["c", "a"]);
    let roles = &opened.roles;
    roles
        .set_user_roles(alice, &from_afar, "ldap", at(1))
        .await
        .unwrap();
    let list = roles.list().await.unwrap();
    let number = |role: &str| list.iter().find(|it| it.name == name(role)).unwrap().id;
    let all = [number("a"), number("b"), number("c")];
    let page = opened
        .users
        .page(&query(0, 9, None), Sort::default())
        .await
        .unwrap();
    assert_eq!(shown(&page), "alice bob");
    assert_eq!(page[0].roles, all.into());
    assert!(page[1].roles.is_empty());
    let given = opened.users.given(alice).await.unwrap().unwrap();
    assert_eq!(
        (given.user.username.as_str(), given.roles),
        ("alice", all.into())
    );
    assert!(opened.users.given(UserId(4711)).await.unwrap().is_none());
    roles
        .set_user_roles(alice, &names(&[]), LOCAL, at(1))
        .await
        .unwrap();
    let given = opened.users.given(alice).await.unwrap().unwrap();
    assert_eq!(given.roles, [number("a"), number("c")].into());
}
