//! The host of the stories: a store in memory with the schema of the project, settings, and a record
//! of what was asked of it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use guest::native::{Answer, Host, Step};
use guest::sql::{Error as SqlError, Outcome, Value};
use guest::{Audience, HostError, Kick};
use rusqlite::types::ValueRef;
use rusqlite::{ErrorCode as SqliteCode, params_from_iter};

/// A store, settings, and what was asked of the host.
pub(super) struct Service {
    pub(super) store: rusqlite::Connection,
    pub(super) settings: RefCell<HashMap<String, String>>,
    pub(super) next_id: RefCell<u64>,
    pub(super) hashes_made: RefCell<u32>,
    pub(super) verified: RefCell<u32>,
    pub(super) permits: RefCell<Vec<(String, String)>>,
    pub(super) out_of_permits: RefCell<bool>,
    pub(super) kicked: RefCell<Vec<(Audience, Kick)>>,
}

impl Service {
    pub(super) fn given() -> Rc<Self> {
        let store = rusqlite::Connection::open_in_memory().unwrap();
        store
            .execute_batch(include_str!("../../../../migrations/sqlite/V1__chat.sql"))
            .unwrap();
        let service = Rc::new(Self {
            store,
            settings: RefCell::default(),
            next_id: RefCell::default(),
            hashes_made: RefCell::default(),
            verified: RefCell::default(),
            permits: RefCell::default(),
            out_of_permits: RefCell::default(),
            kicked: RefCell::default(),
        });
        guest::native::give(service.clone());
        service
    }

    pub(super) fn set(&self, key: &str, value: &str) {
        self.settings.borrow_mut().insert(key.to_owned(), value.to_owned());
    }

    pub(super) fn kicked_sessions(&self) -> Vec<Vec<u64>> {
        self.kicked.borrow().iter().map(|(to, _)| to.sessions.clone()).collect()
    }

    fn run(&self, sql: &str, params: Vec<Value>) -> Result<Outcome, SqlError> {
        let mut statement = self.store.prepare(sql).map_err(failed)?;
        let width = statement.column_count();
        let params = params_from_iter(params.into_iter().map(|value| match value {
            Value::Null => rusqlite::types::Value::Null,
            Value::Integer(number) => number.into(),
            Value::Real(number) => number.into(),
            Value::Text(text) => text.into(),
            Value::Blob(bytes) => bytes.into(),
        }));
        if width == 0 {
            let affected = statement.execute(params).map_err(failed)? as u64;
            return Ok(Outcome {
                affected,
                rows: Vec::new(),
            });
        }
        let read = |row: &rusqlite::Row| (0..width).map(|place| Ok(value(row.get_ref(place)?))).collect();
        let rows = statement
            .query_map(params, read)
            .map_err(failed)?
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        Ok(Outcome { affected: 0, rows })
    }

    fn run_all(&self, steps: Vec<Step>) -> Result<Vec<Outcome>, SqlError> {
        let transaction = self.store.unchecked_transaction().map_err(failed)?;
        let mut outcomes = Vec::new();
        for (place, step) in steps.into_iter().enumerate() {
            let outcome = self.run(&step.sql, step.params)?;
            if outcome.affected + (outcome.rows.len() as u64) < u64::from(step.at_least) {
                return Err(SqlError::Unmet(place as u32));
            }
            outcomes.push(outcome);
        }
        transaction.commit().map_err(failed)?;
        Ok(outcomes)
    }
}

fn value(value: ValueRef) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8(text.to_vec()).unwrap()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

fn failed(error: rusqlite::Error) -> SqlError {
    match error.sqlite_error_code() {
        Some(SqliteCode::ConstraintViolation) => SqlError::UniqueViolation(error.to_string()),
        _ => SqlError::Invalid(error.to_string()),
    }
}

impl Host for Service {
    fn next_id(&self) -> u64 {
        *self.next_id.borrow_mut() += 1;
        *self.next_id.borrow()
    }

    fn config_value(&self, key: &str) -> Option<String> {
        self.settings.borrow().get(key).cloned()
    }

    fn acquire_permits(&self, name: &str, key: &str, _: u32) -> Result<(), u64> {
        self.permits.borrow_mut().push((name.to_owned(), key.to_owned()));
        if *self.out_of_permits.borrow() {
            Err(1500)
        } else {
            Ok(())
        }
    }

    fn query(&self, sql: String, params: Vec<Value>) -> Answer<Result<Vec<Vec<Value>>, SqlError>> {
        Box::pin(std::future::ready(self.run(&sql, params).map(|outcome| outcome.rows)))
    }

    fn execute(&self, sql: String, params: Vec<Value>) -> Answer<Result<u64, SqlError>> {
        Box::pin(std::future::ready(
            self.run(&sql, params).map(|outcome| outcome.affected),
        ))
    }

    fn batch(&self, steps: Vec<Step>) -> Answer<Result<Vec<Outcome>, SqlError>> {
        Box::pin(std::future::ready(self.run_all(steps)))
    }

    fn hash_password(&self, password: String) -> Answer<Result<String, HostError>> {
        *self.hashes_made.borrow_mut() += 1;
        Box::pin(std::future::ready(Ok(format!("hash of {password}"))))
    }

    fn verify_password(&self, password: String, hash: String) -> Answer<Result<bool, HostError>> {
        *self.verified.borrow_mut() += 1;
        Box::pin(std::future::ready(Ok(hash == format!("hash of {password}"))))
    }

    fn notify_kicked(&self, to: Audience, body: Kick) -> Answer<Result<(), HostError>> {
        self.kicked.borrow_mut().push((to, body));
        Box::pin(std::future::ready(Ok(())))
    }
}
