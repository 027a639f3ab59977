//! The store: an SQLite in memory with the migrations of the project, which keeps the promises of `mpim:host/sql`.

use std::cell::{Cell, RefCell};

use guest::native::{Step, params};
use guest::sql::{Error, Outcome, Value};
use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID, SQLITE_CONSTRAINT_UNIQUE};
use rusqlite::{Connection, types};

/// The migrations, in their order.
const MIGRATIONS: &[(&str, &str)] = &[
    (
        "V1__chat.sql",
        include_str!("../../../../migrations/sqlite/V1__chat.sql"),
    ),
    (
        "V2__workers.sql",
        include_str!("../../../../migrations/sqlite/V2__workers.sql"),
    ),
    (
        "V3__last_seen.sql",
        include_str!("../../../../migrations/sqlite/V3__last_seen.sql"),
    ),
    (
        "V4__replica_beats.sql",
        include_str!("../../../../migrations/sqlite/V4__replica_beats.sql"),
    ),
    (
        "V5__row_ids.sql",
        include_str!("../../../../migrations/sqlite/V5__row_ids.sql"),
    ),
];

/// What a query gives.
pub type Rows = Vec<Vec<Value>>;

/// What becomes of the rows of a query, by its statement.
type Filter = Box<dyn FnMut(&str, Rows) -> Result<Rows, Error>>;

/// The tables of the project.
pub struct Store {
    live: Connection,
    /// What the store had at a moment.
    replica: RefCell<Option<Connection>>,
    filter: RefCell<Option<Filter>>,
    rows_read: Cell<u64>,
}

impl Store {
    pub(crate) fn new() -> Self {
        let live = Connection::open_in_memory().unwrap();
        for (name, migration) in MIGRATIONS {
            live.execute_batch(migration)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        Self {
            live,
            replica: RefCell::default(),
            filter: RefCell::default(),
            rows_read: Cell::default(),
        }
    }

    /// Runs statements as another writer would.
    pub fn exec(&self, sql: &str) {
        self.live
            .execute_batch(sql)
            .unwrap_or_else(|error| panic!("{error} in {sql}"));
    }

    /// What a query gives.
    pub fn rows(&self, sql: &str) -> Rows {
        statement(&self.live, sql, &[]).unwrap().rows
    }

    /// From now on stale answers are those of now.
    pub fn copy(&self) {
        let file = std::env::temp_dir().join(format!("mpim-copy-{}-{:p}", std::process::id(), self));
        self.exec(&format!("VACUUM INTO '{}'", file.display()));
        let replica = Connection::open(&file).unwrap();
        std::fs::remove_file(file).unwrap();
        self.replica.replace(Some(replica));
    }

    /// What becomes of the rows of every query from now on; those of [`Store::rows`] and of replicas are left alone.
    pub fn filter(&self, filter: impl FnMut(&str, Rows) -> Result<Rows, Error> + 'static) {
        self.filter.replace(Some(Box::new(filter)));
    }

    /// How many rows queries have given.
    pub fn rows_read(&self) -> u64 {
        self.rows_read.get()
    }

    pub(crate) fn query(&self, sql: &str, params: &[Value]) -> Result<Rows, Error> {
        let rows = statement(&self.live, sql, params)?.rows;
        let filtered = match self.filter.borrow_mut().as_mut() {
            Some(filter) => filter(sql, rows),
            None => Ok(rows),
        };
        let count = filtered.as_ref().map_or(0, Vec::len);
        self.rows_read.set(self.rows_read.get() + count as u64);
        filtered
    }

    /// Without a copy nothing is old.
    pub(crate) fn query_stale(&self, sql: &str, params: &[Value]) -> Result<Rows, Error> {
        match self.replica.borrow().as_ref() {
            Some(replica) => Ok(statement(replica, sql, params)?.rows),
            None => self.query(sql, params),
        }
    }

    pub(crate) fn batch(&self, steps: &[Step]) -> Result<Vec<Outcome>, Error> {
        let transaction = self.live.unchecked_transaction().unwrap();
        let mut outcomes = Vec::with_capacity(steps.len());
        for (index, step) in (0..).zip(steps) {
            let outcome = statement(&transaction, &step.sql, &params(step, &outcomes)?)?;
            if outcome.affected + (outcome.rows.len() as u64) < u64::from(step.at_least) {
                return Err(Error::Unmet(index));
            }
            outcomes.push(outcome);
        }
        transaction.commit().unwrap();
        Ok(outcomes)
    }
}

/// One statement. What is wrong in it is a fault of the component, and ends the test.
fn statement(db: &Connection, sql: &str, params: &[Value]) -> Result<Outcome, Error> {
    let fail = |error: rusqlite::Error| match error.sqlite_error().map(|error| error.extended_code) {
        Some(SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_ROWID) => {
            Error::UniqueViolation(error.to_string())
        }
        _ => panic!("{error} in {sql}"),
    };
    let mut prepared = db.prepare_cached(sql).map_err(fail)?;
    let params = rusqlite::params_from_iter(params.iter().map(stored));
    let width = prepared.column_count();
    if width == 0 {
        let affected = prepared.execute(params).map_err(fail)? as u64;
        let rows = Vec::new();
        return Ok(Outcome { affected, rows });
    }
    let read = |row: &rusqlite::Row<'_>| (0..width).map(|column| row.get(column).map(read)).collect();
    let rows = prepared.query_map(params, read).map_err(fail)?;
    Ok(Outcome {
        affected: 0,
        rows: rows.collect::<Result<_, _>>().map_err(fail)?,
    })
}

fn stored(value: &Value) -> types::Value {
    match value {
        Value::Null => types::Value::Null,
        Value::Integer(number) => types::Value::Integer(*number),
        Value::Real(number) => types::Value::Real(*number),
        Value::Text(text) => types::Value::Text(text.clone()),
        Value::Blob(bytes) => types::Value::Blob(bytes.clone()),
    }
}

fn read(value: types::Value) -> Value {
    match value {
        types::Value::Null => Value::Null,
        types::Value::Integer(number) => Value::Integer(number),
        types::Value::Real(number) => Value::Real(number),
        types::Value::Text(text) => Value::Text(text),
        types::Value::Blob(bytes) => Value::Blob(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_migrations_are_those_of_the_project() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../migrations/sqlite");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        there.sort();
        let known: Vec<&str> = MIGRATIONS.iter().map(|(name, _)| *name).collect();
        assert_eq!(known, there);
    }
}
