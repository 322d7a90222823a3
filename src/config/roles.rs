//! `roles:`: what each role includes and permits.

use std::collections::BTreeSet;

use crate::base::name::{Permission, RoleName};
use crate::policy::role::{RoleDefinition, Roles, find_cycle};

use super::raw::{At, Entry, Object};

/// The roles of every fresh store, which a file may name without declaring them.
pub const DEFAULT_ROLES: [(&str, &[&str]); 3] = [
    ("superuser", &[]),
    (
        "admin",
        &["users:read", "users:write", "users:delete", "roles:read"],
    ),
    ("user", &[]),
];

/// The roles of the file.
pub fn roles(file: &Object<'_>) -> Roles {
    let Some(at) = file.get("roles") else {
        return Roles::new();
    };
    let entries = at.entries().unwrap_or_default();
    let names: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
    let roles: Roles = entries
        .iter()
        .filter_map(|entry| role(entry, &names))
        .collect();
    if let Some(cycle) = find_cycle(&roles) {
        refuse_cycle(&entries, &cycle);
    }
    roles
}

/// The roles of the file and the default ones it does not replace: what tests and explanations reckon with.
#[must_use]
pub fn with_defaults(roles: &Roles) -> Roles {
    let given = |grants: &[&str]| RoleDefinition {
        includes: BTreeSet::new(),
        permissions: grants
            .iter()
            .filter_map(|grant| grant.parse().ok())
            .collect(),
    };
    let defaults = DEFAULT_ROLES
        .iter()
        .filter_map(|(name, grants)| Some((name.parse().ok()?, given(grants))));
    defaults.chain(roles.clone()).collect()
}

fn role(entry: &Entry<'_>, names: &[&str]) -> Option<(RoleName, RoleDefinition)> {
    let mut definition = RoleDefinition::default();
    for grant in entry.at.list().unwrap_or_default() {
        add_grant(&grant, &mut definition, names);
    }
    match entry.name.parse() {
        Ok(name) => Some((name, definition)),
        Err(error) => entry.at.refuse_with("not a role name", format!("{error}")),
    }
}

fn add_grant(at: &At<'_>, definition: &mut RoleDefinition, names: &[&str]) -> Option<()> {
    let text = at.text()?;
    if let Ok(permission) = text.parse::<Permission>() {
        definition.permissions.insert(permission);
        return Some(());
    }
    let name = at.parse::<RoleName>("a role or a permission (resource:action)")?;
    let known = || {
        names
            .iter()
            .copied()
            .chain(DEFAULT_ROLES.iter().map(|(name, _)| *name))
    };
    if !known().any(|known| known == text) {
        return at.unknown("role", text, known().collect::<Vec<_>>());
    }
    definition.includes.insert(name);
    Some(())
}

fn refuse_cycle(entries: &[Entry<'_>], cycle: &[RoleName]) {
    let Some((first, entry)) = cycle.first().and_then(|first| {
        Some((
            first,
            entries.iter().find(|entry| entry.name == first.as_str())?,
        ))
    }) else {
        return;
    };
    let way: Vec<&str> = cycle.iter().chain([first]).map(RoleName::as_str).collect();
    let message = format!("roles include each other in a circle: {}", way.join(" -> "));
    entry.at.refuse::<()>(message);
}
