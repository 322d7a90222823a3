//! The roles of the file, mirrored.

use std::collections::BTreeSet;

use super::roles::{file, generation, give, held, mirror, name, permissions};
use super::{Opened, at, made, names, new_user, on_every_db, together};
use crate::base::name::{Permission, RoleName};
use crate::store::roles::{Excluded, LOCAL, Mirrored, RoleError};

on_every_db! {
    a_fresh_store_has_three_roles
    the_file_is_mirrored_and_nothing_is_written_twice
    a_role_of_the_file_replaces_a_stored_one
    a_role_that_leaves_the_file_is_kept_and_counts_for_nothing
    a_built_in_role_never_gives_what_the_files_did_not
    a_role_that_includes_what_is_not_there_is_refused
    only_those_who_hold_something_else_get_a_new_generation
    parallel_mirrors_agree
    each_process_judges_by_its_own_file
}

async fn a_fresh_store_has_three_roles(opened: &Opened) {
    let done = mirror(opened, &[]).await;
    assert_eq!(done.added, ["admin", "superuser", "user"].map(name));
    let roles = listed(opened).await;
    let admin = "admin local 0: roles:read users:delete users:read users:write";
    assert_eq!(roles, [admin, "superuser local 0: ", "user local 0: "]);
}

async fn each_process_judges_by_its_own_file(opened: &Opened) {
    let newer = [("viewer", "a:read"), ("auditor", "b:read")];
    mirror(opened, &newer).await;
    let alice = made(opened, &new_user("alice")).await.id;
    give(opened, alice, &["viewer", "auditor"]).await;
    opened.roles.judge_by(file(&newer));
    let hers = "auditor viewer | a:read b:read";
    assert_eq!(held(opened, alice).await, hers);
    // Another one, with the file of before.
    let older = [("viewer", "a:read a:write ghost"), ("ghost", "c:all")];
    mirror(opened, &older).await;
    assert_eq!(held(opened, alice).await, hers);
    let graph = opened.roles.graph().await.unwrap();
    assert!(graph.counting(&name("auditor")).is_some() && graph.counting(&name("ghost")).is_none());
    // Whoever gives roles is judged likewise.
    let seen = opened.roles.regrant(alice, at(2), |standing| {
        let auditor = standing.graph.closure([&name("auditor")]);
        assert_eq!(auditor.permissions.len(), 1);
        Ok::<_, RoleError>(standing.given.clone())
    });
    seen.await.unwrap();
    // The built-in role that everybody has is nothing less for another file's saying more of it.
    give(opened, alice, &["user"]).await;
    mirror(opened, &[("user", "x:y")]).await;
    assert_eq!(held(opened, alice).await, "user | ");
    give(opened, alice, &["user"]).await;
    mirror(opened, &older).await;
    give(opened, alice, &["viewer"]).await;
    opened.roles.judge_by(file(&older));
    assert_eq!(
        held(opened, alice).await,
        "ghost viewer | a:read a:write c:all"
    );
}

async fn the_file_is_mirrored_and_nothing_is_written_twice(opened: &Opened) {
    let roles = [
        ("viewer", "orders:read"),
        ("editor", "viewer orders:write"),
        ("admin", "editor users:read"),
    ];
    let done = mirror(opened, &roles).await;
    assert_eq!(
        done.added,
        ["admin", "editor", "superuser", "user", "viewer"].map(name)
    );
    let alice = made(opened, &new_user("alice")).await.id;
    give(opened, alice, &["admin"]).await;
    assert_eq!(
        held(opened, alice).await,
        "admin editor viewer | orders:read orders:write users:read"
    );
    let before = generation(opened, alice).await;
    assert_eq!(mirror(opened, &roles).await, Mirrored::default());
    assert_eq!(generation(opened, alice).await, before);
    assert_eq!(
        listed(opened).await,
        [
            "admin config 1: editor users:read",
            "editor config 0: viewer orders:write",
            "superuser local 0: ",
            "user local 0: ",
            "viewer config 0: orders:read",
        ]
    );
}

async fn a_role_of_the_file_replaces_a_stored_one(opened: &Opened) {
    mirror(opened, &[]).await;
    opened
        .roles
        .add(&name("editor"), "Edits", &permissions(&["all:all"]), at(1))
        .await
        .unwrap();
    let alice = made(opened, &new_user("alice")).await.id;
    give(opened, alice, &["editor", "admin"]).await;
    let ids = async || {
        opened
            .roles
            .list()
            .await
            .unwrap()
            .into_iter()
            .map(|role| (role.name, role.id))
            .collect::<Vec<_>>()
    };
    let before = ids().await;
    let done = mirror(opened, &[("editor", "orders:write"), ("admin", "")]).await;
    assert_eq!(done.changed, ["admin", "editor"].map(name));
    assert_eq!(held(opened, alice).await, "admin editor | orders:write");
    assert_eq!(ids().await, before, "a role keeps its number");
}

async fn a_role_that_leaves_the_file_is_kept_and_counts_for_nothing(opened: &Opened) {
    let with = [
        ("viewer", "orders:read"),
        ("editor", "viewer orders:write"),
        ("unused", "x:y"),
    ];
    let without = [("viewer", "orders:read")];
    mirror(opened, &with).await;
    let alice = made(opened, &new_user("alice")).await.id;
    give(opened, alice, &["editor"]).await;
    let done = mirror(opened, &without).await;
    assert_eq!(
        (done.removed, done.retired),
        (vec![name("unused")], vec![(name("editor"), 1)])
    );
    assert_eq!(held(opened, alice).await, " | ");
    assert_eq!(opened.roles.of_user(alice).await, Ok(names(&[])));
    assert!(
        listed(opened)
            .await
            .contains(&"editor retired 1: ".to_owned())
    );
    assert_eq!(mirror(opened, &without).await, Mirrored::default());
    let bob = made(opened, &new_user("bob")).await.id;
    let said = opened
        .roles
        .set_user_roles(bob, &names(&["editor"]), LOCAL, at(1))
        .await;
    assert_eq!(said, Err(RoleError::Unknown(name("editor"))));
    // A slip in the file is undone by undoing it.
    assert_eq!(mirror(opened, &with).await.changed, [name("editor")]);
    assert_eq!(
        held(opened, alice).await,
        "editor viewer | orders:read orders:write"
    );
    // One that is made anew is nobody's, whatever it was before.
    mirror(opened, &without).await;
    opened
        .roles
        .add(&name("editor"), "", &permissions(&["all:all"]), at(1))
        .await
        .unwrap();
    assert_eq!(held(opened, alice).await, " | ");
}

async fn a_built_in_role_never_gives_what_the_files_did_not(opened: &Opened) {
    mirror(opened, &[("admin", "orders:read"), ("user", "orders:list")]).await;
    let alice = made(opened, &new_user("alice")).await.id;
    give(opened, alice, &["admin", "user"]).await;
    mirror(opened, &[]).await;
    assert_eq!(held(opened, alice).await, "user | ");
    opened
        .roles
        .delete(&name("admin"), &Excluded::default())
        .await
        .unwrap();
    assert_eq!(mirror(opened, &[]).await.added, [name("admin")]);
    assert_eq!(held(opened, alice).await, "user | ");
}

async fn a_role_that_includes_what_is_not_there_is_refused(opened: &Opened) {
    mirror(opened, &[("viewer", "orders:read")]).await;
    let before = listed(opened).await;
    let said = opened
        .roles
        .mirror(&file(&[("editor", "viewer")]), at(1))
        .await;
    assert_eq!(said, Err(RoleError::Unknown(name("viewer"))));
    assert_eq!(listed(opened).await, before);
    mirror(opened, &[("editor", "user"), ("a", "b x:x"), ("b", "a")]).await;
    let alice = made(opened, &new_user("alice")).await.id;
    give(opened, alice, &["b", "editor"]).await;
    assert_eq!(held(opened, alice).await, "a b editor user | x:x");
}

async fn only_those_who_hold_something_else_get_a_new_generation(opened: &Opened) {
    mirror(
        opened,
        &[
            ("viewer", "orders:read"),
            ("editor", "viewer"),
            ("other", "x:y"),
        ],
    )
    .await;
    let mut ids = Vec::new();
    for role in ["viewer", "editor", "other"] {
        let user = made(opened, &new_user(&format!("the-{role}"))).await.id;
        give(opened, user, &[role]).await;
        ids.push(user);
    }
    let mut before = Vec::new();
    for id in &ids {
        before.push(generation(opened, *id).await);
    }
    mirror(
        opened,
        &[
            ("viewer", "orders:read orders:list"),
            ("editor", "viewer"),
            ("other", "x:y"),
        ],
    )
    .await;
    let mut risen = Vec::new();
    for (id, before) in ids.iter().zip(before) {
        risen.push(generation(opened, *id).await > before);
    }
    assert_eq!(risen, [true, true, false]);
}

async fn parallel_mirrors_agree(opened: &Opened) {
    let roles = file(&[("viewer", "orders:read"), ("editor", "viewer orders:write")]);
    let done = together(10, |_| {
        let (stored, roles) = (opened.roles.clone(), roles.clone());
        async move { stored.mirror(&roles, at(1)).await.unwrap() }
    })
    .await;
    assert_eq!(
        done.iter()
            .filter(|one| **one != Mirrored::default())
            .count(),
        1
    );
    let all: BTreeSet<_> = opened
        .roles
        .list()
        .await
        .unwrap()
        .into_iter()
        .map(|role| role.name)
        .collect();
    assert_eq!(
        all,
        names(&["admin", "editor", "superuser", "user", "viewer"])
    );
}

/// Every role: `name origin assigned: includes permissions`.
async fn listed(opened: &Opened) -> Vec<String> {
    let roles = opened.roles.list().await.unwrap();
    let line = |role: &crate::store::roles::Role| {
        let gives = role
            .includes
            .iter()
            .map(RoleName::as_str)
            .chain(role.permissions.iter().map(Permission::as_str));
        let gives: Vec<_> = gives.collect();
        format!(
            "{} {} {}: {}",
            role.name,
            role.origin.as_str(),
            role.assigned,
            gives.join(" ")
        )
    };
    roles.iter().map(line).collect()
}
