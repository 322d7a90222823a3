//! The roles of the file, mirrored into the store.
//!
//! What the stored roles ought to be is computed first, purely; then only what differs is written, in one
//! transaction. A start that changes nothing writes nothing, and leaves everybody's generation alone.

use std::collections::BTreeSet;

use super::manage::{deletion, insert, locked_graph, touch_holders};
use super::{Graph, Node, RoleError, RoleOrigin, Roles, filed};
use crate::base::name::{Permission, RoleName};
use crate::base::time::Timestamp;
use crate::store::db::Tx;
use crate::store::error::DbError;
use crate::store::statement::{Call, Statement};

/// A role, as `gateway.yaml` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigRole {
    /// Its name.
    pub name: RoleName,
    /// The roles it includes.
    pub includes: Vec<RoleName>,
    /// The permissions it gives.
    pub permissions: Vec<Permission>,
}

/// What mirroring has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirrored {
    /// Roles that were not there.
    pub added: Vec<RoleName>,
    /// Roles whose origin, includes or permissions have changed.
    pub changed: Vec<RoleName>,
    /// Roles that have left the file and that nobody had.
    pub removed: Vec<RoleName>,
    /// Roles that have left the file, and how many users would have them again if they came back.
    pub retired: Vec<(RoleName, u64)>,
}

/// A role that every store has, unless the file declares one of that name.
struct BuiltIn {
    name: &'static str,
    description: &'static str,
    permissions: &'static [&'static str],
}

/// The three of them.
const BUILT_IN: [BuiltIn; 3] = [
    BuiltIn {
        name: "superuser",
        description: "May do everything, by being made a superuser",
        permissions: &[],
    },
    BuiltIn {
        name: "admin",
        description: "Manages users",
        permissions: &["users:read", "users:write", "users:delete", "roles:read"],
    },
    BuiltIn {
        name: "user",
        description: "The role of new accounts",
        permissions: &[],
    },
];

/// Whether a role of this name is always there.
#[must_use]
pub fn is_built_in(name: &RoleName) -> bool {
    BUILT_IN.iter().any(|role| role.name == name.as_str())
}

impl Roles {
    /// From now on this process judges by these roles, whatever another one with another file makes of those that are
    /// stored.
    pub fn judge_by(&self, file: Vec<ConfigRole>) {
        self.filed.set(file);
    }

    /// Makes the stored roles of the file equal to the file's, and the built-in ones where neither has them.
    /// Whoever holds more or less afterwards has their generation raised.
    ///
    /// # Errors
    /// When a role includes one that does not exist: then nothing changes.
    pub async fn mirror(&self, file: &[ConfigRole], now: Timestamp) -> Result<Mirrored, RoleError> {
        let mut tx = self.db.begin().await?;
        let before = locked_graph(&mut tx).await?;
        let assigned = assigned(&mut tx).await?;
        let after = mirrored(&before, file, &assigned)?;
        if before == after {
            return Ok(Mirrored::default());
        }
        write(&mut tx, &before, &after, now).await?;
        let mut done = told(&before, &after);
        for (name, users) in &mut done.retired {
            *users = holders(&mut tx, name).await?;
        }
        tx.commit().await?;
        Ok(done)
    }
}

/// What the stored roles ought to be.
fn mirrored(
    stored: &Graph,
    file: &[ConfigRole],
    assigned: &BTreeSet<RoleName>,
) -> Result<Graph, RoleError> {
    let mut wanted = stored.clone();
    filed::put(&mut wanted, file)?;
    wanted
        .nodes
        .retain(|name, node| node.origin != RoleOrigin::Retired || assigned.contains(name));
    // Of those that are gone now, the names are free.
    join_built_in(&mut wanted)?;
    let counts: BTreeSet<RoleName> = wanted
        .nodes
        .keys()
        .filter(|name| wanted.counting(name).is_some())
        .cloned()
        .collect();
    for node in wanted.nodes.values_mut() {
        match node
            .includes
            .iter()
            .find(|name| !counts.contains(*name))
            .cloned()
        {
            Some(unknown) if node.origin == RoleOrigin::Config => {
                return Err(RoleError::Unknown(unknown));
            }
            // A role of our own that includes one which has left the file lives on without it.
            Some(_) => node.includes.retain(|name| counts.contains(name)),
            None => {}
        }
    }
    Ok(wanted)
}

/// Has the built-in roles join the graph, each where it may.
pub(super) fn join_built_in(graph: &mut Graph) -> Result<(), DbError> {
    BUILT_IN.iter().try_for_each(|role| role.join(graph))
}

impl ConfigRole {
    /// What it is in a [`Graph`].
    pub(super) fn node(&self) -> Node {
        Node {
            origin: RoleOrigin::Config,
            includes: self.includes.iter().cloned().collect(),
            permissions: self.permissions.iter().cloned().collect(),
        }
    }
}

impl BuiltIn {
    /// Joins the graph if its name is free. Over a retired role of that name which people still have, only one
    /// that gives nothing does: they were never given what the built-in one would give.
    fn join(&self, graph: &mut Graph) -> Result<(), DbError> {
        let fault = |_| DbError::statement("role.mirror", "a built-in role is not spelled right");
        let name: RoleName = self.name.parse().map_err(fault)?;
        let free = match graph.nodes.get(&name) {
            None => true,
            Some(node) => node.origin == RoleOrigin::Retired && self.permissions.is_empty(),
        };
        if free {
            let permissions = self
                .permissions
                .iter()
                .map(|text| text.parse().map_err(fault));
            let permissions = permissions.collect::<Result<_, _>>()?;
            graph.nodes.insert(
                name,
                Node {
                    permissions,
                    ..Node::empty(RoleOrigin::Local)
                },
            );
        }
        Ok(())
    }
}

fn told(before: &Graph, after: &Graph) -> Mirrored {
    let mut done = Mirrored::default();
    for (name, node) in &after.nodes {
        match before.nodes.get(name) {
            None => done.added.push(name.clone()),
            Some(old) if old == node => {}
            Some(_) if node.origin == RoleOrigin::Retired => done.retired.push((name.clone(), 0)),
            Some(_) => done.changed.push(name.clone()),
        }
    }
    done.removed = before
        .nodes
        .keys()
        .filter(|name| !after.nodes.contains_key(name))
        .cloned()
        .collect();
    done
}

/// Writes the difference: rows first, because includes refer to them.
pub(super) async fn write(
    tx: &mut Tx,
    before: &Graph,
    after: &Graph,
    now: Timestamp,
) -> Result<(), DbError> {
    for name in before
        .nodes
        .keys()
        .filter(|name| !after.nodes.contains_key(name))
    {
        tx.execute(deletion(name)).await?;
    }
    for (name, node) in after
        .nodes
        .iter()
        .filter(|(name, _)| !before.nodes.contains_key(name))
    {
        let built_in = BUILT_IN
            .iter()
            .find(|role| role.name == name.as_str() && node.origin == RoleOrigin::Local);
        insert(
            tx,
            name,
            built_in.map_or("", |role| role.description),
            node.origin,
            now,
        )
        .await?;
    }
    for (name, node) in after
        .nodes
        .iter()
        .filter(|(name, node)| before.nodes.get(name) != Some(node))
    {
        set_node(tx, name, node, now).await?;
    }
    for name in after
        .nodes
        .keys()
        .filter(|name| before.closure([*name]) != after.closure([*name]))
    {
        touch_holders(tx, name).await?;
    }
    Ok(())
}

/// Makes a stored role what `node` says.
pub(super) async fn set_node(
    tx: &mut Tx,
    name: &RoleName,
    node: &Node,
    now: Timestamp,
) -> Result<(), DbError> {
    const ORIGIN: Statement = Statement::write(
        "role.origin",
        "UPDATE roles SET origin = $2, updated_at = $3 WHERE name = $1",
    );
    const CLEAR_INCLUDES: Statement = Statement::write(
        "role.clear_includes",
        "DELETE FROM role_includes WHERE role_id IN (SELECT roles.id FROM roles WHERE roles.name = $1)",
    );
    const CLEAR_PERMISSIONS: Statement = Statement::write(
        "role.clear_permissions",
        "DELETE FROM role_permissions WHERE role_id IN (SELECT roles.id FROM roles WHERE roles.name = $1)",
    );
    tx.execute(ORIGIN.with([
        name.as_str().into(),
        node.origin.as_str().into(),
        now.into(),
    ]))
    .await?;
    tx.execute(CLEAR_INCLUDES.with([name.as_str().into()]))
        .await?;
    tx.execute(CLEAR_PERMISSIONS.with([name.as_str().into()]))
        .await?;
    for included in &node.includes {
        tx.execute(include(name, included)).await?;
    }
    for permission in &node.permissions {
        give(tx, name, permission).await?;
    }
    Ok(())
}

fn include(role: &RoleName, included: &RoleName) -> Call {
    const INCLUDE: Statement = Statement::write(
        "role.include",
        "INSERT INTO role_includes (role_id, included_id)
         SELECT roles.id, included.id FROM roles, roles included WHERE roles.name = $1 AND included.name = $2",
    );
    INCLUDE.with([role.as_str().into(), included.as_str().into()])
}

async fn give(tx: &mut Tx, role: &RoleName, permission: &Permission) -> Result<(), DbError> {
    const DECLARE: Statement = Statement::write(
        "permission.declare",
        "INSERT INTO permissions (resource, action, description) VALUES ($1, $2, '')
         ON CONFLICT (resource, action) DO NOTHING",
    );
    const GIVE: Statement = Statement::write(
        "role.give",
        "INSERT INTO role_permissions (role_id, permission_id)
         SELECT roles.id, permissions.id FROM roles, permissions
         WHERE roles.name = $1 AND permissions.resource = $2 AND permissions.action = $3",
    );
    let (resource, action) = permission
        .as_str()
        .split_once(':')
        .unwrap_or((permission.as_str(), ""));
    tx.execute(DECLARE.with([resource.into(), action.into()]))
        .await?;
    tx.execute(GIVE.with([role.as_str().into(), resource.into(), action.into()]))
        .await
        .map(drop)
}

async fn assigned(tx: &mut Tx) -> Result<BTreeSet<RoleName>, DbError> {
    const ASSIGNED: Statement = Statement::read(
        "role.assigned",
        "SELECT roles.name AS name FROM roles
         WHERE EXISTS (SELECT user_roles.user_id FROM user_roles WHERE user_roles.role_id = roles.id)",
    );
    tx.all(ASSIGNED.with([]))
        .await?
        .iter()
        .map(|row| row.parse("name"))
        .collect()
}

async fn holders(tx: &mut Tx, name: &RoleName) -> Result<u64, DbError> {
    const HOLDERS: Statement = Statement::read(
        "role.holders",
        "SELECT COUNT(DISTINCT user_roles.user_id) AS users FROM user_roles
         JOIN roles ON roles.id = user_roles.role_id WHERE roles.name = $1",
    );
    let row = tx.one(HOLDERS.with([name.as_str().into()])).await?;
    row.map_or(Ok(0), |row| row.get("users"))
}
