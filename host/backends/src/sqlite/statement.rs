//! One statement of a guest: prepared, checked, bound, run and read within bounds.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement};

use super::error::from_statement;
use config::SqliteSettings;
use contract::sql::{Error, Outcome, Row, Value};

/// What one job may still return.
#[derive(Debug)]
pub(super) struct Budget {
    rows: usize,
    bytes: usize,
    statement_bytes: usize,
}

impl Budget {
    /// The whole budget of a job.
    pub(super) fn of(settings: &SqliteSettings) -> Self {
        Self {
            rows: settings.rows_max,
            bytes: settings.result_bytes_max,
            statement_bytes: settings.statement_bytes_max,
        }
    }

    fn spend_row(&mut self) -> Result<(), Error> {
        self.rows = self
            .rows
            .checked_sub(1)
            .ok_or_else(|| Error::Overloaded("the result has too many rows".into()))?;
        Ok(())
    }

    fn spend_bytes(&mut self, bytes: usize) -> Result<(), Error> {
        self.bytes = self
            .bytes
            .checked_sub(bytes)
            .ok_or_else(|| Error::Overloaded("the result has too many bytes".into()))?;
        Ok(())
    }
}

/// Whether a statement may change rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// It must be without effect.
    Read,
    /// It may change rows.
    Write,
}

/// Runs one statement to its end. What is taken stands in for the parameters at its placeholders.
pub(super) fn run(
    connection: &Connection,
    sql: &str,
    params: &[Value],
    taken: &[(usize, &Value)],
    access: Access,
    budget: &mut Budget,
) -> Result<Outcome, Error> {
    if sql.len() > budget.statement_bytes {
        return Err(Error::Invalid(format!(
            "a statement has at most {} bytes",
            budget.statement_bytes
        )));
    }
    let mut statement = connection.prepare_cached(sql).map_err(from_statement)?;
    let reads_only = statement.readonly();
    if access == Access::Read && !reads_only {
        return Err(Error::Invalid("a query must be a statement without effect".to_owned()));
    }
    bind(&mut statement, params)?;
    for (index, param) in taken {
        bind_one(&mut statement, *index, param)?;
    }
    let rows = read(&mut statement, budget)?;
    // The count of a reading statement would be that of the writing one before it.
    let affected = if reads_only { 0 } else { connection.changes() };
    Ok(Outcome { affected, rows })
}

fn bind(statement: &mut Statement<'_>, params: &[Value]) -> Result<(), Error> {
    let expected = statement.parameter_count();
    if params.len() != expected {
        return Err(Error::Invalid(format!(
            "the statement has {expected} parameters, {} are given",
            params.len()
        )));
    }
    for (index, param) in params.iter().enumerate() {
        bind_one(statement, index, param)?;
    }
    Ok(())
}

fn bind_one(statement: &mut Statement<'_>, index: usize, param: &Value) -> Result<(), Error> {
    let value = match param {
        Value::Null => ValueRef::Null,
        Value::Integer(number) => ValueRef::Integer(*number),
        Value::Real(number) if number.is_nan() => {
            return Err(Error::Invalid(format!("parameter {index} is not a number")));
        }
        Value::Real(number) => ValueRef::Real(*number),
        Value::Text(text) => ValueRef::Text(text.as_bytes()),
        Value::Blob(bytes) => ValueRef::Blob(bytes),
    };
    statement
        .raw_bind_parameter(index + 1, ToSqlOutput::Borrowed(value))
        .map_err(from_statement)
}

fn read(statement: &mut Statement<'_>, budget: &mut Budget) -> Result<Vec<Row>, Error> {
    let columns = statement.column_count();
    let mut rows = Vec::new();
    let mut cursor = statement.raw_query();
    while let Some(found) = cursor.next().map_err(from_statement)? {
        budget.spend_row()?;
        let mut row = Row::with_capacity(columns);
        for column in 0..columns {
            row.push(value(found.get_ref(column).map_err(from_statement)?, budget)?);
        }
        rows.push(row);
    }
    Ok(rows)
}

fn value(found: ValueRef<'_>, budget: &mut Budget) -> Result<Value, Error> {
    budget.spend_bytes(size_of::<Value>())?;
    Ok(match found {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(bytes) => {
            budget.spend_bytes(bytes.len())?;
            let text = std::str::from_utf8(bytes).map_err(|_| Error::Invalid("a text is not UTF-8".to_owned()))?;
            Value::Text(text.to_owned())
        }
        ValueRef::Blob(bytes) => {
            budget.spend_bytes(bytes.len())?;
            Value::Blob(bytes.to_vec())
        }
    })
}
