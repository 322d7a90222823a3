//! Values on their way in and out, and faults sorted by what can be done about them.
//!
//! A value takes the type that the server has inferred for its place, or is refused; nothing is turned into
//! text on the way. No fault repeats a value: neither the server's details, which name keys, nor its words
//! about malformed data, which quote them.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use bytes::BytesMut;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};
use tokio_postgres::{Error, Row as ServerRow, Statement};

use crate::store::error::DbError;
use crate::store::statement::{Row, Value};

type Fault = Box<dyn StdError + Sync + Send>;

/// A value, bound as whatever integer, text … the statement has in its place.
pub(super) struct Bound<'a>(pub(super) &'a Value);

/// A column, read as what it is.
struct Read(Value);

/// The value does not fit its place.
#[derive(Debug, thiserror::Error)]
#[error("{0} where the statement has {1}")]
struct Misfit(&'static str, String);

impl fmt::Debug for Bound<'_> {
    /// The driver prints what it binds when it is asked to log everything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl ToSql for Bound<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Fault> {
        match (self.0, ty) {
            (Value::Null, _) => Ok(IsNull::Yes),
            (Value::Int(n), &Type::INT8) => n.to_sql(ty, out),
            (Value::Int(n), &Type::INT4) => narrow::<i32>(*n, ty)?.to_sql(ty, out),
            (Value::Int(n), &Type::INT2) => narrow::<i16>(*n, ty)?.to_sql(ty, out),
            (Value::Bool(yes), &Type::BOOL) => yes.to_sql(ty, out),
            (Value::Text(text), &Type::TEXT | &Type::VARCHAR | &Type::NAME | &Type::UNKNOWN) => {
                text.as_str().to_sql(ty, out)
            }
            (Value::Bytes(bytes), &Type::BYTEA) => bytes.as_slice().to_sql(ty, out),
            (value, ty) => Err(Misfit(kind(value), ty.to_string()).into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

impl<'a> FromSql<'a> for Read {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Fault> {
        let value = match *ty {
            Type::INT8 => Value::Int(i64::from_sql(ty, raw)?),
            Type::INT4 => Value::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT2 => Value::Int(i16::from_sql(ty, raw)?.into()),
            Type::BOOL => Value::Bool(bool::from_sql(ty, raw)?),
            Type::BYTEA => Value::Bytes(raw.to_owned()),
            _ => Value::Text(String::from_sql(ty, raw)?),
        };
        Ok(Self(value))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Fault> {
        Ok(Self(Value::Null))
    }

    fn accepts(ty: &Type) -> bool {
        matches!(
            *ty,
            Type::INT8
                | Type::INT4
                | Type::INT2
                | Type::BOOL
                | Type::BYTEA
                | Type::TEXT
                | Type::VARCHAR
                | Type::NAME
                | Type::UNKNOWN
        )
    }
}

fn narrow<T: TryFrom<i64>>(n: i64, ty: &Type) -> Result<T, Misfit> {
    T::try_from(n).map_err(|_| Misfit("a large integer", ty.to_string()))
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Int(_) => "an integer",
        Value::Bool(_) => "a boolean",
        Value::Text(_) => "text",
        Value::Bytes(_) => "bytes",
    }
}

/// The names of a statement's columns.
pub(super) fn columns(statement: &Statement) -> Arc<[Box<str>]> {
    statement
        .columns()
        .iter()
        .map(|column| column.name().into())
        .collect()
}

/// A row as the server gave it.
pub(super) fn row(columns: &Arc<[Box<str>]>, row: &ServerRow) -> Result<Row, DbError> {
    let value = |at| {
        row.try_get::<_, Read>(at)
            .map(|read| read.0)
            .map_err(|e| DbError::Corrupt(text(&e)))
    };
    let values = (0..row.len()).map(value).collect::<Result<_, _>>()?;
    Ok(Row::new(Arc::clone(columns), values))
}

/// Sorts a fault by what can be done about it.
pub(super) fn fault(name: &'static str, error: &Error) -> DbError {
    let Some(code) = error.code().map(|code| code.code().to_owned()) else {
        return match source::<Misfit>(error) {
            Some(misfit) => DbError::statement(name, misfit.to_string()),
            None => DbError::unavailable(text(error)),
        };
    };
    match (code.get(..2).unwrap_or_default(), code.as_str()) {
        (_, "23505") => DbError::Conflict,
        (_, "23503") => DbError::Reference,
        // Connections, transactions that were in each other's way, resources, an operator, the machine; a
        // password or a database that is wrong; a statement whose plan has become stale; a server that has been
        // demoted to a copy (or a statement that is declared as reading, which SQLite tells in the tests).
        ("08" | "40" | "53" | "57" | "58" | "28" | "3D", _)
        | (_, "55P03" | "25P03" | "25006" | "0A000" | "26000") => DbError::unavailable(text(error)),
        ("XX", "XX001" | "XX002") => DbError::Corrupt(text(error)),
        _ => DbError::statement(name, text(error)),
    }
}

/// Whether the same may succeed at once, given that nothing of it was committed: it lost to another
/// transaction, its plan was stale, or the server has ended its session. The connection is not used again.
pub(super) fn is_worth_another_try(error: &Error) -> bool {
    match error.code().map(SqlState::code) {
        Some(code) => {
            code.starts_with("40")
                || code.starts_with("57P")
                || code.starts_with("08")
                || matches!(code, "0A000" | "26000" | "25P03" | "25006")
        }
        None => error.is_closed() || source::<std::io::Error>(error).is_some(),
    }
}

/// Whether a statement on its own, which has failed so, has certainly done nothing.
pub(super) fn is_undone(error: &Error) -> bool {
    error
        .code()
        .is_some_and(|code| code.code().starts_with("40"))
}

/// What went wrong, with its causes, and without the values that it went wrong with.
pub(super) fn text(error: &(dyn StdError + 'static)) -> String {
    if let Some(said) = error.downcast_ref::<Error>().and_then(Error::as_db_error) {
        let code = said.code().code();
        return if code.starts_with("22") {
            format!("SQLSTATE {code}")
        } else {
            format!("{} (SQLSTATE {code})", said.message())
        };
    }
    match error.source() {
        Some(cause) => format!("{error}: {}", text(cause)),
        None => error.to_string(),
    }
}

fn source<T: StdError + 'static>(error: &Error) -> Option<&T> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}
