//! Statements, the values bound to them and the rows that come back: the words every database shares.
//!
//! A statement is a constant next to its only caller. Its name is the `operation` label under which its
//! duration is measured, and its access decides which connection may run it.

use std::sync::Arc;

use crate::base::id::UserId;
use crate::base::secret::Secret;
use crate::base::time::Timestamp;

use super::error::DbError;

/// One SQL statement, written once for every database.
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    /// The operation, as metrics name it.
    pub name: &'static str,
    /// The SQL, with `$1`, `$2` … for values.
    pub sql: &'static str,
    /// Whether it may change anything.
    pub access: Access,
}

/// Whether a statement may change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It only reads, and may run beside a writer.
    Read,
    /// It writes, also when it returns rows. Every node forgets what it has copied from the database.
    Write,
    /// It writes what no node keeps a copy of, or what may be seen late, such as counters: nobody is told.
    Quiet,
}

/// A statement with its values, ready to run.
#[derive(Clone, Debug)]
pub struct Call {
    pub(crate) statement: Statement,
    pub(crate) values: Vec<Value>,
}

/// A value on its way into or out of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// SQL `NULL`.
    Null,
    /// `BIGINT`: numbers, ids, times in milliseconds since the epoch.
    Int(i64),
    /// `BOOLEAN`.
    Bool(bool),
    /// `TEXT`.
    Text(String),
    /// `BYTEA`.
    Bytes(Vec<u8>),
}

/// One row of an answer.
#[derive(Clone, Debug)]
pub struct Row {
    columns: Arc<[Box<str>]>,
    values: Vec<Value>,
}

/// What a statement gave: its rows, and how many rows it changed.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The rows, of a query or of `RETURNING`.
    pub rows: Vec<Row>,
    /// How many rows were inserted, updated or deleted. Means nothing after a query.
    pub changed: u64,
}

/// A type that a column can be read as.
pub trait FromValue: Sized {
    /// Reads the value, or gives it back when it is of another type.
    ///
    /// # Errors
    /// Gives the value back when it is of another type.
    fn from_value(value: &Value) -> Result<Self, WrongType>;
}

/// The stored value is of another type than the program expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {0}")]
pub struct WrongType(&'static str);

impl Statement {
    /// A statement that only reads.
    #[must_use]
    pub const fn read(name: &'static str, sql: &'static str) -> Self {
        Self {
            name,
            sql,
            access: Access::Read,
        }
    }

    /// A statement that writes.
    #[must_use]
    pub const fn write(name: &'static str, sql: &'static str) -> Self {
        Self {
            name,
            sql,
            access: Access::Write,
        }
    }

    /// A statement that writes what no other node needs to hear of at once. When in doubt, it is
    /// [`Statement::write`].
    #[must_use]
    pub const fn quiet(name: &'static str, sql: &'static str) -> Self {
        Self {
            name,
            sql,
            access: Access::Quiet,
        }
    }

    /// The statement with `$1`, `$2` … bound to `values` in order.
    #[must_use]
    pub fn with<const N: usize>(self, values: [Value; N]) -> Call {
        Call {
            statement: self,
            values: values.into(),
        }
    }
}

impl Row {
    /// A row of `values` under `columns`.
    pub(crate) fn new(columns: Arc<[Box<str>]>, values: Vec<Value>) -> Self {
        Self { columns, values }
    }

    /// The value of `column`.
    ///
    /// # Errors
    /// [`DbError::Corrupt`] when there is no such column or its value is of another type.
    pub fn get<T: FromValue>(&self, column: &str) -> Result<T, DbError> {
        let at = self.columns.iter().position(|name| &**name == column);
        let value = at.and_then(|at| self.values.get(at));
        let value = value.ok_or_else(|| DbError::corrupt(column, "not in the answer"))?;
        T::from_value(value).map_err(|wrong| DbError::corrupt(column, wrong))
    }

    /// The text of `column`, read as a `T` that has one canonical text.
    ///
    /// # Errors
    /// [`DbError::Corrupt`] when the text is not a `T`.
    pub fn parse<T: std::str::FromStr>(&self, column: &str) -> Result<T, DbError> {
        let text: String = self.get(column)?;
        text.parse()
            .map_err(|_| DbError::corrupt(column, "not in canonical form"))
    }
}

impl Answer {
    /// The only row, or none.
    ///
    /// # Errors
    /// [`DbError::Statement`] when there are several: the statement should have named a unique key.
    pub fn one(self, name: &'static str) -> Result<Option<Row>, DbError> {
        let mut rows = self.rows.into_iter();
        let first = rows.next();
        match rows.next() {
            None => Ok(first),
            Some(_) => Err(DbError::statement(
                name,
                "gave several rows where one was asked for",
            )),
        }
    }
}

macro_rules! into_value {
    ($($from:ty => |$value:ident| $to:expr),* $(,)?) => {$(
        impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $to
            }
        }
    )*};
}
into_value! {
    i64 => |n| Self::Int(n),
    u32 => |n| Self::Int(n.into()),
    bool => |yes| Self::Bool(yes),
    &str => |text| Self::Text(text.to_owned()),
    String => |text| Self::Text(text),
    &[u8] => |bytes| Self::Bytes(bytes.to_owned()),
    Vec<u8> => |bytes| Self::Bytes(bytes),
    Timestamp => |at| Self::Int(at.millis()),
    UserId => |id| Self::Int(id.0),
    &Secret<String> => |secret| Self::Text(secret.expose().clone()),
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl FromValue for i64 {
    fn from_value(value: &Value) -> Result<Self, WrongType> {
        match value {
            Value::Int(n) => Ok(*n),
            _ => Err(WrongType("an integer")),
        }
    }
}

impl FromValue for bool {
    /// SQLite has no booleans: there they are the integers 0 and 1.
    fn from_value(value: &Value) -> Result<Self, WrongType> {
        match value {
            Value::Bool(yes) => Ok(*yes),
            Value::Int(n @ (0 | 1)) => Ok(*n == 1),
            _ => Err(WrongType("a boolean")),
        }
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> Result<Self, WrongType> {
        match value {
            Value::Text(text) => Ok(text.clone()),
            _ => Err(WrongType("text")),
        }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: &Value) -> Result<Self, WrongType> {
        match value {
            Value::Bytes(bytes) => Ok(bytes.clone()),
            _ => Err(WrongType("bytes")),
        }
    }
}

impl FromValue for u64 {
    fn from_value(value: &Value) -> Result<Self, WrongType> {
        i64::from_value(value)?
            .try_into()
            .map_err(|_| WrongType("a count"))
    }
}

impl FromValue for Timestamp {
    fn from_value(value: &Value) -> Result<Self, WrongType> {
        i64::from_value(value).map(Self::from_millis)
    }
}

impl FromValue for UserId {
    fn from_value(value: &Value) -> Result<Self, WrongType> {
        i64::from_value(value).map(Self)
    }
}

impl FromValue for Secret<String> {
    fn from_value(value: &Value) -> Result<Self, WrongType> {
        String::from_value(value).map(Self::new)
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Result<Self, WrongType> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: Value) -> Row {
        Row::new(Arc::new(["a".into()]), vec![value])
    }

    #[test]
    fn a_value_is_read_as_its_own_type_only() {
        assert_eq!(row(Value::Int(7)).get::<i64>("a"), Ok(7));
        assert_eq!(row(Value::Int(1)).get::<bool>("a"), Ok(true));
        assert_eq!(row(Value::Null).get::<Option<i64>>("a"), Ok(None));
        assert!(row(Value::Int(2)).get::<bool>("a").is_err());
        assert!(row(Value::Int(-1)).get::<u64>("a").is_err());
        assert!(row(Value::Null).get::<String>("a").is_err());
        assert!(row(Value::Text("7".into())).get::<i64>("a").is_err());
        assert!(row(Value::Int(7)).get::<i64>("b").is_err());
    }

    #[test]
    fn one_row_means_at_most_one() {
        let answer = |n| Answer {
            rows: vec![row(Value::Null); n],
            changed: 0,
        };
        assert!(answer(0).one("x").unwrap().is_none());
        assert!(answer(1).one("x").unwrap().is_some());
        assert!(matches!(answer(2).one("x"), Err(DbError::Statement { .. })));
    }
}
