//! `mpim:host/sql` over the relational store, behind breakers that all functions of the node share.

use contract::sql::{Error, Outcome, Step, Taken, Value};
use policy::Breaker;
use runtime::State;
use wasmtime::component::{Accessor, HasSelf};

use crate::bindings::mpim::host::sql as wit;
use crate::guest::{Guest, call};
use crate::verdict::{Verdict, now};

impl wit::Host for State<Guest> {}

impl<T: Send + 'static> wit::HostWithStore<T> for HasSelf<State<Guest>> {
    async fn query(
        accessor: &Accessor<T, Self>,
        sql: String,
        params: Vec<wit::Value>,
    ) -> Result<Vec<wit::Row>, wit::Error> {
        let (services, deadline) = call(accessor);
        let params = params.into_iter().map(Value::from).collect();
        let rows = guarded(&services.sql_reads, services.sql.query(sql, params, deadline)).await?;
        Ok(rows.into_iter().map(to_row).collect())
    }

    async fn query_stale(
        accessor: &Accessor<T, Self>,
        sql: String,
        params: Vec<wit::Value>,
    ) -> Result<Vec<wit::Row>, wit::Error> {
        let (services, deadline) = call(accessor);
        let params = params.into_iter().map(Value::from).collect();
        let rows = guarded(&services.sql_reads, services.sql.query_stale(sql, params, deadline)).await?;
        Ok(rows.into_iter().map(to_row).collect())
    }

    async fn execute(accessor: &Accessor<T, Self>, sql: String, params: Vec<wit::Value>) -> Result<u64, wit::Error> {
        let (services, deadline) = call(accessor);
        let params = params.into_iter().map(Value::from).collect();
        guarded(&services.sql_writes, services.sql.execute(sql, params, deadline)).await
    }

    async fn batch(accessor: &Accessor<T, Self>, steps: Vec<wit::Step>) -> Result<Vec<wit::Outcome>, wit::Error> {
        let (services, deadline) = call(accessor);
        let steps = steps.into_iter().map(Step::from).collect();
        let outcomes = guarded(&services.sql_writes, services.sql.batch(steps, deadline)).await?;
        Ok(outcomes.into_iter().map(wit::Outcome::from).collect())
    }
}

/// Asks the store unless the breaker is open. Only a store that cannot be used counts as a failure: a refused
/// statement, a full queue or a caller with little time says nothing about its health.
async fn guarded<R>(breaker: &Breaker, work: impl Future<Output = Result<R, Error>>) -> Result<R, wit::Error> {
    if !breaker.allow(now()) {
        return Err(wit::Error::Unavailable(
            "the store is failing and is not asked for a moment".to_owned(),
        ));
    }
    let mut verdict = Verdict::new(breaker);
    let outcome = work.await;
    verdict.success = match &outcome {
        Err(Error::Unavailable(_)) => Some(false),
        Err(Error::Timeout(_)) => None,
        _ => Some(true),
    };
    outcome.map_err(wit::Error::from)
}

fn to_row(row: Vec<Value>) -> wit::Row {
    row.into_iter().map(wit::Value::from).collect()
}

impl From<wit::Value> for Value {
    fn from(value: wit::Value) -> Self {
        match value {
            wit::Value::Null => Self::Null,
            wit::Value::Integer(number) => Self::Integer(number),
            wit::Value::Real(number) => Self::Real(number),
            wit::Value::Text(text) => Self::Text(text),
            wit::Value::Blob(bytes) => Self::Blob(bytes),
        }
    }
}

impl From<Value> for wit::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Integer(number) => Self::Integer(number),
            Value::Real(number) => Self::Real(number),
            Value::Text(text) => Self::Text(text),
            Value::Blob(bytes) => Self::Blob(bytes),
        }
    }
}

impl From<wit::Step> for Step {
    fn from(step: wit::Step) -> Self {
        Self {
            sql: step.sql,
            params: step.params.into_iter().map(Value::from).collect(),
            at_least: step.at_least,
            taken: step.taken.into_iter().map(Taken::from).collect(),
        }
    }
}

impl From<wit::Taken> for Taken {
    fn from(taken: wit::Taken) -> Self {
        let wit::Taken { param, step, column } = taken;
        Self { param, step, column }
    }
}

impl From<Outcome> for wit::Outcome {
    fn from(outcome: Outcome) -> Self {
        Self {
            affected: outcome.affected,
            rows: outcome.rows.into_iter().map(to_row).collect(),
        }
    }
}

impl From<Error> for wit::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::UniqueViolation(key) => Self::UniqueViolation(key),
            Error::Unmet(step) => Self::Unmet(step),
            Error::Invalid(message) => Self::Invalid(message),
            Error::Unavailable(message) => Self::Unavailable(message),
            Error::Overloaded(message) => Self::Overloaded(message),
            Error::Timeout(message) => Self::Timeout(message),
        }
    }
}
