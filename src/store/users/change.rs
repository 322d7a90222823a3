//! Changing users, and the guard that keeps the last active superuser.
//!
//! The guard is a condition inside the statement that changes the row, and the statement stands behind
//! [`lock::superusers`] in one batch. In SQLite the condition alone would do, since there is one writer. In
//! PostgreSQL two superusers who demote each other change different rows, and each statement would see the
//! other's row unchanged: there the lock makes the second wait until the first has committed.

use crate::base::id::UserId;
use crate::base::name::{Email, Username};
use crate::base::secret::Secret;
use crate::base::time::Timestamp;

use super::names::remember;
use super::taken::Taken;
use super::{User, UserChange, UserError, Users, columns};
use crate::store::error::DbError;
use crate::store::lock;
use crate::store::statement::{Answer, Call, Statement};

/// True of a row that may stop being an active superuser: it is none, or there is another.
macro_rules! not_the_last {
    () => {
        "(NOT (is_superuser AND is_active) OR EXISTS (
             SELECT other.id FROM users other WHERE other.id <> $1 AND other.is_superuser AND other.is_active))"
    };
}

impl Users {
    /// Changes a user. Raises the generation.
    ///
    /// # Errors
    /// When there is no such user, a name is taken, or it would leave no active superuser.
    pub async fn update(
        &self,
        id: UserId,
        change: &UserChange,
        now: Timestamp,
    ) -> Result<User, UserError> {
        self.update_if(id, None, change, now).await
    }

    /// Changes a user, unless somebody else has changed them since they were of `generation`: what was judged by
    /// what they held then would not be judged by what they hold now. Raises the generation.
    ///
    /// # Errors
    /// As [`Users::update`], and [`UserError::Stale`].
    pub async fn update_if(
        &self,
        id: UserId,
        generation: Option<i64>,
        change: &UserChange,
        now: Timestamp,
    ) -> Result<User, UserError> {
        let call = change_of(id, generation, change, now);
        let name = change.username.as_ref().filter(|_| !change.may_reuse_name);
        match self
            .guarded("user.update", id, (generation, name), call)
            .await
        {
            Err(UserError::Db(DbError::Conflict)) => {
                let email = change.email.as_ref().and_then(Option::as_ref);
                let taken = Taken {
                    username: change.username.as_ref(),
                    email,
                    by_other_than: Some(id),
                };
                Err(taken.told(&self.db.all(taken.call()).await?))
            }
            done => done,
        }
    }

    /// Enables or disables a user. Raises the generation.
    ///
    /// # Errors
    /// As [`Users::update`].
    pub async fn set_active(
        &self,
        id: UserId,
        active: bool,
        now: Timestamp,
    ) -> Result<User, UserError> {
        self.update(
            id,
            &UserChange {
                is_active: Some(active),
                ..UserChange::default()
            },
            now,
        )
        .await
    }

    /// Gives a user another password. Raises the generation.
    ///
    /// # Errors
    /// When there is no such user.
    pub async fn set_password(
        &self,
        id: UserId,
        hash: &Secret<String>,
        must_change: bool,
        now: Timestamp,
    ) -> Result<User, UserError> {
        const SET_PASSWORD: Statement = Statement::write(
            "user.set_password",
            concat!(
                "UPDATE users SET password_hash = $2, must_change_password = $3,
                                  password_version = password_version + 1,
                                  generation = generation + 1, updated_at = $4
                 WHERE id = $1 RETURNING ",
                columns!()
            ),
        );
        let call = SET_PASSWORD.with([id.into(), hash.into(), must_change.into(), now.into()]);
        let row = self.db.one(call).await?.ok_or(UserError::Missing(id))?;
        Ok(User::read(&row)?)
    }

    /// Replaces the hash of an unchanged password by a better one; says whether the old one was still there.
    /// Nothing that was derived from the account becomes stale.
    ///
    /// # Errors
    /// What the database said.
    pub async fn upgrade_hash(
        &self,
        id: UserId,
        old: &Secret<String>,
        new: &Secret<String>,
    ) -> Result<bool, DbError> {
        const UPGRADE: Statement = Statement::quiet(
            "user.upgrade_hash",
            "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2",
        );
        Ok(self
            .db
            .execute(UPGRADE.with([id.into(), old.into(), new.into()]))
            .await?
            == 1)
    }

    /// Deletes a user's row and role assignments, and gives the row back.
    ///
    /// # Errors
    /// When there is no such user, or it is the last active superuser.
    pub(in crate::store) async fn delete(
        &self,
        id: UserId,
        generation: Option<i64>,
    ) -> Result<User, UserError> {
        const DELETE: Statement = Statement::write(
            "user.delete",
            concat!(
                "DELETE FROM users WHERE id = $1 AND (CAST($2 AS BIGINT) IS NULL OR generation = $2) AND ",
                not_the_last!(),
                " RETURNING ",
                columns!()
            ),
        );
        let call = DELETE.with([id.into(), generation.into()]);
        self.guarded("user.delete", id, (generation, None), call)
            .await
    }

    /// Runs a guarded statement behind the lock, and when it did nothing, says why. The name is one that must not have
    /// been somebody else's.
    async fn guarded(
        &self,
        statement: &'static str,
        id: UserId,
        (generation, name): (Option<i64>, Option<&Username>),
        call: Call,
    ) -> Result<User, UserError> {
        // Asked after the attempt: a generation that is another one then was another one before, or is now.
        const LEFT: Statement = Statement::read(
            "user.left",
            "SELECT generation, (SELECT user_id FROM names WHERE name = $2 AND user_id <> $1) AS whose
             FROM users WHERE id = $1",
        );
        let left = LEFT.with([id.into(), name.map(Username::as_str).into()]);
        let calls = vec![lock::superusers(), remember(id), call, left];
        let answers: [Answer; 4] = self
            .db
            .batch(statement, calls)
            .await?
            .try_into()
            .map_err(|_| DbError::statement(statement, "four answers were expected"))?;
        let [_, _, done, left] = answers;
        if let Some(row) = done.one(statement)? {
            return Ok(User::read(&row)?);
        }
        let Some(left) = left.one(statement)? else {
            return Err(UserError::Missing(id));
        };
        let (now, whose): (i64, Option<UserId>) = (left.get("generation")?, left.get("whose")?);
        Err(match (generation, name, whose) {
            (Some(judged), _, _) if judged != now => UserError::Stale(id),
            (_, Some(name), Some(_)) => UserError::UsernameTaken(name.clone()),
            _ => UserError::LastSuperuser(id),
        })
    }
}

fn change_of(id: UserId, generation: Option<i64>, change: &UserChange, now: Timestamp) -> Call {
    const UPDATE: Statement = Statement::write(
        "user.update",
        concat!(
            "UPDATE users SET
                 username = COALESCE($2, username),
                 email = CASE WHEN $3 THEN $4 ELSE email END,
                 email_folded = CASE WHEN $3 THEN $5 ELSE email_folded END,
                 is_active = COALESCE($6, is_active),
                 is_superuser = COALESCE($7, is_superuser),
                 is_verified = COALESCE($8, is_verified),
                 must_change_password = COALESCE($9, must_change_password),
                 password_hash = COALESCE($11, password_hash),
                 password_version = password_version
                     + CASE WHEN CAST($11 AS TEXT) IS NULL THEN 0 ELSE 1 END
                     + CASE WHEN is_active AND NOT COALESCE($6, is_active) THEN 1 ELSE 0 END,
                 generation = generation + 1,
                 updated_at = $10
             WHERE id = $1
               AND (CAST($12 AS BIGINT) IS NULL OR generation = $12)
               AND (CAST($13 AS BOOLEAN)
                    OR NOT EXISTS (SELECT user_id FROM names WHERE name = $2 AND user_id <> $1))
               AND ((COALESCE($6, is_active) AND COALESCE($7, is_superuser)) OR ",
            not_the_last!(),
            ") RETURNING ",
            columns!()
        ),
    );
    let email = change.email.as_ref().and_then(Option::as_ref);
    UPDATE.with([
        id.into(),
        change.username.as_ref().map(Username::as_str).into(),
        change.email.is_some().into(),
        email.map(Email::as_str).into(),
        email.map(Email::folded).into(),
        change.is_active.into(),
        change.is_superuser.into(),
        change.is_verified.into(),
        change.must_change_password.into(),
        now.into(),
        change.password_hash.as_ref().into(),
        generation.into(),
        change.may_reuse_name.into(),
    ])
}
