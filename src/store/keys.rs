//! Keys that every node shares. What is kept is sealed by whoever calls; nothing here can open it.

use crate::base::time::Timestamp;

use super::db::Db;
use super::error::DbError;
use super::statement::Statement;

/// The stored keys.
#[derive(Clone)]
pub struct Keys {
    db: Db,
}

impl Keys {
    /// The keys in this database.
    #[must_use]
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    /// Whether there is a table for them. Before the first migrations, there is none.
    ///
    /// # Errors
    /// What the database said.
    pub async fn is_there(&self) -> Result<bool, DbError> {
        let table = Statement::read("key.table", self.db.dialect().table);
        let found = self.db.one(table.with(["sealed_keys".into()])).await?;
        Ok(found.is_some())
    }

    /// The sealed key of this name.
    ///
    /// # Errors
    /// What the database said.
    pub async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, DbError> {
        const GET: Statement =
            Statement::read("key.get", "SELECT sealed FROM sealed_keys WHERE name = $1");
        self.db
            .one(GET.with([name.into()]))
            .await?
            .map(|row| row.get("sealed"))
            .transpose()
    }

    /// Whether there is any sealed key.
    ///
    /// # Errors
    /// What the database said.
    pub async fn any(&self) -> Result<bool, DbError> {
        const ANY: Statement = Statement::read("key.any", "SELECT name FROM sealed_keys LIMIT 1");
        Ok(self.db.one(ANY.with([])).await?.is_some())
    }

    /// Keeps a key unless there is one of this name, and gives back the one that is kept: of two nodes that
    /// start at once, both get the same.
    ///
    /// # Errors
    /// What the database said.
    pub async fn keep(
        &self,
        name: &str,
        sealed: Vec<u8>,
        now: Timestamp,
    ) -> Result<Vec<u8>, DbError> {
        const KEEP: Statement = Statement::write(
            "key.keep",
            "INSERT INTO sealed_keys (name, sealed, created_at) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET created_at = sealed_keys.created_at RETURNING sealed",
        );
        let row = self
            .db
            .one(KEEP.with([name.into(), sealed.into(), now.into()]))
            .await?;
        let row = row.ok_or_else(|| DbError::Corrupt("a key that was kept is not there".into()))?;
        row.get("sealed")
    }

    /// Forgets a key that is of no more use, unless another has taken its place.
    ///
    /// # Errors
    /// What the database said.
    pub async fn forget(&self, name: &str, sealed: &[u8]) -> Result<(), DbError> {
        const FORGET: Statement = Statement::write(
            "key.forget",
            "DELETE FROM sealed_keys WHERE name = $1 AND sealed = $2",
        );
        let values = [name.into(), sealed.to_vec().into()];
        self.db.execute(FORGET.with(values)).await.map(drop)
    }
}
