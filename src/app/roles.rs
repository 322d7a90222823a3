//! The file's roles: judged by in this process, and mirrored into the store.

use crate::base::name::RoleName;
use crate::base::time::Timestamp;
use crate::policy::role::{RoleDefinition, Roles};
use crate::store::Store;
use crate::store::roles::{ConfigRole, RoleError};

/// From now on this process judges by the file's roles.
pub fn judge_by(store: &Store, roles: &Roles) {
    store.roles.judge_by(rows(roles));
}

/// Makes the stored roles of the file equal to the file's, and tells what changed.
///
/// # Errors
/// What the store said.
pub async fn mirror(store: &Store, roles: &Roles, now: Timestamp) -> Result<(), RoleError> {
    let mirrored = store.roles.mirror(&rows(roles), now).await?;
    let of_others = [&mirrored.added, &mirrored.changed, &mirrored.removed];
    if of_others.iter().any(|names| !names.is_empty()) {
        // Where nodes have different files, they take turns at this.
        tracing::info!(
            added = names(&mirrored.added),
            changed = names(&mirrored.changed),
            removed = names(&mirrored.removed),
            "the store has the roles of this file now"
        );
    }
    for (role, users) in &mirrored.retired {
        tracing::warn!(%role, users, "a role is gone from the file; those who have it keep it, but it gives nothing");
    }
    Ok(())
}

fn rows(roles: &Roles) -> Vec<ConfigRole> {
    let row = |(name, role): (&RoleName, &RoleDefinition)| ConfigRole {
        name: name.clone(),
        includes: role.includes.iter().cloned().collect(),
        permissions: role.permissions.iter().cloned().collect(),
    };
    roles.iter().map(row).collect()
}

fn names(names: &[RoleName]) -> String {
    let names: Vec<&str> = names.iter().map(RoleName::as_str).collect();
    names.join(",")
}
