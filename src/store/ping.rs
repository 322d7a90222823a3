//! Whether the database answers, for whoever asks whether the gateway is ready.

use crate::base::random::Random;

use super::db::Db;
use super::error::DbError;
use super::statement::Statement;

// Of tables that every request needs: a database that is empty, damaged or only to be read answers `SELECT 1` as well.
const PING_READ: Statement = Statement::read("ping.read", "SELECT id FROM users WHERE id = 0");
// Of no kind there is, and gone with the same transaction: nobody ever finds it.
const PING_WRITE: [Statement; 2] = [
    Statement::quiet(
        "ping.put",
        "INSERT INTO volatile_entries (kind, key, value, version, created_at, expires_at)
         VALUES ('', $1, $1, 0, 0, 0)",
    ),
    Statement::quiet(
        "ping.take",
        "DELETE FROM volatile_entries WHERE kind = '' AND key = $1",
    ),
];

impl Db {
    /// Whether both the reading and the writing side answer, of a database that has been migrated.
    ///
    /// # Errors
    /// When one of them does not.
    pub async fn ping(&self) -> Result<(), DbError> {
        self.ping_reading().await?;
        self.ping_writing().await
    }

    /// Whether the reading side answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping_reading(&self) -> Result<(), DbError> {
        self.all(PING_READ.with([])).await.map(drop)
    }

    /// Whether something can be written, by writing it: a full disk, or one that can only be read, answers whoever
    /// changes nothing. It costs what a small transaction costs.
    ///
    /// # Errors
    /// When it cannot.
    pub async fn ping_writing(&self) -> Result<(), DbError> {
        // Of its own: a node that hangs in the middle must hold up nobody else's.
        let key: [u8; 16] = Random::System
            .bytes()
            .map_err(|error| DbError::unavailable(error.to_string()))?;
        let calls = PING_WRITE.map(|statement| statement.with([key.to_vec().into()]));
        self.batch("ping.write", calls.into()).await.map(drop)
    }
}
