//! The relational store. A transaction is one connection without autocommit for as long as it lasts; what the server
//! undid for the sake of another is done again.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use contract::sql::{Error, Outcome, Row, Step, Taken, Value, Widths};
use dialect::failure::{Failure, GONE};
use dialect::gate::{self, Kind};
use dialect::limits::{RETRIES, STATEMENT_BYTES_MAX, STEPS_MAX};

use crate::Backend;
use crate::bindings::exports::mpim::host::sql as wit;
use crate::mysql::{self, Lease};
use crate::patience::{pause, random};

/// How long what is repeated may take, once more than the last try.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a connection that turns out to be lost is replaced.
const REPLACEMENTS: u32 = 3;

impl wit::Guest for Backend {
    async fn query(sql: String, params: Vec<wit::Value>) -> Result<Vec<wit::Row>, wit::Error> {
        let params = values(params);
        let sql = statement(&sql, &params, &[Kind::Read])?;
        let rows = repeated(async || mysql::take().await?.query(sql, &params).await).await?;
        Ok(rows.into_iter().map(wit_row).collect())
    }

    /// Spin has no replicas to read from: what is asked is the store itself.
    async fn query_stale(sql: String, params: Vec<wit::Value>) -> Result<Vec<wit::Row>, wit::Error> {
        <Self as wit::Guest>::query(sql, params).await
    }

    async fn execute(sql: String, params: Vec<wit::Value>) -> Result<u64, wit::Error> {
        let step = Step {
            sql,
            params: values(params),
            at_least: 0,
            taken: Vec::new(),
        };
        let outcomes = batch(vec![step]).await?;
        Ok(outcomes.first().map_or(0, |outcome| outcome.affected))
    }

    async fn batch(steps: Vec<wit::Step>) -> Result<Vec<wit::Outcome>, wit::Error> {
        let steps = steps.into_iter().map(|step| Step {
            sql: step.sql,
            params: values(step.params),
            at_least: step.at_least,
            taken: step.taken.into_iter().map(taken).collect(),
        });
        let outcomes = batch(steps.collect()).await?;
        Ok(outcomes.into_iter().map(wit_outcome).collect())
    }
}

/// A statement that may be run, without a closing semicolon.
fn statement<'a>(sql: &'a str, params: &[Value], kinds: &[Kind]) -> Result<&'a str, Error> {
    if sql.len() > STATEMENT_BYTES_MAX {
        return Err(Error::Invalid(format!(
            "a statement has at most {STATEMENT_BYTES_MAX} bytes"
        )));
    }
    let statement = gate::read(sql)?;
    if !kinds.contains(&statement.kind) {
        return Err(Error::Invalid("a query must be without effect".to_owned()));
    }
    let expected = statement.placeholders.len();
    if params.len() != expected {
        let given = params.len();
        return Err(Error::Invalid(format!(
            "the statement has {expected} parameters, {given} are given"
        )));
    }
    Ok(statement.text)
}

async fn batch(steps: Vec<Step>) -> Result<Vec<Outcome>, Error> {
    if steps.len() > STEPS_MAX {
        return Err(Error::Invalid(format!("a batch has at most {STEPS_MAX} steps")));
    }
    let widths = Widths::of(&steps)?;
    let mut statements = Vec::with_capacity(steps.len());
    for step in &steps {
        let sql = statement(&step.sql, &step.params, &[Kind::Read, Kind::Write])?;
        statements.push((sql, step, gate::read(&step.sql)?.kind));
    }
    if statements.is_empty() {
        return Ok(Vec::new());
    }
    repeated(async || transaction(&statements, &widths).await).await
}

/// Repeats what may be repeated: nothing of it was kept. Not for longer than a call has patience.
pub(crate) async fn repeated<T>(work: impl AsyncFn() -> Result<T, Failure>) -> Result<T, Error> {
    let begun = Instant::now();
    let (mut conflicts, mut lost) = (0, 0);
    loop {
        let failure = match work().await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        let (count, most) = match failure.again {
            None => return Err(failure.error),
            Some(GONE) => (&mut lost, REPLACEMENTS),
            Some(_) => (&mut conflicts, RETRIES),
        };
        *count += 1;
        if *count > most || begun.elapsed() >= PATIENCE {
            return Err(failure.error);
        }
        if failure.again == Some(GONE) {
            mysql::give_up_free();
        } else {
            // Those that were in each other's way do not meet again.
            pause(random() % (u64::from(conflicts) * 2 + 1)).await;
        }
    }
}

async fn transaction(statements: &[(&str, &Step, Kind)], widths: &Widths) -> Result<Vec<Outcome>, Failure> {
    let lease = mysql::take().await?;
    let work = async {
        lease.begin_transaction().await?;
        let outcomes = perform(&lease, statements, widths).await?;
        lease.commit().await?;
        Ok(outcomes)
    };
    match work.await {
        Ok(outcomes) => Ok(outcomes),
        Err(failure) => {
            lease.roll_back().await;
            Err(failure)
        }
    }
}

async fn perform(lease: &Lease, statements: &[(&str, &Step, Kind)], widths: &Widths) -> Result<Vec<Outcome>, Failure> {
    let mut outcomes = Vec::with_capacity(statements.len());
    for (index, (sql, step, kind)) in statements.iter().enumerate() {
        let params = params(step, index, widths, &outcomes).map_err(Failure::of_request)?;
        let outcome = match kind {
            Kind::Write if !is_select(sql) => {
                lease.execute(sql, &params).await?;
                Outcome {
                    affected: lease.affected().await?,
                    rows: Vec::new(),
                }
            }
            Kind::Read | Kind::Write => Outcome {
                affected: 0,
                rows: lease.query(sql, &params).await?,
            },
        };
        let reached = outcome
            .affected
            .max(u64::try_from(outcome.rows.len()).unwrap_or(u64::MAX));
        if reached < u64::from(step.at_least) {
            let step = u32::try_from(index).unwrap_or(u32::MAX);
            return Err(Failure::of_request(Error::Unmet(step)));
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// The parameters of a step, with what it takes from the steps before it.
fn params<'a>(step: &'a Step, index: usize, widths: &Widths, outcomes: &[Outcome]) -> Result<Cow<'a, [Value]>, Error> {
    let mut params = Cow::Borrowed(step.params.as_slice());
    for taken in &step.taken {
        let value = widths.value(*taken, outcomes, index)?;
        let index = usize::try_from(taken.param).unwrap_or(usize::MAX);
        if let Some(param) = params.to_mut().get_mut(index) {
            param.clone_from(value);
        }
    }
    Ok(params)
}

/// Whether a statement that may change rows returns some all the same: it locks what it reads.
fn is_select(sql: &str) -> bool {
    sql.trim_start()
        .get(..6)
        .is_some_and(|word| word.eq_ignore_ascii_case("select"))
}

fn values(values: Vec<wit::Value>) -> Vec<Value> {
    let values = values.into_iter().map(|value| match value {
        wit::Value::Null => Value::Null,
        wit::Value::Integer(number) => Value::Integer(number),
        wit::Value::Real(number) => Value::Real(number),
        wit::Value::Text(text) => Value::Text(text),
        wit::Value::Blob(bytes) => Value::Blob(bytes),
    });
    values.collect()
}

fn taken(taken: wit::Taken) -> Taken {
    let wit::Taken { param, step, column } = taken;
    Taken { param, step, column }
}

fn wit_row(row: Row) -> wit::Row {
    let row = row.into_iter().map(|value| match value {
        Value::Null => wit::Value::Null,
        Value::Integer(number) => wit::Value::Integer(number),
        Value::Real(number) => wit::Value::Real(number),
        Value::Text(text) => wit::Value::Text(text),
        Value::Blob(bytes) => wit::Value::Blob(bytes),
    });
    row.collect()
}

fn wit_outcome(outcome: Outcome) -> wit::Outcome {
    wit::Outcome {
        affected: outcome.affected,
        rows: outcome.rows.into_iter().map(wit_row).collect(),
    }
}
