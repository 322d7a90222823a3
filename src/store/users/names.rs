//! Whose a username was.
//!
//! Services are told usernames, and keep what is somebody's under them. Whoever took the name of a user who is gone, or
//! is called otherwise now, would find that there. So a name is written down, with whose it is, by the transaction that
//! may give it up, and from then on only who is allowed to ([`NewUser::may_reuse_name`](super::NewUser)) gives it to others.

use super::Users;
use crate::base::id::UserId;
use crate::base::name::Username;
use crate::store::db::Tx;
use crate::store::error::DbError;
use crate::store::statement::{Call, Statement};

/// Whose the name was, if it was somebody's.
const WHOSE: Statement = Statement::read("user.whose", "SELECT user_id FROM names WHERE name = $1");

impl Users {
    /// Who had the name, if somebody gave it up. Whoever has it, or whom it goes back to, may be another.
    ///
    /// # Errors
    /// What the database said.
    pub async fn whose_was(&self, name: &Username) -> Result<Option<UserId>, DbError> {
        let row = self.db.one(WHOSE.with([name.as_str().into()])).await?;
        row.map(|row| row.get("user_id")).transpose()
    }

    /// How many names a user has had, and given up, before this one.
    ///
    /// # Errors
    /// What the database said.
    pub async fn names_given_up(&self, id: UserId) -> Result<i64, DbError> {
        const COUNT: Statement = Statement::read(
            "user.names",
            "SELECT COUNT(*) AS given_up FROM names WHERE user_id = $1
             AND name NOT IN (SELECT username FROM users WHERE id = $1)",
        );
        let row = self.db.one(COUNT.with([id.into()])).await?;
        row.map_or(Ok(0), |row| row.get("given_up"))
    }
}

/// Writes down whose name it is that is about to be given up. True also when it is kept after all.
pub(super) fn remember(id: UserId) -> Call {
    const REMEMBER: Statement = Statement::quiet(
        "user.remember",
        "INSERT INTO names (name, user_id) SELECT username, id FROM users WHERE id = $1
         ON CONFLICT (name) DO UPDATE SET user_id = excluded.user_id",
    );
    REMEMBER.with([id.into()])
}

/// Whether the name was somebody's, asked behind the insertion: in PostgreSQL that has waited for whoever had the name, and
/// sees only now what they wrote down.
pub(super) async fn was_somebodys(tx: &mut Tx, name: &Username) -> Result<bool, DbError> {
    let whose = tx.one(WHOSE.with([name.as_str().into()])).await?;
    Ok(whose.is_some())
}
