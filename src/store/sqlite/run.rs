//! One call on one connection: values in, rows out, faults sorted.

use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, ffi};

use crate::store::error::DbError;
use crate::store::statement::{Access, Answer, Call, Row, Value};

/// Runs a call to its end. SQLite has done what a statement says only when its last row was fetched.
pub(super) fn run(connection: &Connection, call: &Call) -> Result<Answer, DbError> {
    let name = call.statement.name;
    let mut statement = connection
        .prepare_cached(call.statement.sql)
        .map_err(|e| fault(name, &e))?;
    if call.statement.access == Access::Read && !statement.readonly() {
        return Err(DbError::statement(
            name,
            "declared as reading, but it writes",
        ));
    }
    bind(&mut statement, call)?;
    let columns: Arc<[Box<str>]> = statement.column_names().map(Into::into).collect();
    let mut cursor = statement.raw_query();
    let mut rows = Vec::new();
    while let Some(row) = cursor.next().map_err(|e| fault(name, &e))? {
        rows.push(Row::new(columns.clone(), read(row, columns.len())?));
    }
    Ok(Answer {
        rows,
        changed: connection.changes(),
    })
}

/// To SQLite `$1` is a name, numbered by where it first appears: so it is bound by name.
fn bind(statement: &mut rusqlite::Statement<'_>, call: &Call) -> Result<(), DbError> {
    let name = call.statement.name;
    let (wanted, given) = (statement.parameter_count(), call.values.len());
    if wanted != given {
        return Err(DbError::statement(
            name,
            format!("takes {wanted} values and was given {given}"),
        ));
    }
    for (at, value) in call.values.iter().enumerate() {
        // PostgreSQL takes no NUL in a text; so do we nowhere, or callers would come to rely on it.
        if matches!(value, Value::Text(text) if text.contains('\0')) {
            return Err(DbError::statement(name, "a text holds NUL"));
        }
        let index = statement
            .parameter_index(&format!("${}", at + 1))
            .map_err(|e| fault(name, &e))?;
        let index = index.ok_or_else(|| DbError::statement(name, format!("has no ${}", at + 1)))?;
        statement
            .raw_bind_parameter(index, bound(value))
            .map_err(|e| fault(name, &e))?;
    }
    Ok(())
}

fn bound(value: &Value) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match value {
        Value::Null => ValueRef::Null,
        Value::Int(n) => ValueRef::Integer(*n),
        Value::Bool(yes) => ValueRef::Integer(i64::from(*yes)),
        Value::Text(text) => ValueRef::Text(text.as_bytes()),
        Value::Bytes(bytes) => ValueRef::Blob(bytes),
    })
}

fn read(row: &rusqlite::Row<'_>, width: usize) -> Result<Vec<Value>, DbError> {
    let column = |at| match row.get_ref(at) {
        Ok(ValueRef::Null) => Ok(Value::Null),
        Ok(ValueRef::Integer(n)) => Ok(Value::Int(n)),
        Ok(ValueRef::Blob(bytes)) => Ok(Value::Bytes(bytes.to_owned())),
        Ok(ValueRef::Text(text)) => String::from_utf8(text.to_owned())
            .map(Value::Text)
            .map_err(|_| DbError::Corrupt("text that is not UTF-8".to_owned())),
        Ok(ValueRef::Real(_)) => Err(DbError::Corrupt("a fraction".to_owned())),
        Err(e) => Err(DbError::Corrupt(e.to_string())),
    };
    (0..width).map(column).collect()
}

/// Sorts a fault of SQLite by what can be done about it.
pub(super) fn fault(name: &'static str, error: &rusqlite::Error) -> DbError {
    let Some(code) = error.sqlite_error_code() else {
        return DbError::statement(name, error.to_string());
    };
    match (code, error.sqlite_error().map_or(0, |e| e.extended_code)) {
        (_, ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => DbError::Conflict,
        (_, ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => DbError::Reference,
        (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => {
            DbError::Corrupt(error.to_string())
        }
        (
            ErrorCode::ConstraintViolation
            | ErrorCode::Unknown
            | ErrorCode::TypeMismatch
            | ErrorCode::TooBig
            | ErrorCode::ApiMisuse
            | ErrorCode::ParameterOutOfRange,
            _,
        ) => DbError::statement(name, error.to_string()),
        _ => DbError::unavailable(error.to_string()),
    }
}
