//! What can go wrong between a statement and its answer, sorted by what a caller can do about it.
//!
//! The texts are for logs. No caller compares them, and none carries a bound value.

/// Why the database gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DbError {
    /// A unique column already holds that value.
    #[error("another row has the same unique value")]
    Conflict,
    /// A row that is referred to does not exist (a foreign key).
    #[error("a row that is referred to does not exist")]
    Reference,
    /// The database is locked, full, unreachable or shut; trying again later may help.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    /// The database holds what this program never writes, or is damaged.
    #[error("the database holds what it must not: {0}")]
    Corrupt(String),
    /// A statement is wrong: a fault of this program.
    #[error("the statement '{name}' is wrong: {fault}")]
    Statement {
        /// The statement's operation name.
        name: &'static str,
        /// What the database said.
        fault: String,
    },
}

impl DbError {
    /// Nothing answers, because of `reason`.
    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable(reason.into())
    }

    /// A stored value cannot be what it should be.
    pub(crate) fn corrupt(column: &str, fault: impl std::fmt::Display) -> Self {
        Self::Corrupt(format!("column {column}: {fault}"))
    }

    /// The statement `name` cannot be run as it is.
    pub(crate) fn statement(name: &'static str, fault: impl Into<String>) -> Self {
        Self::Statement {
            name,
            fault: fault.into(),
        }
    }
}
