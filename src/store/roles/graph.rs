//! What roles add up to: pure, over roles that were loaded before.

use std::collections::{BTreeMap, BTreeSet};

use super::RoleOrigin;
use crate::base::name::{Permission, RoleName};

/// Every role, with what it includes and gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// By name.
    pub nodes: BTreeMap<RoleName, Node>,
}

/// One role of a [`Graph`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it comes from.
    pub origin: RoleOrigin,
    /// The roles it includes.
    pub includes: BTreeSet<RoleName>,
    /// The permissions it gives itself.
    pub permissions: BTreeSet<Permission>,
}

/// What somebody with certain roles holds, inherited roles included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closure {
    /// Every role.
    pub roles: BTreeSet<RoleName>,
    /// Every permission.
    pub permissions: BTreeSet<Permission>,
}

impl Graph {
    /// Follows `roles` to everything they include. A role that is not there, or has left the file, adds nothing,
    /// not even its name. Each role is visited once, so a cycle ends.
    pub fn closure<'a>(&'a self, roles: impl IntoIterator<Item = &'a RoleName>) -> Closure {
        let mut closure = Closure::default();
        let mut waiting: Vec<&RoleName> = roles.into_iter().collect();
        while let Some(name) = waiting.pop() {
            if let Some(node) = self.counting(name)
                && closure.roles.insert(name.clone())
            {
                closure.permissions.extend(node.permissions.iter().cloned());
                waiting.extend(&node.includes);
            }
        }
        closure
    }

    /// The role, if it counts for anything.
    #[must_use]
    pub fn counting(&self, name: &RoleName) -> Option<&Node> {
        self.nodes
            .get(name)
            .filter(|node| node.origin != RoleOrigin::Retired)
    }
}

impl Node {
    /// A role that includes and gives nothing yet.
    #[must_use]
    pub const fn empty(origin: RoleOrigin) -> Self {
        Self {
            origin,
            includes: BTreeSet::new(),
            permissions: BTreeSet::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(roles: &[(&str, RoleOrigin, &[&str], &[&str])]) -> Graph {
        let node = |origin, includes: &[&str], permissions: &[&str]| Node {
            origin,
            includes: includes.iter().map(|name| name.parse().unwrap()).collect(),
            permissions: permissions
                .iter()
                .map(|name| name.parse().unwrap())
                .collect(),
        };
        let entry =
            |&(name, origin, i, p): &(&str, _, _, _)| (name.parse().unwrap(), node(origin, i, p));
        Graph {
            nodes: roles.iter().map(entry).collect(),
        }
    }

    fn held(graph: &Graph, role: &str) -> String {
        let role: RoleName = role.parse().unwrap();
        let closure = graph.closure([&role]);
        let roles: Vec<_> = closure.roles.iter().map(RoleName::as_str).collect();
        let permissions: Vec<_> = closure.permissions.iter().map(Permission::as_str).collect();
        format!("{} | {}", roles.join(" "), permissions.join(" "))
    }

    #[test]
    fn a_closure_follows_what_counts() {
        use RoleOrigin::{Config, Local, Retired};
        let graph = graph(&[
            ("viewer", Config, &[], &["orders:read"]),
            ("editor", Config, &["viewer"], &["orders:write"]),
            ("admin", Local, &["editor", "gone", "nowhere"], &[]),
            ("gone", Retired, &["viewer"], &["all:all"]),
            ("a", Local, &["b"], &["a:a"]),
            ("b", Local, &["a", "b"], &["b:b"]),
        ]);
        let cases = [
            ("viewer", "viewer | orders:read"),
            ("editor", "editor viewer | orders:read orders:write"),
            ("admin", "admin editor viewer | orders:read orders:write"),
            ("gone", " | "),
            ("nowhere", " | "),
            ("a", "a b | a:a b:b"),
        ];
        for (role, expected) in cases {
            assert_eq!(held(&graph, role), expected, "{role}");
        }
    }
}
