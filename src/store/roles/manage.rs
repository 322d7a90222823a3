//! Making and deleting roles of our own. Those of the file are changed in the file.

use super::mirror::{is_built_in, set_node};
use super::read::graph_call;
use super::{Excluded, Graph, Node, Role, RoleError, RoleOrigin, Roles};
use crate::base::name::{Permission, RoleName};
use crate::base::time::Timestamp;
use crate::store::db::Tx;
use crate::store::error::DbError;
use crate::store::lock;
use crate::store::statement::{Call, Statement};

impl Roles {
    /// Makes a role. Where one of that name has left the file, it begins anew: nobody has it.
    ///
    /// # Errors
    /// When there is one already.
    pub async fn add(
        &self,
        name: &RoleName,
        description: &str,
        permissions: &[Permission],
        now: Timestamp,
    ) -> Result<Role, RoleError> {
        let mut tx = self.db.begin().await?;
        let graph = locked_graph(&mut tx).await?;
        match graph.nodes.get(name).map(|node| node.origin) {
            Some(RoleOrigin::Config) => return Err(RoleError::FromConfig(name.clone())),
            Some(RoleOrigin::Local) => return Err(RoleError::Exists(name.clone())),
            Some(RoleOrigin::Retired) => drop(tx.execute(deletion(name)).await?),
            None => {}
        }
        let node = Node {
            permissions: permissions.iter().cloned().collect(),
            ..Node::empty(RoleOrigin::Local)
        };
        let id = insert(&mut tx, name, description, RoleOrigin::Local, now).await?;
        set_node(&mut tx, name, &node, now).await?;
        tx.commit().await?;
        let Node {
            origin,
            includes,
            permissions,
        } = node;
        Ok(Role {
            id,
            name: name.clone(),
            description: description.to_owned(),
            origin,
            includes,
            permissions,
            assigned: 0,
        })
    }

    /// Deletes a role of our own, or one that has left the file, and says how many users had it.
    ///
    /// # Errors
    /// When it does not exist, comes from the file, is built in, another role includes it, or a rule keeps people out by
    /// it or by what it gives.
    pub async fn delete(&self, name: &RoleName, excluded: &Excluded) -> Result<u64, RoleError> {
        let mut tx = self.db.begin().await?;
        let graph = locked_graph(&mut tx).await?;
        let users = delete_in(&mut tx, (&graph, excluded), name).await?;
        tx.commit().await?;
        Ok(users)
    }

    /// The same by number: the role it means cannot be renamed under way.
    ///
    /// # Errors
    /// As [`Roles::delete`], and [`RoleError::NoNumber`].
    pub async fn delete_number(&self, id: i64, excluded: &Excluded) -> Result<RoleName, RoleError> {
        let mut tx = self.db.begin().await?;
        let graph = locked_graph(&mut tx).await?;
        let name = named(&mut tx, id).await?;
        delete_in(&mut tx, (&graph, excluded), &name).await?;
        tx.commit().await?;
        Ok(name)
    }
}

async fn delete_in(
    tx: &mut Tx,
    (graph, excluded): (&Graph, &Excluded),
    name: &RoleName,
) -> Result<u64, RoleError> {
    deletable(graph, name)?;
    excluded.may_delete(graph, name)?;
    let users = touch_holders(tx, name).await?;
    tx.execute(deletion(name)).await?;
    Ok(users)
}

/// What the role of this number is called.
pub(super) async fn named(tx: &mut Tx, id: i64) -> Result<RoleName, RoleError> {
    const NAMED: Statement = Statement::read("role.named", "SELECT name FROM roles WHERE id = $1");
    let row = tx.one(NAMED.with([id.into()])).await?;
    let row = row.ok_or(RoleError::NoNumber(id))?;
    Ok(row.parse("name")?)
}

/// The graph, which nobody else changes until the transaction ends.
pub(in crate::store) async fn locked_graph(tx: &mut Tx) -> Result<Graph, DbError> {
    tx.execute(lock::roles()).await?;
    Graph::read(&tx.all(graph_call()).await?)
}

/// Makes the row of a role.
pub(super) async fn insert(
    tx: &mut Tx,
    name: &RoleName,
    description: &str,
    origin: RoleOrigin,
    now: Timestamp,
) -> Result<i64, DbError> {
    const INSERT: Statement = Statement::write(
        "role.insert",
        "INSERT INTO roles (name, description, origin, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $4) RETURNING id",
    );
    let values = [
        name.as_str().into(),
        description.into(),
        origin.as_str().into(),
        now.into(),
    ];
    tx.one(INSERT.with(values))
        .await?
        .ok_or(DbError::Conflict)?
        .get("id")
}

/// Deletes the row of a role, and with it its assignments.
pub(super) fn deletion(name: &RoleName) -> Call {
    const DELETE: Statement = Statement::write("role.delete", "DELETE FROM roles WHERE name = $1");
    DELETE.with([name.as_str().into()])
}

/// Raises the generation of everybody who has the role, and says how many they are.
pub(super) async fn touch_holders(tx: &mut Tx, name: &RoleName) -> Result<u64, DbError> {
    const TOUCH: Statement = Statement::write(
        "role.touch_holders",
        "UPDATE users SET generation = generation + 1 WHERE id IN (
             SELECT user_roles.user_id FROM user_roles
             JOIN roles ON roles.id = user_roles.role_id WHERE roles.name = $1)",
    );
    tx.execute(TOUCH.with([name.as_str().into()])).await
}

fn deletable(graph: &Graph, name: &RoleName) -> Result<(), RoleError> {
    let node = graph
        .nodes
        .get(name)
        .ok_or_else(|| RoleError::Unknown(name.clone()))?;
    match node.origin {
        RoleOrigin::Config => return Err(RoleError::FromConfig(name.clone())),
        RoleOrigin::Local if is_built_in(name) => {
            return Err(RoleError::BuiltIn(name.clone()));
        }
        RoleOrigin::Local | RoleOrigin::Retired => {}
    }
    match graph
        .nodes
        .iter()
        .find(|(_, other)| other.includes.contains(name))
    {
        Some((by, _)) => Err(RoleError::Included(name.clone(), by.clone())),
        None => Ok(()),
    }
}
