//! Administrators against each other, at once: one always remains, and no right is won by being quick.

use std::thread;

use serde_json::{Value, json};

use crate::api::{Bench, CHIEF, call, superuser};

const ROUNDS: u32 = 20;

/// How two superusers try to be rid of each other.
fn strike(round: u32) -> (&'static str, Option<Value>) {
    match round % 3 {
        0 => ("PUT", Some(json!({ "is_superuser": false }))),
        1 => ("PUT", Some(json!({ "is_active": false }))),
        _ => ("DELETE", None),
    }
}

#[test]
fn r_13_superusers_who_remove_each_other_leave_one() {
    let bench = Bench::new();
    let gateway = &bench.gateway;
    let mut standing = CHIEF.to_owned();
    for round in 0..ROUNDS {
        let rival = format!("rival{round}");
        superuser(gateway, &rival);
        let tokens = [bench.token(&standing), bench.token(&rival)];
        let list = call(gateway, &tokens[0], "GET", "/auth/users?limit=1000", None).json();
        let number = |name: &str| {
            let all = list.as_array().unwrap();
            all.iter().find(|user| user["username"] == name).unwrap()["id"].clone()
        };
        let targets = [number(&rival), number(&standing)];
        let (method, body) = strike(round);
        thread::scope(|scope| {
            for (token, target) in tokens.iter().zip(&targets) {
                for _ in 0..2 {
                    let body = body.as_ref();
                    scope.spawn(move || {
                        call(
                            gateway,
                            token,
                            method,
                            &format!("/auth/users/{target}"),
                            body,
                        )
                    });
                }
            }
        });
        let alive = |token: &str| call(gateway, token, "GET", "/auth/roles", None).status == 200;
        let left: Vec<_> = tokens.iter().map(|token| alive(token)).collect();
        assert!(left.contains(&true), "round {round}: nobody is left");
        assert!(left.contains(&false), "round {round}: both are left");
        if left[1] {
            standing = rival;
        }
    }
}

/// Somebody is promoted while an administrator who holds less sets their password: either the password was set
/// first, or not at all.
#[test]
fn ad_06_nobody_overtakes_a_promotion() {
    let bench = Bench::new();
    let gateway = &bench.gateway;
    let root = bench.token("root");
    for round in 0..ROUNDS {
        let (id, _) = bench.victim();
        let path = format!("/auth/users/{id}");
        let edit = json!({ "is_verified": true });
        let (set, raised) = thread::scope(|scope| {
            let set = scope.spawn(|| call(gateway, &root, "PUT", &path, Some(&edit)).status);
            let promote = json!({ "is_superuser": true });
            let raised = call(gateway, &bench.chief, "PUT", &path, Some(&promote));
            (set.join().unwrap(), raised.status)
        });
        assert_eq!(raised, 200, "round {round}");
        assert!([200, 403].contains(&set), "round {round}: {set}");
        let user = bench.chief("GET", &path, None);
        assert_eq!(user["is_verified"] == true, set == 200, "round {round}");
        let after = call(gateway, &root, "PUT", &path, Some(&edit)).status;
        assert_eq!(after, 403, "round {round}");
    }
}

#[test]
fn ad_06_parallel_grants_are_all_kept() {
    let bench = Bench::new();
    let gateway = &bench.gateway;
    let roles: Vec<String> = (0..8).map(|_| bench.role().1).collect();
    let (id, _) = bench.victim();
    thread::scope(|scope| {
        for role in &roles {
            let path = format!("/auth/users/{id}/roles/{role}");
            scope.spawn(move || {
                let chief = &bench_token(gateway);
                assert_eq!(call(gateway, chief, "POST", &path, None).status, 200);
            });
        }
    });
    let user = bench.chief("GET", &format!("/auth/users/{id}"), None);
    assert_eq!(user["roles"].as_array().unwrap().len(), 1 + roles.len());
}

fn bench_token(gateway: &crate::harness::Gateway) -> String {
    crate::api::token(gateway, CHIEF)
}
