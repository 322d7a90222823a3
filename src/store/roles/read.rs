//! Reading roles. The graph comes in one statement, so that it is one moment's graph.

use std::collections::{BTreeMap, BTreeSet};

use super::{Closure, Graph, Node, Role, Roles};
use crate::base::id::UserId;
use crate::base::name::{Permission, RoleName};
use crate::store::error::DbError;
use crate::store::statement::{Call, Row, Statement};

/// Every role, include and permission: what `Graph` is read from, one row each.
macro_rules! graph {
    () => {
        "SELECT 'role' AS part, roles.name AS role, roles.origin AS value FROM roles
         UNION ALL
         SELECT 'permission', roles.name, permissions.resource || ':' || permissions.action
         FROM role_permissions
         JOIN roles ON roles.id = role_permissions.role_id
         JOIN permissions ON permissions.id = role_permissions.permission_id
         UNION ALL
         SELECT 'include', roles.name, included.name
         FROM role_includes
         JOIN roles ON roles.id = role_includes.role_id
         JOIN roles included ON included.id = role_includes.included_id"
    };
}

impl Roles {
    /// Every role, by name.
    ///
    /// # Errors
    /// What the database said.
    pub async fn list(&self) -> Result<Vec<Role>, DbError> {
        const LIST: Statement = Statement::read(
            "role.list",
            "SELECT roles.id AS id, roles.name AS name, roles.description AS description,
                    (SELECT COUNT(DISTINCT user_roles.user_id) FROM user_roles
                     WHERE user_roles.role_id = roles.id) AS assigned
             FROM roles ORDER BY roles.id",
        );
        self.listed(LIST.with([])).await
    }

    /// The same without who has them: counting the holders of a role that everybody has takes as long as there are
    /// users.
    ///
    /// # Errors
    /// What the database said.
    pub async fn catalogue(&self) -> Result<Vec<Role>, DbError> {
        const CATALOGUE: Statement = Statement::read(
            "role.catalogue",
            "SELECT roles.id AS id, roles.name AS name, roles.description AS description,
                    CAST(0 AS BIGINT) AS assigned
             FROM roles ORDER BY roles.id",
        );
        self.listed(CATALOGUE.with([])).await
    }

    /// How many users have a role.
    ///
    /// # Errors
    /// What the database said.
    pub async fn holders(&self, id: i64) -> Result<u64, DbError> {
        const HOLDERS: Statement = Statement::read(
            "role.holders",
            "SELECT COUNT(DISTINCT user_id) AS holders FROM user_roles WHERE role_id = $1",
        );
        let row = self.db.one(HOLDERS.with([id.into()])).await?;
        row.map_or(Ok(0), |row| row.get("holders"))
    }

    async fn listed(&self, call: Call) -> Result<Vec<Role>, DbError> {
        let rows = self.db.all(call).await?;
        let mut graph = self.graph().await?;
        let mut roles = BTreeMap::new();
        for row in rows {
            // A role that was deleted between the two statements is not listed.
            if let Some(node) = graph.nodes.remove(&row.parse("name")?) {
                let role = Role::read(&row, node)?;
                roles.insert(role.name.clone(), role);
            }
        }
        Ok(roles.into_values().collect())
    }

    /// Every role and what it adds up to.
    ///
    /// # Errors
    /// What the database said.
    pub async fn graph(&self) -> Result<Graph, DbError> {
        let stored = Graph::read(&self.db.all(graph_call()).await?)?;
        self.filed.over(stored)
    }

    /// The roles a user was given, by whatever source. Retired ones are not among them.
    ///
    /// # Errors
    /// What the database said.
    pub async fn of_user(&self, user: UserId) -> Result<BTreeSet<RoleName>, DbError> {
        names(&self.db.all(of_user(user)).await?)
    }

    /// The roles a user was ever given and may have again: also those that have left the file.
    ///
    /// # Errors
    /// What the database said.
    pub async fn ever_of_user(&self, user: UserId) -> Result<BTreeSet<RoleName>, DbError> {
        names(&self.db.all(ever_of_user(user)).await?)
    }

    /// Everything a user holds through roles.
    ///
    /// # Errors
    /// What the database said.
    pub async fn closure_of(&self, user: UserId) -> Result<Closure, DbError> {
        const CLOSURE: Statement = Statement::read(
            "role.closure",
            concat!(
                graph!(),
                " UNION ALL
                 SELECT 'direct', roles.name, '' FROM user_roles
                 JOIN roles ON roles.id = user_roles.role_id WHERE user_roles.user_id = $1"
            ),
        );
        let rows = self.db.all(CLOSURE.with([user.into()])).await?;
        let (direct, rest): (Vec<_>, Vec<_>) = rows
            .into_iter()
            .partition(|row| part(row).is_ok_and(|it| it == "direct"));
        let direct = direct
            .iter()
            .map(|row| row.parse("role"))
            .collect::<Result<Vec<RoleName>, _>>()?;
        Ok(self.filed.over(Graph::read(&rest)?)?.closure(&direct))
    }
}

/// Reads the roles a user was given, by whatever source.
pub(super) fn of_user(user: UserId) -> Call {
    const OF_USER: Statement = Statement::read(
        "role.of_user",
        "SELECT DISTINCT roles.name AS name FROM user_roles
         JOIN roles ON roles.id = user_roles.role_id
         WHERE user_roles.user_id = $1 AND roles.origin <> 'retired'",
    );
    OF_USER.with([user.into()])
}

/// The same with those that have left the file: they count for nothing until they are back, and then for all they were.
pub(super) fn ever_of_user(user: UserId) -> Call {
    const EVER: Statement = Statement::read(
        "role.ever_of_user",
        "SELECT DISTINCT roles.name AS name FROM user_roles
         JOIN roles ON roles.id = user_roles.role_id WHERE user_roles.user_id = $1",
    );
    EVER.with([user.into()])
}

/// The names in a column of that name.
pub(super) fn names(rows: &[Row]) -> Result<BTreeSet<RoleName>, DbError> {
    rows.iter().map(|row| row.parse("name")).collect()
}

/// Reads the whole graph.
pub(super) fn graph_call() -> Call {
    const GRAPH: Statement = Statement::read("role.graph", graph!());
    GRAPH.with([])
}

impl Graph {
    /// Builds the graph from the rows of [`graph_call`], which come in any order.
    pub(super) fn read(rows: &[Row]) -> Result<Self, DbError> {
        let mut graph = Self::default();
        for row in rows {
            if part(row)? == "role" {
                graph
                    .nodes
                    .insert(row.parse("role")?, Node::empty(row.parse("value")?));
            }
        }
        for row in rows {
            let Some(node) = graph.nodes.get_mut(&row.parse::<RoleName>("role")?) else {
                continue;
            };
            match part(row)?.as_str() {
                "include" => node.includes.extend([row.parse::<RoleName>("value")?]),
                "permission" => node.permissions.extend([row.parse::<Permission>("value")?]),
                _ => {}
            }
        }
        Ok(graph)
    }
}

impl Role {
    fn read(row: &Row, node: Node) -> Result<Self, DbError> {
        Ok(Self {
            id: row.get("id")?,
            name: row.parse("name")?,
            description: row.get("description")?,
            origin: node.origin,
            includes: node.includes,
            permissions: node.permissions,
            assigned: row.get("assigned")?,
        })
    }
}

fn part(row: &Row) -> Result<String, DbError> {
    row.get("part")
}
