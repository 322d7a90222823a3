//! Roles and what they include: the closure that judgements are made on, and the cycles that are refused.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::name::{Permission, RoleName};

/// What one role gives directly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleDefinition {
    /// Roles it includes.
    pub includes: BTreeSet<RoleName>,
    /// Permissions it gives itself.
    pub permissions: BTreeSet<Permission>,
}

/// All roles by name.
pub type Roles = BTreeMap<RoleName, RoleDefinition>;

/// What a set of roles amounts to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closure {
    /// The roles and all they include.
    pub roles: BTreeSet<RoleName>,
    /// Every permission of those.
    pub permissions: BTreeSet<Permission>,
}

/// Everything that the given roles amount to. A role that is defined nowhere counts as itself and gives
/// nothing; a cycle is walked once.
#[must_use]
pub fn closure(all: &Roles, held: impl IntoIterator<Item = RoleName>) -> Closure {
    let mut found = Closure::default();
    let mut waiting: Vec<RoleName> = held.into_iter().collect();
    while let Some(name) = waiting.pop() {
        if let Some(role) = all.get(&name) {
            waiting.extend(role.includes.difference(&found.roles).cloned());
            found.permissions.extend(role.permissions.iter().cloned());
        }
        found.roles.insert(name);
    }
    found
}

/// A role that includes itself, by way of the roles named, first to last.
#[must_use]
pub fn find_cycle(all: &Roles) -> Option<Vec<RoleName>> {
    let includes = |name| all.get(name).into_iter().flat_map(|role| &role.includes);
    let mut done = BTreeSet::new();
    for name in all.keys() {
        // No recursion: a chain may be longer than a stack is deep.
        let mut path = vec![(name, includes(name))];
        let mut on_path = BTreeSet::from([name]);
        while let Some((name, rest)) = path.last_mut() {
            match rest.next() {
                None => {
                    on_path.remove(*name);
                    done.insert(*name);
                    path.pop();
                }
                Some(inner) if on_path.contains(inner) => {
                    let cycle = path.iter().skip_while(|(name, _)| *name != inner);
                    return Some(cycle.map(|(name, _)| (*name).clone()).collect());
                }
                Some(inner) if done.contains(inner) => {}
                Some(inner) => {
                    on_path.insert(inner);
                    path.push((inner, includes(inner)));
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(lines: &[(&str, &[&str])]) -> Roles {
        let definition = |grants: &[&str]| RoleDefinition {
            includes: grants.iter().filter_map(|g| g.parse().ok()).collect(),
            permissions: grants.iter().filter_map(|g| g.parse().ok()).collect(),
        };
        lines
            .iter()
            .map(|(name, grants)| (name.parse().unwrap(), definition(grants)))
            .collect()
    }

    #[test]
    fn a_long_chain_of_roles_is_walked() {
        let name = |at: u32| -> RoleName { format!("r{at}").parse().unwrap() };
        let includes = |at| RoleDefinition {
            includes: [name(at)].into_iter().collect(),
            ..RoleDefinition::default()
        };
        let mut all: Roles = (0..100_000)
            .map(|at| (name(at), includes(at + 1)))
            .collect();
        assert_eq!(find_cycle(&all), None);
        all.insert(name(100_000), includes(0));
        assert_eq!(find_cycle(&all).unwrap().len(), 100_001);
    }

    #[test]
    fn inherited_roles_and_permissions() {
        let all = roles(&[
            ("viewer", &["orders:read"]),
            ("editor", &["viewer", "orders:write"]),
            ("admin", &["editor", "users:read"]),
        ]);
        let found = closure(&all, ["admin".parse().unwrap(), "ghost".parse().unwrap()]);
        let names: Vec<_> = found.roles.iter().map(RoleName::as_str).collect();
        assert_eq!(names, ["admin", "editor", "ghost", "viewer"]);
        assert_eq!(found.permissions.len(), 3);
        assert_eq!(find_cycle(&all), None);
    }

    #[test]
    fn a_cycle_is_named_and_does_not_hang() {
        let all = roles(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("d", &["d"])]);
        let cycle: Vec<_> = find_cycle(&all)
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(cycle, ["b", "c"]);
        assert_eq!(closure(&all, ["a".parse().unwrap()]).roles.len(), 3);
    }
}
