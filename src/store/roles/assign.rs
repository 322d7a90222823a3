//! Who has which role. Each source replaces only what it gave itself.

use std::collections::BTreeSet;

use super::{RoleError, Roles};
use crate::base::id::UserId;
use crate::base::name::RoleName;
use crate::base::time::Timestamp;
use crate::store::db::Tx;
use crate::store::error::DbError;
use crate::store::statement::{Call, Statement};
use crate::store::users::TOUCH;

/// Gives a user a role, if there is such a role; says so by the number of rows.
pub(in crate::store) fn assign(
    user: UserId,
    role: &RoleName,
    source: &str,
    now: Timestamp,
) -> Call {
    const ASSIGN: Statement = Statement::write(
        "role.assign",
        "INSERT INTO user_roles (user_id, role_id, source, granted_at)
         SELECT CAST($1 AS BIGINT), roles.id, CAST($3 AS TEXT), CAST($4 AS BIGINT)
         FROM roles WHERE roles.name = $2 AND roles.origin <> 'retired'",
    );
    ASSIGN.with([user.into(), role.as_str().into(), source.into(), now.into()])
}

impl Roles {
    /// Makes `roles` the ones that `source` gives to a user, and raises the user's generation if that changes
    /// anything. What other sources gave stays.
    ///
    /// # Errors
    /// When there is no such user, or a role does not exist: then nothing changes.
    pub async fn set_user_roles(
        &self,
        user: UserId,
        roles: &BTreeSet<RoleName>,
        source: &str,
        now: Timestamp,
    ) -> Result<(), RoleError> {
        let mut tx = self.db.begin().await?;
        // First, because it locks the user's row against another who sets the same user's roles.
        tx.one(TOUCH.with([user.into()]))
            .await?
            .ok_or(RoleError::Missing(user))?;
        let before = given(&mut tx, user, source).await?;
        if before == *roles {
            return Ok(());
        }
        replace(&mut tx, user, (&before, roles), source, now).await?;
        Ok(tx.commit().await?)
    }
}

/// Makes of the roles that `source` gives to a user `before` those `after`. Only the difference is written: a role
/// that has left the file cannot be given, and what somebody has of it must not stand in the way of the others.
pub(super) async fn replace(
    tx: &mut Tx,
    user: UserId,
    (before, after): (&BTreeSet<RoleName>, &BTreeSet<RoleName>),
    source: &str,
    now: Timestamp,
) -> Result<(), RoleError> {
    const TAKE: Statement = Statement::write(
        "role.take",
        "DELETE FROM user_roles WHERE user_id = $1 AND source = $2
         AND role_id IN (SELECT roles.id FROM roles WHERE roles.name = $3)",
    );
    for role in before.difference(after) {
        let call = TAKE.with([user.into(), source.into(), role.as_str().into()]);
        tx.execute(call).await?;
    }
    for role in after.difference(before) {
        if tx.execute(assign(user, role, source, now)).await? == 0 {
            return Err(RoleError::Unknown(role.clone()));
        }
    }
    Ok(())
}

/// The roles that `source` gives to a user.
pub(super) async fn given(
    tx: &mut Tx,
    user: UserId,
    source: &str,
) -> Result<BTreeSet<RoleName>, DbError> {
    const GIVEN: Statement = Statement::read(
        "role.given",
        "SELECT roles.name AS name FROM user_roles
         JOIN roles ON roles.id = user_roles.role_id
         WHERE user_roles.user_id = $1 AND user_roles.source = $2",
    );
    let rows = tx.all(GIVEN.with([user.into(), source.into()])).await?;
    rows.iter().map(|row| row.parse("name")).collect()
}
