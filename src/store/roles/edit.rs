//! Changing a role of our own: its name, what it is for, what it gives.

use std::collections::BTreeSet;

use super::manage::{locked_graph, named, touch_holders};
use super::mirror::{is_built_in, set_node};
use super::{Excluded, Graph, RoleError, RoleOrigin, Roles};
use crate::base::name::{Permission, RoleName};
use crate::base::time::Timestamp;
use crate::store::statement::Statement;

/// What to change about a role; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct RoleChange {
    /// Another name.
    pub name: Option<RoleName>,
    /// What it is for.
    pub description: Option<String>,
    /// The permissions it gives itself.
    pub permissions: Option<BTreeSet<Permission>>,
}

impl Roles {
    /// Changes a role, and raises the generation of everybody who has it.
    ///
    /// # Errors
    /// When it does not exist or comes from the file, when a built-in one or one that a rule keeps people out by would
    /// be renamed, or when there is one of the new name.
    pub async fn update(
        &self,
        id: i64,
        change: &RoleChange,
        excluded: &Excluded,
        now: Timestamp,
    ) -> Result<(), RoleError> {
        const UPDATE: Statement = Statement::write(
            "role.update",
            "UPDATE roles SET name = $2, description = COALESCE($3, description), updated_at = $4 WHERE id = $1",
        );
        let mut tx = self.db.begin().await?;
        let graph = locked_graph(&mut tx).await?;
        let old = named(&mut tx, id).await?;
        let name = change.name.as_ref().unwrap_or(&old);
        changeable(&graph, id, &old, name)?;
        if *name != old {
            excluded.may_rename(&old)?;
        }
        let description = change.description.as_deref();
        let values = [
            id.into(),
            name.as_str().into(),
            description.into(),
            now.into(),
        ];
        tx.execute(UPDATE.with(values)).await?;
        if let (Some(permissions), Some(node)) = (&change.permissions, graph.nodes.get(&old)) {
            let mut node = node.clone();
            node.permissions.clone_from(permissions);
            set_node(&mut tx, name, &node, now).await?;
        }
        touch_including(&mut tx, &graph, &old, name).await?;
        Ok(tx.commit().await?)
    }
}

fn changeable(graph: &Graph, id: i64, old: &RoleName, new: &RoleName) -> Result<(), RoleError> {
    match graph.nodes.get(old).map(|node| node.origin) {
        Some(RoleOrigin::Local) => {}
        Some(RoleOrigin::Config) => return Err(RoleError::FromConfig(old.clone())),
        Some(RoleOrigin::Retired) | None => return Err(RoleError::NoNumber(id)),
    }
    match () {
        () if old == new => Ok(()),
        () if is_built_in(old) => Err(RoleError::BuiltIn(old.clone())),
        () if is_built_in(new) => Err(RoleError::BuiltIn(new.clone())),
        () if graph.nodes.contains_key(new) => Err(RoleError::Exists(new.clone())),
        () => Ok(()),
    }
}

/// Raises the generation of everybody who has the role, also by one that includes it.
async fn touch_including(
    tx: &mut crate::store::db::Tx,
    graph: &Graph,
    old: &RoleName,
    new: &RoleName,
) -> Result<(), RoleError> {
    touch_holders(tx, new).await?;
    for name in graph.nodes.keys().filter(|name| *name != old) {
        if graph.closure([name]).roles.contains(old) {
            touch_holders(tx, name).await?;
        }
    }
    Ok(())
}
