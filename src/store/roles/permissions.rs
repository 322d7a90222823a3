//! Permissions as things of their own: listed with who gives them, declared before any role does, and given to
//! roles of our own. A permission that a role names is declared by that, and stays when the role goes.

use std::collections::BTreeSet;

use super::manage::locked_graph;
use super::mirror::write;
use super::{RoleError, RoleOrigin, Roles};
use crate::base::name::{Permission, RoleName};
use crate::base::time::Timestamp;
use crate::store::error::DbError;
use crate::store::statement::{Row, Statement};

/// A permission, as stored. It is never deleted, so that its number means the same for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPermission {
    /// The number, never reused.
    pub id: i64,
    /// `resource:action`.
    pub permission: Permission,
    /// What it is for.
    pub description: String,
    /// How many roles give it themselves.
    pub roles: u64,
}

impl Roles {
    /// Every permission, by name.
    ///
    /// # Errors
    /// What the database said.
    pub async fn permissions(&self) -> Result<Vec<StoredPermission>, DbError> {
        const LIST: Statement = Statement::read(
            "permission.list",
            "SELECT permissions.id AS id, permissions.description AS description,
                    permissions.resource || ':' || permissions.action AS permission,
                    (SELECT COUNT(*) FROM role_permissions
                     WHERE role_permissions.permission_id = permissions.id) AS roles
             FROM permissions ORDER BY permissions.resource, permissions.action",
        );
        let rows = self.db.all(LIST.with([])).await?;
        rows.iter().map(StoredPermission::read).collect()
    }

    /// Declares a permission.
    ///
    /// # Errors
    /// When it is there already.
    pub async fn add_permission(
        &self,
        permission: &Permission,
        description: &str,
    ) -> Result<StoredPermission, RoleError> {
        const ADD: Statement = Statement::write(
            "permission.add",
            "INSERT INTO permissions (resource, action, description) VALUES ($1, $2, $3)
             ON CONFLICT (resource, action) DO NOTHING
             RETURNING id, resource || ':' || action AS permission, description, CAST(0 AS BIGINT) AS roles",
        );
        let values = [
            permission.resource().into(),
            permission.action().into(),
            description.into(),
        ];
        let row = self.db.one(ADD.with(values)).await?;
        let row = row.ok_or_else(|| RoleError::PermissionExists(permission.clone()))?;
        Ok(StoredPermission::read(&row)?)
    }

    /// Makes `permissions` the ones that a role of our own gives itself. Whoever holds more or less afterwards has
    /// their generation raised.
    ///
    /// # Errors
    /// When there is no such role, or it comes from the file.
    pub async fn set_permissions(
        &self,
        name: &RoleName,
        permissions: &BTreeSet<Permission>,
        now: Timestamp,
    ) -> Result<(), RoleError> {
        let mut tx = self.db.begin().await?;
        let before = locked_graph(&mut tx).await?;
        let mut after = before.clone();
        match after.nodes.get_mut(name) {
            Some(node) if node.origin == RoleOrigin::Local => {
                node.permissions.clone_from(permissions);
            }
            Some(node) if node.origin == RoleOrigin::Config => {
                return Err(RoleError::FromConfig(name.clone()));
            }
            _ => return Err(RoleError::Unknown(name.clone())),
        }
        write(&mut tx, &before, &after, now).await?;
        Ok(tx.commit().await?)
    }
}

impl StoredPermission {
    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.get("id")?,
            permission: row.parse("permission")?,
            description: row.get("description")?,
            roles: row.get("roles")?,
        })
    }
}
