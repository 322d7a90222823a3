//! Which of two names somebody already has.
//!
//! Databases name the violated constraint in texts of their own, which no program should read. So the one that
//! is asked to make a row says only that it did not, and this asks why.

use super::UserError;
use crate::base::id::UserId;
use crate::base::name::{Email, Username};
use crate::store::error::DbError;
use crate::store::statement::{Call, Row, Statement};

/// The names somebody wanted, and who may have them already.
pub(super) struct Taken<'a> {
    pub(super) username: Option<&'a Username>,
    pub(super) email: Option<&'a Email>,
    pub(super) by_other_than: Option<UserId>,
}

impl Taken<'_> {
    /// Asks who has the names.
    pub(super) fn call(&self) -> Call {
        const TAKEN: Statement = Statement::read(
            "user.taken",
            "SELECT username, email_folded FROM users
             WHERE (username = $1 OR email_folded = $2) AND (CAST($3 AS BIGINT) IS NULL OR id <> $3)
             ORDER BY id",
        );
        TAKEN.with([
            self.username.map(Username::as_str).into(),
            self.email.map(Email::folded).into(),
            self.by_other_than.into(),
        ])
    }

    /// Turns the answer into what to tell: the username first, when both are taken.
    pub(super) fn told(&self, rows: &[Row]) -> UserError {
        let held = |column, name: &str| {
            rows.iter()
                .any(|row| row.get::<String>(column).is_ok_and(|it| it == name))
        };
        match (self.username, self.email) {
            (Some(name), _) if held("username", name.as_str()) => {
                UserError::UsernameTaken(name.clone())
            }
            (_, Some(email)) if held("email_folded", email.folded()) => {
                UserError::EmailTaken(email.clone())
            }
            // Whoever had it is gone again.
            _ => UserError::Db(DbError::Conflict),
        }
    }
}
