//! Values of the guest crate as those of the backends, and back. Both are the same types by other names.

use contract::cache;
use contract::sql as store;
use guest::bindings::mpim::host::cache::{Filled, Found};
use guest::native::Step;
use guest::sql::{Error, Outcome, Taken, Value};

pub(super) fn to_store(value: Value) -> store::Value {
    match value {
        Value::Null => store::Value::Null,
        Value::Integer(number) => store::Value::Integer(number),
        Value::Real(number) => store::Value::Real(number),
        Value::Text(text) => store::Value::Text(text),
        Value::Blob(bytes) => store::Value::Blob(bytes),
    }
}

fn from_store(value: store::Value) -> Value {
    match value {
        store::Value::Null => Value::Null,
        store::Value::Integer(number) => Value::Integer(number),
        store::Value::Real(number) => Value::Real(number),
        store::Value::Text(text) => Value::Text(text),
        store::Value::Blob(bytes) => Value::Blob(bytes),
    }
}

pub(super) fn rows(rows: Vec<store::Row>) -> Vec<Vec<Value>> {
    rows.into_iter()
        .map(|row| row.into_iter().map(from_store).collect())
        .collect()
}

pub(super) fn step(step: Step) -> store::Step {
    store::Step {
        sql: step.sql,
        params: step.params.into_iter().map(to_store).collect(),
        at_least: step.at_least,
        taken: step.taken.iter().map(taken).collect(),
    }
}

fn taken(taken: &Taken) -> store::Taken {
    store::Taken {
        param: taken.param,
        step: taken.step,
        column: taken.column,
    }
}

pub(super) fn outcome(outcome: store::Outcome) -> Outcome {
    Outcome {
        affected: outcome.affected,
        rows: rows(outcome.rows),
    }
}

pub(super) fn sql_error(error: store::Error) -> Error {
    match error {
        store::Error::UniqueViolation(key) => Error::UniqueViolation(key),
        store::Error::Unmet(step) => Error::Unmet(step),
        store::Error::Invalid(message) => Error::Invalid(message),
        store::Error::Unavailable(message) => Error::Unavailable(message),
        store::Error::Overloaded(message) => Error::Overloaded(message),
        store::Error::Timeout(message) => Error::Timeout(message),
    }
}

pub(super) fn found(found: cache::Found) -> Found {
    match found {
        cache::Found::Value(value) => Found::Value(value),
        cache::Found::Absent => Found::Absent,
        cache::Found::Load(ticket) => Found::Load(ticket),
    }
}

pub(super) fn filled(filled: Filled) -> cache::Filled {
    cache::Filled {
        ticket: filled.ticket,
        value: filled.value,
        ttl_ms: filled.ttl_ms,
    }
}

pub(super) fn lane(priority: guest::Priority) -> contract::queue::Priority {
    match priority {
        guest::Priority::Low => contract::queue::Priority::Low,
        guest::Priority::Normal => contract::queue::Priority::Normal,
        guest::Priority::High => contract::queue::Priority::High,
        guest::Priority::Urgent => contract::queue::Priority::Urgent,
    }
}
