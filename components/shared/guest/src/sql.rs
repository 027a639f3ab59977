//! The store: statements with `?` parameters, rows read by column, batches in one transaction.
//!
//! Ids are unsigned in WIT and signed in SQL; both have 63 bits, so that [`Value::from`] and
//! [`Read`] lose nothing.

pub use crate::bindings::mpim::host::sql::{Error, Outcome, Taken, Value};

use crate::bindings::mpim::host::sql::Step;
use crate::{Error as ImError, import};

/// Parameters of a statement, each anything that [`Value`] can be made from.
#[macro_export]
macro_rules! params {
    ($($parameter:expr),* $(,)?) => {
        vec![$($crate::sql::Value::from($parameter)),*]
    };
}

/// The rows of a read.
pub async fn query(sql: impl Into<String>, params: Vec<Value>) -> Result<Vec<Row>, Error> {
    let rows = import!(async crate::bindings::mpim::host::sql, query, query(sql.into(), params))?;
    Ok(rows.into_iter().map(Row).collect())
}

/// The only row of a read, where there is one.
pub async fn query_one(sql: impl Into<String>, params: Vec<Value>) -> Result<Option<Row>, Error> {
    Ok(query(sql, params).await?.into_iter().next())
}

/// The rows of a read that may be a little old; see `mpim:host/sql` for when that will do.
pub async fn query_stale(sql: impl Into<String>, params: Vec<Value>) -> Result<Vec<Row>, Error> {
    let rows = import!(async crate::bindings::mpim::host::sql, query_stale, query_stale(sql.into(), params))?;
    Ok(rows.into_iter().map(Row).collect())
}

/// One durable write; the number of rows changed.
pub async fn execute(sql: impl Into<String>, params: Vec<Value>) -> Result<u64, Error> {
    import!(async crate::bindings::mpim::host::sql, execute, execute(sql.into(), params))
}

/// A column of the only row of a statement of a batch: the statement, and the column.
pub type Found = (usize, u32);

/// Parameters of a statement of a batch, some of which take their values from what an earlier statement reads.
#[derive(Debug, Default)]
pub struct Params {
    values: Vec<Value>,
    taken: Vec<Taken>,
}

impl Params {
    /// The next parameter takes a column of the only row of an earlier statement; see `mpim:host/sql` for what that must be.
    #[must_use]
    pub fn take(mut self, (step, column): Found) -> Self {
        let [param, step] = [self.values.len(), step].map(|index| u32::try_from(index).unwrap_or(u32::MAX));
        self.taken.push(Taken { param, step, column });
        self.values.push(Value::Null);
        self
    }

    /// The next parameters have these values.
    #[must_use]
    pub fn give(mut self, values: Vec<Value>) -> Self {
        self.values.extend(values);
        self
    }
}

impl From<Vec<Value>> for Params {
    fn from(values: Vec<Value>) -> Self {
        Self::default().give(values)
    }
}

/// `?, ?, ?`: as many as there are values, for an `IN (…)`.
pub fn placeholders(count: usize) -> String {
    vec!["?"; count].join(", ")
}

/// Statements of which all are kept or none.
#[derive(Default)]
pub struct Batch(Vec<Step>);

impl Batch {
    /// A batch without statements.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a statement that may reach any number of rows.
    #[must_use]
    pub fn step(self, sql: impl Into<String>, params: impl Into<Params>) -> Self {
        self.at_least(0, sql, params)
    }

    /// Adds a statement that must reach a row: without one the batch is undone, with
    /// [`Error::Unmet`] and the index of this statement.
    #[must_use]
    pub fn need(self, sql: impl Into<String>, params: impl Into<Params>) -> Self {
        self.at_least(1, sql, params)
    }

    /// Adds a statement that must reach so many rows.
    #[must_use]
    pub fn at_least(mut self, at_least: usize, sql: impl Into<String>, params: impl Into<Params>) -> Self {
        let Params { values, taken } = params.into();
        self.0.push(Step {
            sql: sql.into(),
            params: values,
            at_least: u32::try_from(at_least).unwrap_or(u32::MAX),
            taken,
        });
        self
    }

    /// Runs it; one answer a statement, in order.
    pub async fn run(self) -> Result<Vec<Done>, Error> {
        let outcomes = import!(async crate::bindings::mpim::host::sql, batch, batch(self.0))?;
        Ok(outcomes
            .into_iter()
            .map(|outcome| Done {
                affected: outcome.affected,
                rows: outcome.rows.into_iter().map(Row).collect(),
            })
            .collect())
    }
}

/// What a statement of a batch did.
#[derive(Debug)]
pub struct Done {
    /// Rows changed.
    pub affected: u64,
    /// Rows read.
    pub rows: Vec<Row>,
}

/// One row; its values are read by column.
#[derive(Debug, Clone, PartialEq)]
pub struct Row(Vec<Value>);

impl Row {
    /// The value of a column, as the type asked for; a wrong type or column is an internal error,
    /// since the statement is ours.
    pub fn at<T: Read>(&self, column: usize) -> Result<T, ImError> {
        self.0.get(column).and_then(T::read).ok_or_else(|| {
            crate::telemetry::log(
                crate::telemetry::Level::Error,
                "a row has another shape than expected",
                &[("column", column.to_string()), ("row", format!("{:?}", self.0))],
            );
            ImError::internal("internal error")
        })
    }
}

/// A type that a value of a row can be read as.
pub trait Read: Sized {
    /// None when the value is of another type or does not fit.
    fn read(value: &Value) -> Option<Self>;
}

impl Read for i64 {
    fn read(value: &Value) -> Option<Self> {
        if let Value::Integer(number) = value {
            Some(*number)
        } else {
            None
        }
    }
}

/// Integers that are checked to fit.
macro_rules! read_integer {
    ($($integer:ty),*) => {
        $(impl Read for $integer {
            fn read(value: &Value) -> Option<Self> {
                <$integer>::try_from(i64::read(value)?).ok()
            }
        })*
    };
}
read_integer!(u64, u32, u8);

impl Read for bool {
    fn read(value: &Value) -> Option<Self> {
        i64::read(value).map(|number| number != 0)
    }
}

impl Read for String {
    fn read(value: &Value) -> Option<Self> {
        if let Value::Text(text) = value {
            Some(text.clone())
        } else {
            None
        }
    }
}

impl<T: Read> Read for Option<T> {
    fn read(value: &Value) -> Option<Self> {
        if let Value::Null = value {
            Some(None)
        } else {
            T::read(value).map(Some)
        }
    }
}

impl From<u64> for Value {
    /// Ids and times have 63 bits; a number beyond is sent as the largest, which matches no row.
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Integer(i64::from(number))
    }
}

impl From<u8> for Value {
    fn from(number: u8) -> Self {
        Self::Integer(i64::from(number))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<T> From<Option<T>> for Value
where
    Self: From<T>,
{
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Self::from)
    }
}
