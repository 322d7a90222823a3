//! Making users: the row and its roles in one transaction, so that a death in between leaves no half user.

use crate::base::name::{Email, RoleName};
use crate::base::time::Timestamp;

use super::names::was_somebodys;
use super::taken::Taken;
use super::{NewUser, User, UserError, Users, columns};
use crate::store::db::Tx;
use crate::store::error::DbError;
use crate::store::lock;
use crate::store::roles::{Graph, LOCAL, assign, locked_graph};
use crate::store::statement::{Call, Statement};

impl Users {
    /// Makes a user.
    ///
    /// # Errors
    /// When the name or the address is taken, the name was somebody's and may not be given again, or a role does not exist.
    pub async fn insert(&self, new: &NewUser, now: Timestamp) -> Result<User, UserError> {
        let mut tx = self.db.begin().await?;
        let user = self.insert_in(&mut tx, new, now).await?;
        tx.commit().await?;
        Ok(user)
    }

    /// Makes a user if `may` says so of the roles there are, which nobody changes meanwhile.
    ///
    /// # Errors
    /// As [`Users::insert`], and what `may` says.
    pub async fn insert_if<E: From<UserError>>(
        &self,
        new: &NewUser,
        now: Timestamp,
        may: impl FnOnce(&Graph) -> Result<(), E> + Send,
    ) -> Result<User, E> {
        let fault = |error: DbError| E::from(error.into());
        let mut tx = self.db.begin().await.map_err(fault)?;
        let stored = locked_graph(&mut tx).await.map_err(fault)?;
        may(&self.filed.over(stored).map_err(fault)?)?;
        let user = self.insert_in(&mut tx, new, now).await?;
        tx.commit().await.map_err(fault)?;
        Ok(user)
    }

    /// Makes the first superuser; does nothing when there is one already, not even when two processes start
    /// at once.
    ///
    /// # Errors
    /// As [`Users::insert`].
    pub async fn bootstrap(
        &self,
        new: &NewUser,
        now: Timestamp,
    ) -> Result<Option<User>, UserError> {
        const ANY: Statement = Statement::read(
            "user.any_superuser",
            "SELECT id FROM users WHERE is_superuser ORDER BY id LIMIT 1",
        );
        let mut tx = self.db.begin().await?;
        tx.execute(lock::superusers()).await?;
        if tx.one(ANY.with([])).await?.is_some() {
            return Ok(None);
        }
        let user = self.insert_in(&mut tx, new, now).await?;
        tx.commit().await?;
        Ok(Some(user))
    }

    async fn insert_in(
        &self,
        tx: &mut Tx,
        new: &NewUser,
        now: Timestamp,
    ) -> Result<User, UserError> {
        let Some(row) = tx.one(insertion(new, now, now)).await? else {
            let taken = Taken {
                username: Some(&new.username),
                email: new.email.as_ref(),
                by_other_than: None,
            };
            return Err(taken.told(&tx.all(taken.call()).await?));
        };
        if !new.may_reuse_name && was_somebodys(tx, &new.username).await? {
            return Err(UserError::UsernameTaken(new.username.clone()));
        }
        let user = User::read(&row)?;
        for role in &new.roles {
            grant(tx, &user, role, now).await?;
        }
        Ok(user)
    }
}

async fn grant(tx: &mut Tx, user: &User, role: &RoleName, now: Timestamp) -> Result<(), UserError> {
    match tx.execute(assign(user.id, role, LOCAL, now)).await? {
        0 => Err(UserError::UnknownRole(role.clone())),
        _ => Ok(()),
    }
}

/// Makes the row of a user, who may be older than it.
pub(super) fn insertion(new: &NewUser, created_at: Timestamp, now: Timestamp) -> Call {
    const INSERT: Statement = Statement::write(
        "user.insert",
        concat!(
            "INSERT INTO users (subject, username, email, email_folded, password_hash, is_active, is_superuser,
                                is_verified, must_change_password, generation, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $11)
             ON CONFLICT DO NOTHING
             RETURNING ",
            columns!()
        ),
    );
    INSERT.with([
        new.subject.to_string().into(),
        new.username.as_str().into(),
        new.email.as_ref().map(Email::as_str).into(),
        new.email.as_ref().map(Email::folded).into(),
        new.password_hash.as_ref().into(),
        new.is_active.into(),
        new.is_superuser.into(),
        new.is_verified.into(),
        new.must_change_password.into(),
        created_at.into(),
        now.into(),
    ])
}
