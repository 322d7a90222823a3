//! Giving roles on the strength of what is true while they are given: whoever decides is shown the roles, the user
//! and what they have, and nobody changes any of it until it is written.

use std::collections::{BTreeMap, BTreeSet};

use super::assign::{given, replace};
use super::manage::locked_graph;
use super::read::{ever_of_user, names};
use super::{Graph, LOCAL, RoleError, Roles};
use crate::base::id::UserId;
use crate::base::name::RoleName;
use crate::base::time::Timestamp;
use crate::store::db::Tx;
use crate::store::error::DbError;
use crate::store::statement::Statement;
use crate::store::users::{TOUCH, User};

/// How things stand with a user's roles.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The user.
    pub user: User,
    /// Every role.
    pub graph: Graph,
    /// What the roles' numbers mean; those that have left the file have none.
    pub numbers: BTreeMap<i64, RoleName>,
    /// The roles that people gave to the user: what is replaced.
    pub given: BTreeSet<RoleName>,
    /// The roles that the user has, from whatever source, and those they had that have left the file.
    pub held: BTreeSet<RoleName>,
}

impl Roles {
    /// Makes the roles that `choose` answers the ones that people give to a user; whether that changed anything.
    ///
    /// # Errors
    /// When there is no such user or role, and what `choose` says: then nothing changes.
    pub async fn regrant<E: From<RoleError>>(
        &self,
        user: UserId,
        now: Timestamp,
        choose: impl FnOnce(&Standing) -> Result<BTreeSet<RoleName>, E> + Send,
    ) -> Result<bool, E> {
        let fault = |error: DbError| E::from(error.into());
        let mut tx = self.db.begin().await.map_err(fault)?;
        let mut standing = Standing::locked(&mut tx, user).await?;
        standing.graph = self.filed.over(standing.graph).map_err(fault)?;
        let chosen = choose(&standing)?;
        if chosen == standing.given {
            return Ok(false);
        }
        let roles = (&standing.given, &chosen);
        replace(&mut tx, user, roles, LOCAL, now).await?;
        tx.commit().await.map_err(fault)?;
        Ok(true)
    }
}

impl Standing {
    /// Reads it behind the locks of the roles and of the user's row.
    async fn locked(tx: &mut Tx, user: UserId) -> Result<Self, RoleError> {
        let graph = locked_graph(tx).await?;
        let row = tx.one(TOUCH.with([user.into()])).await?;
        let row = row.ok_or(RoleError::Missing(user))?;
        Ok(Self {
            user: User::read(&row)?,
            graph,
            numbers: numbers(tx).await?,
            given: given(tx, user, LOCAL).await?,
            held: names(&tx.all(ever_of_user(user)).await?)?,
        })
    }
}

async fn numbers(tx: &mut Tx) -> Result<BTreeMap<i64, RoleName>, DbError> {
    const NUMBERS: Statement = Statement::read(
        "role.numbers",
        "SELECT id, name FROM roles WHERE origin <> 'retired'",
    );
    let rows = tx.all(NUMBERS.with([])).await?;
    rows.iter()
        .map(|row| Ok((row.get("id")?, row.parse("name")?)))
        .collect()
}
