//! The file's roles, mirrored into the store.

use crate::base::time::Timestamp;
use crate::policy::role::Roles;
use crate::store::Store;
use crate::store::roles::{ConfigRole, RoleError};

/// Makes the stored roles of the file equal to the file's, and tells what changed.
///
/// # Errors
/// What the store said.
pub async fn mirror(store: &Store, roles: &Roles, now: Timestamp) -> Result<(), RoleError> {
    let roles: Vec<ConfigRole> = roles
        .iter()
        .map(|(name, role)| ConfigRole {
            name: name.clone(),
            includes: role.includes.iter().cloned().collect(),
            permissions: role.permissions.iter().cloned().collect(),
        })
        .collect();
    let mirrored = store.roles.mirror(&roles, now).await?;
    for (role, users) in &mirrored.retired {
        tracing::warn!(%role, users, "a role is gone from the file; those who have it keep it, but it gives nothing");
    }
    Ok(())
}
