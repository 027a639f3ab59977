//! One statement of a component in SQLite, with its values as the host gives them.

use guest::sql::{Error as SqlError, Outcome, Value};
use rusqlite::{Connection, ErrorCode, types};

pub(super) fn statement(db: &Connection, sql: &str, params: &[Value]) -> Result<Outcome, SqlError> {
    let fail = |error: rusqlite::Error| match error.sqlite_error() {
        Some(cause) if cause.code == ErrorCode::ConstraintViolation => SqlError::UniqueViolation(error.to_string()),
        _ => panic!("{error} in {sql}"),
    };
    let mut prepared = db.prepare_cached(sql).map_err(fail)?;
    let params = rusqlite::params_from_iter(params.iter().map(|value| match value {
        Value::Null => types::Value::Null,
        Value::Integer(number) => types::Value::Integer(*number),
        Value::Real(number) => types::Value::Real(*number),
        Value::Text(text) => types::Value::Text(text.clone()),
        Value::Blob(bytes) => types::Value::Blob(bytes.clone()),
    }));
    let width = prepared.column_count();
    if width == 0 {
        return Ok(Outcome {
            affected: prepared.execute(params).map_err(fail)? as u64,
            rows: Vec::new(),
        });
    }
    let rows = prepared
        .query_map(params, |row| {
            (0..width)
                .map(|at| {
                    Ok(match row.get::<_, types::Value>(at)? {
                        types::Value::Null => Value::Null,
                        types::Value::Integer(number) => Value::Integer(number),
                        types::Value::Real(number) => Value::Real(number),
                        types::Value::Text(text) => Value::Text(text),
                        types::Value::Blob(bytes) => Value::Blob(bytes),
                    })
                })
                .collect()
        })
        .map_err(fail)?;
    Ok(Outcome {
        affected: 0,
        rows: rows.map(Result::unwrap).collect(),
    })
}
