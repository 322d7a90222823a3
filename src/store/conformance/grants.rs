//! Changing people and roles on the strength of what was looked at, and the roles and permissions themselves.

use std::collections::BTreeSet;

use super::roles::{generation, give, held, mirror, name, permissions};
use super::{Opened, at, made, names, new_user, on_every_db, together};
use crate::base::id::UserId;
use crate::base::name::RoleName;
use crate::store::roles::{Excluded, RoleChange, RoleError, Standing, StoredPermission};
use crate::store::users::{UserChange, UserError};

on_every_db! {
    what_was_judged_is_what_is_changed
    roles_are_given_as_things_stand
    what_has_left_the_file_does_not_hold_up_the_rest
    ad_06_parallel_grants_all_count
    ad_06_users_are_made_if_the_roles_may_be_given
    roles_are_edited
    what_is_fixed_about_roles_stays
    what_rules_keep_people_out_by_stays
    permissions_are_declared_once
}

async fn what_was_judged_is_what_is_changed(opened: &Opened) {
    let alice = made(opened, &new_user("alice")).await;
    let disable = UserChange {
        is_active: Some(false),
        ..UserChange::default()
    };
    let seen = Some(alice.generation);
    let users = &opened.users;
    let done = users.update_if(alice.id, seen, &disable, at(1)).await;
    assert!(!done.unwrap().is_active);
    let again = users.update_if(alice.id, seen, &disable, at(2)).await;
    assert_eq!(again.unwrap_err(), UserError::Stale(alice.id));
    let said = opened.delete_user_if(alice.id, seen).await.unwrap_err();
    assert_eq!(said, UserError::Stale(alice.id));
    let nobody = users
        .update_if(UserId(4711), seen, &disable, at(2))
        .await
        .unwrap_err();
    assert_eq!(nobody, UserError::Missing(UserId(4711)));
    let seen = Some(generation(opened, alice.id).await);
    assert!(opened.delete_user_if(alice.id, seen).await.is_ok());
}

async fn roles_are_given_as_things_stand(opened: &Opened) {
    mirror(opened, &[("a", "x:y"), ("b", "a")]).await;
    let alice = made(opened, &new_user("alice")).await.id;
    give(opened, alice, &["a"]).await;
    let roles = &opened.roles;
    roles
        .set_user_roles(alice, &names(&["user"]), "ldap", at(1))
        .await
        .unwrap();
    let number = roles.list().await.unwrap()[1].id;
    let before = generation(opened, alice).await;
    let look = |standing: &Standing| {
        assert_eq!(standing.user.username.as_str(), "alice");
        assert_eq!(standing.given, names(&["a"]));
        assert_eq!(standing.held, names(&["a", "user"]));
        assert!(standing.numbers.contains_key(&number));
        Ok::<_, RoleError>(standing.given.clone())
    };
    assert_eq!(roles.regrant(alice, at(2), look).await, Ok(false));
    let refuse = |_: &Standing| Err(RoleError::BuiltIn(name("a")));
    let said = roles.regrant(alice, at(2), refuse).await;
    assert_eq!(said, Err(RoleError::BuiltIn(name("a"))));
    let unknown = |_: &Standing| Ok::<_, RoleError>(names(&["nothing"]));
    let said = roles.regrant(alice, at(2), unknown).await;
    assert_eq!(said, Err(RoleError::Unknown(name("nothing"))));
    assert_eq!(generation(opened, alice).await, before);
    let more = |_: &Standing| Ok::<_, RoleError>(names(&["b"]));
    assert_eq!(roles.regrant(alice, at(2), more).await, Ok(true));
    assert_eq!(held(opened, alice).await, "a b user | x:y");
    assert_eq!(generation(opened, alice).await, before + 1);
    let nobody = roles.regrant(UserId(4711), at(2), more).await;
    assert_eq!(nobody, Err(RoleError::Missing(UserId(4711))));
}

async fn what_has_left_the_file_does_not_hold_up_the_rest(opened: &Opened) {
    mirror(opened, &[("ops", "x:y"), ("editor", "a:b")]).await;
    let alice = made(opened, &new_user("alice")).await.id;
    give(opened, alice, &["ops", "editor"]).await;
    mirror(opened, &[("editor", "a:b")]).await;
    let without = |standing: &Standing| {
        let mut left = standing.given.clone();
        assert!(left.remove(&name("editor")));
        Ok::<_, RoleError>(left)
    };
    assert_eq!(opened.roles.regrant(alice, at(2), without).await, Ok(true));
    assert_eq!(held(opened, alice).await, " | ");
    // It was kept for when the file has it again, and cannot be given until then.
    let bob = made(opened, &new_user("bob")).await.id;
    let give_it = |_: &Standing| Ok::<_, RoleError>(names(&["ops"]));
    let said = opened.roles.regrant(bob, at(2), give_it).await;
    assert_eq!(said, Err(RoleError::Unknown(name("ops"))));
    mirror(opened, &[("ops", "x:y"), ("editor", "a:b")]).await;
    assert_eq!(held(opened, alice).await, "ops | x:y");
}

async fn ad_06_parallel_grants_all_count(opened: &Opened) {
    let all: Vec<String> = (0..20).map(|n| format!("r{n}")).collect();
    let file: Vec<(&str, &str)> = all.iter().map(|role| (role.as_str(), "")).collect();
    mirror(opened, &file).await;
    let alice = made(opened, &new_user("alice")).await.id;
    together(20, |n| {
        let (roles, role): (_, RoleName) = (opened.roles.clone(), name(&format!("r{n}")));
        async move {
            let grant = |standing: &Standing| {
                let mut chosen = standing.given.clone();
                chosen.insert(role);
                Ok::<_, RoleError>(chosen)
            };
            roles.regrant(alice, at(1), grant).await.unwrap();
        }
    })
    .await;
    assert_eq!(opened.roles.of_user(alice).await.unwrap().len(), 20);
}

async fn ad_06_users_are_made_if_the_roles_may_be_given(opened: &Opened) {
    mirror(opened, &[("a", "")]).await;
    let mut new = new_user("alice");
    new.roles = names(&["a"]);
    let users = &opened.users;
    let refused = users
        .insert_if(&new, at(0), |graph| {
            assert!(graph.nodes.contains_key(&name("a")));
            Err(UserError::UnknownRole(name("a")))
        })
        .await;
    assert_eq!(refused.unwrap_err(), UserError::UnknownRole(name("a")));
    assert_eq!(users.count(None).await, Ok(0));
    let made = users
        .insert_if(&new, at(0), |_| Ok::<_, UserError>(()))
        .await
        .unwrap();
    assert_eq!(held(opened, made.id).await, "a | ");
}

async fn roles_are_edited(opened: &Opened) {
    let roles = &opened.roles;
    let base = roles
        .add(&name("base"), "Base", &permissions(&["a:b"]), at(1))
        .await
        .unwrap()
        .id;
    mirror(opened, &[("boss", "base")]).await;
    let (alice, bob) = (
        made(opened, &new_user("alice")).await.id,
        made(opened, &new_user("bob")).await.id,
    );
    give(opened, alice, &["boss"]).await;
    give(opened, bob, &["user"]).await;
    let before = (
        generation(opened, alice).await,
        generation(opened, bob).await,
    );
    let change = RoleChange {
        name: Some(name("ground")),
        description: None,
        permissions: Some(BTreeSet::from(["c:d".parse().unwrap()])),
    };
    roles
        .update(base, &change, &Excluded::default(), at(2))
        .await
        .unwrap();
    assert_eq!(held(opened, alice).await, "boss ground | c:d");
    let list = roles.list().await.unwrap();
    let edited = list.iter().find(|it| it.id == base).unwrap();
    assert_eq!(edited.description, "Base");
    assert!(
        generation(opened, alice).await > before.0,
        "by what includes it"
    );
    assert_eq!(generation(opened, bob).await, before.1);
}

async fn what_is_fixed_about_roles_stays(opened: &Opened) {
    let roles = &opened.roles;
    let base = roles.add(&name("base"), "", &[], at(1)).await.unwrap().id;
    mirror(opened, &[("boss", "")]).await;
    let alice = made(opened, &new_user("alice")).await.id;
    give(opened, alice, &["boss"]).await;
    let list = roles.list().await.unwrap();
    let number = |role: &str| list.iter().find(|it| it.name == name(role)).unwrap().id;
    let rename = async |id, to: &str| {
        let change = RoleChange {
            name: Some(name(to)),
            ..RoleChange::default()
        };
        roles
            .update(id, &change, &Excluded::default(), at(3))
            .await
            .unwrap_err()
    };
    assert_eq!(
        rename(number("boss"), "chief").await,
        RoleError::FromConfig(name("boss"))
    );
    assert_eq!(
        rename(number("user"), "users").await,
        RoleError::BuiltIn(name("user"))
    );
    assert_eq!(
        rename(base, "admin").await,
        RoleError::BuiltIn(name("admin"))
    );
    assert_eq!(rename(base, "boss").await, RoleError::Exists(name("boss")));
    assert_eq!(rename(4711, "boss").await, RoleError::NoNumber(4711));
    assert_eq!(
        roles.delete_number(4711, &Excluded::default()).await,
        Err(RoleError::NoNumber(4711))
    );
    mirror(opened, &[]).await;
    assert_eq!(
        rename(number("boss"), "chief").await,
        RoleError::NoNumber(number("boss"))
    );
    assert_eq!(
        roles.delete_number(base, &Excluded::default()).await,
        Ok(name("base"))
    );
}

async fn what_rules_keep_people_out_by_stays(opened: &Opened) {
    let roles = &opened.roles;
    let add = async |role: &str, gives: &[&str]| {
        let gives = permissions(gives);
        let made = roles.add(&name(role), "", &gives, at(1)).await;
        made.unwrap().id
    };
    let (blocked, debtor) = (
        add("blocked", &[]).await,
        add("debtor", &["bills:due"]).await,
    );
    let free = add("free", &["orders:read"]).await;
    let excluded = Excluded {
        roles: [(name("blocked"), 7)].into(),
        permissions: [("bills:due".parse().unwrap(), 9)].into(),
    };
    let rename = async |id, to: &str| {
        let change = RoleChange {
            name: Some(name(to)),
            description: Some("for a reason".into()),
            permissions: None,
        };
        roles.update(id, &change, &excluded, at(2)).await
    };
    let refused = |role: &str, line| RoleError::Excludes(name(role), line);
    assert_eq!(rename(blocked, "open").await, Err(refused("blocked", 7)));
    let deleted = roles.delete_number(blocked, &excluded).await;
    assert_eq!(deleted, Err(refused("blocked", 7)));
    let deleted = roles.delete(&name("debtor"), &excluded).await;
    assert_eq!(deleted, Err(refused("debtor", 9)));
    // Nothing is lost by these.
    assert_eq!(rename(blocked, "blocked").await, Ok(()));
    assert_eq!(rename(debtor, "owing").await, Ok(()));
    let deleted = roles.delete_number(free, &excluded).await;
    assert_eq!(deleted, Ok(name("free")));
    let none = Excluded::default();
    assert_eq!(roles.delete(&name("blocked"), &none).await, Ok(0));
}

async fn permissions_are_declared_once(opened: &Opened) {
    let roles = &opened.roles;
    let made = roles
        .add_permission(&"a:b".parse().unwrap(), "What it is for")
        .await
        .unwrap();
    assert_eq!(
        (made.permission.as_str(), made.description.as_str()),
        ("a:b", "What it is for")
    );
    let again = roles.add_permission(&"a:b".parse().unwrap(), "").await;
    assert_eq!(
        again,
        Err(RoleError::PermissionExists("a:b".parse().unwrap()))
    );
    roles
        .add(&name("r"), "", &permissions(&["a:b", "c:d"]), at(1))
        .await
        .unwrap();
    let list = roles.permissions().await.unwrap();
    let names: Vec<_> = list.iter().map(|it| it.permission.as_str()).collect();
    assert_eq!(names, ["a:b", "c:d"]);
    assert_eq!(list[0], StoredPermission { roles: 1, ..made });
}
