//! A page of users with the roles that each was given, in one statement: one moment's truth, however many they are.

use std::collections::BTreeSet;

use super::{LIST_MAX, User, UserQuery, Users, columns};
use crate::base::id::UserId;
use crate::store::error::DbError;
use crate::store::statement::{Row, Statement};

/// A user, and the numbers of the roles they were given, by whatever source.
#[derive(Clone, Debug)]
pub struct Given {
    /// The user.
    pub user: User,
    /// Their roles. Those that have left the file are among them.
    pub roles: BTreeSet<i64>,
}

/// In which order users are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub by: SortBy,
    /// The greatest first.
    pub descending: bool,
}

/// What users can be sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum SortBy {
    #[default]
    Id,
    Username,
    Email,
    CreatedAt,
}

impl SortBy {
    /// Every one, and the word for it.
    pub const ALL: [(&'static str, Self); 4] = [
        ("id", Self::Id),
        ("username", Self::Username),
        ("email", Self::Email),
        ("created_at", Self::CreatedAt),
    ];
}

/// A constant statement for each order: a column's name cannot be bound. The number comes last everywhere, so that
/// pages do not overlap. Users without an address stand together, at the end where the database says so.
macro_rules! page {
    ($order:literal) => {
        Statement::read(
            "user.page",
            concat!(
                "SELECT ",
                columns!(),
                ", user_roles.role_id AS role_id FROM (
                     SELECT ",
                columns!(),
                ", email_folded FROM users
                     WHERE CAST($1 AS TEXT) IS NULL
                        OR replace(username, $1, '') <> username
                        OR replace(email_folded, $1, '') <> email_folded
                        OR replace(email_folded, $4, '') <> email_folded
                     ORDER BY ",
                $order,
                " LIMIT $2 OFFSET $3) page
                 LEFT JOIN user_roles ON user_roles.user_id = page.id ORDER BY ",
                $order
            ),
        )
    };
}

impl Sort {
    const fn statement(self) -> Statement {
        match (self.by, self.descending) {
            (SortBy::Id, false) => page!("id"),
            (SortBy::Id, true) => page!("id DESC"),
            (SortBy::Username, false) => page!("username, id"),
            (SortBy::Username, true) => page!("username DESC, id DESC"),
            (SortBy::Email, false) => page!("COALESCE(email_folded, ''), id"),
            (SortBy::Email, true) => page!("COALESCE(email_folded, '') DESC, id DESC"),
            (SortBy::CreatedAt, false) => page!("created_at, id"),
            (SortBy::CreatedAt, true) => page!("created_at DESC, id DESC"),
        }
    }
}

impl Users {
    /// Users that a search finds, with their roles, in this order.
    ///
    /// # Errors
    /// What the database said.
    pub async fn page(&self, query: &UserQuery, sort: Sort) -> Result<Vec<Given>, DbError> {
        let [name, address] = super::read::folded(query.search.as_deref());
        let limit = query.limit.min(LIST_MAX);
        let call = sort
            .statement()
            .with([name, limit.into(), query.skip.into(), address]);
        collect(&self.db.all(call).await?)
    }

    /// A user with their roles.
    ///
    /// # Errors
    /// What the database said.
    pub async fn given(&self, id: UserId) -> Result<Option<Given>, DbError> {
        const GIVEN: Statement = Statement::read(
            "user.given",
            concat!(
                "SELECT ",
                columns!(),
                ", user_roles.role_id AS role_id FROM users
                 LEFT JOIN user_roles ON user_roles.user_id = users.id WHERE users.id = $1"
            ),
        );
        let rows = self.db.all(GIVEN.with([id.into()])).await?;
        Ok(collect(&rows)?.pop())
    }
}

/// One user a run of rows: each row names one of their roles, or none.
fn collect(rows: &[Row]) -> Result<Vec<Given>, DbError> {
    let mut found: Vec<Given> = Vec::new();
    for row in rows {
        let id: UserId = row.get("id")?;
        if found.last().is_none_or(|last| last.user.id != id) {
            found.push(Given {
                user: User::read(row)?,
                roles: BTreeSet::new(),
            });
        }
        if let (Some(last), Some(role)) = (found.last_mut(), row.get("role_id")?) {
            last.roles.insert(role);
        }
    }
    Ok(found)
}
