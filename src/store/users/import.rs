//! Many users at once, who come from elsewhere: all of them in one transaction, and each told whether there was
//! room for them.
//!
//! The roles are assigned by the users' random subjects, so that no statement waits for the answer of the one
//! before it and thousands of rows go to the database together. It knows nothing of files.

use super::insert::insertion;
use super::taken::Taken;
use super::{NewUser, UserError, Users};
use crate::base::id::PublicId;
use crate::base::name::RoleName;
use crate::base::time::Timestamp;
use crate::store::db::Tx;
use crate::store::error::DbError;
use crate::store::roles::LOCAL;
use crate::store::statement::{Answer, Call, Statement};

/// A user who has an account elsewhere.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The user.
    pub user: NewUser,
    /// Since when they have it.
    pub created_at: Timestamp,
}

/// An import that is under way. Dropped, it leaves nothing behind. Nobody else writes while it lasts, and it ends
/// by itself when nothing is added for five seconds: have everything at hand before it begins.
pub struct Import {
    tx: Tx,
    now: Timestamp,
}

impl Users {
    /// Begins an import.
    ///
    /// # Errors
    /// When the lock cannot be had in time.
    pub async fn import(&self, now: Timestamp) -> Result<Import, DbError> {
        let tx = self.db.begin().await?;
        Ok(Import { tx, now })
    }
}

impl Import {
    /// Adds users, and says of each who was not added that their name or address is taken. A few hundred at a time
    /// are a good measure.
    ///
    /// # Errors
    /// When a role does not exist or the database fails: the import is then lost.
    pub async fn add(&mut self, users: &[Imported]) -> Result<Vec<Option<UserError>>, UserError> {
        let insertions = users.iter().map(|one| self.insertion(one)).collect();
        let inserted = self.tx.many("user.import", insertions).await?;
        let mut told = Vec::with_capacity(users.len());
        let mut grants = Vec::new();
        for (one, Answer { rows, .. }) in users.iter().zip(inserted) {
            if rows.is_empty() {
                told.push(Some(self.taken(&one.user).await?));
                continue;
            }
            told.push(None);
            let roles = one.user.roles.iter();
            grants.extend(roles.map(|role| (one.user.subject, role.clone())));
        }
        self.grant(grants).await?;
        Ok(told)
    }

    /// Makes all of them count.
    ///
    /// # Errors
    /// When the database refuses: then nobody was imported.
    pub async fn commit(self) -> Result<(), DbError> {
        self.tx.commit().await
    }

    fn insertion(&self, one: &Imported) -> Call {
        insertion(&one.user, one.created_at, self.now)
    }

    async fn taken(&mut self, new: &NewUser) -> Result<UserError, DbError> {
        let taken = Taken {
            username: Some(&new.username),
            email: new.email.as_ref(),
            by_other_than: None,
        };
        Ok(taken.told(&self.tx.all(taken.call()).await?))
    }

    async fn grant(&mut self, grants: Vec<(PublicId, RoleName)>) -> Result<(), UserError> {
        let calls = grants
            .iter()
            .map(|(subject, role)| assignment(*subject, role, self.now));
        let answers = self.tx.many("role.import", calls.collect()).await?;
        let mut done = grants.into_iter().zip(answers);
        match done.find(|(_, answer)| answer.changed == 0) {
            Some(((_, role), _)) => Err(UserError::UnknownRole(role)),
            None => Ok(()),
        }
    }
}

fn assignment(subject: PublicId, role: &RoleName, now: Timestamp) -> Call {
    const ASSIGN: Statement = Statement::write(
        "role.assign_subject",
        "INSERT INTO user_roles (user_id, role_id, source, granted_at)
         SELECT users.id, roles.id, CAST($3 AS TEXT), CAST($4 AS BIGINT)
         FROM users, roles
         WHERE users.subject = $1 AND roles.name = $2 AND roles.origin <> 'retired'",
    );
    ASSIGN.with([
        subject.to_string().into(),
        role.as_str().into(),
        LOCAL.into(),
        now.into(),
    ])
}
