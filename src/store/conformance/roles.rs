//! The roles: made, deleted, given.

use std::collections::BTreeSet;

use super::{Opened, at, made, names, new_user, on_every_db, together};
use crate::base::id::UserId;
use crate::base::name::{Permission, RoleName};
use crate::store::roles::{
    ConfigRole, Excluded, LOCAL, Mirrored, RoleError, RoleOrigin, StoredPermission,
};

on_every_db! {
    roles_are_made_and_deleted
    roles_of_the_file_and_built_in_ones_stay
    permissions_are_declared_given_and_taken_back
    each_source_replaces_its_own
    roles_that_do_not_exist_are_not_given
    parallel_assignments_leave_one_of_them
}

pub(super) fn name(text: &str) -> RoleName {
    text.parse().unwrap()
}

pub(super) fn permissions(list: &[&str]) -> Vec<Permission> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

/// `editor: viewer orders:write`, as the file has it.
pub(super) fn file(roles: &[(&str, &str)]) -> Vec<ConfigRole> {
    let role = |(name, gives): &(&str, &str)| {
        let (permissions, includes) = gives
            .split_whitespace()
            .partition::<Vec<_>, _>(|word| word.contains(':'));
        ConfigRole {
            name: name.parse().unwrap(),
            includes: includes.iter().map(|word| word.parse().unwrap()).collect(),
            permissions: self::permissions(&permissions),
        }
    };
    roles.iter().map(role).collect()
}

pub(super) async fn mirror(opened: &Opened, roles: &[(&str, &str)]) -> Mirrored {
    opened.roles.mirror(&file(roles), at(1)).await.unwrap()
}

pub(super) async fn give(opened: &Opened, user: UserId, roles: &[&str]) {
    opened
        .roles
        .set_user_roles(user, &names(roles), LOCAL, at(1))
        .await
        .unwrap();
}

/// What a user holds: `roles | permissions`.
pub(super) async fn held(opened: &Opened, user: UserId) -> String {
    let account = opened.account(user).await.unwrap().unwrap();
    let roles: Vec<_> = account.roles.iter().map(RoleName::as_str).collect();
    let permissions: Vec<_> = account.permissions.iter().map(Permission::as_str).collect();
    format!("{} | {}", roles.join(" "), permissions.join(" "))
}

pub(super) async fn generation(opened: &Opened, user: UserId) -> i64 {
    opened.users.by_id(user).await.unwrap().unwrap().generation
}

async fn generations(opened: &Opened, one: UserId, other: UserId) -> (i64, i64) {
    (
        generation(opened, one).await,
        generation(opened, other).await,
    )
}

async fn roles_are_made_and_deleted(opened: &Opened) {
    mirror(opened, &[("boss", "user")]).await;
    let made_role = opened
        .roles
        .add(
            &name("editor"),
            "Edits",
            &permissions(&["a:b", "a:b", "c:d"]),
            at(1),
        )
        .await
        .unwrap();
    assert_eq!(
        (made_role.origin, made_role.description.as_str()),
        (RoleOrigin::Local, "Edits")
    );
    assert!(opened.roles.list().await.unwrap().contains(&made_role));
    let again = opened.roles.add(&name("editor"), "", &[], at(1)).await;
    assert_eq!(again, Err(RoleError::Exists(name("editor"))));
    let alice = made(opened, &new_user("alice")).await.id;
    give(opened, alice, &["editor"]).await;
    let before = generation(opened, alice).await;
    assert_eq!(
        opened
            .roles
            .delete(&name("editor"), &Excluded::default())
            .await,
        Ok(1)
    );
    assert_eq!(held(opened, alice).await, " | ");
    assert!(generation(opened, alice).await > before);
    assert_eq!(
        opened
            .roles
            .delete(&name("editor"), &Excluded::default())
            .await,
        Err(RoleError::Unknown(name("editor")))
    );
    let next = opened
        .roles
        .add(&name("editor"), "", &[], at(1))
        .await
        .unwrap();
    assert!(next.id > made_role.id, "numbers are not used again");
}

async fn roles_of_the_file_and_built_in_ones_stay(opened: &Opened) {
    mirror(opened, &[("viewer", "")]).await;
    opened
        .roles
        .add(&name("base"), "", &[], at(1))
        .await
        .unwrap();
    mirror(opened, &[("viewer", "base")]).await;
    let refused = |done: Result<(), RoleError>| done.unwrap_err();
    let delete = async |role: &str| {
        refused(
            opened
                .roles
                .delete(&name(role), &Excluded::default())
                .await
                .map(drop),
        )
    };
    assert_eq!(
        delete("viewer").await,
        RoleError::FromConfig(name("viewer"))
    );
    assert_eq!(delete("user").await, RoleError::BuiltIn(name("user")));
    assert_eq!(
        delete("base").await,
        RoleError::Included(name("base"), name("viewer"))
    );
    let add = opened
        .roles
        .add(&name("viewer"), "", &[], at(1))
        .await
        .map(drop);
    assert_eq!(refused(add), RoleError::FromConfig(name("viewer")));
}

async fn permissions_are_declared_given_and_taken_back(opened: &Opened) {
    mirror(opened, &[("boss", "orders:read user")]).await;
    let roles = &opened.roles;
    let read: Permission = "orders:read".parse().unwrap();
    let ship: Permission = "orders:ship".parse().unwrap();
    roles.add_permission(&ship, "Sends them").await.unwrap();
    for known in [&read, &ship] {
        assert!(roles.add_permission(known, "again").await.is_err());
    }
    let listed = async || {
        let all = roles.permissions().await.unwrap();
        let ours = all
            .iter()
            .filter(|one| one.permission.as_str().starts_with("orders"));
        let line = |one: &StoredPermission| {
            format!("{} '{}' {}", one.permission, one.description, one.roles)
        };
        ours.map(line).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(
        listed().await,
        "orders:read '' 1, orders:ship 'Sends them' 0"
    );
    roles.add(&name("clerk"), "", &[], at(1)).await.unwrap();
    let (clerk, other) = (
        made(opened, &new_user("c")).await.id,
        made(opened, &new_user("o")).await.id,
    );
    give(opened, clerk, &["clerk"]).await;
    let before = generations(opened, clerk, other).await;
    let both: BTreeSet<Permission> = [read, ship].into();
    roles
        .set_permissions(&name("clerk"), &both, at(2))
        .await
        .unwrap();
    assert_eq!(held(opened, clerk).await, "clerk | orders:read orders:ship");
    let after = generations(opened, clerk, other).await;
    assert_eq!(after, (before.0 + 1, before.1));
    assert_eq!(
        listed().await,
        "orders:read '' 2, orders:ship 'Sends them' 1"
    );
    roles
        .set_permissions(&name("clerk"), &BTreeSet::new(), at(3))
        .await
        .unwrap();
    assert_eq!(held(opened, clerk).await, "clerk | ");
    let (boss, ghost) = (name("boss"), name("ghost"));
    let refused = roles.set_permissions(&boss, &both, at(4)).await;
    assert_eq!(refused, Err(RoleError::FromConfig(boss)));
    let refused = roles.set_permissions(&ghost, &both, at(4)).await;
    assert_eq!(refused, Err(RoleError::Unknown(ghost)));
}

async fn each_source_replaces_its_own(opened: &Opened) {
    mirror(opened, &[("a", ""), ("b", ""), ("c", "")]).await;
    let alice = made(opened, &new_user("alice")).await.id;
    let set = async |roles: &[&str], source| {
        opened
            .roles
            .set_user_roles(alice, &names(roles), source, at(1))
            .await
            .unwrap();
        opened.roles.of_user(alice).await.unwrap()
    };
    assert_eq!(set(&["a", "b"], LOCAL).await, names(&["a", "b"]));
    assert_eq!(set(&["b", "c"], "ldap").await, names(&["a", "b", "c"]));
    assert_eq!(set(&[], LOCAL).await, names(&["b", "c"]));
    let before = generation(opened, alice).await;
    assert_eq!(set(&["c", "b"], "ldap").await, names(&["b", "c"]));
    assert_eq!(
        generation(opened, alice).await,
        before,
        "nothing has changed"
    );
    assert_eq!(set(&[], "ldap").await, names(&[]));
    assert_eq!(generation(opened, alice).await, before + 1);
}

async fn roles_that_do_not_exist_are_not_given(opened: &Opened) {
    mirror(opened, &[]).await;
    let alice = made(opened, &new_user("alice")).await.id;
    give(opened, alice, &["user"]).await;
    let before = generation(opened, alice).await;
    let said = opened
        .roles
        .set_user_roles(alice, &names(&["admin", "nothing"]), LOCAL, at(1))
        .await;
    assert_eq!(said, Err(RoleError::Unknown(name("nothing"))));
    assert_eq!(opened.roles.of_user(alice).await, Ok(names(&["user"])));
    assert_eq!(generation(opened, alice).await, before);
    let said = opened
        .roles
        .set_user_roles(UserId(4711), &names(&["user"]), LOCAL, at(1))
        .await;
    assert_eq!(said, Err(RoleError::Missing(UserId(4711))));
}

async fn parallel_assignments_leave_one_of_them(opened: &Opened) {
    let wanted = [["a", "b"], ["c", "d"], ["e", "f"], ["a", "f"]];
    mirror(
        opened,
        &[
            ("a", ""),
            ("b", ""),
            ("c", ""),
            ("d", ""),
            ("e", ""),
            ("f", ""),
        ],
    )
    .await;
    let alice = made(opened, &new_user("alice")).await.id;
    together(20, |n| {
        let roles = opened.roles.clone();
        async move {
            roles
                .set_user_roles(alice, &names(&wanted[n % 4]), LOCAL, at(1))
                .await
                .unwrap();
        }
    })
    .await;
    let left = opened.roles.of_user(alice).await.unwrap();
    assert!(wanted.iter().any(|one| names(one) == left), "{left:?}");
}
