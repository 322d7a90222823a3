//! A lock that a transaction holds until it ends: the first statement of whatever must not overlap itself.
//!
//! In SQLite there is one writer at a time and it changes nothing. In PostgreSQL, where two transactions of
//! READ COMMITTED can each see the other's superuser as still there, the row lock makes the second wait, and
//! its later statements then see what the first has committed. A table serves both; `FOR UPDATE` does not.

use super::statement::{Call, Statement};

const TAKE: Statement = Statement::quiet(
    "lock",
    "INSERT INTO locks (name, taken) VALUES ($1, 1)
     ON CONFLICT (name) DO UPDATE SET taken = locks.taken + 1",
);

/// Who is a superuser, and active.
pub(super) fn superusers() -> Call {
    TAKE.with(["superusers".into()])
}

/// Which roles there are, and what they give.
pub(super) fn roles() -> Call {
    TAKE.with(["roles".into()])
}

/// The volatile entries of one owner. Striped, so that the table stays small.
pub(super) fn owner(id: i64) -> Call {
    TAKE.with([format!("owner {}", id.rem_euclid(64)).into()])
}
